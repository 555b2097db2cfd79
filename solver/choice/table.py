"""Priced rows as the solver sees them: integer columns, and which limits each row breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..conditions import Limit
from ..conditions.limits import SLACK
from ..costs import Candidates
from . import scale
from .objective import Integers, Stage


@dataclass
class Table:
    """Rows in integers. `broken` has a bit for each limit, in their order."""

    columns: dict[str, Integers]
    broken: Integers
    order: Integers
    """Position of each row in the canonical order (degrees, engines, batch, budget)."""
    units: dict[str, float] = field(default_factory=dict)
    """Integer steps of the columns."""

    def __len__(self) -> int:
        return len(self.broken)

    def take(self, index: NDArray[np.intp]) -> Table:
        """Some of the rows."""
        columns = {name: column[index] for name, column in self.columns.items()}
        return Table(columns, self.broken[index], self.order[index], self.units)

    def costs(self, stages: Sequence[Stage]) -> Integers:
        """Stage columns with less being better, shape (stages, rows)."""
        return np.array([stage.cost(self.columns[stage.column]) for stage in stages])


def tabulate(
    candidates: Candidates,
    limits: Sequence[Limit],
    stages: Sequence[Stage],
    *,
    bounds: bool = False,
    units: dict[str, float] | None = None,
) -> Table:
    """Integer columns for every limit and stage.

    `bounds`: the prices are optimistic, so round in their favour. `units`: the steps of another table of the same
    scenario; else they are chosen here.
    """
    names = {limit.column for limit in limits} | {stage.column for stage in stages} | {"gpus_used", "engines"}
    floats = {name: candidates.column(name).astype(np.float64) for name in sorted(names)}
    units = scale.units_for(floats) if units is None else units
    columns = {name: _column(name, values, bounds, units) for name, values in floats.items()}
    broken = np.zeros(len(candidates), dtype=np.int64)
    for bit, limit in enumerate(limits):
        holds = limit.keeps(floats)
        broken |= (~holds).astype(np.int64) << bit
        if limit.allowed is None:
            _agree(limit, columns, holds, units)
    order = np.arange(len(candidates)) if bounds else _canonical(candidates)
    return Table(columns, broken, order, units)


def _column(name: str, values: NDArray[np.float64], bounds: bool, units: dict[str, float]) -> Integers:
    if bounds and scale.unit(name) != 1.0:
        values = values * (1 + SLACK if "rate" in name else 1 - SLACK)
    return scale.integers(name, values, units)


def _agree(limit: Limit, columns: dict[str, Integers], holds: NDArray[np.bool_], units: dict[str, float]) -> None:
    """Where a limit and a value share a step, the floats have decided; the integers follow."""
    edge, values = scale.limit(limit.column, limit.sense, limit.bound, units), columns[limit.column]
    if limit.sense == "<=":
        columns[limit.column] = np.where(holds, np.minimum(values, edge), np.maximum(values, edge + 1))
    else:
        columns[limit.column] = np.where(holds, np.maximum(values, edge), np.minimum(values, edge - 1))


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
