"""Strategies × engine counts as columns, with what placement says of their groups (docs/costs.md, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...models.counts import AttentionCount
from ...models.strategy import DEGREES
from ...models.transformer import LayerKind
from .setting import Setting

Column = NDArray[np.float64]
Shape = tuple[Column | float, Column | float]
"""(inputs, outputs) of a matrix on one rank."""
WIDEST = 4_000_000
"""Codes up to this are looked up in an array; larger ones are sorted first."""


@dataclass
class Rows:
    """Columns of equal length: the degrees, the engines, and the sequences on the busiest engine and group."""

    setting: Setting
    tensor: Column
    context: Column
    data: Column
    pipeline: Column
    expert: Column
    expert_tensor: Column
    engines: Column
    sequences: Column
    """N: sequences that all engines of a row hold."""

    @classmethod
    def of(
        cls,
        setting: Setting,
        strategies: NDArray[np.int64],
        engines: NDArray[np.int64],
        sequences: NDArray[np.int64] | None = None,
    ) -> Rows:
        """From the integer degrees, shape (rows, 6), the engine count and the sequences of each row.

        Without `sequences` every row holds those of the scenario.
        """
        degrees = {name: strategies[:, i].astype(np.float64) for i, name in enumerate(DEGREES)}
        held = np.full(len(engines), setting.scenario.workload.sequences) if sequences is None else sequences
        return cls(setting, **degrees, engines=engines.astype(np.float64), sequences=held.astype(np.float64))

    def __len__(self) -> int:
        return len(self.tensor)

    def codes(self, column: Column | NDArray[np.bool_]) -> tuple[NDArray[np.intp], int]:
        """(number of the distinct value that each row has, how many there are), worked out once for a column."""
        known = self._codes.get(id(column))
        if known is None:  # the column is kept, or another could come to lie where it lay
            if column.dtype == bool:
                code, count = column.astype(np.intp), 2
            else:
                values, code = np.unique(column, return_inverse=True)
                count = len(values)
            known = self._codes[id(column)] = column, code, count
        return known[1], known[2]

    def alike(self, by: tuple[Column | NDArray[np.bool_], ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """(a row of each combination of the values in the columns `by`, the combination of each row); kept likewise."""
        key = tuple(id(column) for column in by)
        known = self._alike.get(key)
        if known is None:
            code, count = np.zeros(len(self), np.intp), 1
            for column in by:
                own, values = self.codes(column)
                if count * values > WIDEST:
                    found, code = np.unique(code, return_inverse=True)
                    count = len(found)
                code, count = code * values + own, count * values
            first = np.full(count, -1, np.intp)
            first[code] = np.arange(len(self))
            there = np.flatnonzero(first >= 0)
            place = np.empty(count, np.intp)
            place[there] = np.arange(len(there))
            known = self._alike[key] = first[there], place[code]
        return known

    @cached_property
    def _alike(self) -> dict[tuple[int, ...], tuple[NDArray[np.intp], NDArray[np.intp]]]:
        return {}

    @cached_property
    def _codes(self) -> dict[int, tuple[Column | NDArray[np.bool_], NDArray[np.intp], int]]:
        return {}

    @cached_property
    def stage_group(self) -> Column:
        """GPUs of one stage."""
        return self.tensor * self.context * self.data

    @cached_property
    def engine_gpus(self) -> Column:
        """GPUs of one engine."""
        return self.stage_group * self.pipeline

    @cached_property
    def gpus_used(self) -> Column:
        """GPUs of all engines."""
        return self.engine_gpus * self.engines

    @cached_property
    def engine_sequences(self) -> Column:
        """Q: sequences on the busiest engine."""
        return np.ceil(self.sequences / self.engines)

    @cached_property
    def group_sequences(self) -> Column:
        """Q_d: sequences on its busiest attention group."""
        return np.ceil(self.engine_sequences / self.data)

    @cached_property
    def dense_ranks(self) -> Column:
        """Ranks that share a dense feed-forward, shared experts and the LM head, as the engine places them."""
        engine = self.setting.scenario.engine
        return self.stage_group if engine is not None and engine.dense_ranks == "stage" else self.tensor

    @cached_property
    def kv_heads(self) -> Column:
        """KV heads that one tensor rank holds; replicated when there are more ranks than heads."""
        return np.ceil(self.setting.key_heads / self.tensor)

    def crosses(self, block: Column) -> NDArray[np.bool_]:
        """Whether some block of so many contiguous ranks lies on two nodes."""
        several: NDArray[np.bool_] = (self.engine_gpus > self.setting.node) & (self.setting.node % block != 0)
        return several

    def boundary_crosses(
        self, stage: int | NDArray[np.int64], index: NDArray[np.intp] | slice = slice(None)
    ) -> NDArray[np.bool_]:
        """Whether ranks of `stage` and the next lie on different nodes, for some of the rows."""
        node, group = self.setting.node, self.stage_group[index]
        start = (stage * group) % node
        leaves: NDArray[np.bool_] = (self.engine_gpus[index] > node) & (start + 2 * group > node)
        return leaves

    @cached_property
    def expert_nodes(self) -> Column:
        """M: nodes that the expert group of a stage spans."""
        nodes = np.maximum(2, np.ceil(self.stage_group / self.setting.node))
        return np.where(self.crosses(self.stage_group), nodes, 1.0)

    @cached_property
    def imbalance(self) -> Column:
        """Gamma: load of the busiest expert rank over the mean; e ranks cannot be more uneven than e."""
        routing, experts = self.setting.scenario.workload.routing, self.setting.experts
        ranks, index = np.unique(self.expert.astype(np.int64), return_inverse=True)
        return np.array([min(routing.factor(experts, int(r)), int(r)) for r in ranks], dtype=np.float64)[index]

    def kv_width(self, element_bytes: float) -> Column:
        """Kappa: KV bytes per token, layer and rank. Latent attention is not divided by tensor."""
        if self.setting.latent_kv:
            return np.full(len(self), self.setting.latent_kv * element_bytes)
        return 2 * self.kv_heads * self.setting.head_dim * element_bytes

    def cached(self, kind: LayerKind, tokens: float) -> Column:
        """Bytes that one sequence of so many tokens keeps in one layer of a kind on one rank."""
        s = self.setting
        if kind.linear:
            return s.state_bytes / self.tensor
        index = tokens * s.index_bytes if kind.indexed else 0
        seen = min(tokens, s.window) if kind.sliding else tokens
        return (self.kv_width(s.kv_bytes) * seen + index) / self.context

    @cached_property
    def attention_shapes(self) -> dict[LayerKind, list[Shape]]:
        """(inputs, outputs) of attention's matrices on one rank, by what a kind `projects`.

        They sum to `attention_matrices`.
        """
        return {kind: self._shapes(kind) for kind in self.setting.attention}

    def _shapes(self, kind: LayerKind) -> list[Shape]:
        s, model = self.setting, self.setting.scenario.model
        if kind.linear and (linear := model.linear_attention) is not None:
            values = linear.value_heads * linear.value_dim
            inward = linear.channels + values + 2 * linear.value_heads
            return [(s.hidden, inward / self.tensor), (values / self.tensor, s.hidden)]
        heads, latent = s.heads / self.tensor, model.attention.latent
        if latent is None:
            queries = heads * s.head_dim * (2 if model.attention.output_gate else 1)
            return [(s.hidden, queries + 2 * self.kv_heads * s.head_dim), (heads * s.head_dim, s.hidden)]
        down = latent.kv_rank + latent.rope_dim + (latent.query_rank or 0)
        query_in = latent.query_rank or s.hidden
        shapes: list[Shape] = [
            (s.hidden, down),
            (query_in, heads * (latent.nope_dim + latent.rope_dim)),
            (latent.kv_rank, heads * (latent.nope_dim + latent.value_dim)),
            (heads * latent.value_dim, s.hidden),
        ]
        if kind.indexed and (index := latent.sparse) is not None:  # whole on every rank
            shapes += [(query_in, index.heads * index.dim), (s.hidden, index.dim + index.heads)]
        return shapes

    def attention_matrices(self, a: AttentionCount) -> Column:
        """A_r: attention weights of one layer on one rank."""
        return a.by_head / self.tensor + a.by_kv_head * self.kv_heads / self.setting.key_heads + a.replicated
