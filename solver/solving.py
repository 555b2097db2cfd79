"""Deployment conditions in, a proved and verified plan out.

strategies (CP-SAT enumeration) → prices (numpy) → choice (CP-SAT, stage by stage) → plan → second route.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..models import Plan, Scenario
from ..models.plan import Alternative, Proof, Status
from ..models.plan import Stage as PlanStage
from . import answer
from .choice.model import Choice, choose
from .choice.objective import Stage, stages_of
from .choice.prune import undominated
from .choice.scale import natural
from .choice.screen import Screened, screen
from .choice.table import best_row
from .conditions import all_conditions, limits_of, structural_of
from .costs import Candidates
from .costs.grid import describe, make_grid
from .degrees import legal_strategies
from .infeasible import DisagreementError, priced_conflict, structural_conflict
from .placement import place
from .readings import compare
from .verify import verify
from .watch import StoppedError, Watch

RUNNERS_UP = 3
COMPANY = 128
_PRUNED = (
    "a row whose optimistic bound (stages perfectly even) already breaks a limit",
    "a row whose optimistic bound is worse than a legal row's first objective by more than the balance",
    "a row that another one dominates: breaks no other limit, at least as good in every objective",
)

Progress = Callable[[str], None]


def solve(
    scenario: Scenario,
    *,
    time_limit: float | None = None,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The optimal plan for a scenario, proved and checked.

    `plan.status` is `optimal`; `feasible` if the time limit (seconds) or the stop event came before the proof;
    `infeasible` with `plan.conflicts`; or `unknown`. Raises DisagreementError if two routes to the answer differ.
    """
    watch = Watch(time_limit, stop)
    say = progress or (lambda _: None)
    plan = _answer(scenario, watch, say)
    if plan.status == "unknown":
        return plan
    readings = compare(plan, lambda other: _answer(other, watch, lambda _: None))
    return plan.model_copy(update={"readings": readings}) if readings else plan


def _answer(scenario: Scenario, watch: Watch, say: Progress) -> Plan:
    try:
        return _solve(scenario, watch, say)
    except (StoppedError, KeyboardInterrupt):
        proof = _proof(scenario, "unknown", watch)
        return Plan(status="unknown", scenario=scenario, proof=proof, warnings=answer.warnings_of(scenario))


def _solve(scenario: Scenario, watch: Watch, say: Progress) -> Plan:
    structural, limits, stages = structural_of(scenario), limits_of(scenario), stages_of(scenario)
    watch.check()
    say("enumerating strategies")
    strategies = legal_strategies(scenario, structural, watch)
    if not len(strategies):
        conflicts = structural_conflict(scenario, structural)
        proof = _proof(scenario, "infeasible", watch)
        return Plan(status="infeasible", scenario=scenario, proof=proof, conflicts=conflicts)
    grid = make_grid(scenario, strategies)
    say(f"pricing {len(grid):,} combinations of {len(strategies):,} strategies")
    screened = screen(scenario, grid, limits, stages, runners_up=RUNNERS_UP, check=watch.check)
    sizes: dict[str, Any] = {"strategies": len(strategies), "candidates": len(grid)}
    legal = np.flatnonzero(screened.table.broken == 0)
    if not len(legal):
        conflicts = priced_conflict(scenario, screened, limits, [*structural, *limits])
        proof = _proof(scenario, "infeasible", watch, **sizes)
        warnings = answer.warnings_of(scenario)
        return Plan(status="infeasible", scenario=scenario, proof=proof, conflicts=conflicts, warnings=warnings)
    kept = _contenders(screened, stages)
    say(f"proving the optimum over {len(kept):,} rows")
    choice = choose(
        scenario,
        screened.candidates.take(kept),
        screened.table.take(kept),
        stages,
        [*structural, *limits],
        watch,
    )
    if choice.row is None:
        if choice.outcome == "infeasible":
            raise DisagreementError("the solver finds no plan, yet priced rows meet every limit")
        return Plan(status="unknown", scenario=scenario, proof=_proof(scenario, "unknown", watch, **sizes))
    row = int(kept[choice.row])
    route = _second_route(screened, stages, choice, row, legal)
    say("checking the plan by the second route")
    proof = _proof(scenario, choice.outcome, watch, **sizes, rows=len(kept), choice=choice, second_route=route)
    return _plan(scenario, screened, stages, row, proof)


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
    return (
        f"exhaustive filtering of all {len(screened.bound_table):,} combinations agrees "
        f"({len(table):,} priced exactly, the others excluded by bounds; value {natural(first.column, reached):.6g})"
    )


def _plan(scenario: Scenario, screened: Screened, stages: Sequence[Stage], row: int, proof: Proof) -> Plan:
    chosen = screened.candidates.take([row])
    engine = answer.engine_of(scenario, chosen)
    conditions = all_conditions(scenario)
    facts = answer.facts_of(chosen, conditions)
    used = int(chosen.gpus_used[0])
    idle = scenario.hardware.gpu_range.max - used
    plan = Plan(
        status=proof.status,
        scenario=scenario,
        engines=(engine,),
        gpus_used=used,
        gpus_idle=idle,
        idle_reason=_idle_reason(scenario, stages, idle, proof),
        predictions=answer.predictions_of(scenario, chosen),
        checks=tuple(answer.check_of(condition, facts, ok=True) for condition in conditions),
        proof=proof,
        alternatives=_alternatives(screened, stages, row),
        placement=place(scenario, (engine,)),
        assumptions=answer.assumptions_of(scenario),
        warnings=answer.warnings_of(scenario),
        provenance=answer.figures_of(scenario),
    )
    verification = verify(plan)
    if not verification.ok:
        wrong = "; ".join(
            f"{f.name}: plan {f.plan}, recomputed {f.recomputed}" for f in verification.findings if not f.ok
        )
        raise DisagreementError(f"the second route does not confirm the plan: {wrong}")
    return plan.model_copy(update={"verification": verification})


def _idle_reason(scenario: Scenario, stages: Sequence[Stage], idle: int, proof: Proof) -> str | None:
    if not idle:
        return None
    if proof.status != "optimal":
        return f"{idle} GPUs are idle; the proof was not finished, they may help"
    objectives = ", then ".join(stage.words for stage in stages)
    return (
        f"{idle} GPUs are idle: among the {proof.candidates:,} combinations, those that use more of them are no better "
        f"in the objectives ({objectives}) or break a condition"
    )


def _alternatives(screened: Screened, stages: Sequence[Stage], row: int) -> tuple[Alternative, ...]:
    """The best legal rows that differ from the plan, and from each other, in their degrees."""
    table, candidates = screened.table, screened.candidates
    legal = np.flatnonzero(table.broken == 0)
    costs = table.costs(stages)[:, legal]
    seen, found = {candidates.strategies[row].tobytes()}, []
    for index in legal[np.lexsort((table.order[legal], *costs[::-1]))]:
        key = candidates.strategies[index].tobytes()
        if key in seen:
            continue
        seen.add(key)
        found.append(_alternative(candidates, stages, int(index), row))
        if len(found) == RUNNERS_UP:
            break
    return tuple(found)


def _alternative(candidates: Candidates, stages: Sequence[Stage], index: int, row: int) -> Alternative:
    rate = candidates.tokens_rate
    tpot = float(candidates.tpot[index])
    words = []
    for name, column in (
        ("throughput", rate),
        ("TTFT", candidates.ttft),
        ("latency", candidates.request_latency),
    ):
        words.append(f"{name} {column[index] / column[row] - 1:+.1%}")
    return Alternative(
        strategy=answer.strategy_of(candidates, index),
        engines=int(candidates.engines[index]),
        gpus_used=int(candidates.gpus_used[index]),
        ttft_s=float(candidates.ttft[index]),
        tpot_s=None if np.isnan(tpot) else tpot,
        tokens_per_s=float(rate[index]),
        tokens_per_s_per_gpu=float(rate[index] / candidates.gpus_used[index]),
        why_not=", ".join(words),
    )


def _proof(
    scenario: Scenario,
    status: Status,
    watch: Watch,
    *,
    strategies: int = 0,
    candidates: int = 0,
    rows: int = 0,
    choice: Choice | None = None,
    second_route: str = "not reached",
) -> Proof:
    stages = tuple(
        PlanStage(
            objective=solved.stage.words,
            status=solved.outcome,
            value=None if solved.value is None else natural(solved.stage.column, solved.value),
            bound=None if solved.bound is None else natural(solved.stage.column, solved.bound),
            unit=solved.stage.unit,
            wall_s=solved.wall_s,
        )
        for solved in (choice.stages if choice else ())
    )
    if status == "infeasible":
        second_route = "a second route (filtering of all rows, or the solver without presolve) agrees"
    return Proof(
        status=status,
        stages=stages,
        bound=stages[0].bound if stages else None,
        wall_s=watch.elapsed,
        strategies=strategies,
        candidates=candidates,
        rows=rows,
        grid=describe(scenario),
        pruned_by=_PRUNED,
        second_route=second_route,
    )
