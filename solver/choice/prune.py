"""Safe pruning: a row goes only if another one breaks no other limit and is at least as good in every objective."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .objective import Stage
from .table import Table


def undominated(table: Table, stages: Sequence[Stage]) -> NDArray[np.intp]:
    """Indices of the rows that no other row dominates.

    Row a dominates b if the limits that a breaks are among those that b breaks, a is at least as good in every
    stage's column, and comes first in the canonical order where both are equal. Because broken limits are compared
    as sets, the rule stays valid when any limit is dropped.
    """
    if not len(table):
        return np.empty(0, dtype=np.intp)
    distinct = list({stage.column: stage for stage in stages}.values())
    costs = table.costs(distinct)
    # A dominating row sorts before the rows it dominates.
    order = np.lexsort((table.order, *costs[::-1]))
    costs, broken = costs[:, order], table.broken[order]
    kept = np.empty(len(order), dtype=np.intp)
    count = 0
    for row in range(len(order)):
        front = kept[:count]
        covered = (broken[front] & ~broken[row]) == 0
        if count and (covered & (costs[:, front] <= costs[:, row, None]).all(axis=0)).any():
            continue
        kept[count] = row
        count += 1
    return np.sort(order[kept[:count]])
