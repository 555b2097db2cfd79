"""The smallest sets of demands that some row breaks: dropping just these, and nothing less, makes a plan.

In the literature minimal correction sets (Liffiton & Sakallah, 2008); here they can be read off the priced rows.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import StoppedError
from ..watch import Watch
from .universe import FIRST, Rows, Universe


@dataclass
class Corrections:
    """Minimal broken sets, as masks."""

    proved: dict[int, int] = field(default_factory=dict)
    """Mask → a row that was priced exactly and breaks just these."""
    open: list[int] = field(default_factory=list)
    """After a stop: sets that rows might break, by their bounds. Empty if everything was decided."""

    @property
    def masks(self) -> list[int]:
        """All minimal sets, fewest demands first."""
        everything = sorted({*self.proved, *self.open}, key=lambda mask: (mask.bit_count(), mask))
        kept: list[int] = []
        for mask in everything:
            if not covered(mask, kept):
                kept.append(mask)
        return kept


def covered(mask: int, masks: list[int]) -> bool:
    """Whether some mask is a part of this one."""
    return any(other & ~mask == 0 for other in masks)


def corrections(rows: Universe, watch: Watch, known: Corrections | None = None) -> Corrections:
    """All minimal sets of demands that some row breaks. `known` are those that were proved on some of the rows.

    Sets are tried from few demands to many. A set that contains a proved one needs no price; the others are priced
    until a row turns out to break no more than its bound says. Rows that break more come again in their turn.
    """
    groups = _groups(rows.masks)
    heap = [(mask.bit_count(), mask) for mask in groups]
    heapq.heapify(heap)
    found = Corrections(dict(known.proved) if known else {})
    while heap:
        mask = heap[0][1]
        if not covered(mask, [*found.proved]):
            try:
                more = _witness(rows, mask, groups[mask], found, watch)
            except StoppedError:
                found.open = [mask for _, mask in heap if not covered(mask, [*found.proved])]
                return found
            for other, part in more.items():
                groups[other] = np.concatenate([groups[other], part]) if other in groups else part
                heapq.heappush(heap, (other.bit_count(), other))
        heapq.heappop(heap)
    return found


def _groups(masks: NDArray[np.int64]) -> dict[int, Rows]:
    """Rows by their mask."""
    distinct, inverse = np.unique(masks, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(inverse, minlength=len(distinct)))[:-1])
    return dict(zip(distinct.tolist(), parts, strict=True))


def _witness(rows: Universe, mask: int, group: Rows, found: Corrections, watch: Watch) -> dict[int, Rows]:
    """Look for a row that breaks just this set; rows that turn out to break more are returned by their sets."""
    done = group[rows.known[group]]
    if len(done):
        found.proved[mask] = int(done[0])
        return {}
    group = group[np.argsort(_tightness(rows, mask, group), kind="stable")]
    more: list[Rows] = []
    start, size = 0, FIRST
    while start < len(group):
        part = group[start : start + size]
        rows.price(part, watch)
        exact = part[rows.masks[part] == mask]
        if len(exact):
            found.proved[mask] = int(exact[0])
            break
        more.append(part)
        start, size = start + size, 1024
    beaten = np.concatenate(more) if more else np.empty(0, dtype=np.intp)
    return {other: beaten[part] for other, part in _groups(rows.masks[beaten]).items()} if len(beaten) else {}


def _tightness(rows: Universe, mask: int, group: Rows) -> NDArray[np.float64]:
    """How close the bounds come to the limits that they keep: those far away are likely to keep them exactly."""
    closest = np.zeros(len(group))
    for bit, demand in enumerate(rows.demands):
        limit = demand.condition
        column, bound = getattr(limit, "column", ""), getattr(limit, "bound", 0.0)
        if mask >> bit & 1 or not column or not bound:
            continue
        values = rows.facts[column][group]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = values / bound if limit.sense == "<=" else bound / values  # type: ignore[attr-defined]
        closest = np.fmax(closest, ratio)
    return closest
