"""Pruning for good, right after pricing: an engine goes if an exactly priced one can always stand in its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .contenders import front, groups
from .engines import AGGREGATED, Engines


def standing(e: Engines, *, distinct: bool) -> NDArray[np.intp]:
    """Indices of the usable engines that no exact one of the same kind beats in rate and both times.

    Compared are those that are fastest so far among the engines of at least the same rate; engines that only another
    one beats stay, which costs time and is safe.
    """
    index = np.flatnonzero(e.usable)
    if not len(index):
        return index
    few = e.take(index)
    group = groups(few, distinct=distinct)
    # An aggregated engine is no part of a pair: its time to first token has been held against the limit already.
    ttft = np.where(few.role == AGGREGATED, 0, few.ttft)
    order = np.lexsort((few.latency, ttft, ~few.exact, -few.rate, group))
    beaten = np.zeros(len(order), dtype=bool)
    for first, second in ((ttft, few.latency), (few.latency, ttft)):
        beaten |= _beaten(group[order], first[order], second[order], few.exact[order])
    return index[np.sort(order[~beaten])]


def leaders(e: Engines, *, distinct: bool) -> NDArray[np.intp]:
    """Bounds that no other engine of their kind beats in rate and latency: what they are worth in fact decides most."""
    index = np.flatnonzero(e.usable)
    few = e.take(index)
    found = index[front(groups(few, distinct=distinct), few.rate, few.latency, few.exact)]
    return found[~e.exact[found]]


def _beaten(
    group: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64], exact: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether the exact engine before it with the smallest `first` is no worse in both. Groups are contiguous."""
    span = int(first.max()) + 2
    far = np.where(exact, first, span - 1)
    code = np.unique(group, return_inverse=True)[1].astype(np.int64)
    lowered = far - code * span
    least = np.minimum.accumulate(lowered)
    holder = np.maximum.accumulate(np.where(np.r_[True, lowered[1:] < least[:-1]], np.arange(len(far)), 0))
    before = np.r_[0, holder[:-1]]
    same = np.r_[False, group[1:] == group[:-1]] & (group[before] == group) & exact[before]
    beaten: NDArray[np.bool_] = same & (first[before] <= first) & (second[before] <= second)
    return beaten
