"""Layers onto stages of two cards: the contiguous split that docs/costs.md (section 7) asks for, exactly.

A dynamic programme over stages and places finds the least worst stage; it runs once for each thing that decides, under
the bounds found before. Stages differ in all that matters (speed, room, links), and layers of several kinds leave gaps,
so filling stages greedily would not do. Rows of equally many stages run together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .forward import Timed
from .memory import MemoryParts
from .mixed_layout import Layout, room_of
from .rows import Column

_SAME = 1e-10
"""Relative difference below which two splits are equally good; sums over all layers round by less."""
_ROUNDING = 2.0
"""Bytes of a card that are kept for rounding weights and cache up."""
_CELLS = 300_000
"""Numbers of one table of the search at most: rows run together while a table stays in the core's own cache."""


@dataclass
class Amount:
    """Something that a stage holds so much of: seconds, bytes, a share of its card."""

    sums: Column
    """Over the first layers, on each card, shape (cards, rows, layers + 1)."""
    ends: Column
    """Of each stage beside its layers, shape (rows, stages)."""

    @classmethod
    def of(cls, layers: tuple[Column, Column], kinds: tuple[int, ...], ends: Column) -> Amount:
        """`layers`: on each card, per kind of layer, shape (kinds, rows)."""
        each = np.array([card[list(kinds)].T for card in layers])
        sums = np.concatenate([np.zeros((*each.shape[:2], 1)), each.cumsum(axis=2)], axis=2)
        return cls(sums, ends)

    def take(self, index: NDArray[np.intp] | slice) -> Amount:
        """The same for some of the rows."""
        return Amount(self.sums[:, index], self.ends[index])


Cap = tuple[Amount, Column]
"""What every stage must keep within a bound, shape (rows, stages or 1)."""


def split_mixed(layout: Layout, passes: tuple[Timed, ...], memory: MemoryParts, reachable: Column) -> NDArray[np.int16]:
    """Stage of each layer, shape (rows, layers). `passes` decide in their order, then the fullest stage does.

    Where no split fits, the fullest stage alone decides. `reachable`: seconds, that the slowest stage of the first pass
    need not exceed, shape (rows,); infinite where that is not known. It only saves time.
    """
    setting = layout.parts[0].setting
    kinds = setting.layer_kinds
    result = np.zeros((len(layout.parts[0]), len(kinds)), dtype=np.int16)
    constant = np.ceil(memory.activations) + np.ceil(memory.reserve) + np.zeros(len(result))
    first, second = (room_of(part) for part in layout.parts)
    distinct = [one for i, one in enumerate(passes) if not any(one is other for other in passes[:i])]
    for group in layout.groups:
        index = group.index
        times = [
            Amount.of((one[0].layers[:, index], one[1].layers[:, index]), kinds, layout.beside(one, group))
            for one in distinct
        ]
        rooms, fixed = np.where(group.second == 1, second, first), constant[index, None]
        layers, ends = (memory.weights + memory.kv)[:, index], np.zeros(rooms.shape)
        ends[:, 0] += (np.zeros(len(result)) + memory.first)[index]
        ends[:, -1] += (np.zeros(len(result)) + memory.last)[index]
        held = Amount.of((layers, layers), kinds, ends)
        share = Amount.of((layers / first, layers / second), kinds, (ends + fixed) / rooms)
        size = max(1, _CELLS // (len(kinds) - group.stages + 1) ** 2)
        for start in range(0, len(index), size):
            part = slice(start, start + size)
            goals = [one.take(part) for one in (*times, share)]
            cap = (held.take(part), (rooms - fixed - _ROUNDING)[part])
            result[index[part]] = _lexicographic(group.second[part], goals, cap, reachable[index[part], None])
    return result


def _lexicographic(second: NDArray[np.intp], goals: list[Amount], cap: Cap, reachable: Column) -> NDArray[np.int16]:
    """Stage of each layer: least worst stage of the goals in their order, or of the last where none keeps the cap."""
    caps, most = [cap], np.minimum(_most_layers(second, *cap), _most_layers(second, goals[0], reachable))
    for goal in goals:
        tables, worst = _least(second, goal, caps, most)
        caps = [*caps, (goal, (worst * (1 + _SAME))[:, None])]
        found = np.where(np.isfinite(worst), worst, 0.0)  # rows that fit nowhere need no room in the tables
        most = np.minimum(most, _most_layers(second, goal, found[:, None]))
    stages = _trace(second, goals[-1], caps[:-1], tables)
    homeless = np.flatnonzero(np.isinf(worst))
    if len(homeless):
        last = goals[-1].take(homeless)
        tables, _ = _least(second[homeless], last, [], np.full(second.shape[1], last.sums.shape[2]))
        stages[homeless] = _trace(second[homeless], last, [], tables)
    return stages


def _most_layers(second: NDArray[np.intp], amount: Amount, bound: Column) -> NDArray[np.intp]:
    """Layers that a stage may hold within a bound in any row, were all as light as the lightest; shape (stages,)."""
    lightest = np.maximum(np.diff(amount.sums, axis=2).min(axis=2), 1e-300)[second.T, np.arange(len(second))].T
    layers = (bound * (1 + _SAME) - amount.ends) / lightest * (1 + _SAME)
    most: NDArray[np.intp] = np.clip(layers, 1, amount.sums.shape[2]).max(axis=0).astype(np.intp)
    return most


def _least(
    second: NDArray[np.intp], goal: Amount, caps: list[Cap], most: NDArray[np.intp]
) -> tuple[list[Column], Column]:
    """(least worst stage before each stage by where it begins, least worst of all); infinite where none keeps the caps.

    Stage i begins at place i + b and ends at i + 1 + e: every stage has a layer where b ≤ e, and all offsets run from 0
    to as many layers as are left when each stage has one. No stage holds more layers than `most`, shape (stages,).
    """
    rows, stages = second.shape
    width = goal.sums.shape[2] - stages
    worst = np.zeros((rows, 1))
    tables = []
    for stage in range(stages):
        tables.append(worst)
        begins, ends = _offsets(stage, stages, width)
        band = min(int(most[stage]), width) if len(begins) == len(ends) else 0
        after, before = _places(second, goal, stage, begins, ends)
        reached = np.maximum(after[:, :, None] - _seen(before, band, 0.0), _seen(worst, band, np.inf))
        for amount, bound in caps:
            after, before = _places(second, amount, stage, begins, ends)
            breaks = after[:, :, None] > _seen(before + _of(bound, stage), band, 0.0)
            np.copyto(reached, np.inf, where=breaks)
        worst = reached.min(axis=2)
    return tables, worst[:, 0]


def _trace(second: NDArray[np.intp], goal: Amount, caps: list[Cap], tables: list[Column]) -> NDArray[np.int16]:
    """Stage of each layer, from the last stage back through the tables; the earliest begin among equals."""
    rows, stages = second.shape
    layers = goal.sums.shape[2] - 1
    width = layers + 1 - stages
    each, end = np.arange(rows), np.zeros(rows, dtype=np.intp)
    result = np.zeros((rows, layers), dtype=np.int16)
    for stage in range(stages - 1, 0, -1):
        begins, ends = _offsets(stage, stages, width)
        after, before = _places(second, goal, stage, begins, ends)
        reached = np.maximum(after[each, end][:, None] - before, tables[stage])
        keeps = ends[end][:, None] >= begins[None, :]
        for amount, bound in caps:
            after, before = _places(second, amount, stage, begins, ends)
            keeps &= after[each, end][:, None] <= before + _of(bound, stage)
        end = np.where(keeps, reached, np.inf).argmin(axis=1)
        result += (np.arange(layers)[None, :] >= (stage + end)[:, None]).astype(np.int16)
    return result


def _offsets(stage: int, stages: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Offsets at which a stage may (begin, end): the first begins at the first layer, the last ends at the last."""
    every = np.arange(width)
    return every[:1] if stage == 0 else every, every[-1:] if stage == stages - 1 else every


def _places(
    second: NDArray[np.intp], amount: Amount, stage: int, begins: NDArray[np.intp], ends: NDArray[np.intp]
) -> tuple[Column, Column]:
    """Two columns per row, one for where the stage ends and one for where it begins; it holds their difference."""
    sums = amount.sums[second[:, stage], np.arange(len(second))]
    return sums[:, stage + 1 + ends], sums[:, stage + begins] - amount.ends[:, stage, None]


def _seen(column: Column, band: int, beyond: float) -> Column:
    """What the ends of a stage see of a column over its begins, shape (rows, ends, begins): the last `band` up to each.

    With a band of 0 all begins, whatever the end: the first stage has one begin, the last one end.
    """
    if not band:
        return column[:, None, :]
    padded = np.concatenate([np.full((len(column), band - 1), beyond), column], axis=1)
    step = padded.strides[
        1
    ]  # numpy's sliding_window_view does the same, in longer than the rest of a small table takes
    return np.ndarray((*column.shape, band), padded.dtype, padded, strides=(padded.strides[0], step, step))


def _of(bound: Column, stage: int) -> Column:
    return bound[:, min(stage, bound.shape[1] - 1), None]
