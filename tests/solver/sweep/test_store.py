"""The store: what is in it stays, one writer at a time, damage told clearly."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from shardwise.models import InputError
from shardwise.solver.sweep import store as storing
from shardwise.solver.sweep.points import Point
from shardwise.solver.sweep.row import FAILED, Row
from shardwise.solver.sweep.store import FILE, Store


def filled(folder: Path) -> None:
    with Store(folder, writes=True) as store:
        store.add(Row("a", "optimal", strategy="TP8", ttft=0.25))
        store.add(Row("b", FAILED, reason="none"))
        points = (("b", {"hardware.gpus": 16}), ("a", {"hardware.gpus": 8}), ("c", {}), ("a", {"hardware.gpus": 9}))
        store.set_points(Point(number, changes, key) for number, (key, changes) in enumerate(points))


def test_rows_come_back_in_the_sweeps_order(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store(tmp_path, writes=False) as store:
        rows = [(row.key, row.changes["hardware.gpus"]) for row in store.all()]
        assert rows == [("b", 16), ("a", 8), ("a", 9)]
        assert store.points() == 4
        assert store.done() == {"a": "optimal", "b": FAILED}
        assert store.done(retry_failed=True) == {"a": "optimal"}


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path, writes=True):
        with pytest.raises(InputError, match="another sweep is writing"):
            Store(tmp_path, writes=True)
        Store(tmp_path, writes=False).close()
    Store(tmp_path, writes=True).close()


def test_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sweep is stored here"):
        Store(tmp_path, writes=False)
    (tmp_path / FILE).write_bytes(b"this is no database, but long enough to look at" * 50)
    with pytest.raises(InputError, match="cannot be used"):
        Store(tmp_path, writes=True)


def test_a_process_that_is_forked_off_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A worker may outlive its sweep; the next sweep must not wait for it."""
    read, write = os.pipe()
    store = Store(tmp_path, writes=True)
    if (child := os.fork()) == 0:
        os.close(write)
        os.read(read, 1)  # until the parent is done
        os._exit(0)
    os.close(read)
    store.close()
    Store(tmp_path, writes=True).close()
    os.close(write)
    os.waitpid(child, 0)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE points",
        "DROP TABLE rows",
        "DROP TABLE meta",
        "DELETE FROM meta",
        "ALTER TABLE rows DROP COLUMN why",
        "UPDATE points SET changes = '{'",
        "UPDATE points SET changes = '3'",
        "UPDATE rows SET answer = 'no plan'",
        "UPDATE rows SET answer = x'1234'",
    ],
)
@pytest.mark.parametrize("writes", [True, False])
def test_damage(tmp_path: Path, damage: str, writes: bool) -> None:
    filled(tmp_path)
    rows = sqlite3.connect(tmp_path / FILE)
    with rows:
        rows.execute(damage)
    rows.close()

    def used() -> None:
        with Store(tmp_path, writes=writes) as store:
            store.points()
            for row in store.all(answers=True):
                assert row.plan is None
            store.plan("a")
            if writes:
                store.done()
                store.add(Row("d", "optimal"))
                store.set_points([])

    with pytest.raises(InputError, match=r"damaged|cannot be used|another version"):
        used()


def test_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite refuses to read a file with a journal there, unless told that it cannot change."""
    filled(tmp_path)
    opened, connect = list[str](), sqlite3.connect

    def read_only_disk(address: str, **more: bool) -> sqlite3.Connection:
        opened.append(address)
        if "immutable" not in address:
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return connect(address, **more)

    monkeypatch.setattr(storing.sqlite3, "connect", read_only_disk)
    with Store(tmp_path, writes=False) as store:
        assert [row.key for row in store.all()] == ["b", "a", "a"]
    assert opened[-1].endswith("immutable=1")
    (tmp_path / f"{FILE}-wal").write_bytes(b"rows")
    with pytest.raises(InputError, match="copy it"):
        Store(tmp_path, writes=False)
