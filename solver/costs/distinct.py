"""Tables are asked once for what many rows have in common: the batch of a rank and a few degrees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .rows import Column, Rows
from .silicon import Answer

Index = NDArray[np.intp]
By = tuple[Column | NDArray[np.bool_], ...]


def once(rows: Rows, by: By, time: Callable[[Index], Answer]) -> Answer:
    """(seconds, kinds) of every row, from `time` of one row for each combination of the values in the columns `by`."""
    first, back = rows.alike(by)
    seconds, kinds = time(first)
    return seconds[back], kinds[back]
