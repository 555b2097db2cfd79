"""Corrupt, empty and foreign tables: an InputError that names the file and what was expected."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from shardwise.models.errors import InputError
from shardwise.solver.costs.silicon import Silicon, tables
from shardwise.solver.costs.silicon.tables import read_table

from . import made

Rows = list[made.Row]


def with_column(name: str, value: Any, row: int | None = 3) -> Callable[[Rows], Rows]:
    """One row's value replaced, or every row's."""
    return lambda rows: [{**one, name: value if row in (None, i) else one[name]} for i, one in enumerate(rows)]


BAD: dict[str, tuple[Callable[[Rows], Any], str, str]] = {
    "no latency": (
        lambda rows: [{k: v for k, v in row.items() if k != "latency"} for row in rows],
        "columns are missing: latency",
        "a gemm table has m, n, k, gemm_dtype, latency",
    ),
    "another table": (lambda rows: made.reduces(), "columns are missing: m, n, k, gemm_dtype", "a gemm table has"),
    "no rows": (
        lambda rows: pyarrow.Table.from_pylist(rows).slice(0, 0),
        "the table has no rows",
        "write at least one",
    ),
    "NaN": (with_column("latency", float("nan")), "latency: nan in row 4", "times are positive"),
    "infinite": (with_column("latency", float("inf")), "latency: inf in row 4", "times are positive"),
    "no time at all": (with_column("latency", 0.0), "latency: 0 in row 4", "times are positive"),
    "a negative time": (with_column("latency", -1.0), "latency: -0.001 in row 4", "times are positive"),
    "an hour": (with_column("latency", 3.6e6), "latency: 3600 in row 4", "times are positive"),
    "a negative size": (with_column("m", -8), "m: -8 in row 4 is not within 1", "sizes are counts"),
    "no size": (with_column("k", 0), "k: 0 in row 4 is not within 1", "sizes are counts"),
    "a huge size": (with_column("n", 2**62), "n: 4.61169e+18 in row 4", "sizes are counts"),
    "text for numbers": (with_column("m", "eight", None), "m: a column of string", "store numbers"),
    "truth for numbers": (with_column("m", True, None), "m: a column of bool", "store numbers"),
    "numbers for text": (with_column("gemm_dtype", 16, None), "gemm_dtype: a column of int64", "store text"),
    "a missing number": (with_column("m", None), "m: 1 values are missing", "leave such rows out"),
    "a missing text": (with_column("gemm_dtype", None), "gemm_dtype: 1 values are missing", "leave such rows out"),
    "lists": (with_column("m", [1], None), "m: a column of list", "store numbers"),
    "free text": (
        lambda rows: [{**row, "gemm_dtype": f"format {i}"} for i, row in enumerate(20 * rows)],
        "gemm_dtype: 1,800 different texts",
        "one text for each format",
    ),
}


def refused(path: Path, said: str, help: str) -> None:
    with pytest.raises(InputError) as caught:
        read_table(path, "gemm")
    error = caught.value
    assert said in error.message
    assert error.place is not None
    assert error.place.file == path
    assert help in str(error.help)


@pytest.mark.parametrize("name", BAD)
def test_bad_columns(tmp_path: Path, name: str) -> None:
    change, said, help = BAD[name]
    rows = change(made.gemm())
    path = made.place(tmp_path, "gemm", "gemm")
    if isinstance(rows, pyarrow.Table):
        path.parent.mkdir(parents=True)
        pyarrow.parquet.write_table(rows, path)
    else:
        made.write(path, rows)
    refused(path, said, help)
    # and through the front door
    with pytest.raises(InputError, match="error: "):
        Silicon(made.card(), "vllm", tmp_path).matrix("bf16", 8, 256, 256)


@pytest.mark.parametrize(
    "content",
    [b"", b"m,n,k\n1,2,3\n", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"],
    ids=["empty", "a CSV", "cut off", "zeros"],
)
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gemm_perf.parquet"
    path.write_bytes(content)
    refused(path, "not a readable .parquet", "install it anew")


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_damaged_files_are_refused_or_read(tmp_path: Path, at: float) -> None:
    """Bytes turned over anywhere: an InputError or numbers that passed every check, nothing else."""
    path = made.write(tmp_path / "gemm_perf.parquet", made.gemm())
    data = bytearray(path.read_bytes())
    middle = int(at * len(data))
    for i in range(middle, min(middle + 40, len(data))):
        data[i] ^= 0xFF
    path.write_bytes(data)
    try:
        table = read_table(path, "gemm")
    except InputError as error:
        assert error.place is not None
    else:
        assert (table.times["latency"] > 0).all()


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "gemm_perf.parquet"
    path.mkdir()
    refused(path, "not a readable .parquet", "install it anew")


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made.write(tmp_path / "gemm_perf.parquet", made.gemm())
    monkeypatch.setattr(tables, "MOST_ROWS", 50)
    refused(path, "more than 50 rows", "keep fewer shapes")
    monkeypatch.setattr(tables, "LARGEST_FILE", 100)
    refused(path, "larger than 100 bytes", "keep the shapes")


def test_rows_are_named_in_any_row_group(tmp_path: Path) -> None:
    rows = with_column("latency", -1.0, 77)(made.gemm())
    refused(made.write(tmp_path / "a.parquet", rows, row_group_size=10), "in row 78 ", "times are positive")


@pytest.mark.parametrize(
    "options", [{"row_group_size": 7}, {"compression": "none"}, {"use_dictionary": False}, {"data_page_size": 64}]
)
def test_layouts_that_mean_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    plain = read_table(made.write(tmp_path / "a.parquet", made.gemm()), "gemm")
    other = read_table(made.write(tmp_path / "b.parquet", made.gemm(), **options), "gemm")
    for name in ("bfloat16", "fp8"):
        assert (plain.where("gemm_dtype", name) == other.where("gemm_dtype", name)).all()
    assert (plain.numbers["k"] == other.numbers["k"]).all()
    assert (plain.times["latency"] == other.times["latency"]).all()


@pytest.mark.parametrize("kind", ["int32", "int16", "uint64", "float64", "float32"])
def test_numbers_of_any_width(tmp_path: Path, kind: str) -> None:
    table = pyarrow.Table.from_pylist(made.gemm())
    narrow = table.set_column(1, "m", table["m"].cast(kind))
    path = tmp_path / "gemm_perf.parquet"
    pyarrow.parquet.write_table(narrow, path)
    assert list(read_table(path, "gemm").numbers["m"]) == table["m"].to_pylist()


def test_a_table_that_is_no_grid(tmp_path: Path) -> None:
    """Every row with sizes of its own: the grid would not fit into memory."""
    rows = [{**made.gemm()[0], "m": i, "n": i, "k": i} for i in range(1, 300)]
    made.write(made.place(tmp_path, "gemm", "gemm"), rows)
    with pytest.raises(InputError, match="gemm: 299 measurements need a grid of 26,730,899 points") as caught:
        Silicon(made.card(), "vllm", tmp_path).matrix("bf16", 8, 256, 256)
    assert caught.value.place is not None
    assert caught.value.place.file == tmp_path / "h100_sxm"


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made.write(made.place(tmp_path, "gemm", "gemm"), made.gemm())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(path, "silicon tables need pyarrow, which is missing", "pip install 'shardwise[silicon]'")


def test_pandas_is_never_imported(folder: Path) -> None:
    """pyarrow would do so for conveniences; that takes longer than reading every table of a card."""
    code = (
        "import sys; from pathlib import Path; from shardwise.models import catalog;"
        "from shardwise.models.hardware import Accelerator; from shardwise.solver.costs.silicon import Silicon;"
        "card = Accelerator.model_validate({**catalog.accelerator('h100-sxm'), 'id': 'h100-sxm'});"
        "Silicon(card, 'vllm', Path(sys.argv[1])).matrix('bf16', 8, 256, 256); print({'pandas'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "gemm_perf.parquet"
    os.mkfifo(path)
    refused(path, "no regular file", "install it anew")
