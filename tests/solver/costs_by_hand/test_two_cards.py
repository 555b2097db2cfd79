"""Engines over two cards (docs/costs.md, section 7) on three or four layers: the arithmetic is in the comments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from costs_by_hand import COMPUTE_ONLY, DENSE, changed, scenario, strategy
from pytest import approx
from shardwise.models import Link, Scenario
from shardwise.solver.costs.mixed import MixedGrid, MixedPrices, price_mixed

FOUR = changed(DENSE, layers=4, vocabulary=100)
TWO_PROMPTS = {"concurrency": 2, "input_tokens": 10}
FAST = {**COMPUTE_ONLY, "compute": {"bf16": 2.0}}
SLOW = {**COMPUTE_ONLY, "network_link": {"bandwidth": 5}}
# Two prompts of 10 tokens on one FLOP/s: a layer takes 20·7,200 + 80·100 = 152,000 s, the head 4,000 s; a stage sends
# 400 B. A layer holds 7,240 B; its cache 400 B a prompt. Embedding 2,000 B; norm and head 2,020 B; activations
# 20·2·(60 + 200) = 10,400 B.


def scene(card: dict[str, Any], model: dict[str, Any] = FOUR, pool_link: Link | None = None, **more: Any) -> Scenario:
    found = scenario(model, TWO_PROMPTS, card=card, **more)
    return found.model_copy(update={"hardware": found.hardware.model_copy(update={"pool_link": pool_link})})


def prefill(
    first: Scenario,
    second: Scenario,
    stages: int,
    others: int,
    *,
    sends: bool = False,
    ideal: bool = False,
    **more: int,
) -> MixedPrices:
    """Two prompts a pass."""
    grid = MixedGrid(
        strategies=strategy(pipeline=stages + others, **more),
        load=np.array([1]),
        choice=np.array([2]),
        utilization=np.zeros(1),
        first=np.array([stages]),
    )
    return price_mixed((first, second), "prefill", grid, sends=sends, ideal=ideal)


def figure(found: MixedPrices, name: str) -> float:
    return float(getattr(found.prices, name)[0])


def test_the_faster_card_gets_more_layers() -> None:
    # Three layers take 228,000 s on the fast card, one with the head 156,000 s on the slow one; two would take
    # 308,000 s. Between the cards 400 B go over the slower network link: 80 s. In flight: two passes.
    found = prefill(scene(FAST), scene(SLOW), 1, 1)
    assert found.stage_of_layer[0].tolist() == [0, 0, 0, 1]
    assert figure(found, "ttft") == approx(2 * 228_080, rel=1e-12)
    assert figure(found, "rate") == approx(2 / 228_080, rel=1e-12)
    assert found.fits[0]


def test_order_decides_who_has_the_head() -> None:
    # Slow card first: [1 | 3] takes 152,080 and 228,000 + 2,000.
    found = prefill(scene(SLOW), scene(FAST), 1, 1)
    assert found.stage_of_layer[0].tolist() == [0, 1, 1, 1]
    assert figure(found, "ttft") == approx(2 * 230_000, rel=1e-12)


def test_latency_between_cards_is_that_of_the_slower_end() -> None:
    one, other = ({"bandwidth": 10, "latency": latency} for latency in (7, 3))
    found = prefill(scene({**FAST, "network_link": one}), scene({**SLOW, "network_link": other}), 1, 1)
    assert figure(found, "ttft") == approx(2 * (228_000 + 40 + 7), rel=1e-12)


def test_a_stated_link_between_pools_is_what_lies_between_the_cards() -> None:
    for bandwidth, seconds in ((4.0, 100 + 11), (1e3, 80 + 11)):  # no faster than either card's own link
        link = Link(bandwidth=bandwidth, latency=11)
        found = prefill(scene(FAST, pool_link=link), scene(SLOW, pool_link=link), 1, 1)
        assert figure(found, "ttft") == approx(2 * (228_000 + seconds), rel=1e-12)


@pytest.mark.parametrize(
    ("memory", "split", "slowest"),
    [
        # Four prompts in two stages: a layer with its cache holds 7,240 + 1,600 = 8,840 B. On the fast card three
        # hold 3·8,840 + 2,000 + 10,400 = 38,920 B, two 30,080 B, one 21,240 B.
        (38_922, [0, 0, 0, 1], 228_080),
        (38_919, [0, 0, 1, 1], 2 * 152_000 + 4_000),
        (30_079, [0, 1, 1, 1], 3 * 152_000 + 4_000),
    ],
)
def test_a_small_card_gets_fewer_layers(memory: int, split: list[int], slowest: int) -> None:
    found = prefill(scene({**FAST, "memory": memory}), scene(SLOW), 1, 1)
    assert found.stage_of_layer[0].tolist() == split
    assert figure(found, "ttft") == approx(2 * slowest, rel=1e-12)
    assert found.fits[0]


def test_the_fullest_stage_is_the_one_with_the_largest_share_of_its_card() -> None:
    # First stage 38,920 B of 100,000; last 8,840 + 2,020 + 10,400 = 21,260 B of 25,000.
    found = prefill(scene({**FAST, "memory": 100_000}), scene({**SLOW, "memory": 25_000}), 1, 1)
    assert found.share[0] == approx(21_260 / 25_000, rel=1e-12)
    assert found.prices.fullest_stage[0] == 1
    parts = tuple(figure(found, name) for name in ("weights", "kv_cache", "activations", "reserve"))
    assert parts == (9_260, 1_600, 10_400, 0)


def test_where_nothing_fits_the_least_share_is_kept() -> None:
    # Cards of 20,000 and 10,000 B: [j | 4 − j] fills (12,400 + 8,840·j)/20,000 and (12,420 + 8,840·(4 − j))/10,000:
    # 1.946 and 2.126 with three on the first card; 1.504 and 3.01 with two.
    found = prefill(scene({**FAST, "memory": 20_000}), scene({**SLOW, "memory": 10_000}), 1, 1)
    assert found.stage_of_layer[0].tolist() == [0, 0, 0, 1]
    assert not found.fits[0]
    assert found.share[0] == approx(2.126, rel=1e-12)


def test_a_required_memory_counts_on_both_cards() -> None:
    limit = {"memory_per_gpu": 38_919}
    found = prefill(scene(FAST, requirements=limit), scene(SLOW, requirements=limit), 1, 1)
    assert found.stage_of_layer[0].tolist() == [0, 0, 1, 1]
    assert found.share[0] == approx(30_100 / 38_919, rel=1e-12)  # the second card's two layers


def test_boundaries_within_a_card_follow_its_own_nodes() -> None:
    # Two stages on fast cards, each in a node of its own: 400 B over 10 B/s, 40 s. Then over to the slow one, 80 s.
    alone = {**FAST, "gpus_per_node": 1}
    # [1, 2 | 1]: 76,040; 152,080; 156,000 is as short as can be: [2, 1 | 1] also takes 156,000, and so it ties.
    found = prefill(scene(alone), scene(SLOW), 2, 1)
    assert figure(found, "ttft") == approx(3 * 156_000, rel=1e-12)
    # With 4,000 s less, the head left out, the second card takes 152,000: [2, 1 | 1] takes 152,040 and [1, 2 | 1]
    # 152,080.
    model = changed(DENSE, layers=4)
    found = prefill(scene(alone, model), scene(SLOW, model), 2, 1)
    assert found.stage_of_layer[0].tolist() == [0, 0, 1, 2]
    assert figure(found, "ttft") == approx(3 * 152_040, rel=1e-12)
    # In one node the first card sends 400 B at 100 B/s: 4 s.
    found = prefill(scene(FAST, model), scene(SLOW, model), 2, 1)
    assert figure(found, "ttft") == approx(3 * 152_004, rel=1e-12)


def test_a_group_crosses_on_the_card_whose_nodes_do_not_hold_it() -> None:
    # Tensor 2 on nodes of 4 GPUs first; the second card has nodes of 1, so its all-reduces go over the network.
    # A layer of 20 tokens on two ranks: FLOP 76,000, in 2 reduces of 400 B.
    # Fast: 38,000 + 2·(1·400/100) = 38,008. Slow: 76,000 + 2·(2·(1/2)·400/5) = 76,160, and the head 2,000.
    # [3 | 1]: 114,024 + 80 and 78,160.
    found = prefill(scene(FAST), scene({**SLOW, "gpus_per_node": 1}), 1, 1, tensor=2)
    assert found.stage_of_layer[0].tolist() == [0, 0, 0, 1]
    assert figure(found, "ttft") == approx(2 * (3 * 38_008 + 80), rel=1e-12)
    found = prefill(scene({**SLOW, "gpus_per_node": 1}), scene(FAST), 1, 1, tensor=2)
    # [1 | 3]: 76,160 + 80 and 114,024 + 1,000
    assert figure(found, "ttft") == approx(2 * 115_024, rel=1e-12)


def test_number_formats_are_those_of_each_card() -> None:
    # fp8 weights: natively twice as fast on the first card. A layer: 144,000/4 + 8,000/2 = 40,000 there, 152,000 on
    # the second card. [3 | 1] takes 120,080 and 156,000.
    native = {**COMPUTE_ONLY, "compute": {"bf16": 2.0, "fp8": 4.0}}
    precision = {"weights": "fp8"}
    found = prefill(scene(native, precision=precision), scene(SLOW, precision=precision), 1, 1)
    assert figure(found, "ttft") == approx(2 * 156_000, rel=1e-12)
    found = prefill(scene(SLOW, precision=precision), scene(native, precision=precision), 1, 1)
    # [1 | 3]: 152,080 and 3·40,000 + 2,000
    assert figure(found, "ttft") == approx(2 * 152_080, rel=1e-12)


@pytest.mark.parametrize(("bandwidth", "seconds"), [(10, 120), (100, 80)])
def test_the_last_rank_to_send_its_cache_decides(bandwidth: float, seconds: float) -> None:
    # 400 B a layer: 1,200 B over the first card's link, 400 B over the second's 5 B/s.
    link = {"bandwidth": bandwidth}
    found = prefill(scene({**FAST, "network_link": link}), scene(SLOW), 1, 1, sends=True)
    assert figure(found, "transfer") == approx(seconds / 0.8, rel=1e-12)  # transfer_link


def test_iteration_and_reserve_are_the_scenarios() -> None:
    latencies = {"iteration": 5, "startup": 3, "prompt_token": 2}
    found = prefill(scene(FAST, latencies=latencies), scene(SLOW, latencies=latencies), 1, 1)
    assert figure(found, "ttft") == approx(3 + 20 + 2 * 228_085, rel=1e-12)
    reserves = {"activation_dense": 0, "activation_experts": 0, "single_gpu": 1, "multi_gpu": 2}
    found = prefill(scene(FAST, reserves=reserves), scene(SLOW, reserves=reserves), 1, 1)
    assert figure(found, "reserve") == 2


def test_fixed_times_on_two_cards() -> None:
    # Each card has its own launches: three layers of 100 s, half of it; pace 2 on layers and head; a token handed on
    # takes 7 s. First stage 2·(228,000 + 150) + 80 + 140; second 2·(156,000 + 100 + 2·50 of its sequences).
    latencies = {"layer": 100, "pace": 2, "send_token": 7, "sequence": 50}
    first, second = scene(FAST | {"launches": 0.5}, latencies=latencies), scene(SLOW, latencies=latencies)
    found = prefill(first, second, 1, 1)
    assert figure(found, "ttft") == approx(2 * 456_520, rel=1e-12)
    # [1 | 3] the other way round: 2·152,100 + 220; 2·(228,000 + 150 + 2,000 + 100)
    assert figure(prefill(second, first, 1, 1), "ttft") == approx(2 * 460_500, rel=1e-12)


def test_bounds_by_hand() -> None:
    # As good as the split itself, where layers are alike and each card has one stage.
    found = prefill(scene(FAST), scene(SLOW), 1, 1, ideal=True)
    assert figure(found, "ttft") == approx(2 * 228_080, rel=1e-12)
    assert found.stage_of_layer.shape == (1, 0)


def test_an_engine_over_two_cards_has_a_stage_on_each() -> None:
    with pytest.raises(ValueError, match="a stage on each"):
        prefill(scene(FAST), scene(SLOW), 2, 0)
    with pytest.raises(ValueError, match="has a layer"):
        prefill(scene(FAST), scene(SLOW), 2, 3)
