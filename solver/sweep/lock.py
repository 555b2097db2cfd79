"""Who may write to a sweep's store: one process at a time, and never its workers."""

from __future__ import annotations

import os
from pathlib import Path

from ...models import InputError
from ...models.errors import Place

FILE = "sweep.lock"
_HELD = set[int]()
"""Descriptors of this process. A worker that is forked off must not keep one: the lock would outlive its owner."""


class Lock:
    """The lock of one folder, held until it is released or the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._descriptor = folder, -1

    def take(self) -> None:
        """Raises InputError if another process holds it."""
        import fcntl

        try:
            self._descriptor = os.open(self.folder / FILE, os.O_CREAT | os.O_RDWR, 0o666)
            _HELD.add(self._descriptor)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise InputError(
                "another sweep is writing to this store",
                place=Place(self.folder),
                help="wait for it, or --save elsewhere",
            ) from None
        except OSError as error:
            self.release()
            raise InputError(f"cannot write here: {error.strerror}", place=Place(self.folder)) from None

    def release(self) -> None:
        """Let go, if it is held."""
        if self._descriptor >= 0:
            _HELD.discard(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def _let_go() -> None:
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
