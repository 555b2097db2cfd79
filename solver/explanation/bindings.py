"""What holds a plan back: which conditions bind, how much slack the others have, what one more unit of each buys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...models import GpuRange, Plan, Scenario
from ...models.edit import Edit
from ...models.explanation import Binding, Effect
from ...models.units import show_bytes
from ..choice.objective import stages_of
from ..choice.screen import screen
from ..choice.table import best_row
from ..conditions import Limit, limits_of, structural_of
from ..costs.grid import make_grid
from ..degrees import legal_strategies
from ..errors import StoppedError
from ..watch import Watch
from ..writing.plan_md import plain_headline
from .conflicts import Origin
from .demands import Demand, demands_of
from .loosening import Stated, unit_of, written

LOOSER = 0.1
"""Share by which a requirement is loosened to see what it buys."""
Apply = Callable[[Sequence[Edit]], Scenario]
Solve = Callable[[Scenario], Plan]


def bindings(plan: Plan, apply: Apply, solve: Solve, watch: Watch, stated: Stated, origin: Origin) -> Iterator[Binding]:
    """One for each condition that a person can change. What the time does not allow is left undecided."""
    scenario = plan.scenario
    checks = {check.name: check for check in plan.checks}
    try:
        best: tuple[float, ...] | None = optimum(scenario, watch)
    except StoppedError:
        best = None
    for demand in demands_of(scenario):
        check = checks[demand.id]
        effects: list[Effect] = []
        binds: bool | None = None
        try:
            if best is not None:
                effects, binds = _decided(plan, demand, best, apply, solve, watch, stated)
        except StoppedError:
            best = None
        yield Binding(
            id=demand.id,
            statement=demand.condition.statement,
            asked=check.required,
            reached=check.predicted,
            slack=check.margin,
            binds=binds,
            source=origin(demand.condition.key),
            effects=tuple(effects),
        )


def _decided(
    plan: Plan,
    demand: Demand,
    best: tuple[float, ...],
    apply: Apply,
    solve: Solve,
    watch: Watch,
    stated: Stated,
) -> tuple[list[Effect], bool]:
    """What loosening buys, and whether the condition binds: without it, or with the GPUs tried, the optimum changes."""
    if demand.id == "gpus.available":
        effects = _effects(plan, _steps(plan.scenario, demand, stated), apply, solve)
        return effects, any(effect.headline is not None for effect in effects)
    if optimum(plan.scenario, watch, without=demand.id) == best:
        return [], False
    return _effects(plan, _steps(plan.scenario, demand, stated), apply, solve), True


def optimum(scenario: Scenario, watch: Watch, without: str = "") -> tuple[float, ...]:
    """The value of each objective by filtering every row; one demand may be left out."""
    structural = [c for c in structural_of(scenario) if without not in (c.id, c.part_of or c.id)]
    limits, stages = [c for c in limits_of(scenario) if c.id != without], stages_of(scenario)
    grid = make_grid(scenario, legal_strategies(scenario, structural, watch))
    screened = screen(_roomy(scenario, without), grid, limits, stages, runners_up=0, check=watch.check)
    if not screened.complete:
        raise StoppedError
    row = best_row(screened.table, stages, np.flatnonzero(screened.table.broken == 0))
    assert row is not None
    return tuple(float(screened.candidates.column(stage.column)[row]) for stage in stages)


def _roomy(scenario: Scenario, without: str) -> Scenario:
    """Stages are split for the memory there is: without its limit, for more than any model needs."""
    if without == "memory.fits":
        card = scenario.hardware.accelerator.model_copy(update={"memory": 2.0**60})
        hardware = scenario.hardware.model_copy(update={"accelerator": card})
        return scenario.model_copy(update={"hardware": hardware})
    if without == "requirements.memory_per_gpu":
        wanted = scenario.requirements.model_copy(update={"memory_per_gpu": None})
        return scenario.model_copy(update={"requirements": wanted})
    return scenario


def _steps(scenario: Scenario, demand: Demand, stated: Stated) -> Iterator[tuple[str, tuple[Edit, ...]]]:
    """(words, edits) of one more unit of a condition."""
    condition, hardware = demand.condition, scenario.hardware
    if demand.id == "gpus.available":
        most, node = hardware.gpu_range.max, hardware.node_size
        key = "hardware.gpus.max" if isinstance(hardware.gpus, GpuRange) else "hardware.gpus"
        for words, more in (("1 GPU more", 1), (f"a node of {node} more", node)):
            if most + more <= 8_192 and (more > 1 or node > 1):
                yield words, (Edit(key=key, before=stated(key), after=most + more),)
    elif demand.id == "memory.fits":
        card = hardware.accelerator.memory
        yield (
            "1 GB more on each card",
            (Edit(key="hardware.accelerator.memory", before=show_bytes(card), after=written(card + 1e9, "1 GB")),),
        )
    elif demand.id == "gpus.minimum" and hardware.use_all_gpus:
        yield "GPUs may stay idle", (Edit(key="hardware.use_all_gpus", before=True, after=False),)
    elif demand.id == "gpus.minimum":
        least = int(condition.bound)  # type: ignore[attr-defined]
        yield "1 GPU fewer", (Edit(key="hardware.gpus.min", before=least, after=least - 1),)
    elif condition.kind == "pin":
        yield "without the pin", (Edit(key=condition.key, before=stated(condition.key), after=None),)
    elif condition.kind == "rule":
        id = demand.id.removeprefix("rules.")
        before = list(scenario.waive) or None
        yield "without the rule", (Edit(key="waive", before=before, after=[*scenario.waive, id]),)
    elif isinstance(condition, Limit):
        factor = 1 + LOOSER if condition.sense == "<=" else 1 - LOOSER
        before = stated(condition.key)
        like = before if isinstance(before, str) else unit_of(condition)
        after = written(condition.bound * factor, like)
        yield f"{LOOSER:.0%} looser", (Edit(key=condition.key, before=before, after=after),)
    elif condition.kind == "engine" and scenario.engine is not None:
        yield "without the engine's rules", (Edit(key="engine", before=scenario.engine.id, after="generic"),)


def _effects(plan: Plan, steps: Iterator[tuple[str, tuple[Edit, ...]]], apply: Apply, solve: Solve) -> list[Effect]:
    found = []
    for words, edits in steps:
        other = solve(apply(edits))
        if other.status == "unknown":
            break
        found.append(_effect(plan, other, words, edits))
    return found


def _effect(plan: Plan, other: Plan, words: str, edits: tuple[Edit, ...]) -> Effect:
    """The differences that people look at; a plan of the same figures buys nothing."""
    if not other.engines:  # a machine that must be used whole may have no plan on more GPUs
        return Effect(change=words, edits=edits, buys="no plan at all", headline=None)
    old, new = plan.predictions, other.predictions
    assert old is not None and new is not None
    pairs = [
        ("throughput", _rate(plan), _rate(other)),
        ("throughput per GPU", old.tokens_per_s_per_gpu, new.tokens_per_s_per_gpu),
        ("TTFT", old.ttft_s, new.ttft_s),
        ("TPOT", old.tpot_s, new.tpot_s),
        ("GPUs used", plan.gpus_used, other.gpus_used),
    ]
    moved = [
        f"{name} {b / a - 1:+.1%}" if name != "GPUs used" else f"{a} → {b} GPUs"
        for name, a, b in pairs
        if a and b and abs(b / a - 1) > 5e-4
    ]
    same = not moved and plan.engines == other.engines
    text = ", ".join(moved) or ("nothing" if same else "the same figures from another strategy")
    return Effect(change=words, edits=edits, buys=text, headline=None if same else plain_headline(other))


def _rate(plan: Plan) -> float:
    assert plan.predictions is not None
    return plan.predictions.output_tokens_per_s or plan.predictions.input_tokens_per_s
