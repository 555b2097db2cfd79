"""Safe pruning before the count model: an engine goes if one that can stand in its place is at least as good.

An engine can stand in the place of another of the same role, card, GPUs, load, price and share of prefill engines asked
for (and identity, where these are counted).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .engines import AGGREGATED, DECODE, PREFILL, Demands, Engines, Integers
from .linear import INFINITE


def tolerance(e: Engines, demands: Demands, latency: int | None) -> Integers:
    """The largest part of a prefill engine that each decode engine can be paired with."""
    far = np.full(len(e), INFINITE, dtype=np.int64)
    if demands.ttft is not None:
        far = np.minimum(far, demands.ttft - e.ttft)
    if latency is not None:
        far = np.minimum(far, latency - e.latency)
    return far


def contenders(e: Engines, demands: Demands, latency: int | None) -> NDArray[np.intp]:
    """Indices of the engines that may be part of a best deployment."""
    kept = e.usable.copy()
    for limit, part in ((demands.ttft, e.ttft), (latency, e.latency)):
        if limit is not None:
            kept &= part <= limit
    pairs = (kept & (e.role == PREFILL)).any() and (kept & (e.role == DECODE)).any()
    if demands.decodes and not pairs:  # half a pair finishes nothing
        kept &= e.role == AGGREGATED
    index = np.flatnonzero(kept)
    if not len(index):
        return index
    few = e.take(index)
    far = tolerance(few, demands, latency)
    sends, takes = few.role == PREFILL, few.role == DECODE
    # What decides whether a pair is allowed: a smaller part of a prefill engine, a larger tolerance of a decode engine.
    matters = np.where(sends, few.ttft, np.where(takes, -far, 0))
    free = not (sends.any() and takes.any()) or few.ttft[sends].max() <= far[takes].min()
    if free:
        matters[:] = 0
    distinct = demands.distinct is not None or bool(demands.exactly)
    index = index[front(groups(few, distinct=distinct), few.rate, matters, few.exact)]
    if free and e.asks[index].any():  # the same engine with busier prefill engines asks for less of them
        few = e.take(index)
        index = index[front(groups(few, distinct=distinct, by_share=False), few.rate, few.asks, few.exact)]
    return index


def groups(e: Engines, *, distinct: bool, by_share: bool = True) -> Integers:
    """A number for each engine; equal where one could stand in the place of the other."""
    columns = [e.role, *e.on.T, e.load, e.price]
    if by_share:
        columns.append(np.rint(100 * e.rate / np.maximum(e.asks, 1)).astype(np.int64) * (e.asks > 0))
    if distinct:
        columns.append(e.identity)
    group = np.zeros(len(e), dtype=np.int64)
    for column in columns:
        if column.min(initial=0) != column.max(initial=0):
            _, code = np.unique(column, return_inverse=True)
            mixed = group * (int(code.max()) + 1) + code
            group = np.unique(mixed, return_inverse=True)[1].astype(np.int64)  # dense: never beyond 64 bits
    return group


def front(group: Integers, rate: Integers, matters: Integers, exact: NDArray[np.bool_]) -> NDArray[np.intp]:
    """In each group the engine of highest rate, and those of lower rate for which `matters` is smaller."""
    if not len(group):
        return np.empty(0, dtype=np.intp)
    order = np.lexsort((~exact, matters, -rate, group))
    code = np.cumsum(np.r_[False, np.diff(group[order]) != 0])
    ranks = np.unique(matters[order], return_inverse=True)[1].astype(np.int64)
    lowered = ranks - code * (int(ranks.max()) + 2)  # a later group starts below all before it
    least = np.minimum.accumulate(lowered)
    return np.sort(order[np.r_[True, lowered[1:] < least[:-1]]])
