"""What must hold of any deployment that shardwise prices itself, whatever its engines cost."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from shardwise.models import Scenario
from shardwise.models.deployment import DeploymentPlan
from shardwise.solver import deploy, solve

from .own_at_random import scenarios

UNSHRUNK = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]
"""An example takes a second: making one smaller would take minutes."""
OFF = 2e-6
"""Rates are counted in whole steps: so far two answers may be apart."""


def answer(scene: Scenario, **more: Any) -> DeploymentPlan:
    fields = scene.model_dump() | {"objective": "throughput"}
    for name, value in more.items():
        if isinstance(value, dict):
            value = {**fields[name], **value}
        fields[name] = value
    return deploy(Scenario.model_validate(fields), restrictions=False, conflicts=False)


def rate(plan: DeploymentPlan) -> float:
    """Requests/s; none where nothing is possible."""
    assert plan.status in ("optimal", "feasible", "infeasible")
    return plan.predictions.requests_per_s if plan.predictions else 0.0


def at_least(better: DeploymentPlan, worse: DeploymentPlan) -> None:
    assert rate(better) >= rate(worse) * (1 - OFF)


# --- what a plan says ------------------------------------------------------------------------------------------------


@settings(max_examples=16, phases=UNSHRUNK)
@given(data=st.data(), load=st.sampled_from(["closed", "closed", "open", "prompts"]))
def test_a_plan_verifies_adds_up_and_conserves_requests(data: st.DataObject, load: str) -> None:
    scene = data.draw(scenarios(load, gpus=5))
    plan = answer(scene)
    if plan.status == "infeasible":
        assert not plan.engines and not plan.placement
        return
    assert plan.verification is not None and plan.verification.ok
    exist = sum(stock.gpus for stock in scene.hardware.stocks)
    assert plan.gpus_used + plan.gpus_idle == exist == len(plan.placement) + sum(idle.gpus for idle in plan.idle)
    assert plan.gpus_used == sum(entry.count * entry.gpus_per_engine for entry in plan.engines)
    pools = {pool.role: pool for pool in plan.pools}
    assert all(pool.utilization <= 1 + OFF for pool in plan.pools)
    if "decode" in pools:
        flow = pools["decode"].requests_per_s
        assert pools["prefill"].rating_requests_per_s >= flow * (1 - OFF)
        assert math.isclose(pools["prefill"].requests_per_s, flow, rel_tol=1e-9)
        assert math.isclose(math.fsum(feed.requests_per_s for feed in plan.feeds), flow, rel_tol=1e-9)
    finished = math.fsum(pool.requests_per_s for role, pool in pools.items() if role != "prefill" or load == "prompts")
    assert math.isclose(rate(plan), finished, rel_tol=1e-9)
    if load == "closed":
        held = sum(entry.count * (entry.load or 0) for entry in plan.engines)
        assert held == scene.workload.concurrency


@settings(max_examples=6, phases=UNSHRUNK)
@given(data=st.data(), load=st.sampled_from(["closed", "open"]))
def test_two_runs_give_the_same_pools(data: st.DataObject, load: str) -> None:
    scene = data.draw(scenarios(load, gpus=4))
    first, second = answer(scene), answer(scene)
    assert first.pools == second.pools and first.feeds == second.feeds and first.placement == second.placement
    assert first.status == second.status


# --- more freedom is never worse -------------------------------------------------------------------------------------


@settings(max_examples=10, phases=UNSHRUNK)
@given(data=st.data(), load=st.sampled_from(["closed", "closed", "open"]))
def test_any_mode_is_as_good_as_every_mode(data: st.DataObject, load: str) -> None:
    scene = data.draw(scenarios(load, gpus=3))
    whole, pairs = answer(scene, modes=("aggregated",)), answer(scene, modes=("disaggregated",))
    either, mixed = answer(scene, modes=("aggregated", "disaggregated")), answer(scene, modes=("any",))
    at_least(either, whole)
    at_least(either, pairs)
    if load == "open":  # the grid of a closed loop has more loads where roles may mix
        assert math.isclose(rate(either), max(rate(whole), rate(pairs)), rel_tol=OFF)
    at_least(mixed, either)


@settings(max_examples=8, phases=UNSHRUNK)
@given(data=st.data())
def test_one_aggregated_strategy_is_as_good_as_solve(data: st.DataObject) -> None:
    """solve() deals the concurrency to equal engines; so may pools, whenever every engine gets as much."""
    scene = data.draw(scenarios("closed", gpus=4, plain=True))
    fields = scene.model_dump() | {"modes": None, "distinct_strategies": None, "objective": "throughput"}
    one = solve(Scenario.model_validate(fields))
    assume(one.predictions is not None)
    clients, count = scene.workload.concurrency, one.engines[0].count
    assert clients is not None and one.predictions is not None
    assume(clients % count == 0)
    pools = answer(scene, modes=("aggregated",), distinct_strategies=1)
    assert rate(pools) >= one.predictions.requests_per_s * (1 - OFF)


@settings(max_examples=10, phases=UNSHRUNK)
@given(data=st.data(), load=st.sampled_from(["closed", "open", "prompts"]))
def test_a_limit_left_out_is_never_worse(data: st.DataObject, load: str) -> None:
    scene = data.draw(scenarios(load, gpus=3))
    free = answer(scene)
    assume(free.predictions is not None)
    assert free.predictions is not None
    figures = {
        "ttft": free.predictions.ttft_s,
        "tpot": free.predictions.tpot_s,
        "request_latency": free.predictions.request_latency_s,
    }
    shares = st.sampled_from([0.5, 0.8, 0.95, 1.001, 1.3])
    limits = {name: value * data.draw(shares) for name, value in figures.items() if value and data.draw(st.booleans())}
    bound = answer(scene, requirements=limits)
    at_least(free, bound)
    if all(limit > figures[name] for name, limit in limits.items()):
        assert math.isclose(rate(bound), rate(free), rel_tol=OFF)
    looser = {name: limit * data.draw(st.sampled_from([1, 1.2, 2])) for name, limit in limits.items()}
    at_least(answer(scene, requirements=looser), bound)


@settings(max_examples=8, phases=UNSHRUNK)
@given(data=st.data(), load=st.sampled_from(["open", "prompts"]))
def test_more_gpus_carry_no_less(data: st.DataObject, load: str) -> None:
    """Of an open loop. A closed loop's grid of loads depends on the GPUs, so its answers cannot be compared.

    All in one node: beyond it the caches are moved over another link.
    """
    scene = data.draw(scenarios(load, gpus=2, plain=True))
    rates = [rate(answer(scene, hardware={"gpus": gpus})) for gpus in (2, 3, 4)]
    assert rates[1] >= rates[0] * (1 - OFF) and rates[2] >= rates[1] * (1 - OFF)


# --- the same answer, asked for in another way -----------------------------------------------------------------------


@settings(max_examples=10, phases=UNSHRUNK)
@given(data=st.data(), load=st.sampled_from(["open", "prompts"]))
def test_the_largest_rate_can_be_asked_for_and_no_more(data: st.DataObject, load: str) -> None:
    scene = data.draw(scenarios(load, gpus=4))
    most = rate(answer(scene))
    assume(most > 0)
    asked = answer(scene, workload={"request_rate": most * (1 - 1e-6)})
    assert math.isclose(rate(asked), most, rel_tol=OFF)
    assert answer(scene, workload={"request_rate": most * 1.01}).status == "infeasible"


@settings(max_examples=6, phases=UNSHRUNK)
@given(data=st.data(), load=st.sampled_from(["closed", "open"]))
def test_restrictions_state_the_answer_without_them(data: st.DataObject, load: str) -> None:
    scene = data.draw(scenarios(load, gpus=3))
    mode = data.draw(st.sampled_from([("aggregated",), ("disaggregated",)]))
    fields = scene.model_dump() | {"objective": "throughput", "modes": mode, "distinct_strategies": 1}
    plan = deploy(Scenario.model_validate(fields), conflicts=False)
    assume(plan.status != "infeasible")
    twins = {"modes": {"modes": ("any",)}, "distinct_strategies": {"distinct_strategies": None}}
    for restriction in plan.restrictions:
        twin = answer(scene, **({"modes": mode, "distinct_strategies": 1} | twins[restriction.name]))
        assert restriction.first_objective is not None
        figures = twin.predictions
        assert figures is not None
        per = {"requests/s": figures.requests_per_s, "tokens/s": figures.output_tokens_per_s}[restriction.unit]
        assert per is not None and math.isclose(restriction.first_objective, per, rel_tol=OFF)
        at_least(twin, plan)
    if plan.restrictions:
        assert {one.name for one in plan.restrictions} <= set(twins)
