"""One place where a quantity becomes an integer, within 2^42.

Values and limits of a column are rounded the same way (times up, rates down), so a value at its limit keeps it.
Where rounding alone would decide, choice/table.py lets the floats decide. The step of a column grows by powers of ten
for scenarios whose quantities would not fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**42
"""The largest integer that reaches the solver; sums stay far below 2^60."""
HEADROOM = 64
"""How much longer an exact price may be than the bounds that the step was chosen by."""

Units = Mapping[str, float]
"""SI value of one step, by column; a column that is absent has its usual step."""

_TIMES = ("ttft", "ttft_mean", "tpot", "request_latency")
_TIME_UNIT = 1e-8  # 10 ns
_RATE_UNIT = 1e-3  # a thousandth of a token per second


def _rounds_down(column: str) -> bool:
    return "rate" in column or column == "budget_spare"


def unit(column: str, units: Units | None = None) -> float:
    """SI value of one integer step of a column."""
    if units and column in units:
        return units[column]
    if column in _TIMES:
        return _TIME_UNIT
    return _RATE_UNIT if "rate" in column else 1.0


def units_for(columns: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Steps that keep every value, with headroom, inside the integers."""
    return {name: _roomy(unit(name), float(np.nanmax(np.abs(values), initial=0))) for name, values in columns.items()}


def _roomy(step: float, largest: float) -> float:
    over = largest * HEADROOM / (step * LARGEST)
    return step if over <= 1 else step * 10 ** math.ceil(math.log10(over))


def integers(column: str, values: NDArray[np.float64], units: Units | None = None) -> NDArray[np.int64]:
    """A column as the solver sees it. NaN (no such quantity) becomes 0: no limit may name it."""
    scaled = np.nan_to_num(np.asarray(values, dtype=np.float64) / unit(column, units), nan=0.0, posinf=LARGEST)
    rounded = np.floor(scaled) if _rounds_down(column) else np.ceil(scaled)
    return np.clip(rounded, -LARGEST, LARGEST).astype(np.int64)


def limit(column: str, sense: Literal["<=", ">="], bound: float, units: Units | None = None) -> int:
    """A limit in the column's steps, rounded as its values are; one beyond all values lies at the edge."""
    scaled = bound / unit(column, units)
    rounded = math.floor(scaled) if _rounds_down(column) else math.ceil(scaled)
    return max(-LARGEST + 1, min(LARGEST - 1, rounded))


def natural(column: str, value: int, units: Units | None = None) -> float:
    """Back to SI."""
    step = unit(column, units)
    return value / round(1 / step) if step < 1 else value * step
