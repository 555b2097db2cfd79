"""A condition is stated to CP-SAT and in arithmetic; both must say the same of any strategy."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model
from shardwise.models import Scenario, Strategy
from shardwise.models.strategy import DEGREES
from shardwise.solver.conditions import Condition, structural_of
from shardwise.solver.conditions.resources import gpus_needed, nodes_taken
from shardwise.solver.degrees import new_variables

from ...builders import models, pins, scenario, workloads

RULES = [
    {"id": "a", "statement": "inside", "inside_node": ["tensor", "context", "expert"]},
    {"id": "b", "statement": "whole", "inside_node": ["engine"]},
    {"id": "c", "statement": "bounded", "tensor": {"max": 2}, "pipeline": [1, 2, 3]},
]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Scenario, dict[str, int]]:
    engine = draw(st.sampled_from([None, "vllm", "sglang", "trtllm"]))
    node, gpus = draw(st.integers(2, 8)), draw(st.integers(1, 12))
    more = {"strategy": draw(pins(3)), "rules": RULES, "engine": engine}
    scene = scenario(draw(models()), draw(workloads()), gpus=gpus, node=node, **more)
    strategy = Strategy(**{name: draw(st.sampled_from([1, 1, 2, 3, 4, 6, 8])) for name in DEGREES})
    engines = draw(st.integers(1, 5))
    assume(strategy.gpus * engines <= 8_192)
    values = {name: getattr(strategy, name) for name in DEGREES}
    sizes = {"stage_group": strategy.stage_group, "engine_gpus": strategy.gpus}
    return scene, values | sizes | {"engines": engines, "gpus_used": strategy.gpus * engines}


def posted(condition: Condition, scene: Scenario, values: dict[str, int]) -> bool:
    variables = new_variables(scene, max(*values.values(), scene.hardware.gpu_range.max))
    for name, value in values.items():
        variables.model.add(getattr(variables, name) == value)
    condition.post(variables)
    return cp_model.CpSolver().solve(variables.model) in (cp_model.OPTIMAL, cp_model.FEASIBLE)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_posted_and_kept(case: tuple[Scenario, dict[str, int]]) -> None:
    scene, values = case
    for condition in structural_of(scene):
        assert bool(condition.keeps(values)) == posted(condition, scene, values), condition.id


@given(engines=st.integers(1, 40), size=st.integers(1, 40), node=st.integers(1, 12))
def test_the_smallest_machine(engines: int, size: int, node: int) -> None:
    def holds(gpus: int) -> bool:
        return bool(nodes_taken(engines, size, node, gpus % node) <= gpus // node)

    needed = int(gpus_needed(engines, size, node))
    assert all(holds(needed + more) for more in range(2 * node)) and not holds(needed - 1)
