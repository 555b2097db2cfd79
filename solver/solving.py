"""Deployment conditions in, a proved and verified plan out.

strategies (CP-SAT enumeration) → prices (numpy) → choice (CP-SAT, stage by stage) → plan → second route.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..models import Plan, Scenario
from . import answer
from .assembling import plan_of, proof_of
from .choice.model import Choice, Solved, choose
from .choice.objective import Stage, stages_of
from .choice.prune import undominated
from .choice.scale import natural
from .choice.screen import Screened, screen
from .choice.table import best_row
from .conditions import limits_of, structural_of
from .costs.grid import make_grid
from .degrees import legal_strategies
from .errors import DisagreementError, StoppedError
from .explanation.explain import with_conflicts
from .readings import compare
from .watch import Watch

RUNNERS_UP = 3
"""Alternatives that a plan shows unless asked for more."""
COMPANY = 32
"""Rows that the solver gets at least, where there are so many."""
Progress = Callable[[str], None]


def solve(
    scenario: Scenario,
    *,
    time_limit: float | None = None,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    alternatives: int = RUNNERS_UP,
    conflicts: bool = True,
    readings: bool = True,
) -> Plan:
    """The optimal plan for a scenario, proved and checked.

    `plan.status` is `optimal`; `feasible` if the time limit (seconds) or the stop event came before the proof;
    `infeasible` with `plan.conflicts`, if these are asked for; or `unknown`. `alternatives` is the number of runners-up
    with other degrees; `readings` says whether other readings of the conditions are solved too.
    Raises DisagreementError if two routes to the answer differ.
    """
    watch = Watch(time_limit, stop)
    say = progress or (lambda _: None)
    plan = _answer(scenario, watch, say, alternatives, conflicts)
    if plan.status == "unknown" or not readings:
        return plan
    others = compare(plan, lambda other: _answer(other, watch, lambda _: None, 0))
    return plan.model_copy(update={"readings": others}) if others else plan


def _answer(scenario: Scenario, watch: Watch, say: Progress, alternatives: int, conflicts: bool = True) -> Plan:
    try:
        plan = _solve(scenario, watch, say, alternatives)
        if plan.status == "infeasible" and conflicts:
            say("taking the conditions apart")
            plan = with_conflicts(plan, watch)
        return plan
    except (StoppedError, KeyboardInterrupt):
        proof = proof_of(scenario, "unknown", watch)
        return Plan(status="unknown", scenario=scenario, proof=proof, warnings=answer.warnings_of(scenario))


def _solve(scenario: Scenario, watch: Watch, say: Progress, alternatives: int) -> Plan:
    structural, limits, stages = structural_of(scenario), limits_of(scenario), stages_of(scenario)
    watch.check()
    say("enumerating strategies")
    strategies = legal_strategies(scenario, structural, watch)
    if not len(strategies):
        return _none(scenario, watch)
    grid = make_grid(scenario, strategies)
    say(f"pricing {len(grid):,} combinations of {len(strategies):,} strategies")
    screened = screen(scenario, grid, limits, stages, runners_up=alternatives, check=watch.check)
    sizes: dict[str, Any] = {"strategies": len(strategies), "candidates": len(grid)}
    legal = np.flatnonzero(screened.table.broken == 0)
    if not len(legal):
        return _none(scenario, watch, **sizes)
    kept = _contenders(screened, stages)
    say(f"proving the optimum over {len(kept):,} rows")
    choice = Choice("unknown", None)
    if screened.complete:
        candidates, table = screened.candidates.take(kept), screened.table.take(kept)
        choice = choose(scenario, candidates, table, stages, [*structural, *limits], watch)
    if choice.outcome == "infeasible":
        raise DisagreementError("the solver finds no plan, yet priced rows meet every limit")
    if choice.row is None:  # stopped before the solver had an answer: the best row priced so far is legal
        found = best_row(screened.table, stages, legal)
        assert found is not None
        row, choice = found, _unproved(screened, stages[0], found)
    else:
        row = int(kept[choice.row])
    route = _second_route(screened, stages, choice, row, legal)
    say("checking the plan by the second route")
    proof = proof_of(scenario, choice.outcome, watch, **sizes, rows=len(kept), choice=choice, second_route=route)
    return plan_of(scenario, screened.candidates, screened.table, stages, row, proof, alternatives)


def _none(scenario: Scenario, watch: Watch, **sizes: Any) -> Plan:
    """No plan exists."""
    proof, warnings = proof_of(scenario, "infeasible", watch, **sizes), answer.warnings_of(scenario)
    return Plan(status="infeasible", scenario=scenario, proof=proof, warnings=warnings)


def _unproved(screened: Screened, first: Stage, row: int) -> Choice:
    """The best row priced before a stop, with the bound that the rows' optimistic prices give."""
    table, bound_table = screened.table, screened.bound_table
    value = int(table.columns[first.column][row])
    optimistic = bound_table.columns[first.column][bound_table.broken == 0]
    bound = int(optimistic.max() if first.sense == "max" else optimistic.min())
    return Choice("feasible", row, table.units, [Solved(first, "feasible", value, bound, 0.0)])


def _contenders(screened: Screened, stages: Sequence[Stage]) -> np.ndarray:
    """Rows for the solver: all undominated ones within the balance of the best legal one.

    Up to COMPANY rows more, best first, though they cannot win: the solver then repeats the choice that pruning made.
    """
    first, table = stages[0], screened.table
    column, legal = table.columns[first.column], table.broken == 0
    best = column[legal].max() if first.sense == "max" else column[legal].min()
    near = np.flatnonzero(first.cost(column) <= first.tolerated(int(best)))
    kept = near[undominated(table.take(near), stages)]
    by_value = np.lexsort((table.order, *table.costs(stages)[::-1]))
    others = by_value[~np.isin(by_value, kept)]
    return np.sort(np.concatenate([kept, others[: max(0, COMPANY - len(kept))]]))


def _second_route(screened: Screened, stages: Sequence[Stage], choice: Choice, row: int, legal: np.ndarray) -> str:
    """Compare the solver's row with plain filtering of every exactly priced row and every bound."""
    table = screened.table
    if table.broken[row]:
        raise DisagreementError("the solver chose a row that breaks a limit")
    if choice.outcome != "optimal":
        return "the row breaks no limit; optimality was not proved before the stop"
    expected = best_row(table, stages, legal)
    if expected != row:
        raise DisagreementError(f"the solver chose row {row}, exhaustive filtering row {expected}")
    first = stages[0]
    reached = int(table.columns[first.column][row])
    unpriced = np.ones(len(screened.bound_table), dtype=bool)
    unpriced[screened.exact] = False
    unpriced &= screened.bound_table.broken == 0
    bounds = first.cost(screened.bound_table.columns[first.column][unpriced])
    best = choice.stages[0].value
    assert best is not None
    if (bounds <= first.tolerated(best)).any():
        raise DisagreementError("an unpriced row could still win")
    value = natural(first.column, reached, table.units)
    return (
        f"exhaustive filtering of all {len(screened.bound_table):,} combinations agrees "
        f"({len(table):,} priced exactly, the others excluded by bounds; value {value:.6g})"
    )
