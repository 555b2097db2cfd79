"""A sweep's rows as CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ...models import InputError
from .row import Row
from .store import Store

FORMATS = ("csv", "json", "parquet")


def records(store: Store) -> Iterator[dict[str, Any]]:
    """One flat mapping for each row; varied keys first, under their own names."""
    for row in store.all():
        yield record(row)


def record(row: Row) -> dict[str, Any]:
    """A row as a flat mapping."""
    figures = row.figures()
    return {
        **{key: _plain(value) for key, value in row.changes.items()},
        **{k: v for k, v in figures.items() if k != "changes"},
    }


def _plain(value: Any) -> Any:
    return (
        value if value is None or isinstance(value, (str, int, float, bool)) else json.dumps(value, ensure_ascii=False)
    )


def as_csv(store: Store) -> str:
    """With a header; columns of all rows."""
    found = list(records(store))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _columns(found), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(found)
    return stream.getvalue()


def as_json(store: Store) -> str:
    """A list, a row a line."""
    return "[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in records(store)) + "\n]\n"


def write_parquet(store: Store, path: Path) -> Path:
    """Raises InputError without the library."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError("Parquet needs pyarrow", help="pip install 'shardwise[tables]'") from None
    found = list(records(store))
    names = _columns(found)
    texts = {name for name in names if any(isinstance(one.get(name), str) for one in found)}
    columns = {
        name: [str(one[name]) if name in texts and one.get(name) is not None else one.get(name) for one in found]
        for name in names
    }
    parquet.write_table(arrow.table(columns), path)
    return path


def _columns(found: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for one in found for name in one))
