"""Optimistic stages over two cards: bounds on every split, at a fraction of the cost of finding one.

All that ties the two cards together is the place where they meet: how many layers stand on the first. For each place
both sides are bounded as an engine on one card is (stages as long as the mean, or as layers are whole), and the best of
those places counts that the split can have chosen: where both memories may have room, and none is surely faster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .forward import Timed
from .ideal import boundaries, least_growth
from .links import bridge_send
from .memory import MemoryParts
from .mixed_layout import Parts, room_of
from .mixed_sides import Beside, Side, beside_of
from .rows import Column


@dataclass
class _Meeting:
    """Engines of equally many stages on either card."""

    rows: slice
    """In the order of MixedIdeal."""
    sides: tuple[Side, Side]
    possible: NDArray[np.bool_]
    """Places where the cards may meet, shape (places, rows)."""

    def worst(self, layers: tuple[Column, Column], beside: tuple[Beside, Beside]) -> Column:
        """At least, on either side, shape (places, rows)."""
        first, second = (side.worst(each, end) for side, each, end in zip(self.sides, layers, beside, strict=True))
        worst: Column = np.maximum(first, second)
        return worst

    def least(self, values: Column) -> Column:
        """Over the possible places."""
        least: Column = np.where(self.possible, values, np.inf).min(axis=0)
        return least

    def restrict(self, possible: NDArray[np.bool_]) -> None:
        """Leave out places."""
        kept = np.flatnonzero(possible.any(axis=1))
        self.sides = self.sides[0].take(kept), self.sides[1].take(kept)
        self.possible = possible[kept]


class MixedIdeal:
    """Lower bounds on the split that section 7 asks for; where none can fit, on every split."""

    def __init__(self, parts: Parts, memory: MemoryParts, reference: Timed) -> None:
        """`reference` is the pass that decides first."""
        self._parts, self._count = parts, len(parts[0])
        self._boundaries = boundaries(parts[0]), boundaries(parts[1])
        nothing, rooms = np.zeros(self._count), (room_of(parts[0]), room_of(parts[1]))
        self._constant = nothing + np.ceil(memory.activations) + np.ceil(memory.reserve)
        self._room = min(rooms)
        self.fits, self.share = np.zeros(self._count, dtype=bool), nothing.copy()
        self.reachable = nothing + np.inf
        """Seconds that the slowest stage of the reference pass need not exceed; infinite where nobody knows."""
        self._group()
        size, ends = (memory.weights + memory.kv)[:, self._order], (nothing + memory.first, nothing + memory.last)
        constant, held_ends = self._constant[self._order], (ends[0][self._order], ends[1][self._order])
        times, beside = self._sorted(reference)
        for meeting in self._meetings:
            part, index = meeting.rows, self._order[meeting.rows]
            fitting, surely = meeting.possible, meeting.possible
            shares, slowest = [], []
            for card, side in enumerate(meeting.sides):
                end, fixed, layers = held_ends[card][part], constant[part], size[:, part]
                held = side.worst(layers, (end, np.zeros(len(index)), end)) + fixed
                fitting = fitting & (held <= rooms[card] + 1)  # one byte more than there is: sums round
                surely = surely & (side.even(layers, end) + fixed <= rooms[card] - 2)  # as the split does
                shares.append(held / rooms[card])
                slowest.append(side.even(times[card][:, part], beside[card][2][part]))
            self.fits[index] = fitting.any(axis=0)
            reachable = np.where(surely, np.maximum(*slowest), np.inf).min(axis=0)
            worst = meeting.worst(*_at(part, times, beside))
            possible = np.where(self.fits[index], fitting & (worst <= reachable * (1 + 1e-9)), meeting.possible)
            self.reachable[index] = reachable + parts[0].setting.latencies.iteration
            self.share[index] = np.where(possible, np.maximum(*shares), np.inf).min(axis=0)
            meeting.restrict(possible)

    def _group(self) -> None:
        """Rows of equally many stages on either card stand together."""
        first, second = (part.pipeline.astype(np.int64) for part in self._parts)
        self._order = np.lexsort((second, first))
        key = np.column_stack([first, second])[self._order]
        starts = np.flatnonzero((np.diff(key, axis=0, prepend=-1) != 0).any(axis=1))
        kinds = self._parts[0].setting.layer_kinds
        self._meetings = []
        for start, end in zip(starts, np.r_[starts[1:], self._count], strict=False):
            one, two = (int(stages) for stages in key[start])
            places = np.arange(one, len(kinds) - two + 1)
            sides = Side.of(kinds, False, one, places), Side.of(kinds, True, two, places)
            every = np.ones((len(places), end - start), dtype=bool)
            self._meetings.append(_Meeting(slice(int(start), int(end)), sides, every))

    def times(self, timed: Timed) -> tuple[Column, Column]:
        """(least possible slowest stage, least possible sum of all stages) of a pass, seconds per row."""
        host = self._parts[0].setting.latencies.iteration
        times, beside = self._sorted(timed)
        slowest, total = np.empty(self._count), np.empty(self._count)
        for meeting in self._meetings:
            index, (first, second) = self._order[meeting.rows], meeting.sides
            layers, ends = _at(meeting.rows, times, beside)
            slowest[index] = host + meeting.least(meeting.worst(layers, ends))
            sums = meeting.least(first.sum(layers[0]) + second.sum(layers[1]))
            total[index] = host * (first.stages + second.stages) + sums + ends[0][0] + ends[1][0]
        return slowest, total

    def longer(self, full: Timed, decode: Timed, decode_slowest: Column) -> Column:
        """By how much the slowest stage of a full pass exceeds that of a decode pass, at least, in any split.

        As on one card (ideal.py), for the card on which this is least.
        """
        host = self._parts[0].setting.latencies.iteration
        least = []
        for (_, _, most), before, after in zip(self._beside(decode), decode, full, strict=True):
            layers = np.maximum(1.0, (decode_slowest - host - most) / before.layers.max(axis=0))
            least.append(least_growth(before, after, layers, len(self._parts[0].setting.layer_kinds)))
        shortest: Column = np.minimum(*least)
        return shortest

    def most(self, layers: Column) -> tuple[Column, Column]:
        """The least that the stage with most of something can have, on each card; per kind of layer and row."""
        most = np.empty(self._count), np.empty(self._count)
        for meeting in self._meetings:
            index = self._order[meeting.rows]
            nothing = np.zeros(len(index))
            for card, side in enumerate(meeting.sides):
                most[card][index] = meeting.least(side.worst(layers[:, index], (nothing, nothing, nothing)))
        return most

    def fullest(self, memory: MemoryParts) -> tuple[Column, Column, NDArray[np.int64]]:
        """(weights, KV cache) whose sum the fullest stage holds at least, in proportion, bytes per row."""
        held = np.maximum(self.share * self._room - self._constant, 0.0)
        kinds = list(self._parts[0].setting.layer_kinds)
        weights, cache = memory.weights[kinds].sum(axis=0), memory.kv[kinds].sum(axis=0)
        part = weights / np.maximum(weights + cache, 1e-300)
        return np.floor(held * part), np.floor(held * (1 - part)), np.zeros(self._count, dtype=np.int64)

    def filled(self, memory: MemoryParts) -> tuple[Column, NDArray[np.bool_]]:
        """(share of its card's room that the fullest stage fills at least, whether some split may fit)."""
        return self.share, self.fits

    def _beside(self, timed: Timed) -> tuple[Beside, Beside]:
        """Of each card's stages."""
        bridge = bridge_send(self._parts[0].setting, self._parts[1].setting, timed[0].tokens)
        first = beside_of(self._parts[0], self._boundaries[0], timed[0].tokens, bridge)
        return first, beside_of(self._parts[1], self._boundaries[1], timed[1].tokens, timed[1].head)

    def _sorted(self, timed: Timed) -> tuple[tuple[Column, Column], tuple[Beside, Beside]]:
        """(layers of a pass on each card, what stages have beside), rows in the order of the meetings."""
        beside = [tuple(column[self._order] for column in side) for side in self._beside(timed)]
        (a, b, c), (d, e, f) = beside
        return (timed[0].layers[:, self._order], timed[1].layers[:, self._order]), ((a, b, c), (d, e, f))


def _at(
    part: slice, layers: tuple[Column, Column], beside: tuple[Beside, Beside]
) -> tuple[tuple[Column, Column], tuple[Beside, Beside]]:
    (a, b, c), (d, e, f) = beside
    return (layers[0][:, part], layers[1][:, part]), ((a[part], b[part], c[part]), (d[part], e[part], f[part]))
