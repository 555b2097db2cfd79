"""What is free beside the degrees: engine counts, micro-batches, budgets (docs/costs.md, sections 2 and 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from costs_by_hand import DENSE, changed, scenario, strategy
from shardwise.models import Scenario
from shardwise.solver.costs.grid import describe, make_grid

MODEL = changed(DENSE, layers=8)


def conditions(load: dict[str, Any], gpus: int = 1, **more: Any) -> Scenario:
    given = scenario(MODEL, load, **more)
    return given.model_copy(update={"hardware": given.hardware.model_copy(update={"gpus": gpus})})


@pytest.mark.parametrize("count", [1, 2, 7, 36, 97, 128, 4097, 10_000])
def test_micro_batches_are_every_distinct_share_up_to_64(count: int) -> None:
    grid = make_grid(conditions({"batch": count, "input_tokens": 10}), strategy())
    shares = {turns: -(-count // turns) for turns in range(1, count + 1)}
    assert grid.choice.tolist() == sorted({b for m, b in shares.items() if b <= 64 or m <= 64})


@pytest.mark.parametrize(
    ("degrees", "most"),
    [
        # 11 GPUs in nodes of 4: two whole nodes and three more
        ({}, 11),
        ({"tensor": 2}, 5),
        ({"data": 3}, 3),  # one per node: the fourth GPU of a node is lost
        ({"tensor": 4}, 2),
        ({"data": 5}, 2),  # a whole node and one of the three
        ({"data": 6}, 1),  # a whole node and two of the three; the second finds no room for its two
        ({"pipeline": 8}, 1),
        ({"data": 11}, 1),
    ],
)
def test_engines_as_far_as_nodes_allow(degrees: dict[str, int], most: int) -> None:
    grid = make_grid(conditions({"batch": 100, "input_tokens": 10}, 11), strategy(**degrees))
    assert sorted(set(grid.engines.tolist())) == list(range(1, most + 1))


def test_a_tail_too_small_holds_nothing() -> None:
    # 14 GPUs: three nodes of 4, and two more; 14/3 = 4 and 14/7 = 2 would be too many
    for data, most in ((3, 3), (7, 1)):
        grid = make_grid(conditions({"batch": 100, "input_tokens": 10}, 14), strategy(data=data))
        assert grid.engines.max() == most


def test_a_strategy_that_does_not_fit_has_no_rows() -> None:
    both = np.vstack([strategy(data=12), strategy(data=11)])
    grid = make_grid(conditions({"batch": 100, "input_tokens": 10}, 11), both)
    assert set(grid.strategies[:, 2].tolist()) == {11}


def test_what_if_counts_and_choices_are_priced_anyway() -> None:
    scene = conditions({"batch": 5, "input_tokens": 10}, 11)
    assert set(make_grid(scene, strategy(data=12)).engines.tolist()) == {1}  # nothing fits: one, to show what lacks
    assert make_grid(scene, strategy(data=12), engines=3).engines.tolist() == [3]
    assert make_grid(scene, strategy(), engines=1, batch=4).choice.tolist() == [1, 2, 3, 5]  # no even share
    many = conditions({"batch": 10_000, "input_tokens": 10}, 11)
    plain = set(make_grid(many, strategy(), engines=1).choice.tolist())
    assert 100 not in plain  # 100 turns of 100
    for asked in ({"batch": 100}, {"token_budget": 1000}):
        assert set(make_grid(many, strategy(), engines=1, **asked).choice.tolist()) == plain | {100}


def test_no_engine_and_no_replica_without_a_sequence() -> None:
    grid = make_grid(conditions({"batch": 5, "input_tokens": 10}, 12), strategy(data=2))
    assert grid.engines.max() == 2


@pytest.mark.parametrize(
    ("concurrency", "input_tokens", "output_tokens", "budgets"),
    [
        (64, 100, 100, [2**k for k in range(9, 16)]),
        # B + P = 600·(1 + 1) = 1,200; a budget of 512 leaves no token beside the 600 that decode
        (600, 100, 100, [2**k for k in range(10, 16)]),
        (512, 100, 100, [2**k for k in range(10, 16)]),  # nor does it beside 512
        # 1,000·(1 + 99) = 100,000: the powers of two do not carry it, 131,072 does
        (1000, 9900, 100, [*(2**k for k in range(10, 16)), 131_072]),
    ],
)
def test_token_budgets(concurrency: int, input_tokens: int, output_tokens: int, budgets: list[int]) -> None:
    load = {"concurrency": concurrency, "input_tokens": input_tokens, "output_tokens": output_tokens}
    assert make_grid(conditions(load), strategy()).choice.tolist() == budgets


def test_budgets_of_a_pipeline() -> None:
    # 2,000 sequences over two replicas and four stages: B = 250, and 250·(1 + 1) tokens per pass
    load = {"concurrency": 2000, "input_tokens": 100, "output_tokens": 100}
    grid = make_grid(conditions(load, 8), strategy(data=2, pipeline=4))
    assert grid.choice.tolist() == [2**k for k in range(9, 16)]
    # four sequences over eight stages, one each: 1·(1 + 32,767) is just carried by 32,768
    for prompt, largest in ((65_534, 32_768), (65_536, 65_536)):
        load = {"concurrency": 4, "input_tokens": prompt, "output_tokens": 2}
        assert make_grid(conditions(load, 8), strategy(pipeline=8)).choice.max() == largest


def test_a_static_batch_chooses_the_micro_batch_of_its_prompts() -> None:
    load = {"batch": 5, "input_tokens": 10, "output_tokens": 4}
    assert make_grid(conditions(load), strategy()).choice.tolist() == [1, 2, 3, 5]
    load = {"concurrency": 5, "input_tokens": 10}
    assert make_grid(conditions(load), strategy()).choice.tolist() == [1, 2, 3, 5]
    pinned = conditions({"batch": 5, "input_tokens": 10}, strategy={"batch": {"max": 4}})
    assert make_grid(pinned, strategy()).choice.tolist() == [1, 2, 3, 5]  # 4 and 1 are no even share


def test_pinned_budgets_are_added_and_named() -> None:
    load = {"concurrency": 64, "input_tokens": 100, "output_tokens": 100}
    pinned = conditions(load, strategy={"token_budget": [700, 3000]})
    assert set(make_grid(pinned, strategy()).choice.tolist()) == {2**k for k in range(9, 16)} | {700, 3000}
    assert "700, 3000 as pinned" in describe(pinned)["token_budget"]
    assert "pinned" not in describe(conditions(load))["token_budget"]
    assert "micro_batch" in describe(conditions({"batch": 4, "input_tokens": 10}))


def test_rows_are_complete() -> None:
    # two strategies; 4 prompts on n engines: Q = 4, 2, 2, 1 for one GPU; for two GPUs n ≤ 2
    grid = make_grid(conditions({"batch": 4, "input_tokens": 10}, 4), np.vstack([strategy(), strategy(tensor=2)]))
    rows = sorted(zip(grid.strategies[:, 0].tolist(), grid.engines.tolist(), grid.choice.tolist(), strict=True))
    one_gpu = [(1, 1, 1), (1, 1, 2), (1, 1, 4), (1, 2, 1), (1, 2, 2), (1, 3, 1), (1, 3, 2), (1, 4, 1)]
    assert rows == [*one_gpu, (2, 1, 1), (2, 1, 2), (2, 1, 4), (2, 2, 1), (2, 2, 2)]
    assert len(make_grid(conditions({"batch": 4, "input_tokens": 10}), np.empty((0, 6), dtype=int))) == 0
