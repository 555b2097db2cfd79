"""One place where a quantity becomes an integer: rounded against the plan, within 2^42.

Times are rounded up, rates down; limits the other way. So an integer comparison that holds, holds in floats too.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**42
"""The largest integer that reaches the solver; sums stay far below 2^60."""

_TIMES = ("ttft", "ttft_mean", "tpot", "request_latency")
_TIME_UNIT = 1e-8  # 10 ns; 2^42 of them are 12 hours
_RATE_UNIT = 1e-3  # a thousandth of a token per second


def _rounds_down(column: str) -> bool:
    return "rate" in column or column == "budget_spare"


def unit(column: str) -> float:
    """SI value of one integer step of a column."""
    if column in _TIMES:
        return _TIME_UNIT
    return _RATE_UNIT if "rate" in column else 1.0


def integers(column: str, values: NDArray[np.float64]) -> NDArray[np.int64]:
    """A column as the solver sees it. NaN (no such quantity) becomes 0: no limit may name it."""
    scaled = np.nan_to_num(np.asarray(values, dtype=np.float64) / unit(column), nan=0.0, posinf=LARGEST)
    rounded = np.floor(scaled) if _rounds_down(column) else np.ceil(scaled)
    return np.clip(rounded, -LARGEST, LARGEST).astype(np.int64)


def limit(column: str, sense: Literal["<=", ">="], bound: float) -> int:
    """A limit in the column's integer steps, never looser than stated."""
    scaled = bound / unit(column)
    tight = math.floor(scaled) if sense == "<=" else math.ceil(scaled)
    return max(-LARGEST, min(LARGEST, tight))


def natural(column: str, value: int) -> float:
    """Back to SI."""
    return value / round(1 / unit(column))
