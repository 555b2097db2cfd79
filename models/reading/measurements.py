"""Tables of serving measurements (.csv) into Measurements.

Enters: a path. Leaves: rows in SI units and how many others were left out for which reason, or the first mistakes
with line and column.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, InputErrors, Place
from ..measurement import Load, Measurement, Quantity, Setup
from .csv_text import Row, cell_place, csv_rows, opened

LARGEST_FILE = 64_000_000
MOST_ROWS = 200_000
_MOST_ERRORS = 10
_SMALLER = "split it, or keep the rows of one kind of deployment"
NEEDED = ("model", "gpu", "n_gpus", "tp", "isl", "osl", "load_type", "metric", "value")
"""Columns that a table must have; docs/calibration.md tells the others."""
_ALSO = {
    "model": ("model_arch", "model"),
    "gpu": ("gpu_std", "gpu", "accelerator"),
    "framework": ("framework", "engine"),
}
"""Columns that may tell the same; the first that is filled counts."""
_READ = {
    *NEEDED,
    *(name for names in _ALSO.values() for name in names),
    *("pp", "dp", "ep", "attention_dp", "batch_or_concurrency", "request_rate", "unit", "precision"),
    *("mode", "spec_decode", "quality", "rank_group", "id"),
}
"""Columns that must not stand twice."""
_LOADS: tuple[Load, ...] = ("concurrency", "static_batch", "request_rate", "offline_max")
_PLAIN = ("none", "not recorded", "")
"""What `spec_decode` says where no speculative decoding is known of."""

_METRICS: dict[str, tuple[Quantity, str, bool]] = {
    "ttft": ("ttft", "", False),
    "ttft_mean": ("ttft", "", False),
    "tpot": ("tpot", "", False),
    "tpot_mean": ("tpot", "", False),
    "itl_mean": ("tpot", "", False),
    "output_throughput": ("throughput", "output", False),
    "output_throughput_per_gpu": ("throughput", "output", True),
    "total_token_throughput": ("throughput", "all", False),
    "total_tokens_per_sec_per_gpu": ("throughput", "all", True),
    "request_throughput": ("throughput", "requests", False),
}
"""Metric -> (what it is, what it counts, whether per GPU). Only means: quantiles would need the spread of the load."""
_QUANTILE = re.compile(r"(^|_)(p\d+|median|std|min|max)(_|$)")
_UNITS = {"ms": 1e-3, "s": 1.0, "us": 1e-6}


@dataclass
class Measurements:
    """The rows of one file."""

    path: Path
    rows: list[Measurement] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason -> rows."""


def read_measurements(path: Path) -> Measurements:
    """Read a table. Raises InputError, or InputErrors with the first ten mistakes."""
    try:
        with opened(path, "a table of measurements", (".csv",), LARGEST_FILE, _SMALLER) as stream:
            rows = csv_rows(path, stream, MOST_ROWS)
            number, header = next(rows, (0, []))
            if not header:
                raise InputError("the file is empty", place=Place(path), help=f"columns: {', '.join(NEEDED)}")
            cells = _columns(path, number, header)
            return _all(path, rows, cells, len(header))
    except FileNotFoundError:
        raise InputError("no such file", place=Place(path), help="name a table of measurements (.csv)") from None
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", place=Place(path)) from None


def _columns(path: Path, number: int, header: list[str]) -> dict[str, int]:
    """Where each column stands. A column that is not known is left alone: tables carry notes of their own."""
    cells: dict[str, int] = {}
    for at, text in enumerate(header):
        name = text.strip().lower()
        if name in cells and name in _READ:
            raise InputError(f"two columns are called {name}", place=Place(path, number), help="rename or remove one")
        cells.setdefault(name, at)
    if missing := [name for name in NEEDED if not any(other in cells for other in _ALSO.get(name, (name,)))]:
        help = f"columns that must be there: {', '.join(NEEDED)}"
        raise InputError(f"the table has no column {', '.join(missing)}", place=Place(path, number), help=help)
    return cells


def _all(path: Path, rows: Iterator[Row], cells: dict[str, int], width: int) -> Measurements:
    found, mistakes = Measurements(path), []
    for count, (number, row) in enumerate(rows, 1):
        if count > MOST_ROWS:
            raise InputError(f"the table has more than {MOST_ROWS:,} rows", place=Place(path, number), help=_SMALLER)
        try:
            if len(row) != width:
                raise InputError(f"the row has {len(row)} cells, the header {width}")
            one = _measurement(_Cells(number, row, cells), found.left_out)
            if one is not None:
                found.rows.append(one)
        except InputError as error:
            at = cells.get(str(error.path[0]), 0) if error.path else 0
            place = cell_place(path, number, at, None)
            mistakes.append(InputError(error.message, place=place, help=error.help))
            if len(mistakes) == _MOST_ERRORS:
                break
    if mistakes:
        raise mistakes[0] if len(mistakes) == 1 else InputErrors(mistakes)
    return found


class _Cells:
    """The cells of a row by the name of their column."""

    def __init__(self, line: int, row: list[str], at: dict[str, int]) -> None:
        self.line, self._row, self._at = line, row, at

    def text(self, name: str) -> str:
        """The text of a cell; blank where there is no such column."""
        texts = (self._row[self._at[other]].strip() for other in _ALSO.get(name, (name,)) if other in self._at)
        return next(filter(None, texts), "")

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number above 0."""
        text = self.text(name)
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name}: '{text[:40]}' is not a number above 0", path=(name,))
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number above 0."""
        value = self.number(name, None if default is None else float(default))
        if value % 1 or value > 1e9:
            raise InputError(f"{name}: {value:g} is not a whole number below 10^9", path=(name,))
        return int(value)

    def tokens(self, name: str) -> int:
        """A length, which may be the mean of many."""
        value = self.number(name)
        if value > 1e9:
            raise InputError(f"{name}: {value:g} is not below 10^9", path=(name,))
        return max(1, round(value))


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    """Why a row is left out; a name that resembles a known one may be misspelt. Quantiles are none of ours."""
    name = name[:40]
    if _QUANTILE.search(name):
        return f"{what} {name}"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    near += [one for one in known if name.startswith(f"{one}_")]
    return f"{what} {name or '(blank)'}" + (f" (did you mean {near[0]}?)" if near else "")


def _measurement(row: _Cells, left_out: Counter[str]) -> Measurement | None:
    """A row, or None with the reason counted: what the file may well hold, but nothing here predicts."""
    metric = row.text("metric").lower()
    if metric not in _METRICS:
        left_out[_unknown("metric", metric, _METRICS)] += 1
        return None
    load = row.text("load_type").lower()
    if load not in _LOADS:
        left_out[_unknown("load", load, _LOADS)] += 1
        return None
    if row.text("mode").lower() == "disaggregated":
        left_out["disaggregated"] += 1
        return None
    if not row.text("isl") or not row.text("osl"):
        left_out["lengths not stated"] += 1
        return None
    if not row.text("tp"):
        left_out["layout not stated"] += 1
        return None
    quantity, counts, per_gpu = _METRICS[metric]
    setup = _setup(row, load)
    value = row.number("value")
    if quantity == "throughput":
        value *= setup.gpus if per_gpu or "/gpu" in row.text("unit").lower() else 1
    else:
        unit = row.text("unit").lower() or "ms"
        if unit not in _UNITS:
            raise InputError(f"unit: '{unit[:20]}' is no time", path=("unit",), help=f"there are: {', '.join(_UNITS)}")
        value *= _UNITS[unit]
    return Measurement(
        id=row.text("id") or f"line {row.line}",
        line=row.line,
        setup=setup,
        quantity=quantity,
        value=value,
        counts=counts or "output",  # type: ignore[arg-type]
        source=row.text("id")[:3],
        quality=row.text("quality"),
        group=row.text("rank_group"),
        speculative=row.text("spec_decode").lower() not in _PLAIN,
        mode=row.text("mode"),
    )


def _setup(row: _Cells, load: Load) -> Setup:
    amount = None
    if load in ("concurrency", "static_batch"):
        amount = row.number("batch_or_concurrency")
    elif row.text("request_rate").lower() == "inf":  # all at once
        load = "offline_max"
    elif load == "request_rate":
        amount = row.number("request_rate")
    return Setup(
        model=row.text("model"),
        accelerator=row.text("gpu"),
        gpus=row.whole("n_gpus"),
        tensor=row.whole("tp"),
        pipeline=row.whole("pp", 1),
        data=row.whole("dp", 1),
        expert=row.whole("ep", 1),
        attention_data=row.whole("attention_dp", 1),
        precision=row.text("precision"),
        input_tokens=row.tokens("isl"),
        output_tokens=row.tokens("osl"),
        load=load,
        amount=amount,
        framework=row.text("framework"),
    )
