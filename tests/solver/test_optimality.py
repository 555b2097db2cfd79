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
