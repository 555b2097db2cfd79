"""A sweep from start to end: what is missing in the store is computed, and kept as it comes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .points import Point, Sweep
from .row import Row
from .store import Store

Runner = Callable[[Iterable[Point]], Iterator[Row]]
Progress = Callable[["Count"], None]


@dataclass
class Count:
    """How far a sweep is. Everything but `computed` counts points, of which several may be the same scenario."""

    total: int
    stored: int
    """Found in the store."""
    computed: int
    by_status: Counter[str]
    """Of all points that have a result, whenever it was computed."""
    same: int = 0
    """Had the result of another point that was computed."""
    prepared: int = 0
    """Have a key: until all have, nothing is computed."""

    @property
    def left(self) -> int:
        """Still to be computed."""
        return self.total - self.stored - self.computed - self.same


def run(
    sweep: Sweep,
    store: Store,
    runner: Runner,
    progress: Progress,
    stop: threading.Event,
    *,
    retry_failed: bool = False,
    time_limit: float | None = None,
) -> Count:
    """Compute what is missing. The same scenario at two points is computed once."""
    count = Count(len(sweep), 0, 0, Counter())
    points = []
    for point in sweep.points():
        points.append(point)
        count.prepared += 1
        if count.prepared % 1000 == 0:
            progress(count)
        if stop.is_set():
            return count
    store.set_points(points)
    done = store.done(retry_failed=retry_failed, time_limit=time_limit)
    copies = Counter(point.key for point in points)
    missing = list({point.key: point for point in points if point.key not in done}.values())
    count.by_status = Counter(done[point.key] for point in points if point.key in done)
    count.total, count.stored = len(points), count.by_status.total()
    progress(count)
    for row in runner(missing) if missing else ():
        store.add(row)
        count.computed += 1
        count.same += copies[row.key] - 1
        count.by_status[row.status] += copies[row.key]
        progress(count)
        if stop.is_set():
            break
    return count
