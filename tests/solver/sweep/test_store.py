"""The store: what is in it stays, one writer at a time, clear errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from shardwise.models import InputError
from shardwise.solver.sweep.export import as_csv, as_json
from shardwise.solver.sweep.row import FAILED, Row
from shardwise.solver.sweep.store import FILE, Store


def filled(folder: Path) -> None:
    with Store(folder, writes=True) as store:
        store.add(Row("a", "optimal", {"hardware.gpus": 8, "model": "m"}, strategy="TP8", ttft=0.25))
        store.add(
            Row("b", FAILED, {"hardware.gpus": 16, "workload.input_tokens": {"min": 1, "max": 2}}, reason='x, "y"')
        )
        store.set_points(["b", "a", "c"])


def test_rows_come_back_in_the_sweeps_order(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store(tmp_path, writes=False) as store:
        assert [row.key for row in store.all()] == ["b", "a"]
        assert store.points() == 3
        assert store.done() == {"a", "b"}
        assert store.done(retry_failed=True) == {"a"}


def test_exports(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store(tmp_path, writes=False) as store:
        lines = as_csv(store).splitlines()
        assert lines[0].startswith("hardware.gpus,workload.input_tokens,key,status")
        assert '"{""min"": 1, ""max"": 2}"' in lines[1]
        assert '"ttft": 0.25' in as_json(store)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path, writes=True) as store:
        store.set_points([])
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
