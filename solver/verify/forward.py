"""One forward pass of one micro-batch through the stages, in seconds (docs/costs.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from .deployment import Deployment
from .links import Links
from .shapes import Layer


@dataclass(frozen=True)
class Pass:
    """What one pass carries, seen from one attention group. Pairs and prefix: (full layer, sliding layer)."""

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

    def _attention(self, load: Pass, sliding: bool) -> float:
        """Attention cores of the prompt tokens and of the decoding sequences."""
        shapes, heads = self.shapes, self.shapes.heads / self.cut.tensor
        row = shapes.cache_bytes(self.cut.tensor, shapes.kv_bytes)
        flop_rate = self.half_rate * self.efficiency.attention_mfu
        byte_rate = self.memory_rate * self.efficiency.kv_bandwidth
        pairs, prefix = load.pairs[sliding], load.prefix[sliding]
        prompt = max(
            2 * heads * shapes.prompt_score * pairs / self.cut.context / flop_rate,
            prefix * row / self.cut.context / byte_rate,
        )
        seen = load.decoding * (min(load.reach, shapes.window) if sliding else load.reach)
        return prompt + max(2 * heads * shapes.decode_score * seen / flop_rate, seen * row / byte_rate)

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

    def _projections(self, rows: float) -> float:
        """The matrices of attention."""
        shapes, tensor = self.shapes, self.cut.tensor
        width, weights = shapes.heads * shapes.head_dim / tensor, shapes.attention_per_rank(tensor)
        count = (4 if shapes.latent else 2) if self.block_weights else 0
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
        seconds = self._projections(rows) + self._attention(load, layer.sliding)
        seconds += reduced + self.links.context(load.prompt)
        traffic = rows * self.latencies.token_traffic * shapes.hidden * shapes.activation_bytes
        seconds += traffic / (self.memory_rate * self.efficiency.bandwidth)
        seconds += self.latencies.layer * self.launches + load.prompt_share * self.latencies.eager_layer
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
