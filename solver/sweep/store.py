"""The store of a sweep: one SQLite file, a row for every scenario that is done, committed as it is done.

SQLite rather than DuckDB: it is in Python itself, its journal survives a killed process at any moment, and the few
columns of a sweep need no column store. A result belongs to a scenario, changes belong to a point: two points may be
the same scenario.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from ...models import InputError
from ...models.errors import Place
from .lock import Lock
from .points import Point
from .row import COLUMNS, FAILED, Row, changes_text

FILE = "sweep.db"
_SCHEMA = "2"
_RESULTS = tuple(name for name in COLUMNS if name != "changes")
_TYPES = {"key": "TEXT PRIMARY KEY", "answer": "BLOB", "status": "TEXT NOT NULL"}
_TABLES = (
    f"rows ({', '.join(f'{name} {_TYPES.get(name, str())}' for name in _RESULTS)})",
    "points (number INTEGER PRIMARY KEY, key TEXT NOT NULL, changes TEXT NOT NULL)",
    "meta (name TEXT PRIMARY KEY, value TEXT)",
)
_CUT_SHORT = "status IN ('unknown', 'feasible') OR (status = 'infeasible' AND binding IS NULL)"
"""What more time may make better: another verdict, a better plan, or a reason."""


class Store:
    """The rows of one sweep. Use it as a context; only one may write at a time."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self.folder, self.path, self._lock = folder, folder / FILE, Lock(folder)
        if not writes and not self.path.is_file():
            raise InputError("no sweep is stored here", place=Place(folder), help="name the folder of a sweep's --save")
        if writes:
            self._lock.take()
        try:
            self.rows = _to_write(self.path) if writes else _to_read(self.path)
            found = self.rows.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        except sqlite3.Error as error:
            self.close()
            raise self._refused(error) from None
        if found is None or found[0] != _SCHEMA:
            self.close()
            raise InputError(
                "the store is of another version of shardwise", place=Place(self.path), help="sweep into a new folder"
            )

    def _refused(self, error: Exception) -> InputError:
        return InputError(
            f"the store cannot be used: {error}",
            place=Place(self.path),
            help="if the disk is neither full nor gone, the file is damaged: sweep into a new folder",
        )

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and the lock."""
        if hasattr(self, "rows"):
            self.rows.close()
        self._lock.release()

    def done(self, *, retry_failed: bool = False, time_limit: float | None = None) -> dict[str, str]:
        """Key -> status of what need not be computed again. What a shorter limit cut short is to be."""
        longer = "time_limit IS NOT NULL" if time_limit is None else "time_limit < :limit"
        again = f"(({_CUT_SHORT}) AND {longer})" + (f" OR status = '{FAILED}'" if retry_failed else "")
        try:
            found = self.rows.execute(f"SELECT key, status FROM rows WHERE NOT ({again})", {"limit": time_limit})
            return dict(found.fetchall())
        except sqlite3.Error as error:
            raise self._refused(error) from None

    def add(self, row: Row) -> None:
        """Keep one row. Raises InputError if the disk is full or gone; what was kept stays."""
        values = [getattr(row, name) for name in _RESULTS]
        marks = ", ".join("?" for _ in _RESULTS)
        try:
            self.rows.execute(f"INSERT OR REPLACE INTO rows VALUES ({marks})", values)
            self.rows.commit()
        except sqlite3.Error as error:
            raise self._refused(error) from None

    def set_points(self, points: Iterable[Point]) -> None:
        """Remember the points of the sweep as it stands now, in their order: earlier ones stay in the store unseen."""
        values = ((number, point.key, changes_text(point.changes)) for number, point in enumerate(points))
        try:
            with self.rows:
                self.rows.execute("DELETE FROM points")
                self.rows.executemany("INSERT INTO points VALUES (?, ?, ?)", values)
        except sqlite3.Error as error:
            raise self._refused(error) from None

    def all(self, *, answers: bool = False) -> Iterator[Row]:
        """The rows of the sweep as it stands, in its order, each with the changes of its point."""
        columns = ", ".join(f"rows.{name}" if name != "answer" or answers else "NULL" for name in _RESULTS)
        query = f"SELECT points.changes, {columns} FROM points JOIN rows ON rows.key = points.key ORDER BY number"
        try:
            for changes, *values in self.rows.execute(query):
                yield Row(**dict(zip(_RESULTS, values, strict=True)), changes=dict(json.loads(changes)))
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise self._refused(error) from None

    def plan(self, key: str) -> str | None:
        """plan.json of one row."""
        try:
            found = self.rows.execute("SELECT answer FROM rows WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._refused(error) from None
        return None if found is None else Row(key, "", answer=found[0]).plan

    def points(self) -> int:
        """Scenarios of the sweep as it stands."""
        try:
            count: int = self.rows.execute("SELECT COUNT(*) FROM points").fetchone()[0]
        except sqlite3.Error as error:
            raise self._refused(error) from None
        return count


def _to_write(path: Path) -> sqlite3.Connection:
    rows = sqlite3.connect(path, timeout=30)
    try:
        rows.execute("PRAGMA journal_mode=WAL")
        rows.execute("PRAGMA synchronous=NORMAL")
        new = rows.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
        with rows:  # all of it or nothing: a store that is killed here must not look damaged
            rows.execute("BEGIN IMMEDIATE")
            for table in _TABLES if new else ():
                rows.execute(f"CREATE TABLE {table}")
            if new:
                rows.execute("INSERT INTO meta VALUES ('schema', ?)", (_SCHEMA,))
    except sqlite3.Error:
        rows.close()
        raise
    return rows


def _to_read(path: Path) -> sqlite3.Connection:
    """Where nothing can be written, not even the journal's index, the file cannot change and is read as it is."""
    address = path.resolve().as_uri() + "?mode=ro"
    try:
        rows = sqlite3.connect(address, uri=True, timeout=30)
        rows.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        journal = path.with_name(f"{path.name}-wal")
        if journal.is_file() and journal.stat().st_size:
            raise sqlite3.OperationalError(
                f"{journal.name} holds rows that only a folder that can be written gives back; copy it to one"
            ) from None
        rows = sqlite3.connect(f"{address}&immutable=1", uri=True)
    return rows
