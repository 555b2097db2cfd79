"""The frontier, against plain filtering of all exactly priced rows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from shardwise.models import Scenario
from shardwise.solver import solve
from shardwise.solver.conditions import limits_of
from shardwise.solver.costs import price
from shardwise.solver.costs.grid import make_grid
from shardwise.solver.degrees import legal_strategies
from shardwise.solver.errors import StoppedError
from shardwise.solver.frontier import frontier, nondominated
from shardwise.solver.verify import verify
from shardwise.solver.watch import Watch

from .. import builders
from ..builders import CHAT, DENSE, EXPERTS, PROMPTS, scenario

TIME_STEP, RATE_STEP = 1e-8, 1e-3
"""The solver's integers: points nearer than this are one."""


def brute_force(scene: Scenario) -> list[tuple[float, float]]:
    """(request latency, tokens/s per GPU) of the rows that no other row beats, by rising latency."""
    strategies = legal_strategies(scene)
    if not len(strategies):
        return []
    rows = price(scene, make_grid(scene, strategies))
    legal = np.ones(len(rows), dtype=bool)
    for limit in limits_of(scene):
        values, room = rows.column(limit.column), abs(limit.bound) * 1e-9
        if limit.allowed is not None:
            legal &= np.isin(values, limit.allowed)
        else:
            legal &= values <= limit.bound + room if limit.sense == "<=" else values >= limit.bound - room
    latency = rows.column("request_latency")[legal]
    rate = rows.column("output_rate_per_gpu" if scene.workload.decodes else "input_rate_per_gpu")[legal]
    steps = zip(np.ceil(latency / TIME_STEP), -np.floor(rate / RATE_STEP), latency, rate, strict=True)
    points, best = [], 1.0
    for _, cost, time, tokens in sorted(steps):
        if cost < best:
            best = cost
            points.append((float(time), float(tokens)))
    return points


def points_of(scene: Scenario) -> list[tuple[float, float]]:
    """The frontier's points; each is a whole plan that verifies."""
    points = []
    for plan in frontier(scene):
        assert plan.status == "optimal" and plan.predictions is not None
        assert plan.verification is not None and plan.verification.ok and verify(plan).ok
        assert all(check.ok for check in plan.checks)
        assert all(stage.value == stage.bound for stage in plan.proof.stages)
        points.append((plan.predictions.request_latency_s, plan.predictions.tokens_per_s_per_gpu))
    return points


def same(points: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    assert [time for time, _ in points] == pytest.approx([time for time, _ in expected], rel=1e-6, abs=TIME_STEP)
    assert [rate for _, rate in points] == pytest.approx([rate for _, rate in expected], rel=1e-6, abs=RATE_STEP)


@settings(max_examples=60)
@given(builders.scenarios(gpus=8, layers=3, limited=True))
def test_the_frontier_is_what_plain_filtering_finds(scene: Scenario) -> None:
    points = points_of(scene)
    same(points, brute_force(scene))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(points))


@pytest.mark.parametrize("limits", [{}, {"ttft": 0.2, "throughput_per_gpu": {"tokens": 900}}], ids=["free", "limited"])
@pytest.mark.parametrize("workload", [PROMPTS | {"batch": 24}, CHAT | {"concurrency": 24}], ids=["prompts", "chat"])
@pytest.mark.parametrize("model", [DENSE, EXPERTS], ids=["dense", "experts"])
def test_its_ends_are_the_optima_of_solve(
    model: dict[str, Any], workload: dict[str, Any], limits: dict[str, Any]
) -> None:
    more: dict[str, Any] = {"gpus": 12, "requirements": limits}
    points = points_of(scenario(model, workload, **more))
    ends = [
        solve(scenario(model, workload, objective=[first, second], **more)).predictions
        for first, second in (("latency", "throughput-per-gpu"), ("throughput-per-gpu", "latency"))
    ]
    same(
        [points[0], points[-1]] if points else [],
        [(end.request_latency_s, end.tokens_per_s_per_gpu) for end in ends if end is not None],
    )
    if not limits:
        assert len(points) > 1


def test_more_rows_than_one_block_has(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scenario(EXPERTS, CHAT | {"concurrency": 24}, gpus=12)
    whole = points_of(scene)
    monkeypatch.setattr("shardwise.solver.frontier._BATCH", 7)
    assert points_of(scene) == whole


def test_no_plan_no_point() -> None:
    assert frontier(scenario(strategy={"tensor": 3})) == ()  # 4 heads: no strategy
    assert frontier(scenario(requirements={"ttft": 1e-9})) == ()  # no row
    assert len(nondominated(*(np.zeros(0, dtype=np.int64),) * 3)) == 0


def test_a_stop_leaves_no_half_frontier() -> None:
    with pytest.raises(StoppedError):
        frontier(scenario(), watch=Watch(0.0))
