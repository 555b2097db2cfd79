"""A chosen row into a whole plan: engines, predictions, checks, placement, runners-up, proof, second route."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..models import Plan, Scenario
from ..models.bands import Uncertainty
from ..models.plan import Alternative, Proof, Status
from ..models.plan import Stage as PlanStage
from . import answer
from .choice.model import Choice
from .choice.objective import Stage
from .choice.scale import natural
from .choice.table import Table
from .conditions import all_conditions
from .costs import Candidates
from .costs.grid import describe
from .errors import DisagreementError
from .figures import figures_of
from .placement import place
from .verify import verify
from .watch import Watch

_PRUNED = (
    "a row whose optimistic bound (stages perfectly even) already breaks a limit",
    "a row whose optimistic bound is worse than a legal row's first objective by more than the balance",
    "a row that another one dominates: breaks no other limit, at least as good in every objective",
)


def plan_of(
    scenario: Scenario,
    candidates: Candidates,
    table: Table,
    stages: Sequence[Stage],
    row: int,
    proof: Proof,
    alternatives: int = 0,
) -> Plan:
    """The plan of one row, with so many runners-up, verified.

    Raises DisagreementError if the second route does not confirm it.
    """
    chosen = candidates.take([row])
    engine = answer.engine_of(scenario, chosen)
    conditions = all_conditions(scenario)
    facts, predictions = answer.facts_of(chosen, conditions), answer.predictions_of(scenario, chosen)
    used = int(chosen.gpus_used[0])
    idle = scenario.hardware.gpu_range.max - used
    plan = Plan(
        status=proof.status,
        scenario=scenario,
        engines=(engine,),
        gpus_used=used,
        gpus_idle=idle,
        idle_reason=_idle_reason(scenario, stages, idle, proof),
        predictions=predictions,
        uncertainty=Uncertainty.around(scenario.bands, predictions),
        checks=tuple(answer.check_of(condition, facts, ok=True) for condition in conditions),
        proof=proof,
        alternatives=_alternatives(scenario, candidates, table, stages, row, alternatives),
        placement=place(scenario, (engine,)),
        assumptions=answer.assumptions_of(scenario),
        warnings=answer.warnings_of(scenario),
        provenance=figures_of(scenario),
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


def _alternatives(
    scenario: Scenario, candidates: Candidates, table: Table, stages: Sequence[Stage], row: int, count: int
) -> tuple[Alternative, ...]:
    """The best legal rows that differ from the plan, and from each other, in their degrees."""
    legal = np.flatnonzero(table.broken == 0)
    costs = table.costs(stages)[:, legal]
    seen = {candidates.strategies[row].tobytes()}
    found: list[Alternative] = []
    for index in legal[np.lexsort((table.order[legal], *costs[::-1]))]:
        key = candidates.strategies[index].tobytes()
        if len(found) == count:
            break
        if key in seen:
            continue
        seen.add(key)
        found.append(_alternative(scenario, candidates, int(index), row))
    return tuple(found)


def _alternative(scenario: Scenario, candidates: Candidates, index: int, row: int) -> Alternative:
    rate, per_gpu = candidates.tokens_rate, candidates.tokens_rate / candidates.gpus_used
    low, high = scenario.bands.of("throughput", float(per_gpu[row]))
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
        tokens_per_s_per_gpu=float(per_gpu[index]),
        why_not=", ".join(words),
        inside_band=bool(low <= per_gpu[index] <= high),
    )


def proof_of(
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
    """What was proved, from the solver's stages."""
    units = choice.units if choice else {}
    stages = tuple(
        PlanStage(
            objective=solved.stage.words,
            status=solved.outcome,
            value=None if solved.value is None else natural(solved.stage.column, solved.value, units),
            bound=None if solved.bound is None else natural(solved.stage.column, solved.bound, units),
            unit=solved.stage.unit,
            wall_s=solved.wall_s,
        )
        for solved in (choice.stages if choice else ())
    )
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
