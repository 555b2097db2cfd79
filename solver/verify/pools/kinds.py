"""The kinds of engines of a plan, each as a deployment of its own on its card or cards (docs/costs.md, section 7)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from shardwise.models.deployment import DeploymentPlan, PoolEngine
from shardwise.models.engine import Engine
from shardwise.models.plan import Finding, Plan, Rank
from shardwise.models.scenario import Scenario

from ..deployment import Deployment, Program, deployment_of, mean, node_size
from .parts import bridge, on_card, own_pricing, parts_of, strategy_of
from .waiting import most_in_flight, spread_of_arrivals


@dataclass(frozen=True)
class Kind:
    """One kind of engine: what the plan says of it, and what the second route prices."""

    entry: PoolEngine
    deployments: tuple[Deployment, ...]
    """One, or one for each card that its pipeline crosses, first to last stages."""
    one_node: bool
    """The whole cluster is one node of one card type."""

    @property
    def deployment(self) -> Deployment:
        """What is the same on all its cards: the whole pipeline's degrees, load, split."""
        return self.deployments[0]

    @property
    def scenario(self) -> Scenario:
        """The conditions beside the hardware."""
        return self.deployment.scenario

    @property
    def open_loop(self) -> bool:
        """Whether requests arrive at a rate."""
        return self.scenario.workload.request_rate is not None


def subject(entry: PoolEngine) -> str:
    """A kind of engine in words."""
    load = "" if entry.load is None else f", load {entry.load:,}"
    return f"{entry.role} {entry.name}{load}"


def about(entry: PoolEngine | None, findings: Iterable[Finding]) -> list[Finding]:
    """Findings of the pools; those of one kind of engine say which."""
    before = "" if entry is None else f"{subject(entry)}: "
    return [one.model_copy(update={"name": f"pools.{one.name}", "plan": before + one.plan}) for one in findings]


def plain(
    plan: DeploymentPlan, scenario: Scenario, entries: Iterable[PoolEngine], placement: Iterable[Rank] = ()
) -> Plan:
    """A plan of these engines and ranks for the checks that look at degrees and places; it has no figures."""
    engines = tuple(
        Engine.model_construct(
            role=entry.role,
            count=entry.count,
            gpus_per_engine=entry.gpus_per_engine,
            accelerator=entry.accelerator,
            strategy=strategy_of(entry),
        )
        for entry in entries
    )
    status, proof = plan.status, plan.proof
    return Plan.model_construct(
        status=status, scenario=scenario, engines=engines, placement=tuple(placement), proof=proof
    )


def load_of(entry: PoolEngine) -> int:
    """Q. Raises ValueError where the plan states none."""
    if entry.load is None:
        raise ValueError("the engine states no load")
    return entry.load


def moves(scenario: Scenario) -> bool:
    """Whether prompts are decoded elsewhere, so that a prefill engine's cache leaves it."""
    return scenario.workload.output_tokens.max > 1


def held_by(scenario: Scenario, entry: PoolEngine) -> int:
    """Sequences per attention group whose cache is held."""
    strategy = strategy_of(entry)
    if entry.role == "prefill":  # one micro-batch more, where it is being sent
        return strategy.batch * (strategy.pipeline + moves(scenario))
    load, rounds = load_of(entry), strategy.micro_batches
    if scenario.workload.request_rate is not None:  # the load is a mean
        load = most_in_flight(load, spread_of_arrivals(scenario.workload.burstiness))
        group = math.ceil(load / strategy.data)
        held = math.ceil(group / rounds) * rounds
    else:
        group = math.ceil(load / strategy.data)
        held = strategy.batch * rounds
    if entry.role == "aggregated":
        return held
    return held + math.ceil(group / mean(scenario.workload.output_tokens)) + 1


def read_kind(plan: DeploymentPlan, entry: PoolEngine) -> Kind:
    """One kind of engine. Raises ValueError where it cannot be priced."""
    whole, strategy, parts = own_pricing(plan), strategy_of(entry), parts_of(entry)
    scenarios = [on_card(whole, part.card) for part in parts]
    held = held_by(whole, entry)
    if entry.role == "prefill":
        program: Program = "prefill only"
        sequences = held * strategy.data
    else:
        # A decode engine is the second half of a static batch: its passes only decode, answers are held in full.
        program = "closed loop" if entry.role == "aggregated" else "static batch"
        sequences = load_of(entry)
    deployments = [deployment_of(scenario, strategy, program, 1, sequences, held) for scenario in scenarios]
    if len(parts) > 1:
        link = bridge(whole.hardware.pool_link, *(scenario.hardware for scenario in scenarios))
        deployments = [
            replace(one, cut=replace(one.cut, part=part.stages), onward=None if part is parts[-1] else link)
            for one, part in zip(deployments, parts, strict=True)
        ]
    stocks = whole.hardware.stocks
    alone = len(stocks) == 1 and stocks[0].gpus <= node_size(scenarios[0].hardware)
    return Kind(entry, tuple(deployments), alone)
