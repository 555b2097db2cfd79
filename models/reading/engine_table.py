"""Tables of priced engines (.csv, .parquet) into an EngineTable.

Enters: a path. Leaves: the table in SI units, or the first mistakes with line, column, value, rule and way out. Both
formats become the same rows of text cells, so that one set of rules holds for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from ..engine_table import COLUMNS, FIRST_LINE, LEGAL_TIMES, LONGEST_TEXT, EngineTable, header_mistakes, row_mistakes
from ..errors import InputError, InputErrors, Place
from .csv_text import Row, cell_place, csv_rows, opened

LARGEST_FILE = 256_000_000
"""Bytes of a table, and of a .parquet unpacked; a million rows take about 100 MB."""
MOST_ROWS = 1_000_000
_MOST_ERRORS = 10
_BATCH = 200
"""Rows read at once; more would not stay in a processor's cache."""
_SMALLER = "keep the engines worth choosing: drop those that another of the same role and GPUs beats in everything"

_Mistake = tuple[int, int, InputError]
"""Row, cell and what is wrong with it."""


def read_engine_table(path: Path) -> EngineTable:
    """Read a .csv or .parquet file of engines. Raises InputError, or InputErrors with the first ten mistakes."""
    try:
        with opened(path, "a table of engines", tuple(_FORMATS), LARGEST_FILE, _SMALLER) as stream:
            return _table(path, _FORMATS[path.suffix.lower()](path, stream))
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError("no such file", place=Place(path), help="name a table of engines (.csv or .parquet)") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the file: {reason}", place=Place(path)) from None


def _parquet_rows(path: Path, stream: BinaryIO) -> Iterator[Row]:
    """The rows of a .parquet: numbers as text, a missing value as a blank cell."""
    here = Place(path)
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        help = "pip install 'shardwise[tables]', or write the table as .csv"
        raise InputError("a .parquet file needs pyarrow, which is missing", place=here, help=help) from None
    try:
        file = parquet.ParquetFile(stream)
        yield 0, list(file.schema_arrow.names)
        texts = _text_columns(path, file, arrow.types)
        # Dictionaries keep a text that repeats packed until its length is known.
        file = parquet.ParquetFile(stream, read_dictionary=texts)
        number = 0
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            for name in texts:
                words = (word for chunk in table[name].chunks for word in chunk.dictionary.to_pylist())
                if any(len(word or "") > LONGEST_TEXT for word in words):
                    message = f"{name}: a text is longer than {LONGEST_TEXT} characters"
                    raise InputError(message, place=here, help="give it a shorter name")
                plain = table[name].cast(arrow.large_string())
                table = table.set_column(table.schema.get_field_index(name), name, plain)
            for batch in table.to_batches(max_chunksize=_BATCH):
                for cells in zip(*(map(_as_text, column.to_pylist()) for column in batch.columns), strict=True):
                    number += 1
                    yield number, list(cells)
    except InputError:
        raise
    except (arrow.ArrowException, ValueError, OSError) as error:
        message = f"not a readable .parquet: {str(error).partition(chr(10))[0][:200]}"
        raise InputError(message, place=here, help="write the table anew, or as .csv") from None


def _text_columns(path: Path, file: Any, types: Any) -> list[str]:
    """The columns of a .parquet that hold text, if its size and columns are those of a table."""
    here, about = Place(path), file.metadata
    if about.num_rows > MOST_ROWS:
        raise InputError(f"the table has more than {MOST_ROWS:,} rows", place=here, help=_SMALLER)
    if sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups)) > LARGEST_FILE:
        raise InputError(f"the table is larger than {LARGEST_FILE:,} bytes, unpacked", place=here, help=_SMALLER)
    numbers = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    texts = []
    for field in file.schema_arrow:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        if types.is_string(kind) or types.is_large_string(kind):
            texts.append(field.name)
        elif not any(is_kind(kind) for is_kind in numbers):
            raise InputError(f"{field.name}: a column of {kind}", place=here, help="store numbers or text")
    return texts


def _as_text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


def _csv_rows(path: Path, stream: BinaryIO) -> Iterator[Row]:
    return csv_rows(path, stream, MOST_ROWS)


_FORMATS: dict[str, Callable[[Path, BinaryIO], Iterator[Row]]] = {".csv": _csv_rows, ".parquet": _parquet_rows}


def _table(path: Path, rows: Iterator[Row]) -> EngineTable:
    number, header = next(rows, (0, []))
    if not header:
        raise InputError("the file is empty", place=Place(path), help=FIRST_LINE)
    names = [cell.strip() for cell in header]
    if wrong := [(number, cell, error) for cell, error in header_mistakes(names)]:
        raise _located(path, wrong)
    table = _Table(names, "line" if number else "row")
    batch: list[Row] = []
    last: list[InputError] = []
    try:
        for count, row in enumerate(rows, 1):
            if count > MOST_ROWS:
                message = f"the table has more than {MOST_ROWS:,} rows"
                raise InputError(message, place=Place(path, row[0]), help=_SMALLER)
            batch.append(row)
            if len(batch) == _BATCH:
                table.add(batch)
                batch = []
                if len(table.mistakes) >= _MOST_ERRORS:
                    break
    except InputError as error:  # the reading ends here; mistakes before it come first
        last = [error]
    table.add(batch)
    if table.mistakes or last:
        raise _located(path, table.mistakes[:_MOST_ERRORS], last)
    if not table.lines:
        raise InputError("the table has a header but no engines", place=Place(path), help="write one engine a row")
    return EngineTable(str(path), *(tuple(column) for column in (*table.columns.values(), table.lines)))


class _Table:
    """What was read so far, and the mistakes in it."""

    def __init__(self, header: list[str], counts: str) -> None:
        self.width, self.counts = len(header), counts
        self.cell_of = {name: header.index(name) for name in COLUMNS if name in header}
        self.columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self.lines: list[int] = []
        self.first: dict[str, int] = {}
        """Where the name of an engine stands first."""
        self.mistakes: list[_Mistake] = []

    def add(self, rows: list[Row]) -> None:
        """Read rows column by column, which is quick; only if something is wrong with them, row by row."""
        try:
            values = self._values([cells for _, cells in rows])
        except ValueError:  # InputError is one
            for row in rows:
                self._check(*row)
            assert self.mistakes or not rows, "the quick way refused rows that are right one by one"
            return
        numbers = [number for number, _ in rows]
        self.lines += numbers
        self.first.update(zip(values["engine"], numbers, strict=True))
        for name, column in self.columns.items():
            column += values[name]

    def _values(self, rows: list[list[str]]) -> dict[str, list[Any]]:
        """The columns. Raises ValueError if anything is wrong."""
        texts = list(zip(*rows, strict=True))
        if len(texts) != self.width:
            raise ValueError
        values: dict[str, list[Any]] = {name: [None] * len(rows) for name in COLUMNS}
        values |= {name: COLUMNS[name].cells(texts[cell]) for name, cell in self.cell_of.items()}
        names = values["engine"]
        if len(set(names)) < len(names) or not self.first.keys().isdisjoint(names):
            raise ValueError
        stated = zip(values["role"], map(bool, values["ttft_ms"]), map(bool, values["tpot_ms"]), strict=True)
        if not LEGAL_TIMES.issuperset(stated):
            raise ValueError
        return values

    def _check(self, number: int, cells: list[str]) -> None:
        """Add what is wrong with a row."""
        if len(cells) != self.width:
            few = len(cells) < self.width
            help = "a blank cell keeps its comma" if few else "write 1.5, not 1,5; quote a cell that has a comma"
            message = f"the row has {len(cells)} cells, the header {self.width}"
            self.mistakes.append((number, 0, InputError(message, help=help)))
            return
        found = row_mistakes({name: cells[cell] for name, cell in self.cell_of.items()})
        if not found:
            engine = cells[self.cell_of["engine"]].strip()
            if (first := self.first.setdefault(engine, number)) != number:
                help = f"it stands first in {self.counts} {first}"
                found.append(("engine", InputError(f"engine: '{engine}' stands twice", help=help)))
        self.mistakes += [(number, self.cell_of[name], error) for name, error in found]


def _located(path: Path, mistakes: list[_Mistake], last: Sequence[InputError] = ()) -> InputError:
    """The mistakes with their lines, which are read again: keeping them all would cost more than reading the table."""
    lines: dict[int, str] = {}
    if mistakes and path.suffix.lower() == ".csv":
        wanted = {number for number, _, _ in mistakes}
        with path.open(encoding="utf-8-sig", newline="") as text:
            lines = {number: line for number, line in enumerate(islice(text, max(wanted)), 1) if number in wanted}
    errors = []
    for number, cell, error in mistakes:
        errors.append(
            InputError(error.message, place=cell_place(path, number, cell, lines.get(number)), help=error.help)
        )
    errors = [*errors, *last][:_MOST_ERRORS]
    return errors[0] if len(errors) == 1 else InputErrors(errors)
