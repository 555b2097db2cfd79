"""The most that a cluster's GPUs can carry, for every number of them of each card, by dynamic programming.

A second route to what CP-SAT finds, and its bound: knapsacks of integer rates are where a linear relaxation is weakest.
Exact where engines share nothing but the GPUs of each card; where nodes matter too it is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .engines import AGGREGATED, DECODE, PREFILL, Engines, Integers

Rung = tuple[int, ...]
"""So many GPUs of each card."""
Knapsack = Integers
"""Highest total rate on every rung; shape (GPUs + 1, …), an axis for each card."""
MOST_RUNGS = 4096
"""Of two cards and more."""
_AT_ONCE = 2**21
"""Ways to split all rungs in two that are held in memory."""


def with_item(best: Knapsack, size: Rung, rate: int) -> Knapsack:
    """A knapsack that may hold one more kind of engine, any number of times."""
    axis = int(np.argmax(size))
    if sum(size) > size[axis]:  # on several cards: one more engine from row to row
        filled = best.copy()
        rest = tuple(slice(s, None) for s in np.delete(size, axis))
        short = tuple(
            slice(None, n - s) for n, s in zip(np.delete(best.shape, axis), np.delete(size, axis), strict=True)
        )
        rows = np.moveaxis(filled, axis, 0)
        for i in range(size[axis], len(rows)):
            rows[i][rest] = np.maximum(rows[i][rest], rows[i - size[axis]][short] + rate)
        return filled
    moved = np.moveaxis(best, axis, 0)
    step, length = size[axis], len(moved)
    turns = -(-length // step)
    padded = np.full((turns * step, *moved.shape[1:]), np.iinfo(np.int64).min // 2, dtype=np.int64)
    padded[:length] = moved
    table = padded.reshape(turns, step, *moved.shape[1:])  # a step down a column is one more engine
    rise = (np.arange(turns, dtype=np.int64) * rate).reshape(-1, *(1,) * moved.ndim)
    table = np.maximum.accumulate(table - rise, axis=0) + rise
    return np.moveaxis(table.reshape(padded.shape)[:length], 0, axis)


def combined(first: Knapsack, second: Knapsack, how: np.ufunc) -> Knapsack:
    """The best of `how` (sum, or the smaller of both) on every rung, over all ways to split its GPUs in two."""
    whole = math.prod(n * (n + 1) // 2 for n in first.shape)
    if whole <= _AT_ONCE:
        parts, rests, starts = _pairs_of(first.shape)
        flat: Knapsack = np.maximum.reduceat(how(first.ravel()[parts], second.ravel()[rests]), starts)
        return flat.reshape(first.shape)
    best: Knapsack = how(0, second)
    higher = np.ones(first.shape, dtype=bool)
    for axis in range(first.ndim):  # only rungs where the first carries more than on any lower one
        higher &= np.diff(first, axis=axis, prepend=-1) > 0
    for rung in np.argwhere(higher):
        above = tuple(slice(s, None) for s in rung)
        below = tuple(slice(None, n - s) for n, s in zip(first.shape, rung, strict=True))
        best[above] = np.maximum(best[above], how(first[tuple(rung)], second[below]))
    return best


@lru_cache(maxsize=2)
def _pairs_of(shape: Rung) -> tuple[Integers, Integers, Integers]:
    """(places of one part, places of the rest, where each rung's ways begin), rung by rung."""
    every = np.arange(math.prod(shape))
    there = np.stack(np.unravel_index(every, shape), axis=1)
    counts = (there + 1).prod(axis=1)
    starts = np.r_[0, np.cumsum(counts)[:-1]]
    rungs = np.repeat(every, counts)
    left, parts = np.arange(len(rungs)) - np.repeat(starts, counts), []
    for axis in reversed(range(len(shape))):  # the way's number within its rung, in mixed radix
        left, part = np.divmod(left, there[rungs, axis] + 1)
        parts.append(part)
    place = np.ravel_multi_index(tuple(reversed(parts)), shape)
    return place, rungs - place, starts


@dataclass
class Ladder:
    """Highest rate on each rung, and how it splits into pools."""

    engines: Engines
    best: Knapsack
    aggregated: Knapsack
    pairs: Knapsack
    reach: Integers
    """The prefill part up to which `pairs` pairs engines, for each rung."""
    far: Integers
    mixes: bool

    @classmethod
    def of(cls, e: Engines, gpus: Rung, far: Integers, *, mixes: bool, decodes: bool) -> Ladder:
        """For so many GPUs of each card. `far`: the largest prefill part that a decode engine can be paired with."""
        nothing = np.zeros([count + 1 for count in gpus], dtype=np.int64)
        aggregated = _filled(e, np.flatnonzero(e.role == (AGGREGATED if decodes else PREFILL)), nothing)
        pairs, reach = nothing.copy(), nothing.copy()
        for level, prefill, decode in _levels(e, far, nothing) if decodes else ():
            found = combined(prefill, decode, np.minimum)
            reach = np.where(found > pairs, level, reach)
            pairs = np.maximum(pairs, found)
        best = combined(aggregated, pairs, np.add) if mixes else np.maximum(aggregated, pairs)
        return cls(e, best, aggregated, pairs, reach, far, mixes)

    def deployment(self, rung: Rung) -> dict[int, int]:
        """Counts of engines that reach a rung's highest rate."""
        alone, paired = next(
            (part, rest)
            for part, rest in _splits(rung)
            if (self.mixes or not sum(part) or not sum(rest))
            and self.aggregated[part] + self.pairs[rest] == self.best[rung]
        )
        e = self.engines
        decodes = bool((e.role != PREFILL).any())
        counts = self._counted(np.flatnonzero(e.role == (AGGREGATED if decodes else PREFILL)), alone)
        if flow := int(self.pairs[paired]):
            level = int(self.reach[paired])
            pools = [np.flatnonzero((e.role == PREFILL) & (e.ttft <= level))]
            pools.append(np.flatnonzero((e.role == DECODE) & (self.far >= level)))
            sends, takes = (_filled(e, index, np.zeros_like(self.best)) for index in pools)
            split = next(both for both in _splits(paired) if min(sends[both[0]], takes[both[1]]) >= flow)
            for index, part, most in zip(pools, split, (sends, takes), strict=True):
                counts |= self._counted(index, _lowest(most, part, flow))
        return counts

    def _counted(self, index: NDArray[np.intp], rung: Rung) -> dict[int, int]:
        """Engines of the index that carry the most there is on a rung."""
        e, best, place = self.engines, _filled(self.engines, index, np.zeros_like(self.best)), np.array(rung)
        counts: dict[int, int] = {}
        while best[tuple(place)]:
            here = int(best[tuple(place)])
            spare = [
                axis for axis in np.flatnonzero(place).tolist() if best[tuple(place - _unit(axis, len(place)))] == here
            ]
            if spare:
                place = place - _unit(spare[0], len(place))
                continue
            fit = index[(e.on[index] <= place).all(axis=1)]
            before = best[tuple((place - e.on[fit]).T)]
            i = int(fit[np.flatnonzero(before + e.rate[fit] == here)[0]])
            counts[i] = counts.get(i, 0) + 1
            place = place - e.on[i]
        return counts


def _unit(axis: int, cards: int) -> Integers:
    unit: Integers = (np.arange(cards) == axis).astype(np.int64)
    return unit


def _splits(rung: Rung) -> Iterator[tuple[Rung, Rung]]:
    """All ways to split a rung's GPUs in two."""
    for part in np.ndindex(*(count + 1 for count in rung)):
        yield part, tuple(whole - some for whole, some in zip(rung, part, strict=True))


def _lowest(best: Knapsack, rung: Rung, rate: int) -> Rung:
    """A rung at or below one that still carries a rate, no GPU of which could be left out."""
    place = list(rung)
    for axis in range(len(place)):
        while place[axis] and best[(*place[:axis], place[axis] - 1, *place[axis + 1 :])] >= rate:
            place[axis] -= 1
    return tuple(place)


def _filled(e: Engines, index: NDArray[np.intp], nothing: Knapsack) -> Knapsack:
    """The knapsack of some engines, those with the most per engine first."""
    best = nothing
    for i in index[np.argsort(-e.rate[index], kind="stable")]:
        best = _more(best, e, int(i))
    return best


def _more(best: Knapsack, e: Engines, i: int) -> Knapsack:
    """With one more kind of engine; the same array where what it already holds on as many GPUs carries as much."""
    size = tuple(e.on[i].tolist())
    if any(s >= n for s, n in zip(size, best.shape, strict=True)) or best[size] >= e.rate[i]:
        return best
    return with_item(best, size, int(e.rate[i]))


def _levels(e: Engines, far: Integers, nothing: Knapsack) -> Iterator[tuple[int, Knapsack, Knapsack]]:
    """(longest prefill part, knapsack of prefill engines, of the decode engines that can wait for it), part by part."""
    senders, takers = np.flatnonzero(e.role == PREFILL), np.flatnonzero(e.role == DECODE)
    if not len(senders) or not len(takers):
        return
    senders, takers = senders[np.argsort(e.ttft[senders])], takers[np.argsort(-far[takers])]
    # One level stands for all up to the next decode engine that could no longer wait.
    ends = np.unique(np.searchsorted(e.ttft[senders], far[takers], side="right"))
    levels = [int(e.ttft[senders[end - 1]]) for end in ends if end]
    decodes: list[Knapsack] = []
    best, at = nothing, 0
    for level in reversed(levels):
        while at < len(takers) and far[takers[at]] >= level:
            best, at = _more(best, e, int(takers[at])), at + 1
        decodes.append(best)
    best, at, before = nothing, 0, None
    for level, decode in zip(levels, reversed(decodes), strict=True):
        was = best
        while at < len(senders) and e.ttft[senders[at]] <= level:
            best, at = _more(best, e, int(senders[at])), at + 1
        if best is not was or before is None or decode is not before:
            yield level, best, decode
        before = decode
