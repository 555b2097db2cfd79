"""Layers onto pipeline stages: contiguous splits with the shortest slowest stage that fit the cards, exactly.

First the reference pass decides, then among the splits that are as good the second pass, then the fullest stage. Each
is found by walking the layers of all rows at once under bounds on every stage, tightened until the next smaller value
is out of reach. Greedy filling meets the bounds if any split does, as long as layers are alike or stages carry nothing
but layers. Where neither holds (a long layer may have to wait for the stage that sends nothing), a dynamic programme
per row has the last word.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .forward import LayerTimes
from .links import stage_send
from .memory import MemoryParts
from .rows import Column, Rows

_TIGHT = 1e-9
"""Relative step below which two stage times are the same."""
_SAME = 1e-12
"""Relative rounding that a bound which was just reached must allow."""


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


def split_stages(rows: Rows, passes: tuple[LayerTimes, ...], memory: MemoryParts, usable: int) -> NDArray[np.int16]:
    """Stage of each layer, shape (rows, layers). `passes` decide in their order, then the fullest stage does."""
    result = np.zeros((len(rows), len(rows.setting.layer_kinds)), dtype=np.int16)
    several = np.flatnonzero(rows.pipeline > 1)
    if not len(several):
        return result
    grid, zero = _Grid.of(rows, several), np.zeros(len(rows))
    size = Load(memory.weights + memory.kv, zero + memory.first, zero + memory.last, (zero, zero)).take(several)
    # Two bytes are kept for rounding weights and cache up.
    room = (usable - np.ceil(memory.activations) - np.ceil(memory.reserve) - 2.0)[several]
    stages, worst = _lexicographic(grid, [_time_load(rows, one).take(several) for one in passes], size, room)
    homeless = np.flatnonzero(np.isinf(worst))
    if len(homeless):
        stages[homeless], _ = _tightest(grid.take(homeless), size.take(homeless), [])
    result[several] = stages
    return result


def _time_load(rows: Rows, times: LayerTimes) -> Load:
    inside, across = (stage_send(rows, times.tokens, np.full(len(rows), crosses)) for crosses in (False, True))
    return Load(times.layers, np.zeros(len(rows)), times.head, (inside, across))


def _lexicographic(grid: _Grid, times: list[Load], size: Load, room: Column) -> tuple[NDArray[np.int16], Column]:
    """The split of least worst times in their order, then of least worst size; infinite where none fits."""
    caps: list[tuple[Load, Column]] = [(size, room)]
    stages, worst = _tightest(grid, times[0], caps)
    first, open_ = worst, np.flatnonzero(np.isfinite(worst))
    for done, goal in pairwise([*times, size]):
        caps = [(load, bound) for load, bound in caps if load is not goal]
        caps.append((done, worst * (1 + _SAME)))
        kept = [(load.take(open_), bound[open_]) for load, bound in caps]
        stages[open_], reached = _tightest(grid.take(open_), goal.take(open_), kept)
        worst = np.full(len(worst), np.inf)
        worst[open_] = reached
    return stages, first


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


Caps = list[tuple[Load, Column]]
"""Loads that every stage must keep within a bound."""


def _tightest(grid: _Grid, goal: Load, caps: Caps) -> tuple[NDArray[np.int16], Column]:
    """The split of least worst `goal` within the caps; infinite where none fits."""
    rows = len(grid.pipeline)
    counts = np.bincount(grid.kinds, minlength=len(goal.layers)).astype(np.float64)
    total = counts @ goal.layers + goal.first + goal.last
    low = np.maximum(total / grid.pipeline, goal.layers.max(axis=0)) * (1 - _TIGHT)
    stages, best = _walk(grid, [(goal, np.full(rows, np.inf)), *caps])
    open_ = np.flatnonzero(np.isfinite(best))
    aim_low = True
    while len(open_):
        bound = (low[open_] + best[open_]) / 2 if aim_low else best[open_] * (1 - _TIGHT)
        kept = [(load.take(open_), cap[open_]) for load, cap in caps]
        found, worst = _walk(grid.take(open_), [(goal.take(open_), bound), *kept])
        better = np.isfinite(worst)
        stages[open_[better]], best[open_[better]] = found[better], worst[better]
        low[open_[~better]] = bound[~better]
        open_ = open_[best[open_] * (1 - _TIGHT) > low[open_]]
        aim_low = not aim_low
    if len(goal.layers) > 1:
        for row in range(rows):
            exact, worst_of_row = _best_split(grid, row, goal, caps)
            if worst_of_row < best[row] * (1 - _TIGHT):
                stages[row], best[row] = exact, worst_of_row
    return stages, best


def _best_split(grid: _Grid, row: int, goal: Load, caps: Caps) -> tuple[NDArray[np.int16], float]:
    """The exact split of one row: least worst `goal` over stages and places, shape (stages, layers + 1)."""
    kinds, stages = np.array(grid.kinds), int(grid.pipeline[row])
    layers = len(kinds)
    forward = np.triu(np.ones((layers + 1, layers + 1), dtype=bool), 1)  # a stage from one place to a later one

    def spans(load: Load) -> NDArray[np.float64]:
        sums = np.concatenate([[0.0], np.cumsum(load.layers[kinds, row])])
        span: NDArray[np.float64] = sums[None, :] - sums[:, None]
        return span

    def ends(load: Load, stage: int) -> float:
        last = load.last[row] if stage == stages - 1 else load.send[int(grid.leaves[stage, row])][row]
        return float(last + (load.first[row] if stage == 0 else 0.0))

    whole, limited = spans(goal), [(spans(load), load, bound[row]) for load, bound in caps]
    worst = np.full(layers + 1, np.inf)
    worst[0] = 0.0
    before = np.zeros((stages, layers + 1), dtype=np.int64)
    for stage in range(stages):
        fits = forward.copy()
        for span, load, bound in limited:
            fits &= span + ends(load, stage) <= bound
        reached = np.where(fits, np.maximum(worst[:, None], whole + ends(goal, stage)), np.inf)
        before[stage] = reached.argmin(axis=0)
        worst = reached.min(axis=0)
    result = np.zeros(layers, dtype=np.int16)
    place = layers
    if np.isfinite(worst[layers]):
        for stage in range(stages - 1, -1, -1):
            start = int(before[stage, place])
            result[start:place] = stage
            place = start
    return result, float(worst[layers])


def _walk(grid: _Grid, caps: Caps) -> tuple[NDArray[np.int16], Column]:
    """Fill stages greedily under the bounds.

    Returns the stage of each layer and the worst of the first load; infinite where the fill fails.
    """
    rows, layers, last = len(grid.pipeline), len(grid.kinds), grid.pipeline - 1
    stage = np.zeros(rows, dtype=np.int64)
    held = [load.first + _end(grid, load, stage) for load, _ in caps]
    worst, failed = np.zeros(rows), np.zeros(rows, dtype=bool)
    result = np.empty((rows, layers), dtype=np.int16)
    for layer, kind in enumerate(grid.kinds):
        if layer:  # no stage is left empty
            move = layers - layer <= last - stage
            for (load, bound), so_far in zip(caps, held, strict=True):
                move |= so_far + load.layers[kind] > bound
            move &= stage < last
            if move.any():
                worst = np.where(move, np.maximum(worst, held[0]), worst)
                stage = stage + move
                held = [
                    np.where(move, _end(grid, load, stage), so_far)
                    for (load, _), so_far in zip(caps, held, strict=True)
                ]
        held = [so_far + load.layers[kind] for (load, _), so_far in zip(caps, held, strict=True)]
        for (_, bound), so_far in zip(caps, held, strict=True):
            failed |= so_far > bound
        result[:, layer] = stage
    return result, np.where(failed | (stage < last), np.inf, np.maximum(worst, held[0]))


def _end(grid: _Grid, load: Load, stage: NDArray[np.int64]) -> Column:
    """What a stage carries before any layer: the head on the last one, the send on the others."""
    across = grid.leaves[np.minimum(stage, len(grid.leaves) - 1), np.arange(len(stage))]
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
