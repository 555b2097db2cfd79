"""Points of a table and what lies between and beyond them (docs/silicon.md, section 3)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

Shape = tuple[float, ...]
TINY = 1e-9


class Points:
    """Known values of e: shape -> coordinate -> coordinate -> … -> e."""

    def __init__(self, entries: Iterable[tuple[Shape, Shape, float]], stretch: Shape = ()) -> None:
        """(shape, coordinates, e) of each row; `stretch` weighs the features of a shape."""
        self.trees: dict[Shape, Any] = {}
        self.stretch = stretch
        seen: list[set[float]] = []
        for shape, place, e in entries:
            tree = self.trees.setdefault(shape, {})
            for x in place[:-1]:
                tree = tree.setdefault(x, {})
            tree[place[-1]] = min(e, tree.get(place[-1], math.inf))
            seen = seen or [set() for _ in place]
            for values, x in zip(seen, place, strict=True):
                values.add(x)
        self.axes = [sorted(values) for values in seen]

    def raised(self, axis: int, x: float) -> float:
        """Not below the first point of an axis."""
        return max(x, self.axes[axis][0])

    def at(self, shape: Shape, place: Shape) -> tuple[float, int]:
        """e of one shape between its points."""
        ends, kind = [], 0
        for axis, x in zip(self.axes, place, strict=True):
            ends.append(_between(axis, x))
            if math.log(x) > math.log(axis[-1]) + TINY or math.log(x) < math.log(axis[0]) - TINY:
                kind = 2
        if kind == 0 and any(len(end) > 1 for end in ends):
            kind = 1
        total = 0.0
        for corner in itertools.product(*ends):
            e, known = _nearest(self.trees[shape], [x for x, _ in corner])
            total += math.prod(share for _, share in corner) * e
            kind = kind if known else 2
        return total, kind

    def query(
        self, place: Shape, shape: Shape = (), density: Callable[[Shape], float] = lambda shape: 1.0
    ) -> tuple[float, int]:
        """e of any shape: its own, or a mean over the four nearest."""
        kind = 2 if any(x < axis[0] * (1 - TINY) for axis, x in zip(self.axes, place, strict=True)) else 0
        held = tuple(self.raised(i, x) for i, x in enumerate(place))
        near = self.nearest(shape, list(self.trees))[:4]
        if near[0][0] < TINY:
            e, where = self.at(near[0][1], held)
            return e, max(kind, where)
        total, kind = 0.0, max(kind, 1)
        weights = sum(1 / square for square, _ in near)
        for square, other in near:
            moved = (self.raised(0, held[0] * density(shape) / density(other)), *held[1:])
            e, where = self.at(other, moved)
            total, kind = total + e / square / weights, max(kind, where)
        return total, kind

    def nearest(self, shape: Shape, others: list[Shape]) -> list[tuple[float, Shape]]:
        """(squared distance, shape), nearest first; of equal ones the smaller shape."""
        distances = []
        for other in sorted(others):
            gaps = ((math.log(a) - math.log(b)) * w for a, b, w in zip(shape, other, self.stretch, strict=True))
            distances.append((sum(gap * gap for gap in gaps), other))
        return sorted(distances, key=lambda pair: (round(pair[0] * 1e9), pair[1]))


def _between(axis: list[float], x: float) -> list[tuple[float, float]]:
    """The points of an axis around x and their shares."""
    x = min(max(x, axis[0]), axis[-1])
    for point in axis:
        if abs(math.log(x) - math.log(point)) < TINY:
            return [(point, 1.0)]
    upper = next(i for i, point in enumerate(axis) if point > x)
    low, high = axis[upper - 1], axis[upper]
    share = (math.log(x) - math.log(low)) / (math.log(high) - math.log(low))
    return [(low, 1 - share), (high, share)]


def _nearest(tree: Any, place: list[float]) -> tuple[float, bool]:
    """The value at a place, or of the nearest known point before it (else after it), and whether it was known."""
    known = True
    for x in place:
        if x not in tree:
            known = False
            below = [key for key in tree if key < x]
            x = max(below) if below else min(tree)
        tree = tree[x]
    return tree, known
