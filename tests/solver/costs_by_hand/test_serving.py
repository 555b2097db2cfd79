"""From passes to latencies and rates, worked out by hand from docs/costs.md, section 4.

One token in one layer takes 2·(600 + 3,000) = 7,200 s of matrices on a card of 1 FLOP/s; a query-key pair takes
2·4·10 = 80 s, a sequence's logits 2·10·100 = 2,000 s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from costs_by_hand import COMPUTE_ONLY, DENSE, EXPERTS, MEMORY_ONLY, changed, figures, priced, scenario, strategy
from pytest import approx
from shardwise.models import Scenario
from shardwise.solver.costs import price, serving
from shardwise.solver.costs.grid import Grid, make_grid

TWO_LAYERS = changed(DENSE, layers=2, vocabulary=100)
TIMES = ("ttft", "ttft_mean", "tpot", "request_latency")
RATES = ("requests_rate", "output_rate", "input_rate")
CHOICE = ("batch", "micro_batches", "in_flight", "token_budget", "gpus_used")


def near(*values: float) -> Any:
    return approx(values, rel=1e-12, nan_ok=True)


def scene(model: dict[str, Any], load: dict[str, Any], link: float = 1e30, **more: Any) -> Scenario:
    card = {**COMPUTE_ONLY, "node_link": {"bandwidth": link}, **more.pop("card", {})}
    return scenario(model, load, card=card, **more)


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


CLOSED = {"concurrency": 4, "input_tokens": 8, "output_tokens": 10}


def test_closed_loop_on_one_gpu() -> None:
    # B = 4, U = 8: chunk 4, j 2; X = 8 + 5 = 13. Eager layers take 100 more where there are prompt tokens.
    # mixed: P = 4·8/10 = 3.2, T 7.2, pairs 0.4·32 = 12.8, decode reads 52: a layer 51,840 + 1,024 + 4,160;
    #   φ = 0.4·2: + 80; two layers 114,208; head 4.4·2,000: an iteration takes 123,008.
    # others: the same with three sequences that bring prompts: P 2.4, T 6.4, pairs 9.6: 46,080 + 768 + 4,160 + 60;
    #   two layers 102,136; head 4.3·2,000: TPOT 110,736.
    # full: P = 4, pairs 32/2: a layer 57,600 + 1,280 + 4,160 + 100; head 5·2,000: 136,280.
    # decode: a layer 28,800 + 4,160; head 8,000: 73,920.
    # TTFT: 5 + 2·136,280 + (0.5/10)·4·2·(136,280 − 73,920) = 5 + 272,560 + 24,944.
    row = priced(scene(TWO_LAYERS, CLOSED, latencies={"eager_layer": 100, "startup": 5}), 8)
    assert figures(row, *TIMES) == near(297_509, 297_509, 110_736, 297_509 + 9 * 110_736)
    assert figures(row, *RATES) == near(0.4 / 123_008, 4 / 123_008, 3.2 / 123_008)
    assert figures(row, *CHOICE) == (4, 1, 4, 8, 1)
    assert figures(row, "budget_spare", "kv_cache") == near(8 - 7.2, 4 * 40 * 18 * 2)


def test_closed_loop_reads_the_prefix_again() -> None:
    # The same, bound by memory: 1,200 + 6,000 B of weights in a layer, head 2,000.
    # mixed: prefix 0.4·(8·1/2)·40 = 64, cache 52·40 = 2,080: 2·9,344 + 2,000 = 20,688; others: 48: 20,656.
    # full: prefix 4/2·40 = 80: 20,720. decode: 20,560. TTFT 2·20,720 + 0.4·160.
    row = priced(scenario(TWO_LAYERS, CLOSED, card=MEMORY_ONLY), 8)
    assert figures(row, "tpot", "output_rate", "ttft") == near(20_656, 4 / 20_688, 41_504)


def test_closed_loop_of_uneven_prompts() -> None:
    # Prompts of 5 to 11: mean 8, E[I²] 36/12 + 64 = 67; answers of 5 to 15; one layer, no head; one request each.
    # decode 28,800 + 4,160 = 32,960. mixed: pairs 0.4·33.5 = 13.4: 51,840 + 1,072 + 4,160 = 57,072.
    # others: pairs 0.3·33.5: 46,080 + 804 + 4,160 = 51,044.
    # full at 11: chunk 4, j 3, pairs 60.5/3: 57,600 + 80·60.5/3 + 4,160; at 8: j 2, pairs 33.5/2: 63,100.
    lengths = {"input_tokens": {"min": 5, "max": 11}, "output_tokens": {"min": 5, "max": 15}}
    load = {**CLOSED, **lengths, "requests_per_client": 1}
    row = priced(scene(DENSE, load), 8)
    longest = 61_760 + 80 * 60.5 / 3
    assert figures(row, "tpot", *RATES) == near(51_044, 0.4 / 57_072, 4 / 57_072, 3.2 / 57_072)
    assert figures(row, "ttft", "ttft_mean") == near(
        3 * longest + 0.5 * 4 * 3 * (longest - 32_960), 2 * 63_100 + 0.5 * 4 * 2 * (63_100 - 32_960)
    )
    # the longest lengths count for the request and for the memory
    assert figures(row, "request_latency") == near(row.ttft[0] + 14 * 51_044)
    assert figures(row, "kv_cache") == (4 * 40 * 26,)


def test_closed_loop_in_a_sliding_layer() -> None:
    # A window of 6, one layer, no head. Prompts of 8: pairs 8·6 − 18 = 30; decoding reads 4·6 = 24.
    # mixed 51,840 + 80·(0.4·30) + 80·24 = 54,720; others 46,080 + 80·(0.3·30) + 1,920 = 48,720;
    # full 57,600 + 80·30/2 + 1,920; decode 28,800 + 1,920.
    model = changed(DENSE, attention={"window": {"size": 6}})
    row = priced(scene(model, CLOSED), 8)
    assert figures(row, "tpot", "ttft") == near(48_720, 2 * 60_720 + 0.4 * (60_720 - 30_720))
    assert figures(row, "output_rate") == near(4 / 54_720)
    # Bound by memory, 7,200 B of weights: chunks of 4, the second reads min(8/2, 6) = 4 tokens again.
    # others 7,200 + 0.3·4·40 + 24·40; full 7,200 + 4/2·40 + 960; decode 7,200 + 960.
    row = priced(scenario(model, CLOSED, card=MEMORY_ONLY), 8)
    assert figures(row, "tpot", "ttft") == near(8_208, 2 * 8_240 + 0.4 * 80)


def test_closed_loop_in_two_stages() -> None:
    # m = 2, B = 2, U = 4: chunk 2, j 4; 0.02 B/s.
    # mixed: P = 1.6, T 3.6, pairs 6.4, reads 26: a layer 25,920 + 512 + 2,080 = 28,512; send 3,600; head 2.2·2,000:
    #   stages 32,112 and 32,912, sum 65,024, less than a cycle of 2·32,912.
    # others, one of the two brings prompts: T 2.8, pairs 3.2: 20,160 + 256 + 2,080 = 22,496; send 2,800; head 4,200:
    #   25,296 and 26,696, sum 51,992: TPOT = 26,696 + 32,912, its own turn and the other micro-batch's.
    # full: T 4, pairs 8: 28,800 + 640 + 2,080 = 31,520; send 4,000; head 6,000: 35,520 and 37,520, sum 73,040,
    #   which is more than 37,520 + 32,912.
    # decode: 14,400 + 2,080; send 2,000; head 4,000: slowest 20,480.
    # TTFT: 4·73,040 + (0.5/10)·4·4·(37,520 − 20,480) = 292,160 + 13,632.
    row = priced(scene(TWO_LAYERS, CLOSED, 0.02), 4, pipeline=2)
    assert figures(row, "tpot", "output_rate", "ttft") == near(59_608, 4 / 65_824, 305_792)
    assert figures(row, *CHOICE) == (2, 2, 4, 4, 2)
    assert figures(row, "kv_cache", "budget_spare") == near(4 * 40 * 18, 4 - 3.6)


def test_a_prompt_that_comes_round_once_per_cycle() -> None:
    # Three stages of a layer, m 3, B 1; a head of 40,000 per sequence makes the last one slowest.
    # mixed: P = 8/8, T 2: 14,400 + 80·(32/8) + 80·12 = 15,680; head 9/8·40,000: slowest 60,680.
    # full at U = 9: P = 8, j 1, T 9: 64,800 + 80·32 + 960 = 68,320; head 80,000: slowest 148,320, sum 284,960;
    #   148,320 + 2·60,680 = 269,680 is less.
    # full at U = 2: P = 1, j 8, T 2, pairs 4: 15,680; head 80,000: slowest 95,680, sum 127,040;
    #   95,680 + 2·60,680 = 217,040 is more: a cycle is longer than the way through.
    # decode, and others, for nobody else is there to bring a prompt: T 1: 7,200 + 960; head 40,000: 48,160.
    model = changed(DENSE, layers=3, vocabulary=2000)
    load = {"concurrency": 3, "input_tokens": 8, "output_tokens": 8}
    wide, narrow = (priced(scene(model, load), budget, pipeline=3) for budget in (9, 2))
    tpot = 48_160 + 2 * 60_680
    assert figures(wide, "tpot", "ttft") == near(tpot, 284_960 + 0.05 * 3 * (148_320 - 48_160))
    assert figures(narrow, "tpot", "ttft") == near(tpot, 8 * 217_040 + 0.05 * 3 * 8 * (95_680 - 48_160))
    assert figures(wide, "output_rate") == near(3 / (3 * 60_680))


def test_no_more_micro_batches_than_sequences() -> None:
    # N 7, n 2, d 2: Q 4, Q_d 2, three stages: m 2, B 1
    model = changed(DENSE, layers=3)
    row = priced(scene(model, {**CLOSED, "concurrency": 7}), 8, engines=2, data=2, pipeline=3)
    assert figures(row, *CHOICE) == (1, 2, 4, 8, 12)


def test_prompt_share_is_at_most_one() -> None:
    # B/O·j = 4/2·4 = 8 chunks per iteration: every pass carries prompt tokens. X = 9.
    # mixed: P = 16: 20·7,200 + 80·64 + 80·36 + 100; others: P = 12: 16·7,200 + 80·48 + 80·36 + 100
    load = {"concurrency": 4, "input_tokens": 8, "output_tokens": 2}
    row = priced(scene(DENSE, load, latencies={"eager_layer": 100}), 6)
    assert figures(row, "tpot", "output_rate") == near(122_020, 4 / 152_100)
    assert figures(row, "budget_spare") == (6 - 4 - 16,)


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
