"""The exact split of layers by dynamic programming, for rows in which greedy filling may miss it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .loads import Caps, LayerGrid, Load
from .rows import Column

_CELLS = 2**21
"""Table cells worked on at once: bounds memory."""

Tables = NDArray[np.float64]
"""Shape (rows, places, places): what a stage from one place in the layers to a later one carries."""


def best_splits(grid: LayerGrid, goal: Load, caps: Caps) -> tuple[NDArray[np.int16], Column]:
    """The split of least worst `goal` within the caps, and that worst; infinite where none fits."""
    rows, layers = len(grid.pipeline), len(grid.kinds)
    stages, worst = np.zeros((rows, layers), dtype=np.int16), np.full(rows, np.inf)
    together = max(1, _CELLS // (layers + 1) ** 2)
    for degree in np.unique(grid.pipeline):
        alike = np.flatnonzero(grid.pipeline == degree)
        for start in range(0, len(alike), together):
            index = alike[start : start + together]
            kept = [(load.take(index), bound[index]) for load, bound in caps]
            stages[index], worst[index] = _of_degree(grid.take(index), int(degree), goal.take(index), kept)
    return stages, worst


def _of_degree(grid: LayerGrid, degree: int, goal: Load, caps: Caps) -> tuple[NDArray[np.int16], Column]:
    """The same for rows of one pipeline degree: the least worst stage up to each place, stage after stage."""
    kinds, rows = np.array(grid.kinds), len(grid.pipeline)
    layers = len(kinds)
    forward = np.triu(np.ones((layers + 1, layers + 1), dtype=bool), 1)  # a stage holds at least one layer
    whole, spans = _spans(goal, kinds), [(_spans(load, kinds), load, bound) for load, bound in caps]

    def carried(ends: dict[int, Column]) -> Tables:
        """What a stage carries with these ends, by load; infinite where it breaks a cap."""
        fits = np.broadcast_to(forward, whole.shape).copy()
        for number, (span, _, bound) in enumerate(spans, 1):
            fits &= span <= (bound - ends[number])[:, None, None]
        return np.where(fits, whole + ends[0][:, None, None], np.inf)

    loads = [goal, *(load for load, _ in caps)]
    last = carried({i: load.last for i, load in enumerate(loads)}) if degree > 1 else None
    sends = [carried({i: load.send[side] for i, load in enumerate(loads)}) for side in (0, 1)]
    worst = np.full((rows, layers + 1), np.inf)
    worst[:, 0] = 0.0
    before = np.zeros((degree, rows, layers + 1), dtype=np.int64)
    for stage in range(degree):
        side = grid.leaves[stage]
        if stage == 0:  # the embedding stands on the first stage
            sent = {i: np.where(side, load.send[1], load.send[0]) + load.first for i, load in enumerate(loads)}
            cost = carried(sent if degree > 1 else {i: load.last + load.first for i, load in enumerate(loads)})
        elif stage == degree - 1:
            assert last is not None
            cost = last
        elif side.all() or not side.any():
            cost = sends[int(side[0])]
        else:
            cost = np.where(side[:, None, None], sends[1], sends[0])
        reached = np.maximum(worst[:, :, None], cost)
        before[stage] = reached.argmin(axis=1)
        worst = np.take_along_axis(reached, before[stage][:, None, :], axis=1)[:, 0]
    return _traced(before, worst[:, layers], layers), worst[:, layers]


def _spans(load: Load, kinds: NDArray[np.intp]) -> Tables:
    """What the layers between any two places carry."""
    sums = np.concatenate([np.zeros((1, load.layers.shape[1])), np.cumsum(load.layers[kinds], axis=0)]).T
    spans: Tables = sums[:, None, :] - sums[:, :, None]
    return spans


def _traced(before: NDArray[np.int64], worst: Column, layers: int) -> NDArray[np.int16]:
    """The stage of each layer, from where each stage began; shape (rows, layers)."""
    degree, rows, _ = before.shape
    stages = np.zeros((rows, layers), dtype=np.int16)
    place = np.full(rows, layers)
    for stage in range(degree - 1, -1, -1):
        start = before[stage, np.arange(rows), place]
        held = (np.arange(layers) >= start[:, None]) & (np.arange(layers) < place[:, None])
        stages[held & np.isfinite(worst)[:, None]] = stage
        place = np.where(np.isfinite(worst), start, place)
    return stages
