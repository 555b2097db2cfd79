"""A forward pass from measured tables, operator by operator (docs/silicon.md, section 6).

An operator that the tables lack, or whose constants the scenario states, is that of the data sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from shardwise.models.hardware import Accelerator

from .deployment import Deployment
from .forward import Forward, Pass
from .links import Links
from .shapes import Layer
from .silicon import PlainSilicon

DEEPSEEK = {"kv_rank": 512, "rope_dim": 64, "nope_dim": 128, "value_dim": 128}
"""The latent attention that was measured: 320 elements of a head's key and value, 576 of a token's cache."""


@lru_cache(maxsize=8)
def _silicon(card: str, engine: str | None, tables: Path | None) -> PlainSilicon:
    return PlainSilicon(Accelerator.model_validate_json(card), engine, tables)


def silicon_of(deployment: Deployment) -> PlainSilicon:
    """The tables of a deployment's card, on the links that the scenario states."""
    scenario, hardware = deployment.scenario, deployment.scenario.hardware
    card = hardware.accelerator
    stated = {
        "node_link": hardware.node_link or card.node_link,
        "network_link": hardware.network_link or card.network_link,
        "gpus_per_node": hardware.gpus_per_node or card.gpus_per_node,
    }
    engine = scenario.engine.id if scenario.engine else None
    return _silicon(card.model_copy(update=stated).model_dump_json(), engine, scenario.operator_times.tables)


class TabledLinks(Links):
    """All-reduce inside a node, and DeepEP, as measured."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment)
        self._silicon = silicon_of(deployment)
        self._from_sheet = deployment.scenario.operator_times.by_constants

    def all_reduce(self, size: float, ranks: int, crosses: bool, in_switch: bool = True) -> float:
        """See Links. The sum of expert slices has no table of its own."""
        by_sheet = super().all_reduce(size, ranks, crosses, in_switch)
        if ranks == 1 or crosses or not in_switch or "all_reduce" in self._from_sheet:
            return by_sheet
        try:
            return self.visible * self._silicon.all_reduce(ranks, size)[0]
        except LookupError:
            return by_sheet

    def expert_exchange(self, tokens: float) -> float:
        """See Links."""
        by_sheet, shapes, ranks = super().expert_exchange(tokens), self.shapes, self.cut.expert
        whole = self.cut.expert_nodes == math.ceil(ranks / self.cut.node)  # no slices of experts between its ranks
        measured = shapes.hidden == 7168 and self._dispatch_bytes == 1 and whole
        if ranks == 1 or not measured or "exchange" in self._from_sheet:
            return by_sheet
        own = tokens / self.cut.tensor
        kernel = "low_latency" if own <= 128 else "normal"
        asked = (own * self.uneven, shapes.hidden, shapes.per_token, shapes.experts, ranks)
        try:
            return self.visible * sum(self._silicon.exchange(*asked, way, kernel)[0] for way in ("dispatch", "combine"))
        except LookupError:
            return by_sheet


class TabledForward(Forward):
    """Every operator by its own table."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment)
        self.links = TabledLinks(deployment)
        self._silicon = silicon_of(deployment)
        self._from_sheet = deployment.scenario.operator_times.by_constants
        model, precision = deployment.scenario.model, deployment.scenario.precision
        self._model = model
        self._latent = model.attention.latent
        self._cache = "fp8" if precision.kv_cache == "fp8" else "bf16"
        self._narrow = self._format(precision.weights)
        self._expert = self._format(precision.experts or precision.weights)
        self._plain = "bf16" if self.shapes.activation_bytes == 2 else None
        self._gated = model.experts.gated if model.experts else True

    def _format(self, stored: str) -> str | None:
        """The tables' name of a stored format; None for what they do not know."""
        card, blocks = self.deployment.scenario.hardware.accelerator, self.deployment.scenario.precision.block
        if stored == "fp8":
            return "fp8_block" if blocks else "fp8"
        if stored == "mxfp4":
            return "mxfp4_fp8" if card.compute.fp4 else "mxfp4"
        if stored == "int8":
            return None if card.compute.int8 else "int8"
        return {"bf16": "bf16", "fp16": "bf16", "nvfp4": "nvfp4", "int4": "int4"}.get(stored)

    def _or_sheet(self, operator: str, format: str | None, table: Callable[[str], float], sheet: float) -> float:
        if format is None or operator in self._from_sheet:
            return sheet
        try:
            return table(format)
        except LookupError:
            return sheet

    def _matrices(
        self, format: str | None, rows: float, sizes: list[tuple[float, float]], sheet: float, blocks: bool = False
    ) -> float:
        """(inputs, outputs) of each matrix."""
        if rows == 0 or not any(inputs * outputs for inputs, outputs in sizes):
            return 0.0
        return self._or_sheet(
            "matrices",
            format,
            lambda known: (
                sum(self._silicon.matrix(known, rows, *size)[0] for size in sizes)
                + (len(sizes) * self.latencies.block_matrix if blocks else 0.0)
            ),
            sheet,
        )

    def _projections(self, rows: float, layer: Layer) -> float:
        shapes, t, latent, hidden = self.shapes, self.cut.tensor, self._latent, self.shapes.hidden
        heads, linear = shapes.heads / t, self._model.linear_attention
        if layer.linear and linear is not None:
            out = linear.value_heads * linear.value_dim
            queries_and_keys = 2 * linear.key_heads * linear.key_dim
            sizes = [(hidden, (queries_and_keys + 2 * out + 2 * linear.value_heads) / t), (out / t, hidden)]
        elif latent is None:
            kv = 2 * math.ceil(shapes.kv_heads / t) * shapes.head_dim
            gate = 2 if self._model.attention.output_gate else 1
            sizes = [(hidden, gate * heads * shapes.head_dim + kv), (heads * shapes.head_dim, hidden)]
        else:
            sizes = [
                (hidden, latent.kv_rank + latent.rope_dim + (latent.query_rank or 0)),
                (latent.query_rank or hidden, heads * (latent.nope_dim + latent.rope_dim)),
                (latent.kv_rank, heads * (latent.nope_dim + latent.value_dim)),
                (heads * latent.value_dim, hidden),
            ]
            if layer.indexer and latent.sparse is not None:
                index = latent.sparse
                sizes.append((latent.query_rank or hidden, index.heads * index.dim))
                sizes.append((hidden, index.dim + index.heads))
        return self._matrices(self._narrow, rows, sizes, super()._projections(rows, layer), self.block_weights)

    def _up_and_down(self, weights: float, width: float) -> list[tuple[float, float]]:
        """The first matrix (with the gate) has what the second has not."""
        hidden, t = self.shapes.hidden, self.cut.tensor
        return [(hidden, (weights - width * hidden) / hidden / t), (width / t, hidden)]

    def _dense(self, rows: float) -> float:
        sizes = self._up_and_down(self.shapes.dense_matrices, self.shapes.dense_width)
        return self._matrices(self._narrow, rows, sizes, super()._dense(rows), self.block_weights)

    def _router(self, rows: float) -> float:
        sizes = [(float(self.shapes.hidden), float(self.shapes.experts))]
        return self._matrices(self._plain, rows, sizes, super()._router(rows))

    def _shared(self, rows: float) -> float:
        if not self.shapes.shared_matrices:
            return 0.0
        sizes = self._up_and_down(self.shapes.shared_matrices, self.shapes.shared_width)
        return self._matrices(self._expert, rows, sizes, super()._shared(rows), self.block_shared)

    def _head(self, logits: float) -> float:
        sizes = [(float(self.shapes.hidden), self.shapes.vocabulary / self.cut.tensor)]
        return self._matrices(self._plain, logits, sizes, super()._head(logits))

    def _attention(self, load: Pass, layer: Layer) -> float:
        """Linear layers, indexers and prompts over picked keys were not measured."""
        prompts = Pass(prompt=load.prompt, pairs=load.pairs, prefix=load.prefix)
        answers = Pass(decoding=load.decoding, reach=load.reach)
        by_sheet = super()._attention(prompts, layer), super()._attention(answers, layer)
        if layer.linear:
            return sum(by_sheet)
        sparse = self.shapes.indexer is not None
        window = self.shapes.window if layer.sliding else 0
        prompt = by_sheet[0]
        if not sparse:
            prompt = self._or_sheet("attention", "any", lambda _: self._prompt_core(load, window), prompt)
        indexed = self._index(answers) if layer.indexer else 0.0
        reach = min(load.reach, self.shapes.window) if sparse else load.reach
        seen = Pass(decoding=load.decoding, reach=reach)
        core = self._or_sheet("attention", "any", lambda _: self._decode_core(seen, window) + indexed, by_sheet[1])
        return prompt + core

    def _prompt_core(self, load: Pass, window: float) -> float:
        """Prompts of one length that are as many tokens, pairs and prefix tokens as the pass carries."""
        if load.prompt == 0:
            return 0.0
        again = load.prefix[False] / load.prompt
        new = max(1.0, 2 * load.pairs[False] / load.prompt / (1 + 2 * again))
        asked, heads = (load.prompt / new, new, again * new), self.shapes.heads / self.cut.tensor
        if self._latent:
            seconds = self._silicon.latent_prompt(*asked, heads, self._cache)[0]
            return seconds * self._unlike(self.shapes.prompt_score / 320) / self.cut.context
        kv = math.ceil(self.shapes.kv_heads / self.cut.tensor)
        core = self._silicon.prompt_attention(*asked, heads, kv, self.shapes.head_dim, self._cache, window)
        return core[0] / self.cut.context

    def _decode_core(self, load: Pass, window: float) -> float:
        if load.decoding == 0:
            return 0.0
        heads = self.shapes.heads / self.cut.tensor
        if self._latent:
            seconds = self._silicon.latent_decode(load.decoding, load.reach, heads, self._cache)[0]
            return seconds * self._unlike(self.shapes.cached / 576)
        kv = math.ceil(self.shapes.kv_heads / self.cut.tensor)
        core = self._silicon.decode_attention(
            load.decoding, load.reach, heads, kv, self.shapes.head_dim, self._cache, window
        )
        return core[0]

    def _unlike(self, wider: float) -> float:
        """Latent attention in other sizes takes time in proportion to its width."""
        return 1.0 if all(getattr(self._latent, name) == size for name, size in DEEPSEEK.items()) else wider

    def _routed(self, group_tokens: float) -> float:
        shapes, cut = self.shapes, self.cut

        def table(format: str) -> float:
            seconds: float = self._silicon.experts(
                group_tokens * self.deployment.routing_load,
                shapes.hidden,
                shapes.expert_width,
                shapes.per_token,
                shapes.experts,
                cut.expert,
                cut.expert_tensor,
                format,
                exchanged=cut.context * cut.data > 1,
                gated=self._gated,
            )[0]
            described = (3 if self._gated else 2) * shapes.hidden * shapes.expert_width
            return seconds * shapes.expert_matrices / described

        if group_tokens == 0:
            return 0.0
        return self._or_sheet("experts", self._expert, table, super()._routed(group_tokens))
