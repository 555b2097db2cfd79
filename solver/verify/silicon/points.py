"""Points of a table and what lies between and beyond them (docs/silicon.md, section 3)."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence

Shape = tuple[float, ...]
Column = Sequence[float]
Near = list[tuple[float, Shape]]
TINY = 1e-9


class Points:
    """Measurements by shape and coordinates. What they say of a kernel is worked out when it is asked for."""

    def __init__(
        self,
        places: Sequence[Column],
        seconds: Column,
        work: Callable[[int], float],
        shapes: Sequence[Shape] | None = None,
        stretch: Shape = (),
    ) -> None:
        """A column for each coordinate; `work` is a row's time by the data sheet; `stretch` weighs shapes' features."""
        self.places, self.seconds, self.work, self.stretch = places, seconds, work, stretch
        self.floor = min(seconds)
        self.rows: dict[Shape, dict[float, list[int]]] = {}
        """Shape -> first coordinate -> rows. Few are ever looked into, so no more is sorted than this."""
        alike: Shape = ()
        for row, (shape, x) in enumerate(zip(shapes or [alike] * len(seconds), places[0], strict=True)):
            self.rows.setdefault(shape, {}).setdefault(x, []).append(row)
        self.axes = [sorted(set(column)) for column in places]
        self._logs = [(shape, [math.log(x) for x in shape]) for shape in sorted(self.rows)]
        self._near: dict[Shape, Near] = {}
        self._known: dict[tuple[Shape, Shape], tuple[float, bool]] = {}

    def leave_out(self, shapes: set[Shape]) -> None:
        """Forget some shapes; the fastest time stays what it was."""
        self.rows = {shape: rows for shape, rows in self.rows.items() if shape not in shapes}
        kept = [row for places in self.rows.values() for rows in places.values() for row in rows]
        self.axes = [sorted({column[row] for row in kept}) for column in self.places]
        self._logs = [(shape, logs) for shape, logs in self._logs if shape not in shapes]
        self._near = {}

    def raised(self, axis: int, x: float) -> float:
        """Not below the first point of an axis."""
        return max(x, self.axes[axis][0])

    def e(self, shape: Shape, place: Shape) -> tuple[float, bool]:
        """What a kernel loses at a point, and whether it was measured.

        Else the nearest point before it stands in, or after it, one coordinate after the other. Of several
        measurements the best counts.
        """
        if (shape, place) not in self._known:
            x, known = _before(place[0], self.rows[shape])
            rows = self.rows[shape][x]
            for column, wanted in zip(self.places[1:], place[1:], strict=True):
                x, here = _before(wanted, {column[row] for row in rows})
                rows, known = [row for row in rows if column[row] == x], known and here
            lost = [math.log(self.seconds[row] / (self.floor + self.work(row))) for row in rows]
            self._known[shape, place] = min(lost), known
        return self._known[shape, place]

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
            e, known = self.e(shape, tuple(x for x, _ in corner))
            total += math.prod(share for _, share in corner) * e
            kind = kind if known else 2
        return total, kind

    def query(
        self, place: Shape, shape: Shape = (), density: Callable[[Shape], float] = lambda shape: 1.0
    ) -> tuple[float, int]:
        """e of any shape: its own, or a mean over the four nearest."""
        kind = 2 if any(x < axis[0] * (1 - TINY) for axis, x in zip(self.axes, place, strict=True)) else 0
        held = tuple(self.raised(i, x) for i, x in enumerate(place))
        if shape not in self._near:
            self._near[shape] = self.nearest(shape)[:4]
        near = self._near[shape]
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

    def nearest(self, shape: Shape) -> Near:
        """(squared distance, shape), nearest first; of equal ones the smaller shape."""
        here, distances = [math.log(x) for x in shape], []
        for other, logs in self._logs:
            square = 0.0
            for a, b, weight in zip(here, logs, self.stretch, strict=True):
                square += ((a - b) * weight) ** 2
            distances.append((round(square * 1e9), other, square))
        return [(square, other) for _, other, square in sorted(distances)]


def _before(x: float, known: Collection[float]) -> tuple[float, bool]:
    """x if it is known, else the nearest below it, else the first; and which of these it is."""
    if x in known:
        return x, True
    return max((other for other in known if other < x), default=min(known)), False


def _between(axis: list[float], x: float) -> list[tuple[float, float]]:
    """The points of an axis around x and their shares."""
    x = min(max(x, axis[0]), axis[-1])
    upper, log = bisect_left(axis, x), math.log(x)
    for point in axis[max(upper - 1, 0) : upper + 1]:
        if abs(log - math.log(point)) < TINY:
            return [(point, 1.0)]
    low, high = axis[upper - 1], axis[upper]
    share = (log - math.log(low)) / (math.log(high) - math.log(low))
    return [(low, 1 - share), (high, share)]
