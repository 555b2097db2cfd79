"""Stages over two cards, ready to time passes and to fill both kinds of memory (docs/costs.md, section 7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .forward import Timed
from .memory import MemoryParts
from .mixed_layout import Group, Layout, room_of
from .rows import Column


@dataclass
class MixedStages:
    """A split over two cards: layers of each kind on each stage."""

    layout: Layout
    counts: list[Column]
    """Of each group of the layout, shape (rows, stages, kinds)."""

    @classmethod
    def of(cls, layout: Layout, stage_of_layer: NDArray[np.int16]) -> MixedStages:
        """Count the layers; `stage_of_layer` has shape (rows, layers)."""
        setting = layout.parts[0].setting
        kinds = np.array(setting.layer_kinds)
        counts = []
        for group in layout.groups:
            here = stage_of_layer[group.index, None, :] == np.arange(group.stages)[None, :, None]
            of_kind = [here[:, :, kinds == kind].sum(axis=2) for kind in range(len(setting.kinds))]
            counts.append(np.stack(of_kind, axis=2).astype(np.float64))
        return cls(layout, counts)

    def times(self, timed: Timed) -> tuple[Column, Column]:
        """(slowest stage, sum of all stages) of a pass, seconds per row."""
        host = self.layout.parts[0].setting.latencies.iteration
        slowest, total = self._empty(), self._empty()
        for group, counts in zip(self.layout.groups, self.counts, strict=True):
            stage = host + self._sum(group, counts, (timed[0].layers, timed[1].layers))
            stage += self.layout.beside(timed, group)
            slowest[group.index], total[group.index] = stage.max(axis=1), stage.sum(axis=1)
        return slowest, total

    def longer(self, full: Timed, decode: Timed, decode_slowest: Column) -> Column:
        """Seconds by which the slowest stage of a full pass exceeds that of the decode pass."""
        return self.times(full)[0] - decode_slowest

    def most(self, layers: Column) -> tuple[Column, Column]:
        """The largest stage's sum of something that layers have, on each card; `layers` per kind of layer and row."""
        most = self._empty(), self._empty()
        for group, counts in zip(self.layout.groups, self.counts, strict=True):
            held = self._sum(group, counts, (layers, layers))
            for card in (0, 1):
                most[card][group.index] = np.where(group.second == card, held, -np.inf).max(axis=1)
        return most

    def fullest(self, memory: MemoryParts) -> tuple[Column, Column, NDArray[np.int64]]:
        """(weights, KV cache, stage) of the stage that fills most of its card's room, whole bytes per row."""
        weights, cache, where = self._empty(), self._empty(), np.zeros(len(self.layout.parts[0]), dtype=np.int64)
        for group, counts in zip(self.layout.groups, self.counts, strict=True):
            held, kv, total, rooms = self._held(group, counts, memory)
            stage, each = (total / rooms).argmax(axis=1), np.arange(len(group.index))
            weights[group.index], cache[group.index], where[group.index] = held[each, stage], kv[each, stage], stage
        return weights, cache, where

    def filled(self, memory: MemoryParts) -> tuple[Column, NDArray[np.bool_]]:
        """(share of its card's room that the fullest stage fills, whether every stage fits its card)."""
        share, fits = self._empty(), np.zeros(len(self.layout.parts[0]), dtype=bool)
        for group, counts in zip(self.layout.groups, self.counts, strict=True):
            _, _, total, rooms = self._held(group, counts, memory)
            share[group.index] = (total / rooms).max(axis=1)
            fits[group.index] = (total <= rooms).all(axis=1)
        return share, fits

    def _held(self, group: Group, counts: Column, memory: MemoryParts) -> tuple[Column, Column, Column, Column]:
        """(weights, KV cache, all, room) of each stage, bytes, shape (rows, stages); each of the parts rounded up."""
        rows, parts, index = np.zeros(len(self.layout.parts[0])), self.layout.parts, group.index
        weights = self._sum(group, counts, (memory.weights, memory.weights))
        weights[:, 0] += (rows + memory.first)[index]
        weights[:, -1] += (rows + memory.last)[index]
        weights, cache = np.ceil(weights), np.ceil(self._sum(group, counts, (memory.kv, memory.kv)))
        fixed = (rows + np.ceil(memory.activations) + np.ceil(memory.reserve))[index, None]
        rooms = np.where(group.second == 1, room_of(parts[1]), room_of(parts[0]))
        return weights, cache, weights + cache + fixed, rooms

    def _sum(self, group: Group, counts: Column, layers: tuple[Column, Column]) -> Column:
        """Over the layers of each stage, shape (rows, stages); `layers` on each card, shape (kinds, rows)."""
        first, second = (np.einsum("rsk,kr->rs", counts, card[:, group.index]) for card in layers)
        held: Column = np.where(group.second == 1, second, first)
        return held

    def _empty(self) -> Column:
        return np.empty(len(self.layout.parts[0]))
