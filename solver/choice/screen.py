"""Best-first pricing: exact prices only for rows whose optimistic price could still win.

Every row first gets a bound (stages taken as perfectly even). Rows whose bound already breaks a limit cannot be legal.
The others are priced exactly in the order of their bounds until no unpriced row can beat, or come within the
balance of, what has been found. Both rules are safe for any objective, because bounds are optimistic in every column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...models import Scenario
from ..conditions import Limit
from ..costs import Candidates, price
from ..costs.grid import Grid
from ..errors import StoppedError
from .objective import Stage
from .table import Table, tabulate

_FIRST_BATCH, _LARGEST_BATCH = 128, 32_768


@dataclass
class Screened:
    """What pricing left: exact rows, and what is known of the others."""

    candidates: Candidates
    """Exactly priced rows."""
    table: Table
    bounds: Candidates
    """Optimistic prices of every row of the grid."""
    bound_table: Table
    exact: NDArray[np.intp]
    """Grid rows that were priced exactly, in the order of `candidates`."""
    complete: bool = True
    """False if a stop came before every row that could win was priced."""


def screen(
    scenario: Scenario,
    grid: Grid,
    limits: Sequence[Limit],
    stages: Sequence[Stage],
    *,
    runners_up: int,
    check: Callable[[], None],
) -> Screened:
    """Price what can matter. Rows that `runners_up` other strategies need for comparison are priced too."""
    bounds = price(scenario, grid, ideal=True)
    check()
    bound_table = tabulate(bounds, limits, stages, bounds=True)
    possible = np.flatnonzero(bound_table.broken == 0)
    first = stages[0]
    optimistic = first.cost(bound_table.columns[first.column])
    queue = possible[np.lexsort(bound_table.costs(stages)[::-1][:, possible])]
    priced: list[Candidates] = []
    best: dict[bytes, int] = {}
    done, size, complete = 0, _FIRST_BATCH, True
    while done < len(queue):
        if len(best) > runners_up:
            values = sorted(best.values())
            reached = -values[0] if first.sense == "max" else values[0]
            enough = max(values[runners_up], first.tolerated(reached))
            if optimistic[queue[done]] > enough:
                break
        rows = queue[done : done + size]
        try:
            check()
        except StoppedError:
            if not best:
                raise
            complete = False  # what was found stands
            break
        block = price(scenario, grid.at(rows))
        priced.append(block)
        table = tabulate(block, limits, stages, units=bound_table.units)
        legal = np.flatnonzero(table.broken == 0)
        costs = first.cost(table.columns[first.column])
        for row in legal:
            key = block.strategies[row].tobytes()
            best[key] = min(best.get(key, int(costs[row])), int(costs[row]))
        done, size = done + len(rows), min(size * 4, _LARGEST_BATCH)
    exact = queue[:done]
    candidates = joined(priced) if priced else bounds.take([])
    table = tabulate(candidates, limits, stages, units=bound_table.units)
    return Screened(candidates, table, bounds, bound_table, exact, complete)


def joined(parts: list[Candidates]) -> Candidates:
    """Priced rows, one block after the other."""
    names = vars(parts[0])
    return Candidates(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
