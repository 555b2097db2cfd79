"""Every condition of a deployment, and how far the plan is from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...models import Scenario
from ...models.deployment import DeploymentPlan, DeploymentPredictions, PoolEngine
from ...models.plan import Check
from ...models.strategy import DEGREES
from ...models.table_scenario import TableScenario
from ...models.units import show_bytes, show_rate, show_seconds
from .. import answer
from ..conditions import limits_of, structural_of
from ..conditions.base import Limit
from ..costs.queueing import MOST_UTILIZATION
from .engines import Card, Demands
from .parts import Part


def checks_of(plan: DeploymentPlan, demands: Demands, parts: Sequence[Part] = ()) -> tuple[Check, ...]:
    """All of them; `parts` are those of the plan's engines, in their order (none: engines of a table)."""
    found = [*_cluster(plan, demands), *_pools(plan)]
    if isinstance(plan.scenario, Scenario):
        found += [*_engines(plan, parts), *_memory(plan), *_requirements(plan, plan.scenario)]
    else:
        found += _table_requirements(plan, plan.scenario)
    return tuple(found)


def _check(name: str, statement: str, required: str, predicted: str, margin: float | None = None) -> Check:
    return Check(name=name, statement=statement, required=required, predicted=predicted, margin=margin, ok=True)


def _cluster(plan: DeploymentPlan, demands: Demands) -> Iterator[Check]:
    idle = {one.accelerator: one.gpus for one in plan.idle}
    for card in demands.cards:
        named = f" {card.name}" if card.name else ""
        used = card.gpus - idle.get(card.name, 0)
        text = f"at most {card.gpus:,}{named} GPUs"
        yield _check("gpus.available", text, f"≤ {card.gpus:,} GPUs", f"{used:,} GPUs")
        if card.node > 1:
            yield _nodes(plan, card)
    if demands.least_gpus > 1:
        least = f"at least {demands.least_gpus:,} GPUs"
        yield _check("gpus.minimum", least, f"≥ {demands.least_gpus:,} GPUs", f"{plan.gpus_used:,} GPUs")


def _nodes(plan: DeploymentPlan, card: Card) -> Check:
    engines = sum(entry.count for entry in plan.engines if card.name in entry.stands_on)
    there = f"{card.full_nodes:,} nodes of {card.node}" + (f" and one of {card.tail}" if card.tail else "")
    statement = f"whole nodes, and remainders inside a node, on {there} {card.name}"
    return _check("node.packing", statement, there, f"{engines:,} engines placed")


def _pools(plan: DeploymentPlan) -> Iterator[Check]:
    scenario, by_role = plan.scenario, {pool.role: pool for pool in plan.pools}
    if scenario.modes is not None:
        asked, roles = ", ".join(scenario.modes), " and ".join(by_role)
        yield _check("modes", f"pools: {asked}", asked, roles)
    if scenario.distinct_strategies is not None:
        most = max(len({_identity(entry) for entry in pool.engines}) for pool in plan.pools)
        text = f"at most {scenario.distinct_strategies} different strategies in a pool"
        yield _check("distinct_strategies", text, f"≤ {scenario.distinct_strategies}", str(most))
    if "decode" in by_role:
        made, taken = by_role["prefill"].rating_requests_per_s, by_role["decode"].requests_per_s
        text = "prefill engines pass on what decode engines take"
        yield _check("pools.conserved", text, f"≥ {show_rate(taken, 'requests')}", show_rate(made, "requests"))


def _identity(entry: PoolEngine) -> tuple[object, ...]:
    s = entry.strategy
    if s is None:
        return (entry.name,)
    return entry.accelerator, entry.name, s.token_budget if entry.role != "decode" else 0


def _engines(plan: DeploymentPlan, parts: Sequence[Part]) -> Iterator[Check]:
    """Conditions on degrees: one check for each, with the values of all kinds of engines."""
    seen: dict[tuple[str, str], tuple[str, dict[str, None]]] = {}
    for entry, part in zip(plan.engines, parts, strict=True):
        assert entry.strategy is not None
        stages = [one.stages for one in entry.parts] or [entry.strategy.pipeline]
        for scene, pipeline in zip(part.scenes, stages, strict=True):
            facts = {name: getattr(entry.strategy, name) for name in DEGREES} | {"pipeline": pipeline}
            facts |= {"stage_group": entry.strategy.stage_group, "engines": entry.count}
            facts["engine_gpus"] = facts["stage_group"] * pipeline
            facts["gpus_used"] = facts["engine_gpus"] * entry.count
            for condition in structural_of(scene):
                if condition.id in ("gpus.available", "node.packing", "load.every_rank"):
                    continue  # said of the whole deployment
                required, predicted = condition.explain(facts)
                rest = seen.setdefault((condition.id, condition.statement), (required, {}))
                rest[1][predicted] = None
    for (id, statement), (required, values) in seen.items():
        yield _check(id, statement, required, "; ".join(values))


def _memory(plan: DeploymentPlan) -> Iterator[Check]:
    """The fullest GPU of each card."""
    for card in dict.fromkeys(entry.accelerator for entry in plan.engines):
        held = [e.memory_bytes_per_gpu for e in plan.engines if e.accelerator == card and e.memory_bytes_per_gpu]
        if not held:
            continue
        fullest = max(held, key=lambda one: one.total)
        margin = (fullest.usable - fullest.total) / fullest.usable
        room = show_bytes(fullest.usable)
        text = f"the fullest {card} holds at most {room}"
        yield _check("memory.fits", text, f"≤ {room}", show_bytes(fullest.total), margin)


def _requirements(plan: DeploymentPlan, scenario: Scenario) -> Iterator[Check]:
    predicted, work = plan.predictions, scenario.workload
    assert predicted is not None
    rates = {
        "requests_rate": predicted.requests_per_s,
        "output_rate": predicted.output_tokens_per_s or 0.0,
        "input_rate": predicted.input_tokens_per_s or 0.0,
    }
    fullest = max((e.memory_bytes_per_gpu.total for e in plan.engines if e.memory_bytes_per_gpu), default=0)
    facts = {
        **rates,
        **{f"{name}_per_gpu": rate / plan.gpus_used for name, rate in rates.items()},
        "ttft": predicted.ttft_s,
        "tpot": predicted.tpot_s,
        "request_latency": predicted.request_latency_s,
        "memory": fullest,
        "engines": sum(entry.count for entry in plan.engines),
    }
    for limit in limits_of(scenario):
        if limit.id.startswith(("requirements.", "strategy.engines")):
            yield answer.check_of(_at_quantile(limit, scenario), facts, ok=True)
    if predicted.offered_requests_per_s is not None:
        yield _offered(predicted.offered_requests_per_s, predicted)
    if work.open_loop:
        busiest = max((e.utilization for e in plan.engines if e.utilization is not None), default=0.0)
        text = f"engines are busy with prompts at most {MOST_UTILIZATION:.0%} of the time"
        yield _check("load.utilization", text, f"≤ {MOST_UTILIZATION:.0%}", f"{busiest:.1%}")


def _at_quantile(limit: Limit, scenario: Scenario) -> Limit:
    """Which TTFT is meant."""
    if limit.column not in ("ttft", "request_latency") or not scenario.workload.open_loop:
        return limit
    return replace(limit, statement=f"{limit.statement} ({scenario.requirements.ttft_at})")


def _offered(offered: float, predicted: DeploymentPredictions) -> Check:
    carried = predicted.requests_per_s
    asked = show_rate(offered, "requests")
    text = f"{asked} are carried"
    return _check("load.request_rate", text, f"≥ {asked}", show_rate(carried, "requests"), carried / offered - 1)


def _table_requirements(plan: DeploymentPlan, scenario: TableScenario) -> Iterator[Check]:
    predicted, wanted = plan.predictions, scenario.requirements
    assert predicted is not None
    for name, words, value in (
        ("ttft", "time to first token", predicted.ttft_s),
        ("tpot", "time per output token", predicted.tpot_s),
    ):
        limit = getattr(wanted, name)
        if limit is not None and value is not None:
            text, margin = f"{words} ≤ {show_seconds(limit)}", (limit - value) / limit
            yield _check(f"requirements.{name}", text, f"≤ {show_seconds(limit)}", show_seconds(value), margin)
    for group, value in (
        ("throughput", predicted.requests_per_s),
        ("throughput_per_gpu", predicted.requests_per_s_per_gpu),
    ):
        if (floor := getattr(wanted, group)) is not None:
            per = " per GPU used" if group.endswith("gpu") else ""
            asked = f"{show_rate(floor.requests, 'requests')}{per}"
            name, margin = f"requirements.{group}.requests", value / floor.requests - 1
            yield _check(name, f"requests{per} ≥ {asked}", f"≥ {asked}", f"{show_rate(value, 'requests')}{per}", margin)
    if predicted.offered_requests_per_s is not None:
        yield _offered(predicted.offered_requests_per_s, predicted)
