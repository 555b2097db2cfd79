"""Priced rows as the solver sees them: integer columns, and which limits each row breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..conditions import Limit
from ..costs import Candidates
from . import scale
from .objective import Integers, Stage

_SLACK = 1e-9
"""Relative room for the rounding of floats where a bound is compared with an exact price."""


@dataclass
class Table:
    """Rows in integers. `broken` has a bit for each limit, in their order."""

    columns: dict[str, Integers]
    broken: Integers
    order: Integers
    """Position of each row in the canonical order (degrees, engines, batch, budget)."""

    def __len__(self) -> int:
        return len(self.broken)

    def take(self, index: NDArray[np.intp]) -> Table:
        """Some of the rows."""
        return Table({name: c[index] for name, c in self.columns.items()}, self.broken[index], self.order[index])

    def costs(self, stages: Sequence[Stage]) -> Integers:
        """Stage columns with less being better, shape (stages, rows)."""
        return np.array([stage.cost(self.columns[stage.column]) for stage in stages])


def tabulate(
    candidates: Candidates, limits: Sequence[Limit], stages: Sequence[Stage], *, bounds: bool = False
) -> Table:
    """Integer columns for every limit and stage. `bounds`: the prices are optimistic, so round in their favour."""
    names = {limit.column for limit in limits} | {stage.column for stage in stages} | {"gpus_used", "engines"}
    columns = {name: _column(candidates, name, bounds) for name in sorted(names)}
    broken = np.zeros(len(candidates), dtype=np.int64)
    for bit, limit in enumerate(limits):
        broken |= (~_holds(limit, columns[limit.column])).astype(np.int64) << bit
    order = np.arange(len(candidates)) if bounds else _canonical(candidates)
    return Table(columns, broken, order)


def _column(candidates: Candidates, name: str, bounds: bool) -> Integers:
    values = candidates.column(name).astype(np.float64)
    if bounds and scale.unit(name) != 1.0:
        values = values * (1 + _SLACK if "rate" in name else 1 - _SLACK)
    return scale.integers(name, values)


def _holds(limit: Limit, values: Integers) -> NDArray[np.bool_]:
    if limit.allowed is not None:
        return np.isin(values, limit.allowed)
    bound = scale.limit(limit.column, limit.sense, limit.bound)
    return values <= bound if limit.sense == "<=" else values >= bound


def _canonical(candidates: Candidates) -> Integers:
    keys = (candidates.token_budget, candidates.batch, candidates.engines, *candidates.strategies.T[::-1])
    order = np.empty(len(candidates), dtype=np.int64)
    order[np.lexsort(keys)] = np.arange(len(candidates))
    return order


def best_row(table: Table, stages: Sequence[Stage], rows: NDArray[np.intp]) -> int | None:
    """The optimum by plain filtering, stage by stage: the second route to what the solver proves."""
    for stage in stages:
        if not len(rows):
            return None
        costs = stage.cost(table.columns[stage.column][rows])
        best = table.columns[stage.column][rows[costs.argmin()]]
        rows = rows[costs <= stage.tolerated(int(best))]
    return int(rows[table.order[rows].argmin()]) if len(rows) else None
