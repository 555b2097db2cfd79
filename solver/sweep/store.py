"""The store of a sweep: one SQLite file, a row for every scenario that is done, committed as it is done.

SQLite rather than DuckDB: it is in Python itself, its journal survives a killed process at any moment, and the few
columns of a sweep need no column store.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from ...models import InputError
from ...models.errors import Place
from .row import COLUMNS, FAILED, Row, changes_text

FILE, LOCK = "sweep.db", "sweep.lock"
_SCHEMA = "1"
_TYPES = {"key": "TEXT PRIMARY KEY", "answer": "BLOB", "status": "TEXT NOT NULL", "changes": "TEXT NOT NULL"}


class Store:
    """The rows of one sweep. Use it as a context; only one may write at a time."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self.folder, self.path, self._lock = folder, folder / FILE, -1
        if not writes and not self.path.is_file():
            raise InputError("no sweep is stored here", place=Place(folder), help="name the folder of a sweep's --save")
        if writes:
            self._take()
        try:
            self.rows = sqlite3.connect(self.path, timeout=30)
            self.rows.execute("PRAGMA journal_mode=WAL")
            self.rows.execute("PRAGMA synchronous=NORMAL")
            if writes:
                columns = ", ".join(f"{name} {_TYPES.get(name, '')}" for name in COLUMNS)
                self.rows.execute(f"CREATE TABLE IF NOT EXISTS rows ({columns})")
                self.rows.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT)")
                self.rows.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (_SCHEMA,))
                self.rows.commit()
            found = self.rows.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        except sqlite3.Error as error:
            self.close()
            raise self._refused(error) from None
        if found is None or found[0] != _SCHEMA:
            self.close()
            raise InputError("the store is of another version of shardwise", place=Place(self.path))

    def _take(self) -> None:
        """Hold the folder's lock until the process ends, however it ends."""
        import fcntl

        try:
            self._lock = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR, 0o666)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = -1
            raise InputError(
                "another sweep is writing to this store",
                place=Place(self.folder),
                help="wait for it, or --save elsewhere",
            ) from None
        except OSError as error:
            raise InputError(f"cannot write here: {error.strerror}", place=Place(self.folder)) from None

    def _refused(self, error: sqlite3.Error) -> InputError:
        return InputError(f"the store cannot be used: {error}", place=Place(self.path))

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and the lock."""
        if hasattr(self, "rows"):
            self.rows.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def done(self, *, retry_failed: bool = False) -> set[str]:
        """Keys of what need not be computed again."""
        where = f" WHERE status != '{FAILED}'" if retry_failed else ""
        return {key for (key,) in self.rows.execute(f"SELECT key FROM rows{where}")}

    def add(self, row: Row) -> None:
        """Keep one row. Raises InputError if the disk is full or gone; what was kept stays."""
        values = [changes_text(row.changes) if name == "changes" else getattr(row, name) for name in COLUMNS]
        marks = ", ".join("?" for _ in COLUMNS)
        try:
            self.rows.execute(f"INSERT OR REPLACE INTO rows VALUES ({marks})", values)
            self.rows.commit()
        except sqlite3.Error as error:
            raise self._refused(error) from None

    def set_points(self, keys: Iterable[str]) -> None:
        """Remember the points of the sweep as it stands now, in their order: earlier ones stay in the store unseen."""
        try:
            with self.rows:
                self.rows.execute("CREATE TABLE IF NOT EXISTS points (number INTEGER PRIMARY KEY, key TEXT NOT NULL)")
                self.rows.execute("DELETE FROM points")
                self.rows.executemany("INSERT INTO points VALUES (?, ?)", enumerate(keys))
        except sqlite3.Error as error:
            raise self._refused(error) from None

    def all(self, *, answers: bool = False) -> Iterator[Row]:
        """The rows of the sweep as it stands, in its order."""
        columns = ", ".join(f"rows.{name}" if name != "answer" or answers else "NULL" for name in COLUMNS)
        query = f"SELECT {columns} FROM points JOIN rows ON rows.key = points.key ORDER BY points.number"
        for values in self.rows.execute(query):
            found = dict(zip(COLUMNS, values, strict=True))
            yield Row(**found | {"changes": json.loads(found["changes"])})

    def plan(self, key: str) -> str | None:
        """plan.json of one row."""
        found = self.rows.execute("SELECT answer FROM rows WHERE key = ?", (key,)).fetchone()
        return None if found is None else Row(key, "", answer=found[0]).plan

    def points(self) -> int:
        """Scenarios of the sweep as it stands."""
        try:
            count: int = self.rows.execute("SELECT COUNT(*) FROM points").fetchone()[0]
        except sqlite3.OperationalError:
            return 0
        return count
