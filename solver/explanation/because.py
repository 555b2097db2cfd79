"""One sentence that derives a conflict from its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...models import Scenario
from ...models.conflict import Member
from ..conditions import Condition, Limit
from ..degrees import is_legal
from .arithmetic import contradictions
from .demands import Demand, facts_of
from .search import Search


def because(scenario: Scenario, found: Search, demands: Sequence[Demand], members: Sequence[Member]) -> str:
    """From arithmetic where it suffices, from the facts where only degrees collide, else from the best values."""
    ids = {demand.id for demand in demands}
    for contradiction in contradictions(scenario):
        if set(contradiction.ids) == ids:
            return contradiction.because
    structural = not any(isinstance(demand.condition, Limit) for demand in demands)
    sentence = _facts(found, demands) if structural else _values(found, demands, members)
    return "; ".join([sentence, *(f"{part.statement} ({part.id})" for part in _parts(found, demands))])


def _parts(found: Search, demands: Sequence[Demand]) -> list[Condition]:
    """What falls with a member and is the reason: rows keep everything else, the member itself too."""
    bits = {demand.id: 1 << bit for bit, demand in enumerate(found.rows.demands)}
    reasons: list[Condition] = []
    for demand in demands:
        others = sum(bits[other.id] for other in demands if other is not demand)
        rows = np.flatnonzero(found.rows.masks & others == 0)
        if demand.parts and np.any(demand.condition.keeps(found.rows.part(rows))):
            reasons += demand.parts
    return reasons


def _facts(found: Search, demands: Sequence[Demand]) -> str:
    """The facts that the conflict needs, found by leaving out one at a time."""
    wide = found.rows.scenario
    asked = [condition for demand in demands for condition in demand.conditions]
    needed: list[Condition] = [fact for fact in facts_of(wide) if not isinstance(fact, Limit)]
    if is_legal(wide, [*asked, *needed]):  # it takes a load or a price too
        return "no strategy is left that carries the load"
    for fact in sorted(needed, key=lambda fact: fact.id):
        rest = [other for other in needed if other is not fact]
        if not is_legal(wide, [*asked, *rest]):
            needed = rest
    named = [f"{fact.statement} ({fact.id})" for fact in needed if not fact.id.startswith("degrees.")]
    shapes = "the shapes leave no strategy" if not named else "; ".join(named)
    return f"{_joined([demand.asked for demand in demands])} cannot be met: {shapes}"


def _values(found: Search, demands: Sequence[Demand], members: Sequence[Member]) -> str:
    """The member that people ask about, and the best it can be while the others hold."""
    order = ("requirements.", "memory.", "strategy.", "gpus.minimum", "rules.", "engine.", "gpus.")
    subject = min(members, key=lambda m: next(i for i, start in enumerate(order) if m.id.startswith(start)))
    others = [member.asked for member in members if member is not subject]
    kept = f"with {_joined(others)}" if others else f"on up to {found.gpus:,} GPUs, whatever else gives way"
    if subject.best_possible is None:
        return f"{kept}, {subject.statement} cannot be kept"
    load = "".join(f"; {fact.statement} ({fact.id})" for fact in facts_of(found.rows.scenario) if _loads(fact, demands))
    if subject.id.startswith(("strategy.", "rules.", "engine.", "gpus.")):
        return f"{kept}, {subject.asked} cannot be: the nearest is {subject.best_possible} ({subject.reached_by}){load}"
    return (
        f"{kept}, {_what(subject)} reaches {subject.best_possible} at best ({subject.reached_by}), "
        f"and {subject.asked} is asked{load}"
    )


def _loads(fact: Condition, demands: Sequence[Demand]) -> bool:
    """Whether a fact about the load stands behind a pin."""
    pinned = {demand.condition.key.removeprefix("strategy.") for demand in demands if demand.condition.kind == "pin"}
    behind = {"budget.carries_load": {"token_budget"}, "load.every_rank": {"engines", "data"}}
    return bool(behind.get(fact.id, set()) & pinned)


def _what(member: Member) -> str:
    names = {
        "requirements.ttft": "the time to first token",
        "requirements.tpot": "the time per output token",
        "requirements.request_latency": "the request latency",
        "requirements.memory_per_gpu": "the fullest GPU",
        "memory.fits": "the fullest GPU",
    }
    if member.id.startswith("requirements.throughput_per_gpu"):
        return "throughput per GPU"
    if member.id.startswith("requirements.throughput"):
        return "throughput"
    return names.get(member.id, member.id)


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
