"""More room never hurts: relaxed limits, more nodes, faster links."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shardwise.models import Scenario
from shardwise.solver import solve

from .. import builders


def changed(scene: Scenario, **parts: dict[str, Any]) -> Scenario:
    """The scenario with keys of its parts replaced."""
    data = scene.model_dump(exclude_unset=True)
    for part, keys in parts.items():
        data[part] = data.get(part, {}) | keys
    return Scenario.model_validate(data)


def reached(scene: Scenario) -> float:
    """The first objective, more being better."""
    plan = solve(scene)
    if plan.status == "infeasible":
        return float("-inf")
    assert plan.status == "optimal"
    assert plan.gpus_used <= scene.hardware.gpu_range.max
    first = plan.proof.stages[0]
    assert first.value is not None
    return -first.value if first.objective.startswith(("lowest", "fewest")) else first.value


def relaxed(limits: Any, factor: float) -> dict[str, Any]:
    """Ceilings times the factor, floors divided by it."""
    loose: dict[str, Any] = {}
    for name, value in limits.model_dump(exclude_none=True, exclude={"ttft_at"}).items():
        floors = isinstance(value, dict)
        loose[name] = {key: rate / factor for key, rate in value.items()} if floors else value * factor
    return loose


@settings(max_examples=50)
@given(builders.scenarios(gpus=8, limited=True), st.sampled_from([1.001, 2.0, 100.0]))
def test_relaxing_limits(scene: Scenario, factor: float) -> None:
    limits = relaxed(scene.requirements, factor)
    assume(limits)
    assert reached(changed(scene, requirements=limits)) >= reached(scene)


@settings(max_examples=50)
@given(builders.scenarios(gpus=8, limited=True))
def test_freeing_the_strategy(scene: Scenario) -> None:
    free = scene.model_copy(update={"strategy": Scenario.model_fields["strategy"].default})
    assert reached(free) >= reached(scene)


@settings(max_examples=50)
@given(builders.scenarios(gpus=8, limited=True))
def test_another_node(scene: Scenario) -> None:
    assume(isinstance(scene.hardware.gpus, int) and not scene.hardware.use_all_gpus)
    more = scene.hardware.gpu_range.max + scene.hardware.node_size
    assert reached(changed(scene, hardware={"gpus": more})) >= reached(scene)


@settings(max_examples=50)
@given(builders.scenarios(gpus=8, limited=True), st.sampled_from([1.5, 10.0]))
def test_faster_links(scene: Scenario, factor: float) -> None:
    # A static batch splits its stages by the decode pass: a faster link may move a layer and slow the prompts.
    assume(scene.workload.concurrency or not scene.workload.decodes)
    links = {
        name: link.model_dump() | {"bandwidth": link.bandwidth * factor}
        for name, link in (("node_link", scene.hardware.inside), ("network_link", scene.hardware.between))
    }
    free = scene.model_copy(update={"requirements": Scenario.model_fields["requirements"].default})
    slow = free.model_copy(update={"objective": "throughput"})
    assert reached(changed(slow, hardware=links)) >= reached(slow)


@pytest.mark.parametrize("gpus", range(1, 18))
def test_never_more_gpus_than_there_are(gpus: int) -> None:
    for node in (2, 3, 4, 8):
        assert solve(builders.scenario(builders.EXPERTS, gpus=gpus, node=node)).gpus_used <= gpus
