"""Properties of the verifier: it never raises, any single wrong rank is seen, and it is fast enough."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from shardwise.models import Plan, Scenario
from shardwise.solver.verify import verify
from shardwise.solver.verify.coverage import check_coverage, tiles
from verify_plans import experts_plan, failing, plan_of

WHOLE = experts_plan().model_dump(mode="json")


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a plan's JSON has numbers."""
    if isinstance(node, bool) or node is None or isinstance(node, str):
        return []
    if isinstance(node, (int, float)):
        return [path]
    items = node.items() if isinstance(node, dict) else enumerate(node)
    return [place for key, value in items for place in places(value, (*path, key))]


NUMBERS = [place for place in places(WHOLE) if place[0] not in ("proof", "verification")]
VALUES = st.one_of(st.integers(0, 20), st.sampled_from([2**40, 10**9, 1e-300, 1e300, 0.5]), st.floats(0, 1e6))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(NUMBERS), VALUES), min_size=1, max_size=3))
def test_never_raises(changes: list[tuple[tuple[Any, ...], float]]) -> None:
    document = copy.deepcopy(WHOLE)
    for path, value in changes:
        node = document
        for key in path[:-1]:
            node = node[key]
        # Reading a model takes memory for every layer.
        node[path[-1]] = min(value, 4096) if path[-1] == "layers" else value
    try:
        plan = Plan.model_validate(document)
    except ValidationError:
        return  # not a plan: refused before it reaches the verifier
    found = verify(plan)
    assert found.ok == all(finding.ok for finding in found.findings)


RANK_FIELDS = [place for place in NUMBERS if place[0] == "placement"]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(RANK_FIELDS), st.integers(0, 20))
def test_any_wrong_number_of_a_rank_is_seen(path: tuple[Any, ...], value: int) -> None:
    document = copy.deepcopy(WHOLE)
    node = document
    for key in path[:-1]:
        node = node[key]
    changed = node[path[-1]] != value
    node[path[-1]] = value
    # Another free GPU of the same node would be legal; this plan leaves none there.
    assert verify(Plan.model_validate(document)).ok is not changed


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=5), st.integers(0, 6))
def test_tiles_counts_like_counting(intervals: list[tuple[int, int]], end: int) -> None:
    counted = [sum(first <= i < last for first, last in intervals) for i in range(7)]
    once = all(count == (i < end) for i, count in enumerate(counted))
    empty = any(last <= first for first, last in intervals)
    assert (not list(tiles(intervals, 0, end, "item"))) == (once and not empty)


@pytest.mark.parametrize(("data", "pipeline"), [(64, 2), (8, 8)])
def test_a_thousand_gpus(data: int, pipeline: int) -> None:
    # 1,024 GPUs, 61 layers, 256 experts of DeepSeek-V3; 8 or 16 engines.
    scene = Scenario.model_validate(
        {
            "hardware": {"accelerator": "h100-sxm"},
            "model": "deepseek-v3",
            "precision": {},
            "workload": {"concurrency": 4096, "input_tokens": 1000, "output_tokens": 500},
        }
    )
    engines = 1024 // (data * pipeline)
    held = -(-4096 // engines // data)
    first = 61 - 61 // pipeline * (pipeline - 1)
    plan = plan_of(
        scene,
        engines=engines,
        data=data,
        pipeline=pipeline,
        expert=data,
        batch=-(-held // pipeline),
        micro_batches=pipeline,
        in_flight=4096 // engines,
        token_budget=4096,
        layers_per_stage=(*[61 // pipeline] * (pipeline - 1), first),
    )
    begin = time.process_time()
    assert all(finding.ok for finding in check_coverage(plan))
    assert time.process_time() - begin < 3
    assert failing(plan) <= {"memory.fits", "stages.slowest"}  # the split is even, not the best
