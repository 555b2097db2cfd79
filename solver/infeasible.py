"""Which conditions exclude every strategy: one irreducible conflict, checked by two routes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..models import Scenario
from ..models.plan import Conflict
from .choice.model import choose
from .choice.screen import Screened
from .choice.table import Table
from .conditions import Condition, Limit
from .costs import Candidates
from .degrees import is_legal
from .errors import DisagreementError
from .watch import Watch


def structural_conflict(scenario: Scenario, conditions: Sequence[Condition]) -> tuple[Conflict, ...]:
    """Conditions on the degrees that no strategy meets together: each needed, found by leaving one out at a time."""
    if is_legal(scenario, conditions, presolve=False):
        raise DisagreementError("the enumeration found no strategy, the solver without presolve does")
    members = list(conditions)
    # Background first, so that what a person set stays in the conflict only if it must.
    for condition in sorted(conditions, key=lambda c: (not c.background, c.id)):
        rest = [c for c in members if c is not condition]
        if not is_legal(scenario, rest):
            members = rest
    total = "no strategy is left"
    return tuple(
        Conflict(name=c.id, statement=c.statement, asked=c.statement, best_possible=None, excludes=total)
        for c in members
        if not c.id.startswith("degrees.")
    )


def priced_conflict(
    scenario: Scenario, screened: Screened, limits: Sequence[Limit], conditions: Sequence[Condition]
) -> tuple[Conflict, ...]:
    """Limits that no priced row meets together, with the best value each could have under the others."""
    candidates, table = _everything(screened)
    _confirm(scenario, candidates, table, conditions)
    members = list(range(len(limits)))
    for bit in reversed(range(len(limits))):
        rest = [b for b in members if b != bit]
        if (table.broken & _mask(rest)).all():
            members = rest
    return tuple(_conflict(candidates, table, limits, members, bit) for bit in members)


def _everything(screened: Screened) -> tuple[Candidates, Table]:
    """Exact rows where there are any, bounds elsewhere: what breaks a limit at its bound breaks it."""
    unpriced = np.setdiff1d(np.arange(len(screened.bound_table)), screened.exact)
    names = [name for name in vars(screened.bounds) if name != "stage_of_layer"]
    bounds, exact = screened.bounds, screened.candidates
    joined = {name: np.concatenate([getattr(exact, name), getattr(bounds, name)[unpriced]]) for name in names}
    total = len(joined["engines"])
    candidates = Candidates(**joined, stage_of_layer=np.empty((total, 0), dtype=np.int16))
    columns = {
        name: np.concatenate([column, screened.bound_table.columns[name][unpriced]])
        for name, column in screened.table.columns.items()
    }
    broken = np.concatenate([screened.table.broken, screened.bound_table.broken[unpriced]])
    return candidates, Table(columns, broken, np.arange(total))


def _confirm(scenario: Scenario, candidates: Candidates, table: Table, conditions: Sequence[Condition]) -> None:
    """The solver must agree, on one row for each set of broken limits."""
    _, first = np.unique(table.broken, return_index=True)
    outcome = choose(scenario, candidates.take(first), table.take(first), (), conditions, Watch()).outcome
    if outcome != "infeasible":
        raise DisagreementError(f"every priced row breaks a limit, yet the solver says {outcome}")


def _mask(bits: list[int]) -> int:
    return sum(1 << bit for bit in bits)


def _conflict(candidates: Candidates, table: Table, limits: Sequence[Limit], members: list[int], bit: int) -> Conflict:
    limit, others = limits[bit], _mask([b for b in members if b != bit])
    rows: NDArray[np.intp] = np.flatnonzero((table.broken & others) == 0)
    values = candidates.column(limit.column)[rows].astype(np.float64)
    best = None
    if len(values):
        best = limit.show(float(values.min() if limit.sense == "<=" else values.max()))
    asked = (
        f"{'≤' if limit.sense == '<=' else '≥'} {limit.show(limit.bound)}"
        if limit.allowed is None
        else f"in {list(limit.allowed)}"
    )
    excluded = int((table.broken >> bit & 1).sum())
    return Conflict(
        name=limit.id,
        statement=limit.statement,
        asked=asked,
        best_possible=best,
        excludes=f"{excluded:,} of {len(table):,} priced combinations",
    )
