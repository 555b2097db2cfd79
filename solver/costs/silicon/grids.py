"""Slices of efficiencies on common logarithmic axes, and how they are read between and beyond their points.

The stored number is e = ln(t / (floor + roof)); docs/silicon.md, sections 3 and 4.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ....models.errors import InputError
from ..origins import EXTRAPOLATED, INTERPOLATED

Column = NDArray[np.float64]
Kind = NDArray[np.int8]
Answer = tuple[Column, Kind]
"""Seconds (or e), and where they come from."""

SNAP = 1e-9
"""Of a logarithm: nearer than this to a point of the table is that point."""
NEIGHBOURS = 4
MOST_POINTS = 2**24
_RANK = 1e9
"""Squared distances are compared in steps of 1/_RANK, so that equal ones are equal; the first slice wins then."""


class Grid:
    """e of every slice (one for each shape) at every point of the axes; holes filled, and known as such."""

    def __init__(
        self,
        coordinates: tuple[Column, ...],
        efficiency: Column,
        shapes: Column | None = None,
        weights: tuple[float, ...] = (),
        density: Column | None = None,
    ) -> None:
        """One entry for each row of the table. `shapes` (rows, features) and `density` tell slices apart.

        `weights` scale the features' distances; `density` is what makes a point of one slice comparable with
        another's: the first coordinate times density is held equal.
        """
        rows = len(efficiency)
        features = np.zeros((rows, 0)) if shapes is None else shapes
        self.shapes, first, slices = np.unique(features, axis=0, return_index=True, return_inverse=True)
        self.density = np.ones(len(self.shapes)) if density is None else density[first]
        self._weights = np.array(weights)
        self._places = np.log(self.shapes) * self._weights
        self.axes = [np.unique(axis) for axis in coordinates]
        self.logs = [np.log(axis) for axis in self.axes]
        form = (len(self.shapes), *(len(axis) for axis in self.axes))
        if math.prod(form) > MOST_POINTS:
            help = "tables are measured on a grid: few different values of each size"
            raise InputError(f"{rows:,} measurements need a grid of {math.prod(form):,} points", help=help)
        values = np.full(form, np.nan)
        index = [slices.ravel(), *(np.searchsorted(a, c) for a, c in zip(self.axes, coordinates, strict=True))]
        slowest_first = np.argsort(-efficiency, kind="stable")  # of duplicates the fastest stays
        values[tuple(i[slowest_first] for i in index)] = efficiency[slowest_first]
        self.known = ~np.isnan(values)
        self.values = _filled(values)

    def raised(self, axis: int, x: Column) -> Column:
        """Below the table time is held: the work there is that of its first point."""
        held: Column = np.maximum(x, self.axes[axis][0])
        return held

    def at(self, slices: NDArray[np.intp], coordinates: list[Column]) -> Answer:
        """Multilinear in the logarithms of the coordinates, held beyond the ends."""
        low, share, kind = [], [], np.zeros(len(slices), np.int8)
        for axis, x in zip(self.logs, coordinates, strict=True):
            log = np.log(x)
            kind[(log > axis[-1] + SNAP) | (log < axis[0] - SNAP)] = EXTRAPOLATED
            i = np.clip(np.searchsorted(axis, log, "right") - 1, 0, max(len(axis) - 2, 0))
            j = np.minimum(i + 1, len(axis) - 1)
            gap = np.where(j > i, axis[j] - axis[i], 1.0)
            f = np.clip((log - axis[i]) / gap, 0.0, 1.0)
            near, far = np.abs(log - axis[i]) < SNAP, np.abs(log - axis[j]) < SNAP
            low.append(i)
            share.append(np.where(near, 0.0, np.where(far & (j > i), 1.0, f)))
        strides = [n // self.values.itemsize for n in self.values.strides]
        point = (slices * strides[0] + sum(i * n for i, n in zip(low, strides[1:], strict=True)))[None]
        weight, between = np.ones((1, len(slices))), np.zeros(len(slices), bool)
        for f, n, length in zip(share, strides[1:], self.values.shape[1:], strict=True):
            if length == 1:
                continue
            between |= (f > 0) & (f < 1)
            weight = np.concatenate([weight * (1 - f), weight * f])  # the corners of one more axis
            point = np.concatenate([point, point + n])
        hole = ((weight > 0) & ~self.known.ravel()[point]).any(axis=0)
        total = weight * self.values.ravel()[point]
        while len(total) > 1:  # not `sum`, whose order depends on how many rows there are
            half = len(total) // 2
            total = total[:half] + total[half:]
        return total[0], np.maximum(np.where(hole, EXTRAPOLATED, between), kind).astype(np.int8)

    def query(
        self, coordinates: list[Column], shapes: list[Column] | None = None, density: Column | None = None
    ) -> Answer:
        """e and its kind. A shape without a slice is a mean over the nearest ones, at equal density."""
        rows = len(coordinates[0])
        kind = np.zeros(rows, np.int8)
        for axis, x in zip(self.axes, coordinates, strict=True):
            kind[x < axis[0] * (1 - SNAP)] = EXTRAPOLATED
        held = [self.raised(i, x) for i, x in enumerate(coordinates)]
        if shapes is None:
            e, where = self.at(np.zeros(rows, np.intp), held)
            return e, np.maximum(kind, where)
        first, group = _groups(shapes)
        near, weight, here = self._near(np.stack([np.log(shape[first]) for shape in shapes], axis=1) * self._weights)
        kind = np.where(~here[group], np.maximum(kind, INTERPOLATED), kind).astype(np.int8)
        total = np.zeros(rows)
        for n in range(near.shape[1]):
            chosen = np.flatnonzero(weight[group, n] > 0)
            if not len(chosen):
                continue
            slices = near[group[chosen], n]
            there = [x[chosen] for x in held]
            if density is not None:
                alike = there[0] * (density[chosen] / self.density[slices])
                there[0] = self.raised(0, np.where(here[group[chosen]], there[0], alike))
            e, where = self.at(slices, there)
            total[chosen] += weight[group[chosen], n] * e
            kind[chosen] = np.maximum(kind[chosen], where)
        return total, kind

    def nearest_others(self, count: int) -> NDArray[np.intp]:
        """The slices nearest to each slice, nearest first."""
        square = ((self._places[:, None, :] - self._places[None]) ** 2).sum(axis=-1)
        np.fill_diagonal(square, np.inf)
        return np.argsort(np.rint(square * _RANK), axis=1, kind="stable")[:, : min(count, len(square) - 1)]

    def _near(self, places: Column) -> tuple[NDArray[np.intp], Column, NDArray[np.bool_]]:
        """The nearest slices of each place, their weights 1/d², and whether the first is at the place itself."""
        square = ((places[:, None, :] - self._places[None]) ** 2).sum(axis=-1)
        order = np.argsort(np.rint(square * _RANK), axis=1, kind="stable")[:, : min(NEIGHBOURS, len(self.shapes))]
        nearest = np.take_along_axis(square, order, axis=1)
        here = nearest[:, :1] < SNAP
        weight = np.where(here, 0.0, 1 / np.maximum(nearest, SNAP))
        weight[:, 0] = np.where(here[:, 0], 1.0, weight[:, 0])
        return order, weight / weight.sum(axis=1, keepdims=True), here[:, 0]


def _groups(shapes: list[Column]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(first row of each distinct shape, the shape of each row); one column at a time, which sorts fast."""
    code = np.zeros(len(shapes[0]), np.int64)
    for shape in shapes:
        if (shape == shape[:1]).all():
            continue
        distinct, index = np.unique(shape, return_inverse=True)
        code = code * len(distinct) + index
        _, code = np.unique(code, return_inverse=True)
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    return first, group


def _filled(values: Column) -> Column:
    """A hole takes the nearest known value below it along the last axis, else above; then along the axis before."""
    for axis in range(values.ndim - 1, 0, -1):
        lines = np.moveaxis(values, axis, -1)
        known, n = ~np.isnan(lines), lines.shape[-1]
        below = np.maximum.accumulate(np.where(known, np.arange(n), -1), axis=-1)
        above = np.minimum.accumulate(np.where(known, np.arange(n), n)[..., ::-1], axis=-1)[..., ::-1]
        source = np.where(below >= 0, below, np.minimum(above, n - 1))
        values = np.moveaxis(np.take_along_axis(lines, source, axis=-1), -1, axis)
    return np.ascontiguousarray(values)
