"""Which conditions exclude every strategy: one irreducible conflict, checked by two routes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..models import Scenario
from ..models.plan import Conflict
from .choice.model import choose
from .choice.screen import Screened
from .choice.table import tabulate
from .conditions import Condition, Limit
from .costs import price
from .costs.grid import Grid
from .degrees import is_legal
from .errors import DisagreementError
from .watch import Watch

_BATCH = 1024


def structural_conflict(scenario: Scenario, conditions: Sequence[Condition]) -> tuple[Conflict, ...]:
    """Conditions on the degrees that no strategy meets together: each needed, found by leaving one out at a time."""
    if is_legal(scenario, conditions, presolve=False):
        raise DisagreementError("the enumeration found no strategy, the solver without presolve does")
    members = list(conditions)
    # What a person set is left out first: it stays in the conflict only if the facts need it.
    for condition in sorted(conditions, key=lambda c: (c.background, c.id == "gpus.available", c.id)):
        rest = [c for c in members if c is not condition]
        if not is_legal(scenario, rest):
            members = rest
    facts = "; ".join(c.statement for c in members if c.background and not c.id.startswith("degrees."))
    because = f"no strategy is left, because {facts}" if facts else "no strategy is left"
    changeable = [c for c in members if not c.background] or members
    return tuple(
        Conflict(name=c.id, statement=c.statement, asked=c.statement, best_possible=None, excludes=because)
        for c in changeable
    )


def priced_conflict(
    scenario: Scenario, grid: Grid, screened: Screened, limits: Sequence[Limit], conditions: Sequence[Condition]
) -> tuple[Conflict, ...]:
    """Limits that no priced row meets together, each needed, with the best value it could have.

    "Best possible" is exact and keeps *all* other limits, so that a person who asks for it gets a plan.
    """
    exact = _Exact(scenario, grid, screened, limits)
    _confirm(scenario, screened, exact, conditions)
    members = list(range(len(limits)))
    for bit in reversed(range(len(limits))):
        rest = [b for b in members if b != bit]
        if not exact.legal(_mask(rest)):
            members = rest
    return tuple(_conflict(exact, limits, bit) for bit in members)


class _Exact:
    """Exact prices on demand, each row once: a bound that breaks a limit needs none, one that keeps it does."""

    def __init__(self, scenario: Scenario, grid: Grid, screened: Screened, limits: Sequence[Limit]) -> None:
        self._scenario, self._grid, self._limits = scenario, grid, limits
        self.bounds, self.table = screened.bounds, screened.bound_table
        self.broken = screened.bound_table.broken.copy()
        self.broken[screened.exact] = screened.table.broken
        self._values = {limit.column: self.bounds.column(limit.column).astype(np.float64) for limit in limits}
        for name, values in self._values.items():
            values[screened.exact] = screened.candidates.column(name)
        self._known = np.zeros(len(self.broken), dtype=bool)
        self._known[screened.exact] = True

    def legal(self, mask: int) -> bool:
        """Whether some row keeps the limits of a mask."""
        rows = np.flatnonzero((self.broken & mask) == 0)
        if self._known[rows].any():
            return True
        return any(self._price(rows[start : start + _BATCH], mask).any() for start in range(0, len(rows), _BATCH))

    def best(self, mask: int, limit: Limit) -> float | None:
        """The best exact value of a limit's column among the rows that keep the mask.

        Rows are priced in the order of their bounds until none can be better.
        """
        sign = 1.0 if limit.sense == "<=" else -1.0
        rows = np.flatnonzero((self.broken & mask) == 0)
        rows = rows[np.argsort(sign * self._values[limit.column][rows], kind="stable")]
        best: float | None = None
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            if best is not None and sign * self._values[limit.column][part[0]] >= best:
                break
            kept = part[self._price(part, mask)]
            if len(kept):
                value = float((sign * self._values[limit.column][kept]).min())
                best = value if best is None else min(best, value)
        return None if best is None else sign * best

    def _price(self, rows: NDArray[np.intp], mask: int) -> NDArray[np.bool_]:
        """Price the rows that have no exact price yet; which of all keep the mask."""
        new = rows[~self._known[rows]]
        if len(new):
            block = price(self._scenario, self._grid.at(new))
            self.broken[new] = tabulate(block, self._limits, (), units=self.table.units).broken
            for name, values in self._values.items():
                values[new] = block.column(name)
            self._known[new] = True
        kept: NDArray[np.bool_] = (self.broken[rows] & mask) == 0
        return kept


def _confirm(scenario: Scenario, screened: Screened, exact: _Exact, conditions: Sequence[Condition]) -> None:
    """The solver must agree, on one row for each set of broken limits."""
    _, first = np.unique(exact.broken, return_index=True)
    table = exact.table.take(first)
    table.broken = exact.broken[first]
    where = {int(row): place for place, row in enumerate(screened.exact)}
    for place, row in enumerate(first):
        if (known := where.get(int(row))) is not None:  # its exact values, not its bounds
            for name, column in screened.table.columns.items():
                table.columns[name][place] = column[known]
    outcome = choose(scenario, exact.bounds.take(first), table, (), conditions, Watch()).outcome
    if outcome != "infeasible":
        raise DisagreementError(f"every priced row breaks a limit, yet the solver says {outcome}")


def _mask(bits: list[int]) -> int:
    return sum(1 << bit for bit in bits)


def _conflict(exact: _Exact, limits: Sequence[Limit], bit: int) -> Conflict:
    limit = limits[bit]
    best = exact.best(_mask([b for b in range(len(limits)) if b != bit]), limit)
    excluded = int((exact.broken >> bit & 1).sum())
    return Conflict(
        name=limit.id,
        statement=limit.statement,
        asked=limit.asked,
        best_possible=None if best is None else limit.show(best),
        excludes=f"{excluded:,} of {len(exact.broken):,} priced combinations",
    )
