"""One Parquet table as columns, checked: the documented columns, plain numbers of a credible size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....models.errors import InputError, Place

Column = NDArray[np.float64]

LARGEST_FILE = 256_000_000
"""Bytes, as stored and unpacked."""
MOST_ROWS = 2_000_000
LARGEST_NUMBER = 2.0**40
LONGEST_S = 1000.0
MOST_TEXTS = 1000
"""Different texts in one column; a column of free text is not one of formats."""


@dataclass(frozen=True)
class Layout:
    """Columns that a table must have."""

    numbers: tuple[str, ...]
    texts: tuple[str, ...] = ()
    may_be_zero: tuple[str, ...] = ()
    defaults: Mapping[str, float] | None = None
    """Numbers that a table may leave out, and what is meant then."""
    times: tuple[str, ...] = ("latency",)
    second: float = 1e-3
    """Seconds in the unit of the times."""


_EXCHANGE = ("node_num", "hidden_size", "num_token", "num_topk", "num_experts")
_ATTENTION = Layout(
    ("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim"),
    ("attn_dtype", "kv_cache_dtype"),
    may_be_zero=("step", "num_key_value_heads", "window_size"),
    defaults={"window_size": 0.0},
)
_LATENT = Layout(("batch_size", "isl", "step", "num_heads"), ("kv_cache_dtype",), may_be_zero=("step",))
_LIBRARY = Layout(("num_gpus", "message_size"), ("op_name", "nccl_dtype"))
_EXPERT_SHAPE = ("hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size")
LAYOUTS = {
    "gemm": Layout(("m", "n", "k"), ("gemm_dtype",)),
    "context_attention": _ATTENTION,
    "generation_attention": _ATTENTION,
    "context_mla": _LATENT,
    "generation_mla": _LATENT,
    "mla_bmm": Layout(("num_tokens", "num_heads"), ("bmm_dtype", "op_name")),
    "moe": Layout(("num_tokens", *_EXPERT_SHAPE), ("moe_dtype", "distribution", "kernel_source")),
    "custom_allreduce": Layout(("num_gpus", "message_size"), ("kernel_source",)),
    "nccl": _LIBRARY,
    "oneccl": _LIBRARY,
    "wideep_deepep_ll": Layout(_EXCHANGE, times=("dispatch_avg_t_us", "combine_avg_t_us"), second=1e-6),
    "wideep_deepep_normal": Layout(_EXCHANGE, times=("dispatch_transmit_us", "combine_transmit_us"), second=1e-6),
}
"""Table name -> its columns. `latency` is in milliseconds."""


@dataclass(frozen=True)
class Table:
    """Columns of equal length; times in seconds."""

    path: Path
    numbers: dict[str, Column]
    codes: dict[str, NDArray[np.int64]]
    texts: dict[str, list[str]]
    """Column -> the texts that its codes stand for."""
    times: dict[str, Column]

    def __len__(self) -> int:
        return len(next(iter(self.times.values())))

    def where(self, column: str, text: str) -> NDArray[np.bool_]:
        """Rows whose `column` holds `text`."""
        known = self.texts[column]
        code = known.index(text) if text in known else -1
        chosen: NDArray[np.bool_] = self.codes[column] == code
        return chosen

    def values(self, column: str) -> set[str]:
        """The texts that occur in a column."""
        return {self.texts[column][code] for code in np.flatnonzero(np.bincount(self.codes[column]))}


def rows_of(path: Path) -> int:
    """Rows of a file, from its footer."""
    return int(_opened(path).metadata.num_rows)


def read_table(path: Path, name: str) -> Table:
    """Read and check one table. Raises InputError that names the file and what was expected."""
    layout, file = LAYOUTS[name], _opened(path)
    optional = layout.defaults or {}
    here = [*file.schema_arrow.names]
    wanted = [*layout.numbers, *layout.texts, *layout.times]
    missing = [column for column in wanted if column not in here]
    if missing:
        raise _bad(path, f"columns are missing: {', '.join(missing)}", f"a {name} table has {', '.join(wanted)}")
    numbers = [*layout.numbers, *(column for column in optional if column in here)]
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    try:
        # not parquet.read_table: it would import pandas, which takes longer than all tables of a card
        coding = parquet.ParquetFile(path, metadata=file.metadata, read_dictionary=list(layout.texts))
        read = coding.read(columns=[*numbers, *layout.texts, *layout.times])
        columns = {column: _numbers(path, read[column], column) for column in (*numbers, *layout.times)}
        coded = {column: _texts(path, read[column], column) for column in layout.texts}
    except (arrow.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise _unreadable(path, error) from None
    for column in numbers:
        least = 0.0 if column in layout.may_be_zero else 1.0
        _check(path, column, columns[column], least, LARGEST_NUMBER, "sizes are counts")
    times = {column: columns[column] * layout.second for column in layout.times}
    for column in layout.times:
        _check(path, column, times[column], 1e-9, LONGEST_S, "times are positive (docs/silicon.md has the units)")
    sizes = {column: columns[column] for column in numbers}
    for column, value in optional.items():
        sizes.setdefault(column, np.full(read.num_rows, value))
    codes = {column: code for column, (code, _) in coded.items()}
    return Table(path, sizes, codes, {column: words for column, (_, words) in coded.items()}, times)


def _opened(path: Path) -> Any:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        help = "pip install 'shardwise[silicon]'"
        raise InputError("silicon tables need pyarrow, which is missing", place=Place(path), help=help) from None
    try:
        if not path.is_file():  # a pipe would be waited for
            raise _bad(path, "not a readable .parquet: no regular file", "write or install it anew")
        if path.stat().st_size > LARGEST_FILE:
            raise _bad(path, f"larger than {LARGEST_FILE:,} bytes", "keep the shapes that models have")
        file = parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _unreadable(path, error) from None
    about = file.metadata
    unpacked = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
    if about.num_rows > MOST_ROWS or unpacked > LARGEST_FILE:
        raise _bad(path, f"more than {MOST_ROWS:,} rows or {LARGEST_FILE:,} bytes unpacked", "keep fewer shapes")
    if about.num_rows == 0:
        raise _bad(path, "the table has no rows", "write at least one measurement, or remove the file")
    return file


def _numbers(path: Path, column: Any, name: str) -> Column:
    types = import_module("pyarrow").types
    if not (types.is_integer(column.type) or types.is_floating(column.type)):
        raise _bad(path, f"{name}: a column of {column.type}", "store numbers")
    if column.null_count:
        raise _bad(path, f"{name}: {column.null_count} values are missing", "leave such rows out")
    return _plain(column).astype(np.float64)


def _texts(path: Path, column: Any, name: str) -> tuple[NDArray[np.int64], list[str]]:
    types = import_module("pyarrow").types
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if not (types.is_string(kind) or types.is_large_string(kind)):
        raise _bad(path, f"{name}: a column of {kind}", "store text")
    if column.null_count:
        raise _bad(path, f"{name}: {column.null_count} values are missing", "leave such rows out")
    packed = column if types.is_dictionary(column.type) else column.dictionary_encode()
    chunks = packed.unify_dictionaries().chunks
    if len(chunks[0].dictionary) > MOST_TEXTS:
        raise _bad(path, f"{name}: {len(chunks[0].dictionary):,} different texts", "one text for each format or kernel")
    codes = np.concatenate([np.from_dlpack(chunk.indices) for chunk in chunks])
    return codes.astype(np.int64), chunks[0].dictionary.to_pylist()


def _plain(column: Any) -> NDArray[Any]:
    """Chunks as one array; their own `to_numpy` would import pandas."""
    return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])


def _check(path: Path, name: str, values: Column, least: float, most: float, help: str) -> None:
    good = (values >= least) & (values <= most)  # false for NaN too
    if not good.all():
        row = int(np.argmin(good))
        raise _bad(path, f"{name}: {values[row]:g} in row {row + 1} is not within {least:g} and {most:g}", help)


def _unreadable(path: Path, error: Exception) -> InputError:
    return _bad(path, f"not a readable .parquet: {str(error).partition(chr(10))[0][:200]}", "write or install it anew")


def _bad(path: Path, message: str, help: str) -> InputError:
    return InputError(message, place=Place(path), help=help)
