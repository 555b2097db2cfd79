"""Rows as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from shardwise.models import InputError
from shardwise.solver.sweep.export import as_csv, as_json, checked, write_parquet
from shardwise.solver.sweep.points import Point
from shardwise.solver.sweep.row import FAILED, Row
from shardwise.solver.sweep.store import Store


def filled(folder: Path, *points: Mapping[str, Any]) -> Store:
    store = Store(folder, writes=True)
    for number in range(len(points)):
        store.add(
            Row(str(number), "optimal", strategy="TP8", ttft=0.25)
            if number % 2
            else Row(str(number), FAILED, reason='x, "y"')
        )
    store.set_points(Point(number, changes, str(number)) for number, changes in enumerate(points))
    return store


def test_columns_and_quotes(tmp_path: Path) -> None:
    points = ({"hardware.gpus": 16, "workload.input_tokens": {"min": 1, "max": 2}}, {"hardware.gpus": 8, "model": "m"})
    with filled(tmp_path, *points) as store:
        lines = as_csv(store).splitlines()
        assert lines[0].startswith("hardware.gpus,workload.input_tokens,key,status")
        assert '"{""min"": 1, ""max"": 2}"' in lines[1]
        assert '"x, ""y"""' in lines[1]
        assert '"ttft": 0.25' in as_json(store)


def test_a_spreadsheet_is_given_no_formula(tmp_path: Path) -> None:
    with filled(tmp_path, {"name": "=HYPERLINK(1)"}, {"name": "@x"}, {"name": -1}) as store:
        names = [row["name"] for row in csv.DictReader(io.StringIO(as_csv(store)))]
        assert names == ["'=HYPERLINK(1)", "'@x", "-1"]
        assert [row["name"] for row in json.loads(as_json(store))] == ["=HYPERLINK(1)", "@x", -1]


def test_a_varied_key_of_the_name_of_a_figure(tmp_path: Path) -> None:
    with filled(tmp_path, {"strategy": {"tensor": 4}}, {"strategy": {"tensor": 8}}) as store:
        row = json.loads(as_json(store))[1]
        assert (row["strategy"], row["result.strategy"]) == ('{"tensor": 8}', "TP8")


def test_parquet_of_mixed_values(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="an extra: pip install -e '.[tables]'")
    points = ({"a": 1, "b": 1, "c": True, "d": 2**70}, {"a": "max", "b": 2.5, "c": 2, "d": 1}, {"a": None, "b": None})
    with filled(tmp_path, *points) as store:
        found = parquet.read_table(write_parquet(store, tmp_path / "s.parquet")).to_pydict()
        assert found["a"] == ["1", "max", None]
        assert found["b"] == [1.0, 2.5, None]
        assert found["c"] == ["True", "2", None]
        assert found["d"] == [str(2**70), "1", None]
        with pytest.raises(InputError, match="cannot write the export"):
            write_parquet(store, tmp_path / "none" / "s.parquet")


def test_an_unknown_format() -> None:
    with pytest.raises(InputError, match="cannot export as 'xml'"):
        checked("xml")
