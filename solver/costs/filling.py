"""Greedy filling: every stage takes as many layers as its bounds let it, all rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .loads import Caps, LayerGrid, Load
from .rows import Column


def fill(grid: LayerGrid, caps: Caps) -> tuple[NDArray[np.int16], Column]:
    """Fill stages greedily under the bounds; no stage is left empty.

    Returns the stage of each layer, shape (rows, layers), and the worst of the first load; infinite where the fill
    fails.
    """
    return _in_one_step(grid, caps) if len(set(grid.kinds)) == 1 else _walk(grid, caps)


def _in_one_step(grid: LayerGrid, caps: Caps) -> tuple[NDArray[np.int16], Column]:
    """All layers are alike: what a stage holds is a quotient, no walk over layers is needed."""
    layers, rows = len(grid.kinds), len(grid.pipeline)
    stage = np.arange(len(grid.leaves))[:, None]
    real = stage < grid.pipeline
    most = np.full(real.shape, float(layers))
    for load, bound in caps:
        each, beside = load.layers[grid.kinds[0]], _beside(grid, load, stage)
        with np.errstate(divide="ignore", invalid="ignore"):
            count = np.floor((bound - beside) / each + 1e-9)
        count -= beside + count * each > bound  # the quotient was rounded up
        most = np.fmin(most, np.where(each > 0, count, np.where(beside <= bound, layers, 0)))
    failed = ((most < 1) & real).any(axis=0)
    # Layers placed once a stage is filled; the stages after it keep one each.
    placed = np.minimum(np.cumsum(np.where(real, most, 0), axis=0), layers - (grid.pipeline - 1 - stage))
    placed = np.where(real, placed, layers)
    failed |= placed[grid.pipeline - 1, np.arange(rows)] < layers
    counts = np.diff(placed, axis=0, prepend=0)
    counts[:, failed] = 0
    counts[0, failed] = layers
    chosen = np.repeat(np.tile(np.arange(len(grid.leaves), dtype=np.int16), rows), counts.T.astype(np.int64).ravel())
    load, _ = caps[0]
    held = np.where(real, _beside(grid, load, stage) + counts * load.layers[grid.kinds[0]], 0.0).max(axis=0)
    return chosen.reshape(rows, layers), np.where(failed, np.inf, held)


def _beside(grid: LayerGrid, load: Load, stage: NDArray[np.int64]) -> Column:
    """What each stage carries beside layers, shape (stages, rows)."""
    send = np.where(grid.leaves, load.send[1], load.send[0])
    return np.where(stage == grid.pipeline - 1, load.last, send) + np.where(stage == 0, load.first, 0.0)


def _walk(grid: LayerGrid, caps: Caps) -> tuple[NDArray[np.int16], Column]:
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


def _end(grid: LayerGrid, load: Load, stage: NDArray[np.int64]) -> Column:
    """What a stage carries before any layer: the head on the last one, the send on the others."""
    across = grid.leaves[np.minimum(stage, len(grid.leaves) - 1), np.arange(len(stage))]
    return np.where(stage == grid.pipeline - 1, load.last, np.where(across, load.send[1], load.send[0]))
