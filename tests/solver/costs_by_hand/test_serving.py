"""From passes to latencies and rates, worked out by hand from docs/costs.md, section 4.

One token in one layer takes 2·(600 + 3,000) = 7,200 s of matrices on a card of 1 FLOP/s; a query-key pair takes
2·4·10 = 80 s, a sequence's logits 2·10·100 = 2,000 s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from costs_by_hand import DENSE, EXPERTS, changed, figures, priced, scenario, strategy
from pytest import approx
from serving_by_hand import CHOICE, RATES, TIMES, TWO_LAYERS, near, scene
from shardwise.solver.costs import price, serving
from shardwise.solver.costs.grid import Grid, make_grid


def test_prefill_only_on_two_engines_of_one_gpu() -> None:
    # Six prompts of 4 to 10 tokens: E[I] 7, E[I²] 36/12 + 49 = 52. Q = 3, B = 2, m = 2.
    # Longest pass, P = 20, pairs 2·50: 1 + 2·(20·7,200 + 80·100) + 2·2,000 = 308,001. TTFT 5 + 2·308,001.
    # Mean pass, P = 14, pairs 2·26: 1 + 2·(14·7,200 + 80·52) + 4,000 = 213,921.
    load = {"batch": 6, "input_tokens": {"min": 4, "max": 10}}
    row = priced(scene(TWO_LAYERS, load, latencies={"startup": 5, "iteration": 1}), 2, engines=2)
    assert figures(row, *TIMES) == near(616_007, 5 + 2 * 213_921, np.nan, 616_007)
    requests = 6 / (2 * 213_921)
    assert figures(row, *RATES) == near(requests, np.nan, requests * 7)
    assert figures(row, *CHOICE) == (2, 2, 2, 20, 2)
    assert row.tokens_rate[0] == row.input_rate[0]
    assert row.column("requests_rate_per_gpu")[0] == approx(requests / 2)
    # two layers of 7,240 B, embedding 2,000, head and norm 2,020; two prompts of 10 tokens at 40 B in two layers;
    # 20 tokens of 2·(60 + 200) B
    assert figures(row, "weights", "kv_cache", "activations") == (18_500, 1_600, 10_400)


def test_prefill_only_in_two_stages() -> None:
    # As above with I = 10; sending 20·20 = 400 B at 0.02 B/s takes 20,000.
    # Stage 0: 152,000 + 20,000; stage 1: 152,000 + 4,000. TTFT (2 + 2 − 1)·172,000.
    row = priced(scene(TWO_LAYERS, {"batch": 6, "input_tokens": 10}, 0.02), 2, engines=2, pipeline=2)
    assert figures(row, *TIMES) == near(516_000, 516_000, np.nan, 516_000)
    assert figures(row, *RATES) == near(6 / 516_000, np.nan, 60 / 516_000)
    assert figures(row, *CHOICE) == (2, 2, 3, 20, 4)
    # both micro-batches are in the pipeline: four prompts on each stage; stage 1 is the fuller one
    assert figures(row, "weights", "kv_cache", "fullest_stage") == (7_240 + 2_020, 1_600, 1)


@pytest.mark.parametrize(
    ("engines", "degrees", "batch", "turns", "held", "budget"),
    [
        # Q = ⌈7/n⌉, Q_d = ⌈Q/d⌉
        (1, {"data": 2}, 3, 2, 6, 30),  # Q 7, Q_d 4
        (1, {"data": 2}, 4, 1, 7, 40),  # 4·2 would be more than there are
        (2, {"data": 2}, 2, 1, 4, 20),
        (1, {"context": 4}, 7, 1, 7, 18),  # ⌈70/4⌉
        (1, {"pipeline": 2}, 2, 4, 4, 20),
    ],
)
def test_prompts_are_dealt_to_the_busiest_group(
    engines: int, degrees: dict[str, int], batch: int, turns: int, held: int, budget: int
) -> None:
    row = priced(scene(TWO_LAYERS, {"batch": 7, "input_tokens": 10}), batch, engines, **degrees)
    gpus = engines * np.prod(list(degrees.values()))
    assert figures(row, *CHOICE) == (batch, turns, held, budget, gpus)


def test_prefill_only_takes_its_load_from_concurrency_too() -> None:
    a, b = (priced(scene(TWO_LAYERS, {load: 6, "input_tokens": 10}), 2) for load in ("batch", "concurrency"))
    assert figures(a, "ttft", "requests_rate") == figures(b, "ttft", "requests_rate")


def test_static_batch_on_one_gpu() -> None:
    # Five prompts of 10, two at a time: three passes of 2·(144,000 + 80·100) + 4,000 = 308,000.
    # Decode: B = 5, X = 10 + 4/2 = 12: 2·(5·7,200 + 80·60) + 5·2,000 = 91,600.
    row = priced(scene(TWO_LAYERS, {"batch": 5, "input_tokens": 10, "output_tokens": 4}), 2)
    end = 924_000 + 3 * 91_600
    assert figures(row, *TIMES) == near(924_000, 924_000, 91_600, end)
    assert figures(row, *RATES) == near(5 / end, 20 / end, 50 / end)
    assert figures(row, *CHOICE) == (5, 1, 5, 20, 1)
    assert figures(row, "kv_cache") == (5 * 40 * 14 * 2,)
    assert row.tokens_rate[0] == row.output_rate[0]


def test_static_batch_of_uneven_lengths() -> None:
    # One prompt of 4 to 10 (mean 7, pairs 26), answers of 2 to 6 (mean 4); one layer, no head.
    # TTFT 10·7,200 + 80·50 = 76,000; mean 7·7,200 + 80·26 = 52,480. X = 7 + 2 = 9: TPOT 7,200 + 720.
    lengths = {"input_tokens": {"min": 4, "max": 10}, "output_tokens": {"min": 2, "max": 6}}
    row = priced(scene(DENSE, {"batch": 1, **lengths}, latencies={"startup": 5}), 1)
    assert figures(row, *TIMES) == near(76_005, 52_485, 7_920, 76_005 + 5 * 7_920)
    # throughput at the mean lengths, and nobody waits for the start-up
    assert figures(row, "requests_rate", "token_budget") == near(1 / (52_480 + 3 * 7_920), 10)


def test_a_static_batch_has_room_for_its_decode_pass() -> None:
    # prompts of 1 token, one at a time; the five that decode together are more: 5·2·(60 + 200) B
    row = priced(scene(DENSE, {"batch": 5, "input_tokens": 1, "output_tokens": 4}), 1)
    assert figures(row, "token_budget", "activations") == (1, 2_600)


def test_static_batch_in_two_stages() -> None:
    # Decode: m = 2, B = 3, X = 12: a layer 21,600 + 80·36 = 24,480; send 60 B: 3,000; head 6,000.
    # Stages 27,480 and 30,480: two turns of the slower one are more than their sum 57,960.
    # Prompts: P = 20: stages 172,000 and 156,000; (3 + 2 − 1)·172,000.
    row = priced(scene(TWO_LAYERS, {"batch": 5, "input_tokens": 10, "output_tokens": 4}, 0.02), 2, pipeline=2)
    assert figures(row, "ttft", "ttft_mean", "tpot") == near(688_000, 688_000, 2 * 30_480)
    assert figures(row, "requests_rate") == near(5 / (688_000 + 3 * 2 * 30_480))
    assert figures(row, *CHOICE) == (3, 2, 5, 20, 2)
    assert figures(row, "kv_cache") == (5 * 40 * 14,)


def test_a_single_sequence_passes_both_stages_in_turn() -> None:
    # m = min(2, 1) = 1: 7,200 + 80·12 = 8,160, + send 1,000, + 8,160 + head 2,000
    row = priced(scene(TWO_LAYERS, {"batch": 1, "input_tokens": 10, "output_tokens": 4}, 0.02), 1, pipeline=2)
    assert figures(row, "tpot", "micro_batches") == near(19_320, 1)


@pytest.mark.parametrize(
    ("load", "choice"),
    [
        ({"batch": 8, "input_tokens": {"min": 4, "max": 10}}, 2),
        ({"batch": 8, "input_tokens": 10, "output_tokens": 4}, 2),
        ({"concurrency": 8, "input_tokens": 8, "output_tokens": 10}, 12),
    ],
)
def test_ideal_stages_bound_every_split(load: dict[str, Any], choice: int) -> None:
    model = changed(EXPERTS, layers=5, vocabulary=300, feed_forward={"width": 50})
    model = changed(model, experts={"leading_dense_layers": 2})
    degrees = [(1, 1, 1, 1, 1, 1), (1, 1, 1, 3, 1, 1), (2, 1, 2, 4, 2, 2), (2, 1, 1, 5, 1, 2), (1, 1, 2, 2, 2, 1)]
    grid = Grid(np.array(degrees), np.ones(5, dtype=int), np.full(5, choice))
    conditions = scenario(model, load, latencies={"iteration": 10, "startup": 5, "layer": 3})
    real, ideal = price(conditions, grid), price(conditions, grid, ideal=True)
    for name in (*TIMES, "memory"):
        bound, value = ideal.column(name), real.column(name)
        assert np.all((bound <= value * (1 + 1e-12)) | np.isnan(value)), name
    assert np.all(ideal.requests_rate >= real.requests_rate * (1 - 1e-12))
    # one stage is its own ideal
    assert figures(ideal, "ttft", "requests_rate", "weights") == near(
        *figures(real, "ttft", "requests_rate", "weights")
    )


def test_pricing_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    conditions = scene(TWO_LAYERS, {"batch": 6, "input_tokens": 10})
    degrees = np.vstack([strategy(), strategy(pipeline=2), strategy(tensor=2)])
    whole = price(conditions, grid := make_grid(conditions, degrees))
    monkeypatch.setattr(serving, "BLOCK", 7)
    parts = price(conditions, grid)
    assert len(parts) == len(whole) == len(grid) > 14
    for name in (*TIMES, *RATES, *CHOICE, "stage_of_layer"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
