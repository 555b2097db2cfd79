"""Solving under a time limit and signals without losing what was found."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from .errors import StoppedError

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

_POLL = 0.05
"""Seconds between looks at the stop event while the solver runs."""


class Watch:
    """A deadline, and an event that anyone may set to ask for a stop (a signal handler, another thread)."""

    def __init__(self, seconds: float | None = None, stop: threading.Event | None = None) -> None:
        self.started = time.monotonic()
        self._deadline = None if seconds is None else self.started + seconds
        self._stop = stop or threading.Event()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def remaining(self) -> float | None:
        """Seconds left, or None without a limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether the time is up or a stop was asked for."""
        return self._stop.is_set() or self.remaining() == 0.0

    def check(self) -> None:
        """Raise StoppedError if the time is up or a stop was asked for."""
        if self.over:
            raise StoppedError

    def solve(self, solver: cp_model.CpSolver, model: cp_model.CpModel, callback: Any = None) -> Any:
        """Run the solver in a thread, because signals reach Python only between its own instructions.

        A stop (the event, or Ctrl-C where nobody handles it) ends the search and keeps its incumbent and bound.
        """
        solver.parameters.catch_sigint_signal = False
        remaining = self.remaining()
        if remaining is not None:
            solver.parameters.max_time_in_seconds = remaining
        result: list[Any] = []
        failure: list[BaseException] = []

        def work() -> None:
            try:
                result.append(solver.solve(model, callback))
            except BaseException as error:
                failure.append(error)
            finally:
                done.set()

        # An event, not Thread.join: before Python 3.13 a KeyboardInterrupt in join marks the thread as ended.
        done = threading.Event()
        threading.Thread(target=work, name="cp-sat").start()
        while not done.is_set():
            try:
                done.wait(_POLL)
            except KeyboardInterrupt:
                self._stop.set()
            if self._stop.is_set():
                solver.stop_search()
        if failure:
            raise failure[0]
        return result[0]
