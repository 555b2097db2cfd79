"""Tables are asked once for what many rows have in common: the batch of a rank and a few degrees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .rows import Column, Rows
from .silicon import Answer

Index = NDArray[np.intp]
WIDEST = 4_000_000
"""Codes up to this are looked up in an array; larger ones are sorted first."""


def once(rows: Rows, by: tuple[Column, ...], time: Callable[[Index], Answer]) -> Answer:
    """(seconds, kinds) of every row, from `time` of one row for each combination of the values in the columns `by`."""
    code, count = np.zeros(len(rows), np.intp), 1
    for column in by:
        own, values = rows.codes(column)
        if count * values > WIDEST:
            found, code = np.unique(code, return_inverse=True)
            count = len(found)
        code, count = code * values + own, count * values
    first = np.full(count, -1, np.intp)
    first[code] = np.arange(len(rows))
    there = np.flatnonzero(first >= 0)
    seconds, kinds = time(first[there])
    place = np.empty(count, np.intp)
    place[there] = np.arange(len(there))
    back = place[code]
    return seconds[back], kinds[back]
