"""Deployment conditions in, a proved and verified deployment of pools out.

engines (priced here, or a table's) → counts (bounds, CP-SAT, stage by stage) → pools → second route.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from ...models import Scenario
from ...models.bands import Uncertainty
from ...models.deployment import DeploymentPlan, PoolEngine
from ...models.pass_time import PassTime
from ...models.plan import Proof, Status
from ...models.plan import Stage as PlanStage
from ...models.table_scenario import TableScenario
from .. import answer
from ..costs.ledger import pass_times
from ..errors import DisagreementError, StoppedError
from ..figures import figures_of
from ..verify.pools import verify_deployment
from ..watch import Watch
from .assembling import deployment_of
from .checks import checks_of
from .conditions import Conditions
from .confirm import confirm
from .entries import priced_entries, table_entries
from .market import Market
from .objective import Answer, optimise
from .parts import Part
from .placing import place_pools
from .table import TableSource
from .words import assumptions_of, grid_of, idle_reason, pruned_by, second_route

Progress = Callable[[str], None]


def deploy(
    conditions: Conditions,
    *,
    time_limit: float | None = None,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    restrictions: bool = True,
    conflicts: bool = True,
) -> DeploymentPlan:
    """The optimal deployment of pools, proved and checked.

    `plan.status` is as for `solve`. `restrictions` says whether what modes and distinct_strategies cost is worked out,
    `conflicts` whether an infeasible answer names conditions that collide.
    Raises DisagreementError if two routes to the answer differ, InputError for a bad table.
    """
    watch, say = Watch(time_limit, stop), progress or (lambda _: None)
    try:
        market = Market.of(conditions, watch, say)
        say(f"choosing among {len(market.source.engines):,} engines")
        found = optimise(market.search, market.stages)
    except (StoppedError, KeyboardInterrupt):
        return DeploymentPlan(
            status="unknown", scenario=conditions, proof=proof_of_deployment("unknown", conditions, watch)
        )
    proof = proof_of_deployment(found.outcome, conditions, watch, market, found)
    if not found.counts:
        plan = DeploymentPlan(status=found.outcome, scenario=conditions, proof=proof)
        if found.outcome != "infeasible" or not conflicts:
            return plan
        from .conflict import conflicts_of

        say("taking the conditions apart")
        return plan.model_copy(update={"conflicts": conflicts_of(conditions, watch)})
    plan = assembled(market, found, proof)
    if restrictions and plan.proof.stages[0].status == "optimal":
        from .restrictions import costs_of

        say("working out what the restrictions cost")
        plan = plan.model_copy(update={"restrictions": costs_of(plan, market, watch)})
    return plan


def assembled(market: Market, found: Answer, proof: Proof) -> DeploymentPlan:
    """The whole plan, confirmed by the degree model and by the second route."""
    conditions, demands, source = market.conditions, market.demands, market.source
    if isinstance(source, TableSource):
        assert isinstance(conditions, TableScenario)
        plan = deployment_of(conditions, table_entries(source, found.counts, conditions), demands, proof)
        plan = plan.model_copy(update={"checks": checks_of(plan, demands)})
    else:
        assert isinstance(conditions, Scenario)
        pairs = priced_entries(source, found.counts)
        entries, parts = [entry for _, entry in pairs], [priced.part for priced, _ in pairs]
        for part, entry in zip(parts, entries, strict=True):
            confirm(part, entry)
        plan = deployment_of(conditions, entries, demands, proof)
        plan = plan.model_copy(
            update={
                "uncertainty": Uncertainty.around(conditions.bands, plan.predictions),
                "placement": place_pools(conditions, demands.cards, entries),
                "checks": checks_of(plan, demands, parts),
                "warnings": answer.warnings_of(conditions),
                "passes": tuple(_passes(parts, entries)),
                "provenance": figures_of(conditions),
            }
        )
    plan = plan.model_copy(
        update={"idle_reason": idle_reason(plan, market.stages), "assumptions": assumptions_of(conditions)}
    )
    verification = verify_deployment(plan)
    if not verification.ok:
        wrong = "; ".join(
            f"{f.name}: plan {f.plan}, recomputed {f.recomputed}" for f in verification.findings if not f.ok
        )
        raise DisagreementError(f"the second route does not confirm the deployment: {wrong}")
    return plan.model_copy(update={"verification": verification})


def _passes(parts: Sequence[Part], entries: Sequence[PoolEngine]) -> Iterator[PassTime]:
    """Of every kind of engine on every card that it stands on."""
    for part, entry in zip(parts, entries, strict=True):
        assert entry.strategy is not None
        for scene in part.scenes:
            yield from pass_times(scene, entry.role, entry.strategy)


def proof_of_deployment(
    status: Status, conditions: Conditions, watch: Watch, market: Market | None = None, found: Answer | None = None
) -> Proof:
    """How far the objectives are proved, and over what."""
    stages = tuple(
        PlanStage(
            objective=one.stage.words,
            status=one.outcome,
            value=one.value,
            bound=one.bound,
            unit=one.stage.unit,
            wall_s=one.wall_s,
        )
        for one in (found.stages if found else ())
    )
    return Proof(
        status=status,
        stages=stages,
        bound=stages[0].bound if stages else None,
        wall_s=watch.elapsed,
        strategies=market.strategies if market else 0,
        candidates=market.candidates if market else 0,
        rows=market.search.largest if market else 0,
        grid=grid_of(conditions),
        pruned_by=pruned_by(conditions),
        second_route=second_route(market.search if market else None),
    )
