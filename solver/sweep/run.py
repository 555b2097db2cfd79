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
    """How far a sweep is."""

    total: int
    stored: int
    """Found in the store."""
    computed: int
    by_status: Counter[str]

    @property
    def left(self) -> int:
        """Still to be computed."""
        return self.total - self.stored - self.computed


def run(
    sweep: Sweep, store: Store, runner: Runner, progress: Progress, stop: threading.Event, *, retry_failed: bool = False
) -> Count:
    """Compute what is missing. The same scenario at two points is computed once."""
    points = list(sweep.points())
    store.set_points(point.key for point in points)
    done, seen = store.done(retry_failed=retry_failed), set[str]()
    missing = []
    for point in points:
        if point.key not in done and point.key not in seen:
            missing.append(point)
            seen.add(point.key)
    count = Count(len(points), len(points) - len(missing), 0, Counter())
    progress(count)
    for row in runner(missing) if missing else ():
        store.add(row)
        count.computed += 1
        count.by_status[row.status] += 1
        progress(count)
        if stop.is_set():
            break
    return count
