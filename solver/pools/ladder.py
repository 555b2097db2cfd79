"""The most that one card's GPUs can carry, for every number of them, by dynamic programming.

A second route to what CP-SAT finds, and its bound: knapsacks of integer rates are where a linear relaxation is weakest.
Exact where engines share nothing but the GPUs of one card; where nodes matter too it is an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .engines import AGGREGATED, DECODE, PREFILL, Engines, Integers

Knapsack = Integers
"""Highest total rate for 0, 1, 2 … GPUs; shape (GPUs + 1,)."""


def with_item(best: Knapsack, gpus: int, rate: int) -> Knapsack:
    """A knapsack that may hold one more kind of engine, any number of times."""
    length = len(best)
    rows = -(-length // gpus)
    padded = np.full(rows * gpus, np.iinfo(np.int64).min // 2, dtype=np.int64)
    padded[:length] = best
    table = padded.reshape(rows, gpus)  # a step down a column is one more engine
    rise = np.arange(rows, dtype=np.int64)[:, None] * rate
    filled: Knapsack = (np.maximum.accumulate(table - rise, axis=0) + rise).ravel()[:length]
    return filled


@dataclass
class Ladder:
    """Highest rate for each number of GPUs, and how it splits into pools."""

    engines: Engines
    best: Knapsack
    aggregated: Knapsack
    pairs: Knapsack
    reach: Integers
    """The prefill part up to which `pairs` pairs engines, for each number of GPUs."""
    far: Integers
    mixes: bool

    @classmethod
    def of(cls, e: Engines, gpus: int, far: Integers, *, mixes: bool, decodes: bool) -> Ladder:
        """For the engines of one card. `far`: the largest prefill part that a decode engine can be paired with."""
        nothing = np.zeros(gpus + 1, dtype=np.int64)
        aggregated = nothing
        for size, rate in _best_of_size(e, np.flatnonzero(e.role == (AGGREGATED if decodes else PREFILL))):
            aggregated = with_item(aggregated, size, rate)
        pairs, reach = nothing.copy(), np.zeros(gpus + 1, dtype=np.int64)
        for level, prefill, decode in _levels(e, far, gpus) if decodes else ():
            found = _balanced(prefill, decode)
            reach = np.where(found > pairs, level, reach)
            pairs = np.maximum(pairs, found)
        best = _together(aggregated, pairs) if mixes else np.maximum(aggregated, pairs)
        return cls(e, best, aggregated, pairs, reach, far, mixes)

    def deployment(self, gpus: int) -> dict[int, int]:
        """Counts of engines that reach the highest rate on so many GPUs."""
        whole = range(gpus + 1) if self.mixes else (0, gpus)
        alone = next(k for k in whole if self.aggregated[k] + self.pairs[gpus - k] == self.best[gpus])
        decodes = bool((self.engines.role != PREFILL).any())
        role = AGGREGATED if decodes else PREFILL
        counts = self._filled(np.flatnonzero(self.engines.role == role), int(self.aggregated[alone]), alone)
        flow = int(self.pairs[gpus - alone])
        if flow:
            level = int(self.reach[gpus - alone])
            e = self.engines
            senders = np.flatnonzero((e.role == PREFILL) & (e.ttft <= level))
            takers = np.flatnonzero((e.role == DECODE) & (self.far >= level))
            for index in (senders, takers):
                counts |= self._filled(index, flow, None)
        return counts

    def _filled(self, index: NDArray[np.intp], rate: int, gpus: int | None) -> dict[int, int]:
        """Fewest GPUs (or those given) on which engines of the index carry a rate."""
        items = [(i, int(self.engines.gpus[i]), int(self.engines.rate[i])) for i in index]
        best = np.zeros(len(self.best), dtype=np.int64)
        for size, most in _best_of_size(self.engines, index):
            best = with_item(best, size, most)
        place = int(np.searchsorted(best, rate)) if gpus is None else gpus
        counts: dict[int, int] = {}
        while place and best[place]:
            if best[place] == best[place - 1]:
                place -= 1
                continue
            i, size, _ = next(x for x in items if x[1] <= place and best[place - x[1]] + x[2] == best[place])
            counts[int(i)] = counts.get(int(i), 0) + 1
            place -= size
        return counts


def _best_of_size(e: Engines, index: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """(GPUs, highest rate) of some engines."""
    for size in np.unique(e.gpus[index]):
        yield int(size), int(e.rate[index][e.gpus[index] == size].max())


def _levels(e: Engines, far: Integers, gpus: int) -> Iterator[tuple[int, Knapsack, Knapsack]]:
    """(longest prefill part, knapsack of prefill engines, of the decode engines that can wait for it), part by part."""
    senders, takers = np.flatnonzero(e.role == PREFILL), np.flatnonzero(e.role == DECODE)
    if not len(senders) or not len(takers):
        return
    senders, takers = senders[np.argsort(e.ttft[senders])], takers[np.argsort(-far[takers])]
    # One level stands for all up to the next decode engine that could no longer wait.
    ends = np.unique(np.searchsorted(e.ttft[senders], far[takers], side="right"))
    levels = [int(e.ttft[senders[end - 1]]) for end in ends if end]
    decodes: list[Knapsack] = []
    best, at = np.zeros(gpus + 1, dtype=np.int64), 0
    for level in reversed(levels):
        while at < len(takers) and far[takers[at]] >= level:
            best = with_item(best, int(e.gpus[takers[at]]), int(e.rate[takers[at]]))
            at += 1
        decodes.append(best)
    best, at = np.zeros(gpus + 1, dtype=np.int64), 0
    for level, decode in zip(levels, reversed(decodes), strict=True):
        while at < len(senders) and e.ttft[senders[at]] <= level:
            best = with_item(best, int(e.gpus[senders[at]]), int(e.rate[senders[at]]))
            at += 1
        yield level, best, decode


def _balanced(prefill: Knapsack, decode: Knapsack) -> Knapsack:
    """Highest flow for each number of GPUs: the smaller of the two pools, over all splits. Both rise with GPUs."""
    whole = np.arange(len(prefill))
    low, high = np.zeros(len(whole), dtype=np.int64), whole.copy()  # least share of prefill that is no bottleneck
    while (low < high).any():
        middle = (low + high) // 2
        enough = prefill[middle] >= decode[whole - middle]
        high, low = np.where(enough, middle, high), np.where(enough, low, middle + 1)
    low = np.minimum(low, whole)
    before = np.maximum(low - 1, 0)
    at, ahead = (np.minimum(prefill[g], decode[whole - g]) for g in (low, before))
    flow: Knapsack = np.maximum.accumulate(np.maximum(at, ahead))
    return flow


def _together(first: Knapsack, second: Knapsack) -> Knapsack:
    """Highest sum for each number of GPUs over all splits."""
    best = np.zeros(len(first), dtype=np.int64)
    for gpus in np.flatnonzero(np.r_[True, first[1:] > first[:-1]]):
        best[gpus:] = np.maximum(best[gpus:], first[gpus] + second[: len(first) - gpus])
    return best
