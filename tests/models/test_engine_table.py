"""Engine tables: what a good one becomes, and each way to be wrong with its line, its rule and its way out."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shardwise.models import InputError, InputErrors
from shardwise.models.engine_table import COLUMNS, EngineTable
from shardwise.models.reading import engine_table as reading
from shardwise.models.reading.engine_table import read_engine_table

GOOD = """\
engine,role,gpus,batch,ttft_ms,tpot_ms,requests_per_s
pre,prefill,1,1,1578.348,,1.026
dec,decode,2,16,,40.317,0.368
both,aggregated,4,224,1168.912,97.668,2.277585
late,decode,8,,12.5,30,0.5
"""
WIDE = """\
cost_per_hour,engine,gpus,role,batch,requests_per_s,ttft_ms,tpot_ms,accelerator,memory_gb
2.5,a,1,prefill,,1,100,,h200-sxm,80
,b,1,decode,8,2,,10,,
"""

Write = Callable[..., Path]
fuzz = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def problem(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_engine_table(path)
    return caught.value


def problems(path: Path) -> list[InputError]:
    error = problem(path)
    assert isinstance(error, InputErrors)
    return error.errors


def spot(error: InputError) -> tuple[int | None, int | None]:
    """Line and column."""
    assert error.place is not None
    return error.place.line, error.place.column


def content(table: EngineTable) -> tuple[Any, ...]:
    """All of a table but the file's name."""
    return astuple(table)[1:]


def test_the_columns_in_si_units(write: Write) -> None:
    path = write(GOOD)
    table = read_engine_table(path)
    assert table == EngineTable(
        file=str(path),
        names=("pre", "dec", "both", "late"),
        roles=("prefill", "decode", "aggregated", "decode"),
        gpus=(1, 2, 4, 8),
        batch=(1, 16, 224, None),
        ttft_s=(1578.348 * 1e-3, None, 1168.912 * 1e-3, 0.0125),
        tpot_s=(None, 40.317 * 1e-3, 97.668 * 1e-3, 0.03),
        requests_per_s=(1.026, 0.368, 2.277585, 0.5),
        accelerators=(None,) * 4,
        memory_bytes=(None,) * 4,
        cost_per_hour=(None,) * 4,
        lines=(2, 3, 4, 5),
    )
    assert len(table) == 4
    assert all(type(value) is int for value in table.gpus)


def test_optional_columns_in_any_order(write: Write) -> None:
    table = read_engine_table(write(WIDE))
    assert (table.names, table.roles, table.batch) == (("a", "b"), ("prefill", "decode"), (None, 8))
    assert (table.accelerators, table.memory_bytes) == (("h200-sxm", None), (80e9, None))
    assert (table.cost_per_hour, table.requests_per_s) == ((2.5, None), (1.0, 2.0))


def quoted(text: str) -> str:
    return "".join(",".join(f'"{cell}"' for cell in line.split(",")) + "\n" for line in text.splitlines())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: "\ufeff" + quoted(text),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace(",", " ,\t "),
        quoted,
        lambda text: quoted(text).replace('","', '" , "'),
        lambda text: quoted(text).replace("\n", "\r\n"),
        lambda text: text.replace(",4,224,", ",4.0,2.24e2,"),
        lambda text: text.replace(",1,1,", ",+1,01,"),
        lambda text: text + "\n\n  \n , ,,\n,,,,,,,,,,\n",
    ],
)
def test_ways_to_write_the_same(write: Write, change: Callable[[str], str]) -> None:
    assert content(read_engine_table(write(change(GOOD)))) == content(read_engine_table(write(GOOD, "other.CSV")))


def test_a_link_to_a_table(write: Write, tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(write(GOOD))
    table = read_engine_table(link)
    assert len(table) == 4 and table.file == str(link)


def test_lines_are_those_of_the_file(write: Write) -> None:
    text = GOOD.replace("dec,decode,2", '\n"dec\n","decode\n",2').replace("both,", "\n\n both,")
    assert read_engine_table(write("\n" + text)).lines == (3, 5, 10, 11)
    error = problem(write("\n" + text.replace("both,aggregated,4", "both,aggregated,x")))
    assert spot(error) == (10, 18)
    # of a row that spans lines: the cell if it stands in the first, else the row
    assert spot(problem(write(text.replace('"dec\n"', '"d\ne"')))) == (4, 1)
    assert spot(problem(write(text.replace('"decode\n",2', '"decode\n",x')))) == (4, 1)


def test_names_with_commas_quotation_marks_and_all_scripts(write: Write) -> None:
    text = GOOD.replace("pre,", '"a, ""b""",').replace("dec,", 'x"y,').replace("both,", "模型 é,")
    assert read_engine_table(write(text)).names == ('a, "b"', 'x"y', "模型 é", "late")


def test_a_whole_message(write: Write) -> None:
    path = write(GOOD.replace("both,aggregated,4", "both,aggregated, 4.5"))
    assert str(problem(path)).splitlines() == [
        "error: gpus: '4.5' is not a whole number",
        f"  --> {path}:4:18",
        "   |",
        "4  | both,aggregated, 4.5,224,1168.912,97.668,2.277585",
        "   |                  ^",
        "help: 'gpus' is: GPUs of one engine, a whole number from 1 to 8,192",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message", "help"),
    [
        # names
        ("dec,", ",", 3, 1, "engine: the cell is blank", "'engine' is: name of the engine, unique in the table"),
        ("dec,", "  ,", 3, 3, "engine: the cell is blank", "'engine' is:"),
        ("dec,", "x" * 201 + ",", 3, 1, f"engine: '{'x' * 60}'… is longer than 200 characters", "'engine' is:"),
        ("dec,", "d\x1b[31mc,", 3, 1, r"engine: 'd\x1b[31mc' has characters that cannot be printed", "'engine' is:"),
        ("dec,", '"d\nc",', 3, 1, r"engine: 'd\nc' has characters that cannot be printed", "'engine' is:"),
        ("both,", "pre,", 4, 1, "engine: 'pre' stands twice", "it stands first in line 2"),
        # roles
        ("prefill", "Prefill", 2, 5, "role: unknown role 'Prefill'", "did you mean 'prefill'?"),
        ("decode", "decod", 3, 5, "role: unknown role 'decod'", "did you mean 'decode'?"),
        ("decode", "zebra", 3, 5, "role: unknown role 'zebra'", "known roles: prefill, aggregated, decode"),
        ("decode", "", 3, 5, "role: the cell is blank", "'role' is: prefill, decode, or aggregated"),
        # whole numbers
        (",1,1,", ",0,1,", 2, 13, "gpus: '0' is not above 0", "'gpus' is: GPUs of one engine"),
        (",1,1,", ",-8,1,", 2, 13, "gpus: '-8' is not above 0", "'gpus' is:"),
        (",1,1,", ",0.5,1,", 2, 13, "gpus: '0.5' is not a whole number", "'gpus' is:"),
        (",1,1,", ",8193,1,", 2, 13, "gpus: '8193' is above 8,192", "'gpus' is:"),
        (",1,1,", ",8192.5,1,", 2, 13, "gpus: '8192.5' is above 8,192", "'gpus' is:"),
        (",1,1,", ",,1,", 2, 13, "gpus: the cell is blank", "'gpus' is:"),
        (",1,1,", ",eight,1,", 2, 13, "gpus: 'eight' is not a plain number", "'gpus' is:"),
        (",1,1,", ",1_0,1,", 2, 13, "gpus: '1_0' is not a plain number", "'gpus' is:"),
        (",1,1,", ",0x8,1,", 2, 13, "gpus: '0x8' is not a plain number", "'gpus' is:"),
        (",1,1,", ",٣,1,", 2, 13, "gpus: '٣' is not a plain number", "'gpus' is:"),
        (",1,1,", f",{'9' * 5000},1,", 2, 13, f"gpus: '{'9' * 60}'… is above 8,192", "'gpus' is:"),
        (",1,1,", ",1,0,", 2, 15, "batch: '0' is not above 0", "'batch' is:"),
        (",1,1,", ",1,1.5,", 2, 15, "batch: '1.5' is not a whole number", "'batch' is:"),
        (",1,1,", ",1,1000000001,", 2, 15, "batch: '1000000001' is above 1,000,000,000", "'batch' is:"),
        # times and rates
        ("1578.348", "0", 2, 17, "ttft_ms: '0' is not above 0", "'ttft_ms' is: time to first token in milliseconds"),
        ("1578.348", "-0.0", 2, 17, "ttft_ms: '-0.0' is not above 0", "'ttft_ms' is:"),
        ("1578.348", "-1", 2, 17, "ttft_ms: '-1' is not above 0", "'ttft_ms' is:"),
        ("1578.348", "nan", 2, 17, "ttft_ms: 'nan' is not a plain number", "'ttft_ms' is:"),
        ("1578.348", "NaN", 2, 17, "ttft_ms: 'NaN' is not a plain number", "'ttft_ms' is:"),
        ("1578.348", "inf", 2, 17, "ttft_ms: 'inf' is not a plain number", "'ttft_ms' is:"),
        ("1578.348", "-Infinity", 2, 17, "ttft_ms: '-Infinity' is not a plain number", "'ttft_ms' is:"),
        ("1578.348", "1e400", 2, 17, "ttft_ms: '1e400' is above 1,000,000,000", "'ttft_ms' is:"),
        ("1578.348", "1000000000.1", 2, 17, "ttft_ms: '1000000000.1' is above 1,000,000,000", "'ttft_ms' is:"),
        ("1578.348", "1e-320", 2, 17, "ttft_ms: '1e-320' is below 1e-09", "'ttft_ms' is:"),
        ("1578.348", "1_000", 2, 17, "ttft_ms: '1_000' is not a plain number", "'ttft_ms' is:"),
        ("1578.348", "12 ms", 2, 17, "ttft_ms: '12 ms' is not a plain number", "'ttft_ms' is:"),
        ("1578.348", '"1,578.3"', 2, 17, "ttft_ms: '1,578.3' is not a plain number", "'ttft_ms' is:"),
        ("40.317", "fast", 3, 18, "tpot_ms: 'fast' is not a plain number", "'tpot_ms' is:"),
        ("0.368", "0", 3, 25, "requests_per_s: '0' is not above 0", "'requests_per_s' is:"),
        ("0.368", "-1", 3, 25, "requests_per_s: '-1' is not above 0", "'requests_per_s' is:"),
        ("0.368", "", 3, 25, "requests_per_s: the cell is blank", "'requests_per_s' is:"),
        ("0.368", '"=1+1"', 3, 25, "requests_per_s: '=1+1' is not a plain number", "'requests_per_s' is:"),
        # what a role needs
        ("1578.348", "", 2, 17, "ttft_ms: the cell is blank, and role prefill needs it", "'ttft_ms' is:"),
        ("40.317", "", 3, 18, "tpot_ms: the cell is blank, and role decode needs it", "'tpot_ms' is:"),
        ("1168.912", "", 4, 23, "ttft_ms: the cell is blank, and role aggregated needs it", "'ttft_ms' is:"),
        ("97.668", " ", 4, 33, "tpot_ms: the cell is blank, and role aggregated needs it", "'tpot_ms' is:"),
        ("1578.348,", "1578.348,5", 2, 26, "tpot_ms: role prefill has none", "leave it blank"),
        # rows
        (",0.368", "", 3, 1, "the row has 6 cells, the header 7", "a blank cell keeps its comma"),
        ("0.368", "0,368", 3, 1, "the row has 8 cells, the header 7", "write 1.5, not 1,5"),
        ("0.368", "0.368,", 3, 1, "the row has 8 cells, the header 7", "write 1.5, not 1,5"),
        ("dec,", '"dec,', 3, None, "a quoted cell does not end with its quotation mark", "close the quotation mark"),
        ("dec,", '"d"ec,', 3, None, "a quoted cell does not end with its quotation mark", 'write "" for one'),
        # the header
        ("gpus", "gpu", 1, 13, "unknown column 'gpu'", "did you mean 'gpus'?"),
        ("ttft_ms", "TTFT_ms", 1, 24, "unknown column 'TTFT_ms'", "did you mean 'ttft_ms'?"),
        ("role", "gpus", 1, 1, "missing column: role", "the first line names the columns: engine,role,gpus,batch,"),
        ("\n", ",zebra\n", 1, 55, "unknown column 'zebra'", "known columns: engine, role, gpus, batch, ttft_ms"),
        ("\n", ",gpus\n", 1, 55, "column 'gpus' stands twice", "remove one of the two"),
        ("\n", ",\n", 1, 55, "column 8 has no name", "known columns:"),
    ],
)
def test_errors_have_a_place_and_a_way_out(
    write: Write, old: str, new: str, line: int, column: int | None, message: str, help: str
) -> None:
    assert old in GOOD
    error = problem(write(GOOD.replace(old, new, 1)))
    if old == "role":  # the one case of two mistakes: a column too many, and so one too few
        assert isinstance(error, InputErrors) and error.errors[1].message == "column 'gpus' stands twice"
        error = error.errors[0]
    assert not isinstance(error, InputErrors), "one mistake, one error"
    assert error.message == message
    assert error.help is not None and help in error.help
    assert spot(error) == (line, column)
    assert len(str(error)) < 1000


@pytest.mark.parametrize(("old", "new"), [(",80", ",0"), ("2.5,", "-1,"), ("h200-sxm", "h\a"), (",80", ",80 GB")])
def test_optional_columns_have_rules_too(write: Write, old: str, new: str) -> None:
    assert spot(problem(write(WIDE.replace(old, new))))[0] == 2


def test_bounds_themselves_are_good(write: Write) -> None:
    text = GOOD.replace(",1,1,1578.348", ",8192,1000000000,1e9").replace("40.317", "1e-9")
    table = read_engine_table(write(text))
    assert (table.gpus[0], table.batch[0], table.ttft_s[0], table.tpot_s[1]) == (8192, 10**9, 1e6, 1e-9 * 1e-3)


@pytest.mark.parametrize(
    ("header", "message", "help"),
    [
        ("engine,role,gpus,batch", "missing columns: ttft_ms, tpot_ms, requests_per_s", "the first line names"),
        ("a,b,c", f"missing columns: {', '.join(list(COLUMNS)[:7])}", "the first line names the columns"),
        (GOOD.splitlines()[0].replace(",", ";"), f"missing columns: {', '.join(list(COLUMNS)[:7])}", "commas"),
        (GOOD.splitlines()[3], f"missing columns: {', '.join(list(COLUMNS)[:7])}", "the first line names the columns"),
    ],
)
def test_headers_that_lack_columns(write: Write, header: str, message: str, help: str) -> None:
    error = problem(write(header + "\n"))
    assert not isinstance(error, InputErrors)
    assert error.message == message and help in str(error.help)
    assert spot(error) == (1, 1)


def test_header_mistakes_are_shown_together(write: Write) -> None:
    errors = problems(write("engin,role,gpus,batch,ttft,zebra,requests_per_s\n"))
    assert [error.message for error in errors] == [
        "missing column: tpot_ms",
        "unknown column 'engin'",
        "unknown column 'ttft'",
        "unknown column 'zebra'",
    ]
    assert len(problems(write("engine" + ",zebra" * 20_000 + "\n"))) == 10


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", None, "the file is empty"),
        ("\n \n,,\n", None, "the file is empty"),
        ("\ufeff", None, "the file is empty"),
        (GOOD.splitlines()[0], None, "the table has a header but no engines"),
        (GOOD.splitlines()[0] + "\n\n,,,,,,\n", None, "the table has a header but no engines"),
        (GOOD.encode("utf-16"), 1, "the file is not UTF-8 text"),
        (GOOD.encode().replace(b"both", b"b\xf6th"), 4, "the file is not UTF-8 text"),
        (GOOD.encode() + b"\xc3", 6, "the file is not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n", 1, "the file is not UTF-8 text"),
        (GOOD.replace("both", "bo\0th"), 4, "a NUL byte"),
        (GOOD + "\n" * 2**20 + "\0", 6 + 2**20, "a NUL byte"),
        (GOOD + "x" * 2**21, 6, "a line of more than 1,048,576 bytes"),
        (GOOD + "x" * 200_000, 6, "this is no row: field larger than field limit (131072)"),
        ("\n" * 30_000_000, 1_000_001, "the file has more than 1,000,000 blank lines"),
    ],
)
def test_files_that_are_no_table(write: Write, content: str | bytes, line: int | None, message: str) -> None:
    path = write(content)
    error = problem(path)
    assert error.message == message
    assert error.place is not None and (error.place.file, error.place.line) == (path, line)


def test_paths_that_are_no_table(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem(tmp_path).message == "this is a folder, not a table of engines"
    assert problem(tmp_path / "nothing.csv").message == "no such file"
    assert problem(tmp_path / "a\0.csv").message.startswith("cannot read the file: ")
    for name, ending in (("a.xlsx", "that ends in '.xlsx'"), ("a", "without an ending"), (".csv", "without an ending")):
        error = problem(write(GOOD, name))
        assert error.message == f"a table {ending} is not read"
        assert error.help == "write it as .csv or .parquet"
    os.mkfifo(tmp_path / "pipe.csv")
    assert problem(tmp_path / "pipe.csv").message == "this is no regular file"
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    assert problem(tmp_path / "loop.csv").message.startswith("cannot read the file: ")
    path = write(GOOD)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert problem(path).message == "cannot read the file: Permission denied"


def test_large_files_are_refused_unread(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(GOOD)
    monkeypatch.setattr(reading, "LARGEST_FILE", len(GOOD))
    assert len(read_engine_table(path)) == 4
    monkeypatch.setattr(reading, "LARGEST_FILE", len(GOOD) - 1)
    error = problem(path)
    assert error.message == f"the file is larger than {len(GOOD) - 1:,} bytes"
    assert error.help is not None and "drop those" in error.help


def test_the_limit_of_rows_is_stated(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reading.MOST_ROWS == 1_000_000
    path = write(GOOD)
    monkeypatch.setattr(reading, "MOST_ROWS", 4)
    assert len(read_engine_table(path)) == 4
    monkeypatch.setattr(reading, "MOST_ROWS", 3)
    error = problem(path)
    assert (error.message, spot(error)) == ("the table has more than 3 rows", (5, None))
    assert error.help is not None and "drop those" in error.help


def rows(count: int, **cells: str) -> list[list[str]]:
    """A header and good rows, with given cells."""
    values = {"role": "aggregated", "gpus": "8", "batch": "4", "ttft_ms": "9", "tpot_ms": "1", "requests_per_s": "2"}
    values |= cells
    return [["engine", *values], *([f"e{i}", *values.values()] for i in range(count))]


def text_of(table: list[list[str]]) -> str:
    return "".join(",".join(cells) + "\n" for cells in table)


def test_the_first_ten_mistakes_are_shown_together(write: Write) -> None:
    errors = problems(write(text_of(rows(500, gpus="x", ttft_ms="-1"))))
    assert [spot(error)[0] for error in errors] == [2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert [error.message[:4] for error in errors] == ["gpus", "ttft"] * 5
    assert str(InputErrors(errors)).count("error: ") == 10


def test_mistakes_far_apart_are_shown_together(write: Write) -> None:
    table = rows(1000)
    table[3][2], table[700][5], table[999][0] = "x", "y", "e5"
    assert [(error.message, spot(error)) for error in problems(write(text_of(table)))] == [
        ("gpus: 'x' is not a plain number", (4, 15)),
        ("tpot_ms: 'y' is not a plain number", (701, 23)),
        ("engine: 'e5' stands twice", (1000, 1)),
    ]


def test_what_ends_the_reading_comes_last(write: Write) -> None:
    table = rows(600)
    table[550][2], table[560][0] = "x", '"e'
    assert [error.message for error in problems(write(text_of(table)))] == [
        "gpus: 'x' is not a plain number",
        "a quoted cell does not end with its quotation mark",
    ]


def test_a_name_that_stands_in_a_wrong_row_first(write: Write) -> None:
    table = rows(4)
    table[1][2], table[4][0] = "x", "e2"
    assert [error.message for error in problems(write(text_of(table)))] == [
        "gpus: 'x' is not a plain number",
        "engine: 'e2' stands twice",
    ]


@pytest.mark.parametrize(
    "text",
    [
        text_of(rows(50_000, gpus="x")),
        text_of(rows(1)) + '"' * 900_000,
        text_of(rows(1)) + ('"' * 1000 + "\n") * 900,
        text_of(rows(1)) + ('"",' * 1000 + "\n") * 900,
        text_of(rows(1)) + " " * 900_000 + '"',
        text_of(rows(1)) + "," * 900_000,
        "," * 900_000,
        text_of(rows(1, tpot_ms="9" * 100_000)),
    ],
)
def test_hostile_tables_end_soon_and_briefly(write: Write, text: str) -> None:
    start = time.process_time()
    try:
        assert len(read_engine_table(write(text))) == 1  # the others are blank
    except InputError as error:
        assert len(str(error)) < 6_000
    assert time.process_time() - start < 5


def test_importing_needs_neither_numpy_nor_pandas() -> None:
    code = (
        "import sys, shardwise.models.reading.engine_table as t; print({'numpy', 'pandas', 'pyarrow'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_columns_of_a_table_are_equally_long(write: Write) -> None:
    table = read_engine_table(write(GOOD))
    with pytest.raises(ValueError, match="the columns differ in length"):
        replace(table, gpus=(1,))


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" "), min_size=1).map(
    lambda text: text.strip()[:200].strip()
)
NUMBERS = st.floats(1e-9, 1e9) | st.integers(1, 10**9)
"""As `repr` writes them, which `float` reads back exactly."""


@st.composite
def engine(draw: st.DrawFn) -> dict[str, Any]:
    role = draw(st.sampled_from(["prefill", "decode", "aggregated"]))
    maybe = st.none() | NUMBERS
    return {
        "role": role,
        "gpus": draw(st.integers(1, 8192)),
        "batch": draw(st.none() | st.integers(1, 10**9)),
        "ttft_ms": draw(maybe if role == "decode" else NUMBERS),
        "tpot_ms": None if role == "prefill" else draw(NUMBERS),
        "requests_per_s": draw(NUMBERS),
        "accelerator": draw(st.none() | NAMES.filter(bool)),
        "memory_gb": draw(maybe),
        "cost_per_hour": draw(maybe),
    }


TABLES = st.dictionaries(NAMES.filter(bool), engine(), min_size=1, max_size=12)


def expected(file: Path, table: dict[str, dict[str, Any]], lines: tuple[int, ...]) -> EngineTable:
    def column(name: str, factor: float = 1) -> tuple[Any, ...]:
        return tuple(v * factor if factor != 1 and v is not None else v for v in (row[name] for row in table.values()))

    return EngineTable(
        str(file),
        tuple(table),
        column("role"),
        column("gpus"),
        column("batch"),
        column("ttft_ms", 1e-3),
        column("tpot_ms", 1e-3),
        column("requests_per_s"),
        column("accelerator"),
        column("memory_gb", 1e9),
        column("cost_per_hour"),
        lines,
    )


@given(
    table=TABLES,
    order=st.permutations(list(COLUMNS)),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    ending=st.sampled_from(["\n", "\r\n"]),
    batch=st.integers(1, 5),
)
@fuzz
def test_what_was_written_is_read(
    tmp_path: Path, table: dict[str, dict[str, Any]], order: list[str], quoting: Any, ending: str, batch: int
) -> None:
    path = tmp_path / "table.csv"
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=ending)
    writer.writerow(order)
    for name, cells in table.items():
        writer.writerow([(cells | {"engine": name})[column] for column in order])
    path.write_text(text.getvalue(), "utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BATCH", batch)
        assert read_engine_table(path) == expected(path, table, tuple(range(2, len(table) + 2)))


CELLS = st.sampled_from(
    [
        "",
        " ",
        "1",
        " 1",
        "8.0",
        "0",
        "-1",
        "1e9",
        "1e-9",
        "1e10",
        "nan",
        "inf",
        "1_0",
        "٣",
        "prefill",
        "decode ",
        "x",
        "\t",
    ]
) | st.text(max_size=4)


@given(name=st.sampled_from(list(COLUMNS)), texts=st.lists(CELLS, min_size=1, max_size=4))
@fuzz
def test_cells_are_read_together_as_each_by_itself(name: str, texts: list[str]) -> None:
    def outcome(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except InputError as error:
            return error.message

    column = COLUMNS[name]
    assert outcome(lambda: column.cells(texts)) == outcome(lambda: [column.cell(text) for text in texts])


TABLEISH = st.text(alphabet="engi,role\n\"' \t0123.e-_\r;\x00\x85\u2028é", max_size=40)


@given(at=st.floats(0, 1), remove=st.integers(0, 12), insert=TABLEISH | st.sampled_from(["nan", ",", "\n", '"', "1e9"]))
@fuzz
def test_mutated_text_is_a_table_or_an_input_error(write: Write, at: float, remove: int, insert: str) -> None:
    place = int(at * len(GOOD))
    path = write(GOOD[:place] + insert + GOOD[place + remove :])
    try:
        table = read_engine_table(path)
    except InputError as error:
        assert str(error).startswith("error: ")
        for each in error.errors if isinstance(error, InputErrors) else [error]:
            assert each.place is not None and each.place.file == path and (each.place.line or 1) >= 1
            assert each.help
    else:
        assert 0 < len(table) <= 5


# .parquet


def test_parquet_without_pyarrow(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = problem(write(b"PAR1", "table.parquet"))
    assert error.message == "a .parquet file needs pyarrow, which is missing"
    assert error.help == "pip install 'shardwise[tables]', or write the table as .csv"


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """Writes columns as a .parquet."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def pack(columns: dict[str, Any], **options: Any) -> Path:
        path = tmp_path / "table.parquet"
        parquet.write_table(arrow.table(columns), path, **options)
        return path

    return pack


def columns_of(text: str) -> dict[str, list[Any]]:
    """A .csv as columns of numbers, texts and None."""

    def value(cell: str) -> Any:
        return float(cell) if cell[:1].isdigit() else cell or None

    names, *table = [line.split(",") for line in text.splitlines()]
    return {name: [value(row[i]) for row in table] for i, name in enumerate(names)}


@pytest.mark.parametrize("text", [GOOD, WIDE])
def test_parquet_is_read_as_csv_is(write: Write, pack: Callable[..., Path], text: str) -> None:
    packed = read_engine_table(pack(columns_of(text)))
    assert packed.file.endswith("table.parquet")
    assert packed.lines == tuple(range(1, len(packed) + 1))
    assert content(packed)[:-1] == content(read_engine_table(write(text)))[:-1]


@given(table=TABLES, group=st.integers(1, 5), batch=st.integers(1, 5), schema=st.booleans(), nan=st.booleans())
@fuzz
def test_parquet_in_many_shapes(
    pack: Callable[..., Path], table: dict[str, dict[str, Any]], group: int, batch: int, schema: bool, nan: bool
) -> None:
    columns = {name: [row[name] for row in table.values()] for name in COLUMNS if name != "engine"}
    for name in ("ttft_ms", "tpot_ms", "requests_per_s", "memory_gb", "cost_per_hour"):
        columns[name] = [float("nan") if nan and v is None else v if v is None else float(v) for v in columns[name]]
    path = pack({"engine": list(table), **columns}, row_group_size=group, store_schema=schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BATCH", batch)
        assert read_engine_table(path) == expected(path, table, tuple(range(1, len(table) + 1)))


def test_parquet_with_categories_and_large_strings(pack: Callable[..., Path]) -> None:
    arrow = pytest.importorskip("pyarrow")
    columns: dict[str, Any] = columns_of(GOOD)
    columns["role"] = arrow.array(columns["role"]).dictionary_encode()
    columns["engine"] = arrow.array(columns["engine"], arrow.large_string())
    columns["batch"] = arrow.array([1, 16, 224, None], arrow.int16())
    columns["gpus"] = arrow.array([1, 2, 4, 8]).dictionary_encode()
    table = read_engine_table(pack(columns))
    assert (table.roles[0], table.names[0], table.gpus, table.batch) == (
        "prefill",
        "pre",
        (1, 2, 4, 8),
        (1, 16, 224, None),
    )


@pytest.mark.parametrize(
    ("name", "values", "row", "message"),
    [
        ("gpus", [1, 2, 4.5, 8], 3, "gpus: '4.5' is not a whole number"),
        ("gpus", [1, None, 4, 8], 2, "gpus: the cell is blank"),
        ("gpus", [True, True, True, False], 1, "gpus: 'True' is not a plain number"),
        ("engine", ["a", "b", "c", "b"], 4, "engine: 'b' stands twice"),
        ("engine", ["a", "b", "", "d"], 3, "engine: the cell is blank"),
        ("engine", ["a", "b", "c", "d" * 201], None, "engine: a text is longer than 200 characters"),
        ("ttft_ms", [1.0, None, float("nan"), None], 3, "ttft_ms: the cell is blank, and role aggregated needs it"),
        ("ttft_ms", [1.0, None, float("inf"), None], 3, "ttft_ms: 'inf' is not a plain number"),
        ("requests_per_s", [1.0, 2.0, 3.0, -4.0], 4, "requests_per_s: '-4.0' is not above 0"),
        ("requests_per_s", [b"1", b"1", b"1", b"1"], None, "requests_per_s: a column of binary"),
        ("requests_per_s", [[1], [1], [1], [1]], None, "requests_per_s: a column of list<element: int64>"),
        ("zebra", [1, 2, 3, 4], None, "unknown column 'zebra'"),
    ],
)
def test_parquet_obeys_the_same_rules(
    pack: Callable[..., Path], name: str, values: list[Any], row: int | None, message: str
) -> None:
    error = problem(pack(columns_of(GOOD) | {name: values}))
    errors = error.errors if isinstance(error, InputErrors) else [error]
    assert errors[0].message == message and errors[0].help
    assert spot(errors[0]) == (row, None)
    if "twice" in message:
        assert error.help == "it stands first in row 2"


def test_parquet_files_that_are_no_table(
    write: Write, pack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(columns_of(GOOD))
    packed = path.read_bytes()
    for wrong in (b"", b"PAR1", GOOD.encode(), packed[:-20], packed[:4] + b"\xff" * 200 + packed[204:]):
        path.write_bytes(wrong)
        assert problem(path).message.startswith("not a readable .parquet: ")
    assert problem(pack({name: [] for name in COLUMNS})).message == "the table has a header but no engines"
    assert problem(pack({})).message == "the file is empty"
    path = pack(columns_of(GOOD))
    monkeypatch.setattr(reading, "MOST_ROWS", 3)
    assert problem(path).message == "the table has more than 3 rows"
    monkeypatch.undo()
    repeated = pack({name: values * 20_000 for name, values in columns_of(GOOD).items()}, use_dictionary=False)
    monkeypatch.setattr(reading, "LARGEST_FILE", repeated.stat().st_size)
    assert problem(repeated).message.endswith("bytes, unpacked")
