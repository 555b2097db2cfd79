"""Errors and the ranking of layouts, by hand."""

from __future__ import annotations

import pytest
from shardwise.models.measurement import Quantity, Setup
from shardwise.solver.calibration.compare import compare
from shardwise.solver.calibration.errors import Compared, Errors, ranking

from .made import measured, one, setup


def test_errors_by_hand() -> None:
    found = Errors.of([0.1, -0.3, 0.2, -0.05])
    assert found.n == 4
    assert found.median == pytest.approx(0.15)  # of 0.05, 0.1, 0.2, 0.3
    assert found.mean == pytest.approx(0.1625)
    assert found.bias == pytest.approx(0.025)  # of −0.3, −0.05, 0.1, 0.2
    assert found.within_20 == 0.75


def test_no_errors() -> None:
    assert Errors.of([]) == Errors(0, None, None, None, None)


def test_an_error_is_relative_to_what_was_measured() -> None:
    assert Compared(one(setup(), "tpot", 0.02), 0.025).error == pytest.approx(0.25)


def pair(what: Setup, seconds: tuple[float, float], said: tuple[float, float]) -> list[Compared]:
    """TTFT and TPOT of a layout: measured and predicted."""
    quantities: tuple[Quantity, ...] = ("ttft", "tpot")
    return [Compared(one(what, q, m), p) for q, m, p in zip(quantities, seconds, said, strict=True)]


ALONE = setup(gpus=1, tensor=1, amount=4, output_tokens=101)
PAIR = setup(gpus=2, tensor=2, amount=8, output_tokens=101)
"""The same four requests per GPU."""


def test_the_best_layout_is_chosen() -> None:
    """4·101/(1 + 100·0.03) = 101 and 8·101/(1 + 100·0.03)/2 = 101 tokens/s per GPU are measured; 0.02 s: 134.7."""
    rows = pair(ALONE, (1.0, 0.03), (1.0, 0.03)) + pair(PAIR, (1.0, 0.02), (1.0, 0.025))
    found = ranking(rows)
    assert (found.groups, found.top1, found.median_regret, found.mean_regret) == (1, 1.0, 0.0, 0.0)


def test_regret_is_what_the_chosen_gives_up() -> None:
    """Predicted best is ALONE with 101 measured, where PAIR has 4·101/3 = 134.67: 1 − 3/4 is given up."""
    rows = pair(ALONE, (1.0, 0.03), (1.0, 0.01)) + pair(PAIR, (1.0, 0.02), (1.0, 0.02))
    found = ranking(rows)
    assert (found.groups, found.top1) == (1, 0.0)
    assert found.mean_regret == found.median_regret == pytest.approx(0.25)
    assert found.as_dict() == {"groups": 1, "top1": 0.0, "median_regret": 0.25, "mean_regret": 0.25}


def test_repeats_count_at_their_mean() -> None:
    rows = pair(ALONE, (1.0, 0.02), (1.0, 0.02)) + pair(ALONE, (1.0, 0.06), (1.0, 0.02))  # mean 0.04
    rows += pair(PAIR, (1.0, 0.03), (1.0, 0.03))
    assert ranking(rows).top1 == 0.0


@pytest.mark.parametrize(
    "other",
    [
        {"amount": 4},  # another load per GPU
        {"amount": 8, "input_tokens": 2000},
        {"amount": 8, "framework": "SGLang"},
        {"amount": 8, "model": "qwen3-8b"},
        {"amount": 8, "accelerator": "h200-sxm"},
        {"amount": 8, "precision": "fp8"},
    ],
)
def test_what_differs_in_more_than_the_layout_is_not_ranked(other: dict[str, object]) -> None:
    rows = pair(ALONE, (1, 0.03), (1, 0.03))
    rows += pair(setup(gpus=2, tensor=2, output_tokens=101, **other), (1, 0.02), (1, 0.02))
    assert ranking(rows).groups == 0 and ranking(rows).top1 is None


def test_both_figures_of_a_closed_loop_are_needed() -> None:
    rows = pair(ALONE, (1, 0.03), (1, 0.03)) + pair(PAIR, (1, 0.02), (1, 0.02))[:1]
    assert ranking(rows).groups == 0
    batch = [setup(load="static_batch", gpus=n, tensor=n, amount=4 * n) for n in (1, 2)]
    assert ranking([row for each in batch for row in pair(each, (1, 0.03), (1, 0.03))]).groups == 0
    assert ranking([]).groups == 0


def test_comparing_counts_what_is_left_out() -> None:
    rows = measured([setup(), setup(amount=2)], {})
    queue = setup(load="offline_max", amount=None)
    rows += [one(queue, "ttft", 1.0), one(setup(model="other"), "tpot", 1.0)] * 2
    rows += [one(setup(), "tpot", 1.0, speculative=True)]
    found = compare(rows, operators="datasheet")
    assert [row.error for row in found.rows] == pytest.approx([0.0] * 6, abs=1e-12)
    assert dict(found.skipped) == {
        "no ttft under this load": 2,
        "model other is not in the catalog": 2,
        "speculative decoding": 1,
    }
