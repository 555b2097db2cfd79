"""Deployments priced by shardwise itself against plain enumeration of all engines and all multisets of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st
from shardwise.models import Scenario
from shardwise.models.deployment import DeploymentPlan
from shardwise.models.strategy import DEGREES
from shardwise.solver import deploy

from tests.builders import CARD, DENSE, EXPERTS, scenario
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


# --- found by these tests, smallest first ----------------------------------------------------------------------------

ONE, TWO = DENSE | {"layers": 1}, DENSE | {"layers": 2}
SLOW_START = {"startup": 0.01, "iteration": 1e-4}
UNSEEN = "what [disaggregated] gives alone is better: [any] and [aggregated, disaggregated] do not see it"


def chat(clients: int, prompt: int, answer: int) -> dict[str, Any]:
    return {"concurrency": clients, "input_tokens": prompt, "output_tokens": answer}


def offered(prompt: int, answer: int) -> dict[str, Any]:
    return {"request_rate": "max", "input_tokens": prompt, "output_tokens": answer}


def two_cards(first: int, second: int) -> dict[str, Any]:
    """A usual card and one with three times the bandwidth, so many of each."""
    other = CARD | {"id": "other", "memory_bandwidth": 3e9, "compute": 6e11}
    cards = ((CARD | {"id": "one"}, first), (other, second))
    return {"inventory": [{"accelerator": card, "gpus": gpus, "gpus_per_node": 2} for card, gpus in cards]}


def agree(scene: Scenario) -> None:
    assert compare(scene, engines(scene)), "the grid can be read in two ways here"


def test_every_number_of_engines_is_in_the_grid() -> None:
    """n ended at ⌊N/z²⌋: two engines of TP2 on 4 GPUs were not seen."""
    agree(scenario(ONE, chat(4, 100, 40), modes="aggregated", objective="throughput", latencies="none"))


@pytest.mark.parametrize("modes", ["any", ["aggregated", "disaggregated"]])
def test_pairs_are_seen_beside_aggregated_engines(modes: Any) -> None:
    agree(scenario(TWO, chat(5, 30, 40), gpus=3, modes=modes, objective="throughput", latencies=SLOW_START))


@pytest.mark.parametrize("modes", ["any", ["aggregated", "disaggregated"]])
def test_pairs_on_two_cards_are_seen_beside_aggregated_engines(modes: Any) -> None:
    hardware = two_cards(1, 2)
    agree(scenario(ONE, chat(2, 30, 40), hardware=hardware, modes=modes, objective="throughput", latencies=SLOW_START))


def test_prefill_engines_of_two_cards_keep_up() -> None:
    model, hardware = EXPERTS | {"layers": 1}, two_cards(2, 1)
    agree(
        scenario(
            model, chat(2, 30, 2), hardware=hardware, modes="disaggregated", objective="throughput", latencies="none"
        )
    )


def test_a_latency_of_whole_nanoseconds_leaves_the_plan_feasible() -> None:
    """It was rounded down, and the next stage found nothing as fast."""
    agree(scenario(ONE, chat(2, 30, 2), gpus=2, modes="any", distinct_strategies=1, objective="throughput"))


@pytest.mark.parametrize(("gpus", "prompt", "answer", "limit"), [(2, 100, 40, 9.015e-3), (3, 30, 5, 674.13318e-6)])
def test_pairs_keep_a_latency_where_a_ratio_is_best(gpus: int, prompt: int, answer: int, limit: float) -> None:
    given: dict[str, Any] = {"strategy": {"batch": {"max": 2}}, "requirements": {"request_latency": limit}}
    given |= {"modes": "disaggregated", "objective": "throughput-per-gpu", "latencies": "none"}
    agree(scenario(ONE, offered(prompt, answer), gpus=gpus, **given))


@pytest.mark.parametrize("share", [0.3, 0.999, 0.99999])
def test_a_floor_below_the_best_rate_leaves_it_possible(share: float) -> None:
    given: dict[str, Any] = {"modes": "aggregated", "distinct_strategies": 1, "latencies": "none"}
    given |= {"requirements": {"throughput": {"requests": 433.4321271157267 * share}}, "objective": "throughput"}
    agree(scenario(TWO, chat(6, 30, 40), gpus=2, **given))


# --- at random -------------------------------------------------------------------------------------------------------

UNSHRUNK = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]
"""An example takes a second: making one smaller would take minutes."""


@settings(max_examples=50, phases=UNSHRUNK)
@given(data=st.data())
def test_closed_loop(data: st.DataObject) -> None:
    checked(data, "closed", 4)


@settings(max_examples=30, phases=UNSHRUNK)
@given(base=scenarios("closed", gpus=4, plain=True))
def test_closed_loop_without_limits(base: Scenario) -> None:
    scene = Scenario.model_validate({**base.model_dump(), "objective": "throughput"})
    try:
        compare(scene, engines(scene))
    except UndecidedError:
        reject()


@settings(max_examples=30, phases=UNSHRUNK)
@given(data=st.data())
def test_open_loop(data: st.DataObject) -> None:
    checked(data, "open", 3)


@settings(max_examples=40, phases=UNSHRUNK)
@given(data=st.data())
def test_prompts_only(data: st.DataObject) -> None:
    checked(data, "prompts", 4)
