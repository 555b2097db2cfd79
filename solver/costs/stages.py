"""Layers onto pipeline stages: contiguous splits with the shortest slowest stage that fit the cards, exactly.

First the reference pass decides, then among the splits that are as good the second pass, then the fullest stage. Each
is found by walking the layers of all rows at once under bounds on every stage, tightened until the next smaller value
is out of reach. Greedy filling meets the bounds if any split does, as long as layers are alike or stages carry nothing
but layers. Where neither holds (a long layer may have to wait for the stage that sends nothing), a dynamic programme
per row has the last word.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, pairwise

import numpy as np
from numpy.typing import NDArray

from .exact_split import best_splits
from .filling import fill
from .forward import LayerTimes, Timed
from .links import stage_send
from .loads import Caps, LayerGrid, Load
from .memory import MemoryParts
from .rows import Column, Rows

_TIGHT = 1e-9
"""Relative step below which two stage times are the same."""
_SAME = 1e-12
"""Relative rounding that a bound which was just reached must allow."""


def split_stages(rows: Rows, passes: tuple[LayerTimes, ...], memory: MemoryParts, usable: int) -> NDArray[np.int16]:
    """Stage of each layer, shape (rows, layers). `passes` decide in their order, then the fullest stage does."""
    result = np.zeros((len(rows), len(rows.setting.layer_kinds)), dtype=np.int16)
    several = np.flatnonzero(rows.pipeline > 1)
    if not len(several):
        return result
    grid, zero = LayerGrid.of(rows, several), np.zeros(len(rows))
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


def _lexicographic(grid: LayerGrid, times: list[Load], size: Load, room: Column) -> tuple[NDArray[np.int16], Column]:
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


def _tightest(grid: LayerGrid, goal: Load, caps: Caps) -> tuple[NDArray[np.int16], Column]:
    """The split of least worst `goal` within the caps; infinite where none fits."""
    rows = len(grid.pipeline)
    counts = np.bincount(grid.kinds, minlength=len(goal.layers)).astype(np.float64)
    total = counts @ goal.layers + goal.first + goal.last
    # Nothing beats a bound that no split can pass: the mean, or whole layers of one kind on their share of stages.
    whole = (np.ceil(counts[:, None] / grid.pipeline - 1e-9) * goal.layers).max(axis=0)
    whole += np.minimum(goal.last, np.minimum(*goal.send))  # every stage carries the head or a send too
    least = np.maximum(total / grid.pipeline, whole)
    low = least * (1 - _TIGHT)
    stages, best = fill(grid, [(goal, np.full(rows, np.inf)), *caps])
    open_ = np.flatnonzero(best * (1 - _TIGHT) > low) if rows else np.empty(0, dtype=np.intp)
    open_ = open_[np.isfinite(best[open_])]
    aims = cycle(("middle", "better"))
    aim = "least"
    while len(open_):
        bound = {
            "least": least[open_] * (1 + _SAME),
            "middle": (low[open_] + best[open_]) / 2,
            "better": best[open_] * (1 - _TIGHT),
        }[aim]
        kept = [(load.take(open_), cap[open_]) for load, cap in caps]
        found, worst = fill(grid.take(open_), [(goal.take(open_), bound), *kept])
        better = np.isfinite(worst)
        stages[open_[better]], best[open_[better]] = found[better], worst[better]
        low[open_[~better]] = bound[~better]
        open_ = open_[best[open_] * (1 - _TIGHT) > low[open_]]
        aim = next(aims)
    if len(goal.layers) > 1:
        # Where any single layer fits any stage, the places that stages can reach have no gaps, and greedy filling is
        # exact: it only fails where a long layer has to wait for a stage that carries less.
        gapless = goal.longest() <= best * (1 - _TIGHT)
        for load, bound in caps:
            gapless &= load.longest() <= bound
        doubtful = np.flatnonzero(~gapless & (best * (1 - _TIGHT) > least))
        exact, worst = best_splits(
            grid.take(doubtful), goal.take(doubtful), [(x.take(doubtful), b[doubtful]) for x, b in caps]
        )
        better = worst < best[doubtful] * (1 - _TIGHT)
        stages[doubtful[better]], best[doubtful[better]] = exact[better], worst[better]
    return stages, best


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

    def times(self, timed: Timed) -> tuple[Column, Column]:
        """(slowest stage, sum of all stages) of a pass, seconds per row."""
        (layer,) = timed
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

    def longer(self, full: Timed, decode: Timed, decode_slowest: Column) -> Column:
        """Seconds by which the slowest stage of a full pass exceeds that of the decode pass."""
        return self.times(full)[0] - decode_slowest

    def most(self, layers: Column) -> tuple[Column]:
        """The largest stage's sum of something that layers have; `layers` per kind of layer and row."""
        most = np.empty(len(self.rows))
        for _, index, counts, _ in self.groups:
            most[index] = np.einsum("rsk,kr->rs", counts, layers[:, index]).max(axis=1)
        return (most,)

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
