"""Workers on this machine: processes that start once and take one scenario after the other."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

from ...models import ScenarioFile
from .points import Point
from .row import FAILED, Row
from .work import prepare, solve_point

_AHEAD = 4
"""Scenarios per worker that are handed out before they are needed."""
_RECYCLE = 2_000
"""Scenarios after which a worker is started anew, so that no leak adds up."""


def run_locally(
    base: ScenarioFile, points: Iterable[Point], workers: int, time_limit: float | None, stop: threading.Event
) -> Iterator[Row]:
    """Rows as they are finished, in any order. A worker that dies takes only its own scenario with it."""
    # concurrent.futures gives up all that is pending when one worker dies; pebble replaces the worker.
    from pebble import ProcessExpired, ProcessPool

    with ProcessPool(max_workers=workers, max_tasks=_RECYCLE, initializer=_start, initargs=(base, os.getpid())) as pool:
        running: dict[Future[Row], Point] = {}
        left = iter(points)

        def hand_out() -> None:
            while len(running) < _AHEAD * workers and not stop.is_set():
                point = next(left, None)
                if point is None:
                    return
                args = (point.key, dict(point.changes), time_limit)
                running[pool.schedule(solve_point, args=args)] = point

        hand_out()
        while running:
            finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                point = running.pop(future)
                try:
                    yield future.result()
                except ProcessExpired as error:
                    reason = f"its worker died (exit code {error.exitcode})"
                    yield Row(point.key, FAILED, dict(point.changes), reason=reason)
            if stop.is_set():
                pool.stop()  # type: ignore[no-untyped-call]
                return
            hand_out()


def _start(base: ScenarioFile, parent: int) -> None:
    """Get a worker ready; it ends with the process that wants its rows."""
    _end_with_parent(parent)
    prepare(base)


def _end_with_parent(parent: int) -> None:
    """Linux tells a process of its parent's end, also of one by SIGKILL; elsewhere a worker ends after its scenario."""
    if sys.platform != "linux":
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)
    import multiprocessing

    if multiprocessing.get_start_method() == "fork" and os.getppid() != parent:  # it ended before it was asked
        os._exit(1)
