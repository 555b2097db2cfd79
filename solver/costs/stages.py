"""Layers onto pipeline stages: the contiguous split with the shortest slowest stage that fits the cards, exactly.

The split is found by walking the layers under a bound on the stage time: greedy filling meets a bound if any split
does (all costs are positive and add up along the layers). The bound is then tightened until the next smaller value
is proved out of reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .forward import LayerTimes
from .links import stage_send
from .memory import MemoryParts
from .rows import Column, Rows

_TIGHT = 1e-9
"""Relative step below which two stage times are the same."""


@dataclass
class Load:
    """What the layers put on a stage: one additive quantity (seconds or bytes) and its bound."""

    layers: Column
    """Per kind of layer, shape (kinds, rows)."""
    first: Column
    last: Column
    send: tuple[Column, Column]
    """Per stage that is not the last: (inside a node, across nodes)."""

    def take(self, index: NDArray[np.intp]) -> Load:
        """The same for some of the rows."""
        inside, across = self.send
        return Load(self.layers[:, index], self.first[index], self.last[index], (inside[index], across[index]))


def split_stages(rows: Rows, reference: LayerTimes, memory: MemoryParts, usable: int) -> NDArray[np.int16]:
    """Stage of each layer, shape (rows, layers)."""
    count = len(rows)
    zero = np.zeros(count)
    send = tuple(stage_send(rows, reference.tokens, np.full(count, crosses)) for crosses in (False, True))
    time = Load(reference.layers, zero, reference.head, (send[0], send[1]))
    full = zero + memory.first, zero + memory.last
    size = Load(memory.weights + memory.kv, *full, (zero, zero))
    # Two bytes are kept for rounding weights and cache up.
    room = usable - np.ceil(memory.activations) - np.ceil(memory.reserve) - 2.0
    result = np.zeros((count, len(rows.setting.layer_kinds)), dtype=np.int16)
    several = np.flatnonzero(rows.pipeline > 1)
    if not len(several):
        return result
    grid = _Grid.of(rows, several)
    stages, worst = _tightest(grid, time.take(several), size.take(several), room[several])
    homeless = np.flatnonzero(np.isinf(worst))
    if len(homeless):
        part, load = grid.take(homeless), size.take(several[homeless])
        stages[homeless], _ = _tightest(part, load, load, np.full(len(homeless), np.inf))
    result[several] = stages
    return result


@dataclass
class _Grid:
    """The rows of one search: stages, and which boundaries leave a node."""

    kinds: tuple[int, ...]
    pipeline: NDArray[np.int64]
    leaves: NDArray[np.bool_]
    """Shape (stages, rows)."""

    @classmethod
    def of(cls, rows: Rows, index: NDArray[np.intp]) -> _Grid:
        pipeline = rows.pipeline[index].astype(np.int64)
        leaves = np.array([rows.boundary_crosses(stage, index) for stage in range(int(pipeline.max()))])
        return cls(rows.setting.layer_kinds, pipeline, leaves)

    def take(self, index: NDArray[np.intp]) -> _Grid:
        return _Grid(self.kinds, self.pipeline[index], self.leaves[:, index])


def _tightest(grid: _Grid, time: Load, size: Load, room: Column) -> tuple[NDArray[np.int16], Column]:
    """The split of least worst `time` with `size` within `room`; infinite where none fits."""
    rows = len(grid.pipeline)
    counts = np.bincount(grid.kinds, minlength=len(time.layers)).astype(np.float64)
    total = counts @ time.layers + time.first + time.last
    low = np.maximum(total / grid.pipeline, time.layers.max(axis=0)) * (1 - _TIGHT)
    stages, best = _walk(grid, time, size, np.full(rows, np.inf), room)
    open_ = np.flatnonzero(np.isfinite(best))
    aim_low = True
    while len(open_):
        middle = (low[open_] + best[open_]) / 2
        bound = middle if aim_low else best[open_] * (1 - _TIGHT)
        found, worst = _walk(grid.take(open_), time.take(open_), size.take(open_), bound, room[open_])
        better = np.isfinite(worst)
        stages[open_[better]], best[open_[better]] = found[better], worst[better]
        low[open_[~better]] = bound[~better]
        open_ = open_[best[open_] * (1 - _TIGHT) > low[open_]]
        aim_low = not aim_low
    return stages, best


def _walk(grid: _Grid, time: Load, size: Load, bound: Column, room: Column) -> tuple[NDArray[np.int16], Column]:
    """Fill stages greedily under the bounds.

    Returns the stage of each layer and the worst stage time reached; infinite where the fill fails.
    """
    rows, layers = len(grid.pipeline), len(grid.kinds)
    everyone = np.arange(rows)
    stage = np.zeros(rows, dtype=np.int64)
    last = grid.pipeline - 1
    spent = time.first + _end(grid, time, stage, everyone)
    held = size.first + _end(grid, size, stage, everyone)
    empty = np.ones(rows, dtype=bool)
    worst = np.zeros(rows)
    failed = np.zeros(rows, dtype=bool)
    result = np.empty((rows, layers), dtype=np.int16)
    for layer, kind in enumerate(grid.kinds):
        cost, bytes_ = time.layers[kind], size.layers[kind]
        over = (spent + cost > bound) | (held + bytes_ > room)
        move = (over | (layers - layer <= last - stage)) & ~empty & (stage < last)
        if move.any():
            worst = np.where(move, np.maximum(worst, spent), worst)
            stage = stage + move
            spent = np.where(move, _end(grid, time, stage, everyone), spent)
            held = np.where(move, _end(grid, size, stage, everyone), held)
        spent, held = spent + cost, held + bytes_
        failed |= (spent > bound) | (held > room)
        empty[:] = False
        result[:, layer] = stage
    worst = np.maximum(worst, spent)
    return result, np.where(failed | (stage < last), np.inf, worst)


def _end(grid: _Grid, load: Load, stage: NDArray[np.int64], everyone: NDArray[np.intp]) -> Column:
    """What a stage carries before any layer: the head on the last one, the send on the others."""
    across = grid.leaves[np.minimum(stage, len(grid.leaves) - 1), everyone]
    return np.where(stage == grid.pipeline - 1, load.last, np.where(across, load.send[1], load.send[0]))


class IdealStages:
    """A lower bound on every split: all stages equally long and equally full. Needs no search."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        several = [np.flatnonzero(rows.pipeline > stage + 1) for stage in range(int(rows.pipeline.max(initial=1)) - 1)]
        self._inside, self._across = np.zeros(len(rows)), np.zeros(len(rows))
        for stage, index in enumerate(several):
            leaves = rows.boundary_crosses(stage, index)
            self._across[index] += leaves
            self._inside[index] += ~leaves
        self._counts = np.bincount(rows.setting.layer_kinds, minlength=len(rows.setting.kinds)).astype(np.float64)

    def times(self, layer: LayerTimes) -> tuple[Column, Column]:
        """(least possible slowest stage, sum of all stages) of a pass, seconds per row."""
        rows, count = self.rows, len(self.rows)
        total = rows.pipeline * rows.setting.latencies.iteration + self._counts @ layer.layers + layer.head
        for crossings, crosses in ((self._inside, False), (self._across, True)):
            total = total + crossings * stage_send(rows, layer.tokens, np.full(count, crosses))
        return total / rows.pipeline, total

    def fullest(self, memory: MemoryParts) -> tuple[Column, Column, NDArray[np.int64]]:
        """(weights, KV cache) that the fullest stage holds at least, bytes per row."""
        weights = (self._counts @ memory.weights + memory.first + memory.last) / self.rows.pipeline
        cache = self._counts @ memory.kv / self.rows.pipeline
        return np.floor(weights), np.floor(cache), np.zeros(len(self.rows), dtype=np.int64)


@dataclass
class Stages:
    """A split, ready to time passes: layers of each kind on each stage, grouped by pipeline degree."""

    rows: Rows
    groups: list[tuple[int, NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_]]]
    """(pipeline, row indices, counts of shape (rows, stages, kinds), boundary crossings of shape (rows, stages))."""

    @classmethod
    def of(cls, rows: Rows, stage_of_layer: NDArray[np.int16]) -> Stages:
        """Count the layers."""
        kinds = np.array(rows.setting.layer_kinds)
        groups = []
        for degree in np.unique(rows.pipeline).astype(int):
            index = np.flatnonzero(rows.pipeline == degree)
            chosen = stage_of_layer[index]
            counts = np.zeros((len(index), degree, len(rows.setting.kinds)))
            for stage in range(degree):
                here = chosen == stage
                for kind in range(counts.shape[2]):
                    counts[:, stage, kind] = here[:, kinds == kind].sum(axis=1)
            leaves = np.array([rows.boundary_crosses(stage, index) for stage in range(degree)]).T
            groups.append((int(degree), index, counts, leaves))
        return cls(rows, groups)

    def times(self, layer: LayerTimes) -> tuple[Column, Column]:
        """(slowest stage, sum of all stages) of a pass, seconds per row."""
        host = self.rows.setting.latencies.iteration
        rows = len(self.rows)
        inside, across = (stage_send(self.rows, layer.tokens, np.full(rows, x)) for x in (False, True))
        slowest, total = np.empty(rows), np.empty(rows)
        for degree, index, counts, leaves in self.groups:
            stage = host + np.einsum("rsk,kr->rs", counts, layer.layers[:, index])
            stage[:, -1] += layer.head[index]
            if degree > 1:
                send = np.where(leaves, across[index, None], inside[index, None])
                stage[:, :-1] += send[:, :-1]
            slowest[index], total[index] = stage.max(axis=1), stage.sum(axis=1)
        return slowest, total

    def fullest(self, memory: MemoryParts) -> tuple[Column, Column, NDArray[np.int64]]:
        """(weights, KV cache, stage) of the stage that holds most, whole bytes per row."""
        rows = len(self.rows)
        weights, cache, where = np.empty(rows), np.empty(rows), np.empty(rows, dtype=np.int64)
        first, last = np.zeros(rows) + memory.first, np.zeros(rows) + memory.last
        for _, index, counts, _ in self.groups:
            held = np.einsum("rsk,kr->rs", counts, memory.weights[:, index])
            held[:, 0] += first[index]
            held[:, -1] += last[index]
            held = np.ceil(held)
            kv = np.ceil(np.einsum("rsk,kr->rs", counts, memory.kv[:, index]))
            stage = (held + kv).argmax(axis=1)
            each = np.arange(len(index))
            weights[index], cache[index], where[index] = held[each, stage], kv[each, stage], stage
        return weights, cache, where
