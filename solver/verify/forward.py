"""One forward pass of one micro-batch through the stages, in seconds (docs/costs.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from .deployment import Deployment
from .links import Links
from .shapes import Layer

CHUNK = 64
"""Prompt tokens that a linear layer works on at once."""


@dataclass(frozen=True)
class Pass:
    """What one pass carries, seen from one attention group. Pairs, prefix: (full layer, sliding or sparse layer)."""

    decoding: float = 0.0
    """D"""
    reach: float = 0.0
    """X: mean context of the decoding sequences"""
    prompt: float = 0.0
    """P"""
    pairs: tuple[float, float] = (0.0, 0.0)
    """A"""
    prefix: tuple[float, float] = (0.0, 0.0)
    """R"""
    logits: float = 0.0
    """Y"""
    prompt_share: float = 0.0
    """φ"""


@dataclass(frozen=True)
class Blend:
    """Iterations of several kinds, each with its share of them; the shares sum to 1."""

    parts: tuple[tuple[float, Pass], ...]


Load = Pass | Blend


def _parts(load: Load) -> tuple[tuple[float, Pass], ...]:
    return load.parts if isinstance(load, Blend) else ((1.0, load),)


class Forward:
    """The times of a deployment's passes."""

    def __init__(self, deployment: Deployment) -> None:
        card = deployment.scenario.hardware.accelerator
        narrow = card.compute.fp8 if card.compute.fp4 else None  # mxfp4 against 8-bit activations
        compute = card.compute
        four = compute.fp4 and compute.fp4 * deployment.scenario.efficiency.fp4
        rates = {"fp8": compute.fp8, "int8": compute.int8, "nvfp4": four, "mxfp4": narrow}
        self.half_rate = card.compute.bf16
        self.weight_rate = rates.get(deployment.shapes.weight_format) or self.half_rate
        self.expert_rate = rates.get(deployment.shapes.expert_format) or self.half_rate
        self.memory_rate, self.launches = card.memory_bandwidth, card.launches
        blocks = deployment.scenario.precision.block is not None
        self.block_weights = blocks and deployment.shapes.weight_format == "fp8"
        self.block_shared = blocks and deployment.shapes.expert_format == "fp8"
        self.efficiency, self.latencies = deployment.scenario.efficiency, deployment.scenario.latencies
        self.deployment, self.cut, self.shapes = deployment, deployment.cut, deployment.shapes
        self.links = Links(deployment)

    def tokens(self, load: Pass) -> float:
        """T: tokens on one rank."""
        return load.decoding + load.prompt / self.cut.context

    def _matrix(
        self,
        flops: float,
        size: float,
        rate: float,
        shares: tuple[float, float],
        rows: float,
        width: float,
        half_rows: float,
    ) -> float:
        """A matrix product; `shares` are those of the peak FLOP/s and of the memory bandwidth."""
        if rows == 0 or (flops == 0 and size == 0):
            return 0.0
        reached = shares[0] * rows / (rows + half_rows)
        reached *= width / (width + self.efficiency.half_width)
        return flops / (rate * reached) + size / (self.memory_rate * shares[1])

    def _linear(self, rows: float, weights: float, element: float, rate: float, width: float, blocks: int = 0) -> float:
        """Dense matrices of so many weights per rank, of which `blocks` carry a scale for every block."""
        if rows == 0 or weights == 0:
            return 0.0
        shares, half = (self.efficiency.mfu, self.efficiency.bandwidth), self.efficiency.half_rows
        seconds = self._matrix(2 * rows * weights, weights * element, rate, shares, rows, width, half)
        return seconds + blocks * self.latencies.block_matrix

    def _core(self, flops: float, size: float) -> float:
        """A part of the attention that multiplies no weights."""
        seconds = flops / (self.half_rate * self.efficiency.attention_mfu)
        return max(seconds, size / (self.memory_rate * self.efficiency.kv_bandwidth))

    def _states(self, load: Pass) -> float:
        """The states of a linear layer: of the prompt tokens in chunks, of the decoding sequences one by one."""
        linear = self.shapes.linear
        if linear is None:
            return 0.0
        heads = linear.heads / self.cut.tensor
        step = 3 * 2 * linear.key_dim * linear.value_dim
        chunk = 2 * CHUNK * (3 * linear.key_dim + 2 * linear.value_dim)
        prompt = self._core(load.prompt / self.cut.context * heads * (step + chunk), 0.0)
        return prompt + self._core(load.decoding * heads * step, 2 * load.decoding * linear.kept / self.cut.tensor)

    def _index(self, load: Pass) -> float:
        """The indexer of a sparse layer, whole on every tensor rank: every query scores every key before it."""
        indexer = self.shapes.indexer
        if indexer is None:
            return 0.0
        share, read = 1 / self.cut.context, load.decoding * load.reach
        prompt = self._core(2 * indexer.products * load.pairs[0] * share, indexer.cached * load.prefix[0] * share)
        return prompt + self._core(2 * indexer.products * read, indexer.cached * read)

    def _attention(self, load: Pass, layer: Layer) -> float:
        """Attention cores of the prompt tokens and of the decoding sequences."""
        if layer.linear:
            return self._states(load)
        sliding, sparse = layer.sliding, self.shapes.indexer is not None
        shapes, heads = self.shapes, self.shapes.heads / self.cut.tensor
        row = shapes.cache_bytes(self.cut.tensor, shapes.kv_bytes)
        products = shapes.prompt_score * load.pairs[sliding]
        if sparse:
            products = min(products, shapes.decode_score * load.pairs[1])
        prompt = self._core(2 * heads * products / self.cut.context, load.prefix[sliding] * row / self.cut.context)
        seen = load.decoding * (min(load.reach, shapes.window) if sliding or sparse else load.reach)
        indexed = self._index(load) if layer.indexer else 0.0
        return indexed + prompt + self._core(2 * heads * shapes.decode_score * seen, seen * row)

    def _routed(self, group_tokens: float) -> float:
        """The routed experts of the busiest expert rank."""
        shapes, cut, efficiency = self.shapes, self.cut, self.efficiency
        share = shapes.per_token / shapes.experts
        hit = 1 - (1 - share) ** group_tokens
        work = 2 * shapes.expert_matrices * shapes.per_token * group_tokens * self.deployment.routing_load
        one = shapes.expert_matrices / cut.expert_tensor * shapes.expert_bytes
        return self._matrix(
            work / (cut.expert * cut.expert_tensor),
            shapes.experts / cut.expert * hit * one,
            self.expert_rate,
            (efficiency.expert_mfu, efficiency.expert_bandwidth),
            group_tokens * share,
            shapes.expert_width / cut.expert_tensor,
            efficiency.expert_half_rows,
        )

    def _projections(self, rows: float, layer: Layer) -> float:
        """The matrices of attention."""
        shapes, tensor = self.shapes, self.cut.tensor
        width, weights = shapes.attention_width(layer) / tensor, shapes.attention_per_rank(layer, tensor)
        count = shapes.attention_products(layer) if self.block_weights else 0
        return self._linear(rows, weights, shapes.weight_bytes, self.weight_rate, width, count)

    def _dense(self, rows: float) -> float:
        """The dense feed-forward."""
        weights, width = self.shapes.dense_matrices / self.cut.tensor, self.shapes.dense_width / self.cut.tensor
        count = 2 if self.block_weights else 0
        return self._linear(rows, weights, self.shapes.weight_bytes, self.weight_rate, width, count)

    def _router(self, rows: float) -> float:
        shapes = self.shapes
        router = shapes.hidden * shapes.experts
        return self._linear(rows, router, shapes.activation_bytes, self.half_rate, shapes.experts)

    def _shared(self, rows: float) -> float:
        """The shared experts."""
        weights, width = self.shapes.shared_matrices / self.cut.tensor, self.shapes.shared_width / self.cut.tensor
        count = 2 if self.block_shared else 0
        return self._linear(rows, weights, self.shapes.expert_bytes, self.expert_rate, width, count)

    def _head(self, logits: float) -> float:
        columns = self.shapes.vocabulary / self.cut.tensor
        return self._linear(logits, self.shapes.hidden * columns, self.shapes.activation_bytes, self.half_rate, columns)

    def layer(self, load: Pass, layer: Layer) -> float:
        """One layer on the busiest rank."""
        shapes, cut, rows = self.shapes, self.cut, self.tokens(load)
        group_rows = rows * cut.context * cut.data
        reduced = self.links.all_reduce(
            rows * shapes.hidden * shapes.activation_bytes, cut.tensor, cut.crosses(cut.tensor)
        )
        seconds = self._projections(rows, layer) + self._attention(load, layer)
        seconds += reduced + self.links.context(load.prompt)
        traffic = rows * self.latencies.token_traffic * shapes.hidden * shapes.activation_bytes
        seconds += traffic / (self.memory_rate * self.efficiency.bandwidth)
        own = self.latencies.linear_layer if layer.linear else self.latencies.indexer if layer.indexer else 0.0
        seconds += (self.latencies.layer + own) * self.launches + load.prompt_share * self.latencies.eager_layer
        if not layer.expert:
            return seconds + self._dense(rows) + reduced
        seconds += self._router(rows) + self._shared(rows) + self._routed(group_rows)
        return seconds + self.latencies.expert_layer * self.launches + self.links.experts(rows, group_rows)

    def ends(self, load: Load, stage: int) -> float:
        """What a stage takes beside its layers: the host, and the head or the send."""
        return sum(share * self._ends(part, stage) for share, part in _parts(load))

    def _ends(self, load: Pass, stage: int) -> float:
        shapes, cut = self.shapes, self.cut
        if stage < cut.pipeline - 1:
            return self.latencies.iteration + self.links.send(self.tokens(load), stage)
        each = self.latencies.sequence if shapes.vocabulary else 0.0
        return self.latencies.iteration + self.latencies.pace * (self._head(load.logits) + load.logits * each)

    def layers(self, load: Load) -> list[float]:
        """Every layer of the model, first to last."""
        kinds, pace = set(self.shapes.layers), self.latencies.pace
        time = {kind: pace * sum(share * self.layer(part, kind) for share, part in _parts(load)) for kind in kinds}
        return [time[kind] for kind in self.shapes.layers]

    def stages(self, load: Load) -> list[float]:
        """Every stage of the plan's split that stands on this card."""
        layers = self.layers(load)
        return [
            self.ends(load, stage) + sum(layers[i] for i in self.deployment.stage_layers(stage))
            for stage in self.cut.stages
        ]
