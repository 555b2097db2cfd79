"""A plan from elsewhere held against a scenario: findings with both numbers, and the distance from the optimum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...models import Requirements, Scenario
from ...models.audit import Audit, AuditFinding, Gap
from ...models.claimed import Claimed
from ...models.measures import MeasureRule
from ...models.units import show_rate, show_seconds
from .. import answer
from ..errors import StoppedError
from ..solving import solve
from ..watch import Watch
from . import claims, gap, machine, needs, runs
from .pools import audit_pools
from .subject import Subject, profile_of, subject_of
from .techniques import idle_measures

_ORDER = {"error": 0, "warning": 1, "note": 2}


def audit(
    scenario: Scenario,
    claimed: Claimed,
    *,
    measures: Sequence[MeasureRule] = (),
    conditions: Iterable[AuditFinding] = (),
    optimum: bool = True,
    watch: Watch | None = None,
) -> Audit:
    """Audit a plan; one of pools, or for a scenario that asks for pools, by the count model.

    `measures` are the site's own rules; `conditions` what is known of the plan's own conditions; `optimum` says whether
    the best plan is worked out. Raises InputError for degrees that no engine has.
    """
    watch = watch or Watch()
    if scenario.pools or len(claimed.engines) > 1 or claimed.engines[0].role != "aggregated":
        known = tuple(conditions)
        return audit_pools(scenario, claimed, measures=measures, conditions=known, watch=watch, optimum=optimum)
    subject = subject_of(scenario, claimed)
    rows = machine.balance(subject)
    found = [*conditions, *runs.unread(claimed), *runs.broken(subject), *runs.limits(subject)]
    found += runs.another_model(claimed, scenario)
    found += needs.unmet(subject)
    found += needs.unlisted(subject)
    found += claims.judged(subject)
    found += idle_measures(subject.scenario, claimed, measures)
    found += machine.wasted(subject, rows)
    room = runs.room_of(subject)
    if room is not None:
        found += runs.short_of_room(subject, room)
    found += [
        AuditFinding(severity="warning", topic="claims", id="conditions.parameters", statement=text, source="the model")
        for text in answer.warnings_of(subject.scenario)
    ]
    distance = None
    if optimum:
        distance, more = _distance(subject, scenario, watch)
        if distance is not None and distance.plan is not None and not gap.behind(distance):
            found = [_known(one) for one in found]  # what the best plan does too is no loss
        found += more
    engine = claimed.engines[0]
    return Audit(
        sound=not any(one.severity == "error" for one in found),
        scenario=scenario.name,
        file=claimed.file,
        form=claimed.form,
        engine=claimed.engine,
        strategies=(engine.strategy,),
        engines=(engine.count,),
        gpus_used=claimed.gpus,
        gpus_idle=max(0, scenario.hardware.gpu_range.max - claimed.gpus),
        reached=_reached(subject),
        findings=tuple(sorted(found, key=lambda one: _ORDER[one.severity])),
        room=() if room is None else (room,),
        gap=distance,
        balance=rows,
    )


def _known(one: AuditFinding) -> AuditFinding:
    lost = one.severity == "warning" and one.topic == "hardware"
    return one.model_copy(update={"severity": "note"}) if lost else one


def _reached(subject: Subject) -> str | None:
    p = subject.evaluation.predictions
    if p is None:
        return None
    tpot = f", TPOT {show_seconds(p.tpot_s)}" if p.tpot_s is not None else ""
    rates = f"{show_rate(p.requests_per_s, 'requests')}, {show_rate(p.tokens_per_s_per_gpu)} per GPU"
    return f"TTFT {show_seconds(p.ttft_s)}{tpot}, {rates}"


def _distance(subject: Subject, scenario: Scenario, watch: Watch) -> tuple[Gap | None, list[AuditFinding]]:
    """The gap to the best plan under the same serving engine, in words too.

    Where no plan keeps all requirements, the best one without those that this plan breaks; else without any.
    """
    profile = profile_of(subject.claimed)
    scene = scenario if profile is None else scenario.model_copy(update={"engine": profile})
    for left_out, freer in _freer(scene, subject):
        try:
            best = solve(freer, time_limit=watch.remaining(), alternatives=0, conflicts=False, readings=False)
            if best.status == "optimal":
                distance = gap.gap_of(subject, best, watch)
                return distance, [*_none_keeps(left_out), *gap.told(distance)]
        except StoppedError:
            break
        if best.status != "infeasible":
            break
    else:
        return None, [_note("no plan exists at all: `shardwise explain` says why, and what would help")]
    return None, [_note("the time ended before the optimum was proved; how far the plan is from it is not known")]


def _freer(scenario: Scenario, subject: Subject) -> Iterator[tuple[str, Scenario]]:
    """(what is left out, the scenario without it)."""
    yield "", scenario
    names = dict.fromkeys(name.split(".")[1] for name in subject.evaluation.broken if name.startswith("requirements."))
    if names:
        wanted = scenario.requirements.model_copy(update=dict.fromkeys(names))
        told = ", ".join(f"requirements.{name}" for name in names)
        yield told, scenario.model_copy(update={"requirements": wanted})
    yield "any requirement", scenario.model_copy(update={"requirements": Requirements()})


def _none_keeps(left_out: str) -> list[AuditFinding]:
    if not left_out:
        return []
    return [
        _note(
            "no plan at all keeps the scenario's conditions (`shardwise explain` says why); the optimum here is the "
            f"best without {left_out}"
        )
    ]


def _note(text: str) -> AuditFinding:
    return AuditFinding(severity="note", topic="optimum", id="optimum.none", statement=text, source="shardwise solve")
