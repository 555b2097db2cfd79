"""Audit of a deployment of pools: the plan's own engines and counts in the count model, against the scenario.

The same engines, as many as stated, are dealt the load in the best way there is; what they then reach is what the plan
is worth. Best is first of all that every requirement is kept. Where no way of dealing does that, they are dealt without
limits, which are compared afterwards, so that a plan that misses one is still priced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ...models import Bound, InputError, Requirements, Scenario
from ...models.audit import Audit, AuditFinding, Gap
from ...models.claimed import Claimed, ClaimedEngine
from ...models.deployment import DeploymentPlan
from ...models.hardware import Stock
from ...models.measures import MeasureRule
from ...models.rules import Role, Rule
from ...models.strategy import DEGREES
from ...models.units import show_rate, show_seconds
from ..conditions import structural_of
from ..pools.best import Search
from ..pools.market import Market
from ..pools.objective import optimise
from ..pools.parts import seen_by
from ..pools.solving import assembled, deploy, proof_of_deployment
from ..watch import Watch
from .claims import against, facts_of_pools
from .gap import told
from .machine import idle
from .runs import another_model, too_short, unread
from .subject import profile_of, under
from .techniques import idle_measures

_MANY = 99
"""More different strategies than a plan names: identities are counted, none is left out."""


def audit_pools(
    scenario: Scenario,
    claimed: Claimed,
    *,
    measures: Sequence[MeasureRule],
    conditions: Sequence[AuditFinding],
    watch: Watch,
    optimum: bool = True,
) -> Audit:
    """The audit. Raises InputError for a cluster of several cards, on which a command does not say where it stands."""
    stocks = scenario.hardware.stocks
    if len(stocks) > 1:
        raise InputError(
            "engines over several types of card cannot be audited: a command does not say on which it runs",
            help="audit each card's engines against a scenario of that card",
        )
    if scenario.workload.batch is not None:
        raise InputError(
            "a batch that arrives at once is served by one kind of engine; the plan has several, or pools",
            help="state concurrency or request_rate in the scenario",
        )
    claimed = _merged(claimed, scenario)
    asked = _as_pools(scenario, claimed)
    found = [*conditions, *unread(claimed), *too_short(claimed, scenario.workload), *_broken(asked, claimed, stocks[0])]
    found += [*another_model(claimed, scenario), *idle_measures(scenario, claimed, measures)]
    broken = any(one.severity == "error" and one.topic == "runs" for one in found)
    plan = (
        None if broken else _priced(asked, claimed, watch, limits=True) or _priced(asked, claimed, watch, limits=False)
    )
    if plan is None and not broken:
        found.append(_no_load())
    distance = None
    if plan is not None:
        found += _unmet(plan, scenario)
        found += against(claimed, facts_of_pools(plan, claimed.gpus), scenario)
    if optimum:
        distance = _gap(_over_pools(scenario, claimed), plan, watch)
        found += told(distance) if distance is not None else ()
    found += idle(scenario, claimed.gpus)
    order = {"error": 0, "warning": 1, "note": 2}
    return Audit(
        sound=not any(one.severity == "error" for one in found),
        scenario=scenario.name,
        file=claimed.file,
        form=claimed.form,
        engine=claimed.engine,
        strategies=tuple(one.strategy for one in claimed.engines),
        engines=tuple(one.count for one in claimed.engines),
        gpus_used=claimed.gpus,
        gpus_idle=max(0, scenario.hardware.gpu_range.max - claimed.gpus),
        reached=None if plan is None else _reached(plan),
        findings=tuple(sorted(found, key=lambda one: order[one.severity])),
        gap=distance,
        balance=() if plan is None else plan.balance,
    )


def _reached(plan: DeploymentPlan) -> str:
    p = plan.predictions
    assert p is not None
    tpot = f", TPOT {show_seconds(p.tpot_s)}" if p.tpot_s is not None else ""
    return f"TTFT {show_seconds(p.ttft_s)}{tpot}, {show_rate(p.requests_per_s, 'requests')}, the load dealt best"


def _merged(claimed: Claimed, scenario: Scenario) -> Claimed:
    """Kinds of the same role and degrees as one, with the tighter limits; the role that such work has."""
    found: dict[tuple[object, ...], ClaimedEngine] = {}
    for one in claimed.engines:
        role: Role = one.role if scenario.workload.decodes else "prefill"
        key = (role, one.strategy)
        other = found.get(key)
        count = one.count + (other.count if other else 0)
        limits = [e.sequences for e in (one, other) if e is not None and e.sequences is not None]
        update = {"role": role, "count": count, "sequences": min(limits, default=None)}
        found[key] = (other or one).model_copy(update=update)
    return claimed.model_copy(update={"engines": tuple(found.values())})


def _as_pools(scenario: Scenario, claimed: Claimed) -> Scenario:
    """The scenario with the plan's engine, memory and formats, over pools."""
    return _over_pools(under(scenario, claimed, _shared(claimed)), claimed)


def _over_pools(scenario: Scenario, claimed: Claimed) -> Scenario:
    """The scenario itself under the plan's serving engine, over pools."""
    profile = profile_of(claimed)
    scene = scenario if profile is None else scenario.model_copy(update={"engine": profile})
    return scene if scene.pools else scene.model_copy(update={"modes": ("any",)})


def _shared(claimed: Claimed) -> ClaimedEngine:
    """The engine whose memory share counts: of several, the smallest."""
    shares = [one for one in claimed.engines if one.memory_share is not None]
    return min(shares, key=lambda one: one.memory_share or 0.0) if shares else claimed.engines[0]


def _broken(scenario: Scenario, claimed: Claimed, stock: Stock) -> Iterator[AuditFinding]:
    """Conditions that the degrees of each kind break."""
    for one in claimed.engines:
        facts = {name: getattr(one.strategy, name) for name in DEGREES}
        facts |= {"stage_group": one.strategy.stage_group, "engine_gpus": one.strategy.gpus}
        facts |= {"engines": one.count, "gpus_used": one.gpus}
        for condition in structural_of(seen_by(scenario, one.role, stock)):
            if condition.keeps(facts):
                continue
            required, value = condition.explain(facts)
            yield AuditFinding(
                severity="error", topic="runs", id=condition.id, statement=f"{one.role}: {condition.statement}",
                stated=value, found=required, line=one.lines.get("command"), source="the scenario, model and engine",
            )  # fmt: skip
    if claimed.gpus > scenario.hardware.gpu_range.max:
        yield AuditFinding(
            severity="error", topic="runs", id="gpus.available", statement="the engines take more GPUs than there are",
            stated=f"{claimed.gpus:,} GPUs", found=f"{scenario.hardware.gpu_range.max:,} GPUs", source="the scenario",
        )  # fmt: skip


def _priced(scenario: Scenario, claimed: Claimed, watch: Watch, *, limits: bool) -> DeploymentPlan | None:
    """The plan's engines with the load dealt best; None where no load of the grid fits them, and the `limits`."""
    pinned = _pinned(scenario, claimed)
    market = Market.of(pinned if limits else _without_limits(pinned), watch, lambda _: None)
    engines = market.source.engines
    if not len(engines):
        return None
    identity, usable = np.zeros(len(engines), dtype=np.int64), engines.usable.copy()
    for i in range(len(engines)):
        kind = _kind(market, i, claimed)
        identity[i] = 0 if kind is None else kind + 1
        usable[i] &= kind is not None
    engines.identity, engines.usable = identity, usable
    exactly = {kind + 1: one.count for kind, one in enumerate(claimed.engines)}
    demands = replace(market.demands, exactly=exactly, distinct=None)
    search = Search(market.source, demands, watch)
    found = optimise(search, market.stages)
    if not found.counts:
        return None
    priced = replace(market, demands=demands, search=search)
    return assembled(priced, found, proof_of_deployment(found.outcome, priced.conditions, watch, priced, found))


def _kind(market: Market, index: int, claimed: Claimed) -> int | None:
    """Which of the plan's kinds an engine of the market is; None: another one, or more sequences than it takes."""
    priced, place = market.source.place(index)  # type: ignore[union-attr]
    degrees = tuple(priced.grid.strategies[place].tolist())
    for kind, one in enumerate(claimed.engines):
        if one.role != priced.part.role or degrees != tuple(getattr(one.strategy, name) for name in DEGREES):
            continue
        most = None if one.sequences is None else one.sequences * one.strategy.data
        if one.role == "prefill" or most is None or priced.grid.load[place] <= most:
            return kind
    return None


def _pinned(scenario: Scenario, claimed: Claimed) -> Scenario:
    """Only the plan's degrees; every identity is told from every other."""
    roles: dict[str, list[ClaimedEngine]] = {}
    for one in claimed.engines:
        roles.setdefault(one.role, []).append(one)
    rules = []
    for role, engines in roles.items():
        if role == "decode":  # what decode engines keep holds for aggregated ones too (Rule.holds_for)
            engines = [*engines, *roles.get("aggregated", ())]
        bounds = {name: Bound(any_of=tuple(sorted({getattr(e.strategy, name) for e in engines}))) for name in DEGREES}
        rules.append(Rule(id=f"as-stated-{role}", statement="the plan's own degrees", roles=(role,), **bounds))
    update: dict[str, object] = {
        "rules": (*scenario.rules, *rules),
        "distinct_strategies": _MANY,
        "modes": _modes(set(roles)),
        "strategy": scenario.strategy.model_copy(update=dict.fromkeys(DEGREES)),
    }
    return scenario.model_copy(update=update)


def _without_limits(scenario: Scenario) -> Scenario:
    """Any rate and any times will do."""
    work = scenario.workload
    update: dict[str, object] = {"requirements": Requirements(ttft_at=scenario.requirements.ttft_at)}
    if work.open_loop:
        update["workload"] = work.model_copy(update={"request_rate": "max"})
    return scenario.model_copy(update=update)


def _modes(roles: set[str]) -> tuple[str, ...]:
    if roles == {"aggregated"}:
        return ("aggregated",)
    return ("any",) if "aggregated" in roles else ("disaggregated",)


def _no_load() -> AuditFinding:
    return AuditFinding(
        severity="error", topic="runs", id="runs.load", source="the count model, docs/pools.md",
        statement="these engines cannot hold the load: no way to deal it fits their memory, stays within the sequences "
        "that they take, and keeps the pools in step",
    )  # fmt: skip


def _unmet(plan: DeploymentPlan, scenario: Scenario) -> Iterator[AuditFinding]:
    """Requirements that the engines miss with the load dealt best."""
    p, wanted = plan.predictions, scenario.requirements
    assert p is not None
    for name, value in (("ttft", p.ttft_s), ("tpot", p.tpot_s), ("request_latency", p.request_latency_s)):
        limit = getattr(wanted, name)
        if limit is not None and value is not None and value > limit * (1 + 1e-6):
            yield _missed(f"requirements.{name}", show_seconds(value), f"≤ {show_seconds(limit)}")
    rate = scenario.workload.request_rate
    asked = rate if isinstance(rate, float) else 0.0
    floors = [(wanted.throughput, p.requests_per_s, "throughput")]
    floors.append((wanted.throughput_per_gpu, p.requests_per_s_per_gpu, "throughput_per_gpu"))
    work = scenario.workload
    each = {"requests": 1.0, "input": work.input_tokens.mean, "output": work.output_tokens.mean}
    each["tokens"] = each["output"] if work.decodes else each["input"]
    for floor, value, name in floors:
        for unit, per in each.items():
            least = getattr(floor, unit, None)
            if least is not None and value * per < least * (1 - 1e-6):
                yield _missed(f"requirements.{name}.{unit}", f"{value * per:,.4g}/s", f"≥ {least:,.4g}/s")
    if p.requests_per_s < asked * (1 - 1e-6):
        carried = show_rate(p.requests_per_s, "requests")
        yield _missed("workload.request_rate", carried, f"≥ {show_rate(asked, 'requests')}")


def _missed(id: str, value: str, asked: str) -> AuditFinding:
    return AuditFinding(
        severity="error", topic="requirements", id=id, statement="not met with the load dealt best", stated=value,
        found=asked, source="the scenario; the engines priced by docs/costs.md, section 7",
    )  # fmt: skip


def _gap(scenario: Scenario, plan: DeploymentPlan | None, watch: Watch) -> Gap | None:
    """Against the best deployment of the same conditions; None where it was not proved."""
    best = deploy(scenario, time_limit=watch.remaining(), restrictions=False, conflicts=False)
    if best.status != "optimal" or best.predictions is None:
        return None
    first = best.proof.stages[0]
    assert first.value is not None
    pools = "; ".join(f"{pool.role} {', '.join(f'{e.count} × {e.name}' for e in pool.engines)}" for pool in best.pools)
    return Gap(
        objective=first.objective,
        unit=first.unit,
        plan=None if plan is None else plan.proof.stages[0].value,
        optimum=first.value,
        strategy=pools,
        latency_s=plan.predictions.request_latency_s if plan is not None and plan.predictions else None,
        optimum_latency_s=best.predictions.request_latency_s,
    )
