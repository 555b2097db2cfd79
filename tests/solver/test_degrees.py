"""Every legal strategy, and nothing else: the enumeration against nested loops."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from shardwise.models import Scenario
from shardwise.solver.degrees import legal_strategies

from .. import builders
from . import brute_force


def enumerated(scene: Scenario) -> list[tuple[int, ...]]:
    return [tuple(row) for row in legal_strategies(scene).tolist()]


@settings(max_examples=300)
@given(builders.scenarios(gpus=24))
def test_enumeration_is_what_nested_loops_find(scene: Scenario) -> None:
    assert enumerated(scene) == brute_force.strategies(scene)


def test_enumeration_worked_out_by_hand() -> None:
    # Dense, 4 heads, 4 layers, decoding: tensor 1, 2 or 4; pipeline 1 to 4; tensor · pipeline ≤ 4.
    scene = builders.scenario(workload=builders.CHAT, gpus=4)
    cuts = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (4, 1)]
    assert enumerated(scene) == [(t, 1, 1, p, 1, 1) for t, p in cuts]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_no_strategy_is_found_twice(engine: str) -> None:
    """Variables that a condition brings of its own are settled by the degrees, or they would multiply them."""
    for model in (builders.DENSE, builders.EXPERTS):
        found = enumerated(builders.scenario(model, builders.CHAT, gpus=32, node=4, engine=engine))
        assert sorted(set(found)) == found and any(row[0] * row[1] * row[2] * row[3] > 4 for row in found)


def test_engines_fit_the_partial_node() -> None:
    # 3 heads: tensor 1 or 3. Seven GPUs are one node of 4 and one of 3: a tensor group of 3 never leaves a node
    # unless it divides 4, so 3 · 2 stages are not legal on two nodes.
    attention = builders.GROUPED | {"heads": 3, "kv_heads": 3}
    scene = builders.scenario(
        builders.DENSE | {"attention": attention, "feed_forward": {"width": 96}}, builders.CHAT, gpus=7, node=4
    )
    assert [row[0] * row[3] for row in enumerated(scene) if row[0] == 3] == [3]
