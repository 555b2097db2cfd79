"""One side of an engine over two cards, bounded for every place where the cards may meet (mixed_ideal.py)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .links import stage_send
from .rows import Column, Rows

Beside = tuple[Column, Column, Column]
"""What the side's stages have beside iteration and layers: (all of them, the least, the most), shape (rows,)."""


@dataclass
class Side:
    """So many stages on one card, for some places; results have shape (places, rows)."""

    stages: int
    counts: Column
    """Layers of each kind, shape (places, kinds)."""
    longest: Column
    """Layers that some stage has at least, and none has more of where they are dealt evenly; shape (places, 1)."""
    surely: Column
    """Layers of each kind among so many consecutive ones at least, shape (places, kinds)."""
    maybe: Column
    """The same at most."""

    @classmethod
    def of(cls, layer_kinds: tuple[int, ...], second: bool, stages: int, places: NDArray[np.int64]) -> Side:
        """The layers before each place, or from it on."""
        counts, least, most = _windows(layer_kinds)[second]
        longest = -(-(len(layer_kinds) - places if second else places) // stages)
        surely, maybe = least[:, longest, places].T, most[:, longest, places].T
        return cls(stages, counts[:, places].T, longest[:, None].astype(np.float64), surely, maybe)

    def take(self, places: NDArray[np.intp]) -> Side:
        """For some of the places."""
        return Side(self.stages, *(x[places] for x in (self.counts, self.longest, self.surely, self.maybe)))

    def sum(self, layers: Column) -> Column:
        """Over all layers of the side; `layers` of shape (kinds, rows)."""
        total: Column = self.counts @ layers
        return total

    def worst(self, layers: Column, beside: Beside) -> Column:
        """What the stage with most has at least, of what layers have and stages beside.

        The mean, or one layer where most is beside, or as many consecutive layers as some stage must have.
        """
        (all_of, least, most), shortest = beside, layers.min(axis=0)
        whole = self.surely @ layers + least
        if len(layers) > 1:
            whole += (self.longest - self.surely.sum(axis=1, keepdims=True)) * shortest
        mean = (self.counts @ layers + all_of) * (1 / self.stages)
        worst: Column = np.maximum(np.maximum(whole, mean), shortest + most)
        return worst

    def even(self, layers: Column, most: Column) -> Column:
        """What no stage has more of where layers are dealt evenly; `most`: what a stage has beside at most."""
        bound: Column = np.minimum(self.maybe @ layers, self.longest * layers.max(axis=0)) + most
        return bound


def beside_of(rows: Rows, boundaries: tuple[Column, Column], tokens: Column, end: Column) -> Beside:
    """Seconds of a side's sends over its boundaries (inside a node, across nodes), and of its last stage, `end`."""
    total, least, most = end, end, end
    for crossings, crosses in zip(boundaries, (False, True), strict=True):
        send = stage_send(rows, tokens, np.full(len(rows), crosses))
        total = total + crossings * send
        least = np.where(crossings > 0, np.minimum(least, send), least)
        most = np.where(crossings > 0, np.maximum(most, send), most)
    return total, least, most


_Window = tuple[Column, Column, Column]
"""By place: (layers of each kind on the side, shape (kinds, places); the least and the most of each kind among so many
consecutive ones of the side, shape (kinds, layers, places))."""


@lru_cache(maxsize=8)
def _windows(layer_kinds: tuple[int, ...]) -> tuple[_Window, _Window]:
    """For the layers (before, from) each place, 0 to all of them."""
    kinds = np.array(layer_kinds)
    sums = np.array([np.cumsum(np.r_[0.0, kinds == kind]) for kind in range(kinds.max() + 1)])
    number = len(kinds) + 1
    length, begin = np.arange(number)[:, None], np.arange(number)[None, :]
    inside = begin + length < number
    here = sums[:, np.minimum(begin + length, number - 1)] - sums[:, None, :]
    ended = np.maximum(begin - length, 0)  # a window that ends at a place begins so many layers before
    sides: list[list[Column]] = [[sums], [sums[:, -1:] - sums]]
    for beyond, best in ((np.inf, np.minimum), (-np.inf, np.maximum)):
        found = np.where(inside, here, beyond)
        sides[0].append(best.accumulate(found, axis=2)[:, length, ended])
        sides[1].append(best.accumulate(found[:, :, ::-1], axis=2)[:, :, ::-1])
    (one, two, three), (four, five, six) = sides
    return (one, two, three), (four, five, six)
