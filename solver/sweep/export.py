"""A sweep's rows as CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ...models import InputError
from ...models.errors import Place
from .row import Row
from .store import Store

FORMATS = ("csv", "json", "parquet")


def checked(kind: str) -> str:
    """The same format. Raises InputError for one that cannot be written, before anything is computed."""
    if kind not in FORMATS:
        raise InputError(f"cannot export as '{kind[:20]}'", help=f"there are: {', '.join(FORMATS)}")
    if kind == "parquet":
        _arrow()
    return kind


def records(store: Store) -> list[dict[str, Any]]:
    """One flat mapping for each row; varied keys first, under their own names."""
    rows = list(store.all())
    varied = {key for row in rows for key in row.changes}
    return [record(row, varied) for row in rows]


def record(row: Row, varied: Collection[str]) -> dict[str, Any]:
    """A row as a flat mapping. A figure of the name of a varied key, such as strategy, becomes result.strategy."""
    figures = {f"result.{name}" if name in varied else name: value for name, value in row.figures().items()}
    return {key: _plain(value) for key, value in row.changes.items()} | figures


def _plain(value: Any) -> Any:
    return (
        value if value is None or isinstance(value, (str, int, float, bool)) else json.dumps(value, ensure_ascii=False)
    )


def as_csv(store: Store) -> str:
    """With a header; columns of all rows."""
    found = records(store)
    names, stream = _columns(found), io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(_inert, names))
    writer.writerows([_inert(one.get(name, "")) for name in names] for one in found)
    return stream.getvalue()


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula, with the quote that makes it text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def as_json(store: Store) -> str:
    """A list, a row a line."""
    return "[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in records(store)) + "\n]\n"


def write_parquet(store: Store, path: Path) -> Path:
    """Raises InputError without the library, or where the file cannot be written."""
    arrow, parquet = _arrow()
    found = records(store)
    columns = {name: _column([one.get(name) for one in found], arrow) for name in _columns(found)}
    try:
        parquet.write_table(arrow.table(columns), path)
    except OSError as error:
        raise InputError(f"cannot write the export: {error.strerror or error}", place=Place(path)) from None
    return path


def _column(values: Sequence[Any], arrow: Any) -> Any:
    """Of one type; values of several, such as 8 and max, become text."""
    try:
        return arrow.array(values)
    except (arrow.ArrowException, OverflowError, TypeError):
        return arrow.array([None if value is None else str(value) for value in values])


def _arrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError("Parquet needs pyarrow", help="pip install 'shardwise[tables]'") from None


def _columns(found: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for one in found for name in one))
