"""Optimistic stages: bounds on every split of the layers, at a fraction of the cost of finding one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .forward import LayerTimes, Timed
from .links import stage_send
from .memory import MemoryParts
from .rows import Column, Rows


def boundaries(rows: Rows) -> tuple[Column, Column]:
    """Boundaries between stages that lie (inside a node, across nodes)."""
    inside, across = np.zeros(len(rows)), np.zeros(len(rows))
    for stage in range(int(rows.pipeline.max(initial=1)) - 1):
        index = np.flatnonzero(rows.pipeline > stage + 1)
        leaves = rows.boundary_crosses(stage, index)
        across[index] += leaves
        inside[index] += ~leaves
    return inside, across


def least_growth(before: LayerTimes, after: LayerTimes, layers: Column, most: int) -> Column:
    """Seconds by which a stage of at least `layers` layers takes longer after than before, at least.

    Measured times may fall where work grows: then the stage may have all `most` layers, and the head.
    """
    each = (after.layers - before.layers).min(axis=0)
    growth: Column = np.where(each < 0, float(most), np.ceil(layers - 1e-9)) * each
    return growth + np.minimum(after.head - before.head, 0.0)


class IdealStages:
    """A lower bound on every split: stages as long and as full as the mean, or as layers are whole. Needs no search."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._inside, self._across = boundaries(rows)
        self._counts = np.bincount(rows.setting.layer_kinds, minlength=len(rows.setting.kinds)).astype(np.float64)

    def times(self, timed: Timed) -> tuple[Column, Column]:
        """(least possible slowest stage, sum of all stages) of a pass, seconds per row."""
        (layer,) = timed
        rows, count = self.rows, len(self.rows)
        host = rows.setting.latencies.iteration
        total = rows.pipeline * host + self._counts @ layer.layers + layer.head
        least = layer.head
        for crossings, crosses in ((self._inside, False), (self._across, True)):
            send = stage_send(rows, layer.tokens, np.full(count, crosses))
            total, least = total + crossings * send, np.minimum(least, send)
        # Some stage has as many layers of a kind as stages cannot do with less, and the head or a send beside.
        fewest = np.ceil(self._counts[:, None] / rows.pipeline - 1e-9)
        whole = host + (fewest * layer.layers).max(axis=0) + np.where(rows.pipeline > 1, least, 0.0)
        return np.maximum(total / rows.pipeline, whole), total

    def longer(self, full: Timed, decode: Timed, decode_slowest: Column) -> Column:
        """By how much the slowest stage of a full pass exceeds that of a decode pass, at least, in any split.

        With one stage both are exact; else the difference of two lower bounds bounds nothing. The stage that is
        slowest in decode takes longer in a full pass by what its layers do, and it holds as many layers as its decode
        time, which is at least the mean, cannot do without.
        """
        rows, (before,), (after,) = self.rows, decode, full
        send = np.maximum(*(stage_send(rows, before.tokens, np.full(len(rows), crosses)) for crosses in (False, True)))
        beside = rows.setting.latencies.iteration + np.maximum(before.head, send)
        layers = np.maximum(1.0, (decode_slowest - beside) / before.layers.max(axis=0))
        least = least_growth(before, after, layers, len(rows.setting.layer_kinds))
        return np.where(rows.pipeline > 1, least, self.times(full)[0] - decode_slowest)

    def most(self, layers: Column) -> tuple[Column]:
        """The least that the stage with most of something can have; `layers` per kind of layer and row."""
        return (self._counts @ layers / self.rows.pipeline,)

    def fullest(self, memory: MemoryParts) -> tuple[Column, Column, NDArray[np.int64]]:
        """(weights, KV cache) that the fullest stage holds at least, bytes per row."""
        weights = (self._counts @ memory.weights + memory.first + memory.last) / self.rows.pipeline
        cache = self._counts @ memory.kv / self.rows.pipeline
        return np.floor(weights), np.floor(cache), np.zeros(len(self.rows), dtype=np.int64)
