"""Deployments priced by shardwise itself against plain enumeration of all engines and all multisets of them."""

from __future__ import annotations

import math

from hypothesis import given, reject, settings
from hypothesis import strategies as st
from shardwise.models import Scenario
from shardwise.models.deployment import DeploymentPlan
from shardwise.models.strategy import DEGREES
from shardwise.solver import deploy

from tests.solver.brute_force import UndecidedError

from .own_at_random import asked, scenarios
from .own_brute_force import EXACT_LOADS, Engine, best_value, engines

TOLERANCES = {"latency": 1e-6, "throughput": 2e-6, "throughput-per-gpu": 2e-6, "throughput-per-cost": 2e-6}
TIMES = {"latency", "fewest-gpus", "cost"}
"""Objectives of which less is better."""


def value_of(plan: DeploymentPlan) -> float:
    """What the first objective is about, in SI units."""
    found = plan.predictions
    assert found is not None
    values = {
        "throughput": found.requests_per_s,
        "latency": found.request_latency_s,
        "fewest-gpus": float(plan.gpus_used),
        "throughput-per-gpu": found.requests_per_s_per_gpu,
        "cost": found.cost_per_hour,
        "throughput-per-cost": found.requests_per_s / found.cost_per_hour if found.cost_per_hour else None,
    }
    value = values[plan.scenario.objectives[0]]
    assert value is not None
    return value


def compare(scene: Scenario, kinds: list[Engine]) -> bool:
    """Whether every reading of the grid gives one value; it is then the solver's, else the solver's lies between."""
    objective = scene.objectives[0]
    stated = [one for one in kinds if one.stated]
    least = best_value(scene, stated, objective)
    most = best_value(scene, kinds, objective) if len(stated) < len(kinds) else least
    plan = deploy(scene, restrictions=False, conflicts=False)
    if most is None:
        assert plan.status == "infeasible", "enumeration finds nothing"
        return True
    if plan.status == "infeasible":
        assert least is None, f"enumeration finds {least}"
        return False
    assert plan.status == "optimal"
    assert plan.verification is not None and plan.verification.ok
    members(scene, plan, kinds)
    off = TOLERANCES.get(objective, 1e-9)
    found, sign = value_of(plan), -1 if objective in TIMES else 1
    assert sign * found <= sign * most * (1 + sign * off), f"{found} is better than {most}, the best there is"
    assert least is None or sign * found >= sign * least * (1 - sign * off), f"{found} is worse than {least}"
    return least is not None and math.isclose(least, most, rel_tol=off)


def members(scene: Scenario, plan: DeploymentPlan, kinds: list[Engine]) -> None:
    """Every engine of the plan is in the grid that docs/costs.md states, and has its figures."""
    cards = [stock.accelerator.id for stock in scene.hardware.stocks]
    closed = scene.workload.concurrency is not None
    for entry in plan.engines:
        cut = entry.strategy
        assert cut is not None
        busy = entry.utilization if entry.role == "prefill" or (closed and entry.role == "decode") else None
        alike = [
            one
            for one in kinds
            if (one.role, one.load or None) == (entry.role, entry.load)
            and "+".join(cards[card] for card, _ in one.parts) == entry.accelerator
            and one.degrees == tuple(getattr(cut, name) for name in DEGREES)
            and (one.batch, one.budget) == (cut.batch, cut.token_budget)
            and (one.busy is None) == (busy is None)
            and math.isclose(one.busy or 0, busy or 0, rel_tol=1e-9)
        ]
        assert len(alike) == 1, f"{entry.role} {entry.name}, load {entry.load}, busy {busy} is not in the grid"
        assert math.isclose(alike[0].rate, entry.requests_per_s, rel_tol=1e-6)
        assert math.isclose(alike[0].latency, entry.request_latency_s, rel_tol=1e-6)


def checked(data: st.DataObject, load: str, gpus: int, solves: int = 2) -> None:
    base = data.draw(scenarios(load, gpus=gpus))
    try:
        kinds = engines(base)
        if base.workload.open_loop and any(one.load > EXACT_LOADS for one in kinds):
            reject()
        for _ in range(solves):
            scene = asked(data.draw, base, kinds)
            compare(scene, kinds)
    except UndecidedError:
        reject()


@settings(max_examples=3)
@given(data=st.data())
def test_closed_loop(data: st.DataObject) -> None:
    checked(data, "closed", 4)


@settings(max_examples=3)
@given(data=st.data())
def test_open_loop(data: st.DataObject) -> None:
    checked(data, "open", 4)


@settings(max_examples=3)
@given(data=st.data())
def test_prompts_only(data: st.DataObject) -> None:
    checked(data, "prompts", 4)
