"""The optimum, and whether there is one, against plain loops priced by the verifier's scalar formulas."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from shardwise.models import Scenario
from shardwise.solver import solve

from .. import builders
from . import brute_force


@settings(max_examples=200)
@given(builders.scenarios(gpus=12, layers=4, limited=True))
def test_the_optimum_is_what_plain_loops_find(scene: Scenario) -> None:
    try:
        legal = list(brute_force.rows(scene))
        expected = brute_force.optimum(scene, legal) if legal else []
    except brute_force.UndecidedError:
        assume(False)
    plan = solve(scene)
    if not legal:
        assert plan.status == "infeasible"
        assert plan.conflicts and not plan.engines
        return
    assert plan.status == "optimal"
    assert [stage.value for stage in plan.proof.stages] == pytest.approx(expected, rel=1e-7)
    assert plan.gpus_used <= scene.hardware.gpu_range.max


def test_three_stages_on_two_nodes() -> None:
    # Sliding, sliding, full, sliding layers on nodes of 2: only the second stage sends over the slow network. The
    # long layer belongs to the last stage; filling stages early would leave it to the second: (2, 1, 1).
    window = {"size": 16, "pattern": ("sliding", "sliding", "full", "sliding")}
    model = builders.DENSE | {"attention": builders.GROUPED | {"window": window}}
    workload = {"batch": 1, "input_tokens": 4000}
    scene = builders.scenario(model, workload, gpus=3, node=2, strategy={"pipeline": 3}, card={"compute": 1e11})
    assert solve(scene).engines[0].strategy.layers_per_stage == (1, 1, 2)
