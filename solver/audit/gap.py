"""How far a plan is from the proved optimum, and the smallest change of degrees that closes most of the gap."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...models import Evaluation, Plan, Scenario, Strategy
from ...models.audit import AuditFinding, Gap
from ...models.strategy import DEGREES
from ..choice.objective import Stage, stages_of
from ..choice.table import best_row, tabulate
from ..conditions import limits_of
from ..costs import Candidates, price
from ..costs.grid import make_grid
from ..degrees import legal_strategies
from ..watch import Watch
from .subject import Subject

MOST = 0.8
"""Share of the gap that counts as most of it."""
WORTH = 0.02
"""Gap below which nothing is said."""
_AT_ONCE = 200_000
"""Rows priced for the smallest change; beyond, more changes are not tried."""


def gap_of(subject: Subject, best: Plan, watch: Watch) -> Gap:
    """From the plan's first objective; `best` is proved for the scenario under the plan's engine."""
    stage = stages_of(best.scenario)[0]
    assert best.predictions is not None
    theirs = _value(stage, subject.evaluation) if subject.evaluation.ok or subject.evaluation.predictions else None
    optimum = _of_plan(stage, best)
    found = Gap(
        objective=stage.words,
        unit=stage.unit,
        plan=theirs,
        optimum=optimum,
        strategy=f"{best.engines[0].strategy.describe()} × {best.engines[0].count}",
        latency_s=subject.evaluation.predictions.request_latency_s if subject.evaluation.predictions else None,
        optimum_latency_s=best.predictions.request_latency_s,
    )
    if theirs is None or not behind(found):
        return found
    nearest = _nearest(best.scenario, subject.strategy, stage, theirs, optimum, watch)
    if nearest is None:
        return found
    strategy, engines, value = nearest
    changes = tuple(
        f"{name} {getattr(subject.strategy, name)} → {getattr(strategy, name)}"
        for name in DEGREES
        if getattr(subject.strategy, name) != getattr(strategy, name)
    )
    if engines != subject.engine.count:
        changes += (f"engines {subject.engine.count} → {engines}",)
    closes = (value - theirs) / (optimum - theirs)
    return found.model_copy(
        update={"nearest": f"{strategy.describe()} × {engines}", "changes": changes, "closes": closes}
    )


def told(gap: Gap) -> Iterator[AuditFinding]:
    """The gap in words."""
    if gap.plan is None:
        return
    if not behind(gap):
        yield AuditFinding(
            severity="note", topic="optimum", id="optimum.reached", source="shardwise solve of the same conditions",
            statement=f"no plan is better by more than {WORTH:.0%} in the first objective ({gap.objective})",
        )  # fmt: skip
        return
    better = gap.optimum / gap.plan - 1 if gap.plan else float("inf")
    latency = ""
    if gap.latency_s is not None and gap.optimum_latency_s is not None:
        latency = f", request latency {gap.optimum_latency_s:.4g} s instead of {gap.latency_s:.4g} s"
    change = ""
    if gap.nearest is not None and gap.closes is not None:
        what = ", ".join(gap.changes) or "the same degrees with the plan's other limits left free"
        change = f"; {what} closes {min(gap.closes, 1):.0%} of it"
    yield AuditFinding(
        severity="warning",
        topic="optimum",
        id="optimum.gap",
        statement=f"{gap.strategy} reaches {better:+.0%} in the first objective ({gap.objective}){latency}{change}",
        stated=f"{_number(gap.plan)} {gap.unit}",
        found=f"{_number(gap.optimum)} {gap.unit}, proved optimal",
        source="shardwise solve of the same conditions",
    )


def behind(gap: Gap) -> bool:
    """Whether the plan is worse by more than is worth a word; one that breaks conditions may be better."""
    less = gap.objective.startswith(("lowest", "fewest"))
    assert gap.plan is not None
    worse = gap.plan - gap.optimum if less else gap.optimum - gap.plan
    return worse > WORTH * abs(gap.optimum)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _value(stage: Stage, found: Evaluation) -> float | None:
    if (p := found.predictions) is None:
        return None
    whole = {
        "output_rate": p.output_tokens_per_s or 0.0,
        "input_rate": p.input_tokens_per_s,
        "request_latency": p.request_latency_s,
        "gpus_used": float(found.gpus_used),
    }
    name = stage.column.removesuffix("_per_gpu")
    return whole[name] / found.gpus_used if stage.column.endswith("_per_gpu") else whole[name]


def _of_plan(stage: Stage, plan: Plan) -> float:
    value = plan.proof.stages[0].value
    assert value is not None
    return value


def _nearest(
    scenario: Scenario, given: Strategy, stage: Stage, theirs: float, optimum: float, watch: Watch
) -> tuple[Strategy, int, float] | None:
    """The legal strategy with the fewest changed degrees that closes most of the gap."""
    strategies = legal_strategies(scenario, watch=watch)
    at = np.array([getattr(given, name) for name in DEGREES])
    changed = (strategies != at).sum(axis=1)
    for count in np.unique(changed):
        watch.check()
        few = strategies[changed == count]
        grid = make_grid(scenario, few)
        if len(grid) > _AT_ONCE:
            return None
        priced = price(scenario, grid)
        row = _best(scenario, priced, stage)
        if row is None:
            continue
        value = float(priced.take([row]).column(_column(stage))[0])
        if (value - theirs) / (optimum - theirs) >= MOST:
            chosen = Strategy(**dict(zip(DEGREES, priced.strategies[row].tolist(), strict=True)))
            return chosen, int(priced.engines[row]), value
    return None


def _best(scenario: Scenario, priced: Candidates, stage: Stage) -> int | None:
    limits, stages = limits_of(scenario), stages_of(scenario)
    table = tabulate(priced, limits, stages)
    return best_row(table, stages, np.flatnonzero(table.broken == 0))


def _column(stage: Stage) -> str:
    return stage.column
