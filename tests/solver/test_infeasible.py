"""Conflicts: nothing meets all members, leaving any one out helps, and the best possible value is reachable."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from shardwise.models import Scenario
from shardwise.solver import solve
from shardwise.solver.conditions import limits_of, structural_of
from shardwise.solver.costs import Candidates, price
from shardwise.solver.costs.grid import make_grid
from shardwise.solver.degrees import is_legal, legal_strategies

from .. import builders

IMPOSSIBLE = ({"ttft": 1e-4}, {"request_latency": 0.05}, {"throughput": {"tokens": 1e9}}, {"memory_per_gpu": 1e5})


@st.composite
def crowded(draw: st.DrawFn) -> Scenario:
    """More is asked for than there is: limits out of reach alone, or only together."""
    asked: dict[str, Any] = draw(st.sampled_from(IMPOSSIBLE)) | draw(builders.requirements(decodes=False))
    memory = draw(st.sampled_from([2e5, 1e6, 1e9]))
    model, workload = draw(builders.models(3)), draw(builders.workloads())
    return builders.scenario(model, workload, gpus=draw(st.integers(1, 6)), card={"memory": memory}, requirements=asked)


def kept(candidates: Candidates, scene: Scenario) -> dict[str, Any]:
    """Which rows keep each limit, in floats."""
    found = {}
    for limit in limits_of(scene):
        values, room = candidates.column(limit.column), 1e-9 * abs(limit.bound)
        found[limit.id] = values <= limit.bound + room if limit.sense == "<=" else values >= limit.bound - room
    return found


@settings(max_examples=100)
@given(crowded())
def test_a_conflict_of_limits(scene: Scenario) -> None:
    plan = solve(scene)
    assume(plan.status == "infeasible")
    candidates = price(scene, make_grid(scene, legal_strategies(scene)))
    keeps = kept(candidates, scene)
    members = {conflict.name for conflict in plan.conflicts}
    assert not np.all([keeps[name] for name in members], axis=0).any()
    for conflict in plan.conflicts:
        assert np.all([keeps[name] for name in members - {conflict.name}] or [True], axis=0).any()
        others = np.all([keeps[name] for name in keeps if name != conflict.name] or [True], axis=0)
        [limit] = [limit for limit in limits_of(scene) if limit.id == conflict.name]
        values = candidates.column(limit.column)[np.broadcast_to(others, len(candidates))]
        best = values.min(initial=np.inf) if limit.sense == "<=" else values.max(initial=-np.inf)
        assert conflict.best_possible == (limit.show(float(best)) if len(values) else None)


@settings(max_examples=60, phases=[Phase.generate])  # no shrinking while it is known to fail
@given(builders.scenarios(gpus=6))
def test_a_conflict_of_degrees(scene: Scenario) -> None:
    plan, conditions = solve(scene), structural_of(scene)
    assume(plan.status == "infeasible" and not is_legal(scene, conditions))
    members = {conflict.name for conflict in plan.conflicts}
    asked = [c for c in conditions if c.id in members or c.background]
    assert not is_legal(scene, asked)
    for member in members:
        assert is_legal(scene, [c for c in asked if c.id != member])


def test_a_pin_that_the_facts_make_needless() -> None:
    # A dense model has no data ranks; that 2 · 2 GPUs are more than 2 is a second reason, which names one pin too many.
    plan = solve(builders.scenario(gpus=2, strategy={"data": 2, "pipeline": 2}))
    assert [conflict.name for conflict in plan.conflicts] == ["strategy.data"]


def test_pins_that_collide_only_for_lack_of_gpus() -> None:
    # tensor 4 on 2 stages needs 8 GPUs of the 4 there are.
    plan = solve(builders.scenario(gpus=4, strategy={"tensor": 4, "pipeline": 2}))
    assert {conflict.name for conflict in plan.conflicts} >= {"gpus.available", "strategy.tensor", "strategy.pipeline"}
