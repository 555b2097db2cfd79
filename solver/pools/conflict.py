"""Why no deployment exists: one irreducible set of conditions that collide, and how near each could come.

Found by deletion: a condition whose removal leaves no deployment either is dropped; what remains is a conflict, each
member needed. Every step is the count model itself, under conditions that lack what was removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ...models import Scenario
from ...models.conflict import Conflict, Member, Source
from ...models.strategy import DEGREES
from ...models.units import show_bytes, show_rate, show_seconds
from ..errors import StoppedError
from ..watch import Watch
from .conditions import Conditions
from .market import Market
from .objective import optimise, stages_of
from .scaling import fewest_gpus, more_gpus, on_gpus_of, scales, with_gpus, without_floors

_STEPS = 8
"""Halvings towards the best value of a limit: the last two are within 1 % of each other, or nearly."""


@dataclass(frozen=True)
class Demand:
    """One condition that somebody can change."""

    id: str
    statement: str
    asked: str
    without: Callable[[Conditions], Conditions]
    best: str = ""
    """The objective that tells how near it can come; or `ttft`, `tpot`: the limit to bisect. Empty: no number."""
    show: Callable[[float], str] = str


def conflicts_of(conditions: Conditions, watch: Watch) -> tuple[Conflict, ...]:
    """One conflict; none if the time ends first."""
    try:
        members, open_ = _needed(conditions, watch)
        found = [_member(conditions, members, one, watch, one.id in open_) for one in members]
    except StoppedError:
        return ()
    if not found:
        return (Conflict(proved=True, members=(), because=_nothing_fits(conditions)),)
    return (Conflict(proved=not open_, members=tuple(found), because=_because(found)),)


def _needed(conditions: Conditions, watch: Watch) -> tuple[list[Demand], set[str]]:
    """A minimal set of demands that no deployment keeps, and those of them that may not be needed."""
    kept: list[Demand] = []
    freer, open_ = conditions, set()
    for demand in demands_of(conditions):
        without = demand.without(freer)
        exists = _exists(without, conditions, watch)
        if exists is False:
            freer = without
            continue
        kept.append(demand)
        if exists is None:
            open_.add(demand.id)
    return kept, open_


def _exists(conditions: Conditions, original: Conditions, watch: Watch) -> bool | None:
    """Whether a deployment exists; None: not decided."""
    watch.check()
    if conditions.hardware.gpu_range.max > original.hardware.gpu_range.max and scales(conditions):
        # Copies of a deployment carry any rate: one on the GPUs there are is enough, and far sooner found.
        if _exists(on_gpus_of(without_floors(conditions), original), original, watch):
            return True
        conditions = without_floors(conditions)
    market = Market.of(conditions, watch, lambda _: None)
    if not len(market.source.engines):
        return False
    found = optimise(market.search, market.any_stage)
    return True if found.counts else (False if found.outcome == "infeasible" else None)


def demands_of(conditions: Conditions) -> Iterator[Demand]:
    """What could give way, in the order in which it is tried; what is tried last is most likely to be named."""
    if isinstance(conditions, Scenario):
        yield from _strategy_demands(conditions)
    if conditions.modes is not None and "any" not in conditions.modes:
        asked = ", ".join(conditions.modes)
        yield Demand("modes", f"pools: {asked}", asked, lambda c: c.model_copy(update={"modes": ("any",)}))
    if (most := conditions.distinct_strategies) is not None:
        text = f"at most {most} different strategies in a pool"
        yield Demand("distinct_strategies", text, f"≤ {most}", _without_distinct)
    yield from _requirement_demands(conditions)
    rate = conditions.workload.request_rate
    if isinstance(rate, float):
        asked = show_rate(rate, "requests")
        statement = f"{asked} are carried"
        yield Demand("workload.request_rate", statement, f"≥ {asked}", _without_rate, "throughput", _requests)
    if conditions.hardware.gpu_range.min > 1:
        least = conditions.hardware.gpu_range.min
        yield Demand("gpus.minimum", f"at least {least:,} GPUs", f"≥ {least:,} GPUs", lambda c: with_gpus(c, least=1))
    most_gpus = conditions.hardware.gpu_range.max
    text = f"at most {most_gpus:,} GPUs"
    yield Demand("gpus.available", text, f"≤ {most_gpus:,} GPUs", more_gpus, "fewest-gpus", lambda x: f"{x:,.0f} GPUs")


def _requests(value: float) -> str:
    return show_rate(value, "requests")


def _requirement_demands(conditions: Conditions) -> Iterator[Demand]:
    wanted = conditions.requirements
    times = (
        ("tpot", "time per output token", "tpot"),
        ("request_latency", "request latency", "latency"),
        ("ttft", "time to first token", "ttft"),
    )
    for name, words, best in times:
        if (limit := getattr(wanted, name, None)) is not None:
            asked = f"≤ {show_seconds(limit)}"
            yield Demand(f"requirements.{name}", f"{words} {asked}", asked, _without(name), best, show_seconds)
    if wanted.memory_per_gpu is not None:
        asked = f"≤ {show_bytes(wanted.memory_per_gpu)}"
        yield Demand("requirements.memory_per_gpu", f"memory per GPU {asked}", asked, _without("memory_per_gpu"))
    for group, best in (("throughput", "throughput"), ("throughput_per_gpu", "throughput-per-gpu")):
        if (floor := getattr(wanted, group)) is not None:
            per = " per GPU used" if group.endswith("gpu") else ""
            asked = ", ".join(f"{name} {value:g}/s" for name, value in floor.model_dump(exclude_none=True).items())
            yield Demand(f"requirements.{group}", f"{asked}{per}", f"≥ {asked}{per}", _without(group), best, _requests)


def _without(requirement: str) -> Callable[[Conditions], Conditions]:
    def change(conditions: Conditions) -> Conditions:
        wanted = conditions.requirements.model_copy(update={requirement: None})
        return conditions.model_copy(update={"requirements": wanted})

    return change


def _without_distinct(conditions: Conditions) -> Conditions:
    return conditions.model_copy(update={"distinct_strategies": None, "modes": conditions.modes or ("any",)})


def _without_rate(conditions: Conditions) -> Conditions:
    free = "max" if isinstance(conditions, Scenario) else None
    return conditions.model_copy(update={"workload": conditions.workload.model_copy(update={"request_rate": free})})


def _strategy_demands(scenario: Scenario) -> Iterator[Demand]:
    """Pins, rules, the serving engine."""

    def unpinned(name: str) -> Callable[[Any], Any]:
        return lambda s: s.model_copy(update={"strategy": s.strategy.model_copy(update={name: None})})

    def waived(id: str) -> Callable[[Any], Any]:
        return lambda s: s.model_copy(update={"waive": (*s.waive, id)})

    for name in (*DEGREES, "engines", "batch", "token_budget"):
        if (bound := getattr(scenario.strategy, name)) is not None:
            yield Demand(f"strategy.{name}", f"{name} {bound}", str(bound), unpinned(name))
    for rule in scenario.rules_in_force:
        yield Demand(f"rules.{rule.id}", rule.statement, rule.statement, waived(rule.id))
    if scenario.engine is not None:
        text = f"what {scenario.engine.name} {scenario.engine.version} can express"
        yield Demand("engine", text, scenario.engine.id, lambda s: s.model_copy(update={"engine": None}))


def _member(conditions: Conditions, members: list[Demand], one: Demand, watch: Watch, is_open: bool) -> Member:
    """A member with the best value it can have while the others hold."""
    others = {member.id for member in members} - {one.id}
    freer = one.without(conditions)
    for demand in demands_of(conditions):
        if demand.id not in others and demand.id != one.id:
            freer = demand.without(freer)
    key = "hardware.gpus" if one.id.startswith("gpus.") else one.id
    best, reached = (None, None) if is_open else _best(freer, conditions, one, watch)
    whole = None
    if best is not None and (freest := one.without(conditions)) != freer and _exists(freest, conditions, watch):
        whole, _ = _best(freest, conditions, one, watch)
    return Member(
        id=one.id,
        statement=one.statement,
        asked=one.asked,
        best_possible=best,
        reached_by=reached,
        best_with_all=whole,
        needed="possible" if is_open else "proved",
        source=Source(file=None, line=None, key=key),
    )


def _best(freer: Conditions, original: Conditions, one: Demand, watch: Watch) -> tuple[str | None, str | None]:
    """The best value that a demand can have, and what reaches it."""
    if one.best in ("ttft", "tpot"):
        value, reached = _least(freer, one.best, watch)
        return f"{one.show(value)} (within about 1 %)", reached
    if one.id == "gpus.available" and (few := fewest_gpus(freer, original, watch)) is not None:
        return few
    if not one.best:
        return None, None
    market = Market.of(freer, watch, lambda _: None)
    found = optimise(market.search, stages_of((one.best,), 0.0, free=False)[:1])
    if not found.stages or found.stages[0].value is None:
        return None, None
    most = "" if found.outcome == "optimal" else ", or better"
    return f"{one.show(found.stages[0].value)}{most}", market.describe(found.counts)


def _least(freer: Conditions, limit: str, watch: Watch) -> tuple[float, str]:
    """The smallest limit on TTFT or TPOT with which a deployment exists, by bisection."""
    high, reached = _slowest(freer, limit, watch)
    low = 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2 if low else high / 4
        tried = freer.requirements.model_copy(update={limit: middle})
        try:
            high, reached = _slowest(freer.model_copy(update={"requirements": tried}), limit, watch)
        except LookupError:
            low = middle
        if high - low <= 0.01 * high:
            break
    return high, reached


def _slowest(conditions: Conditions, limit: str, watch: Watch) -> tuple[float, str]:
    """TTFT or TPOT of some deployment, and its engines. Raises LookupError if there is none."""
    watch.check()
    market = Market.of(conditions, watch, lambda _: None)
    found = optimise(market.search, market.any_stage) if len(market.source.engines) else None
    if found is None or not found.counts:
        raise LookupError
    return market.worst(limit, found.counts), market.describe(found.counts)


def _because(members: list[Member]) -> str:
    told = [m for m in members if m.best_possible is not None]
    if not told:
        return "no deployment keeps them together, and one exists without any of them"
    others = "with the others kept" if len(members) > 1 else "whatever else gives way"
    return "; ".join(f"{m.statement}: {others} it is {m.best_possible} at best" for m in told)


def _nothing_fits(conditions: Conditions) -> str:
    if isinstance(conditions, Scenario):
        return "no engine fits the cards, whatever gives way: the weights and one request need more memory or GPUs"
    return "the table has no engine of the roles asked for on the cards there are"
