"""Workers of a Ray cluster: the same tasks, wherever there is a core."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from ...models import InputError, ScenarioFile
from .points import Point
from .row import FAILED, Row
from .work import prepare, solve_point

_AHEAD = 4
_RETRIES = 2
"""How often a scenario is tried again whose node or worker was lost."""


def run_on_ray(
    base: ScenarioFile, points: Iterable[Point], address: str | None, time_limit: float | None, stop: threading.Event
) -> Iterator[Row]:
    """Rows as they are finished. What a lost node was computing is computed elsewhere; it comes back once."""
    try:
        ray: Any = import_module("ray")
    except ImportError:
        raise InputError("--engine ray needs Ray", help="pip install 'shardwise[ray]'") from None
    try:
        ray.init(address=address or "auto", ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        told = str(error).splitlines()[0][:200]
        raise InputError(f"no Ray cluster was reached: {told}", help="ray start --head starts one here") from None
    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_task)
    shared, left = ray.put(base), iter(points)
    running: dict[Any, Point] = {}

    def hand_out() -> None:
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        while len(running) < _AHEAD * cores and not stop.is_set():
            point = next(left, None)
            if point is None:
                return
            running[task.remote(shared, point.key, dict(point.changes), time_limit)] = point

    hand_out()
    while running:
        finished, _ = ray.wait(list(running), num_returns=1, timeout=0.5)
        for one in finished:
            point = running.pop(one)
            try:
                yield ray.get(one)
            except ray.exceptions.RayError as error:
                reason = f"its worker died: {type(error).__name__}"
                yield Row(point.key, FAILED, dict(point.changes), reason=reason)
        if stop.is_set():
            for one in running:
                ray.cancel(one, force=True)
            return
        hand_out()


_READY: dict[str, bool] = {}


def _task(base: ScenarioFile, key: str, changes: Mapping[str, Any], time_limit: float | None) -> Row:
    """One scenario; the first of a worker prepares it."""
    if not _READY:
        prepare(base)
        _READY["base"] = True
    return solve_point(key, changes, time_limit)
