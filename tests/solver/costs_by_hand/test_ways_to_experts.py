"""Which way a token takes to its experts: an all-reduce, or the quicker of two (docs/costs.md, section 3)."""

from __future__ import annotations

from typing import Any

import pytest
from costs_by_hand import EXPERTS, a_pass, changed, communication, links, scenario
from pytest import approx

TEN = a_pass(decoding=10)  # T·h·a = 10·10·2 = 200 bytes
UNEVEN = {"batch": 1, "input_tokens": 10, "routing": {"imbalance": 9}}


@pytest.mark.parametrize("cut", [{"expert": 4}, {"expert_tensor": 4}, {"expert": 2, "expert_tensor": 2}])
@pytest.mark.parametrize(
    ("inside", "seconds"),
    # 2·(3/4)·200/100, or (1 + 1/4)·200/100 in the switch; as much again after attention
    [({}, 3 + 3), ({"reduces_in_switch": True}, 2.5 + 2.5)],
)
def test_ranks_that_hold_the_same_tokens_sum_their_results(
    cut: dict[str, int], inside: dict[str, Any], seconds: float
) -> None:
    # Sending would be quicker with four expert ranks, u = 10/4: 2.5·2·20·(3/4)/100 = 0.75 each way. Nobody does it.
    scene = scenario(EXPERTS, UNEVEN, card=links(inside), precision={"experts": "fp8"})
    assert communication(scene, TEN, tensor=4, **cut) == approx(seconds, rel=1e-12)


def test_the_sum_goes_over_the_whole_stage() -> None:
    # eight ranks on two nodes: 3 inside, 2·(1/2)·(200/4)/10 = 5 between; as much again after attention
    assert communication(scenario(EXPERTS), TEN, tensor=8, expert=8) == approx(16, rel=1e-12)


def test_one_rank_has_nothing_to_exchange() -> None:
    assert communication(scenario(EXPERTS), TEN) == 0
    assert communication(scenario(EXPERTS, latencies={"all_reduce": 7, "exchange": 7}), TEN, pipeline=4) == 0


def test_the_sum_has_the_latency_of_an_all_reduce() -> None:
    scene = scenario(EXPERTS, card=links({"bandwidth": 1e30}), latencies={"all_reduce": 16, "exchange": 1})
    assert communication(scene, TEN, tensor=4, expert=4) == approx(2 * 16)


@pytest.mark.parametrize(
    ("degrees", "per_token", "seconds"),
    [
        # T_g = 40: all gathered and summed 1.5·800/100 = 12. One copy of each token sent: 1.5 each way.
        ({"data": 4, "expert": 4}, 1, 2 * 1.5),
        ({"data": 4, "expert": 4}, 7, 12),  # seven copies: 10.5 each way
        ({"context": 4, "expert": 4}, 1, 2 * 1.5),
        ({"context": 4, "expert": 4}, 7, 12),
        # t 2, d 2: T_g = 20, 1.5·400/100 = 6; u = 5, 0.75 per copy each way; 2 s after attention
        ({"tensor": 2, "data": 2, "expert": 4}, 3, 2 + 2 * 2.25),
        ({"tensor": 2, "data": 2, "expert": 4}, 5, 2 + 6),
        # e 2, s 2, two experts per token: 2 each way and 8 over the columns: 12, as much as the sum
        ({"data": 4, "expert": 2, "expert_tensor": 2}, 2, 12),
        ({"data": 4, "expert": 2, "expert_tensor": 2}, 1, 1 + 1 + 4),
        ({"data": 4, "expert": 2, "expert_tensor": 2}, 3, 12),  # three copies: 3 each way and 8
    ],
)
def test_the_quicker_way_is_taken(degrees: dict[str, int], per_token: int, seconds: float) -> None:
    scene = scenario(changed(EXPERTS, experts={"per_token": per_token}))
    assert communication(scene, TEN, **degrees) == approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("imbalance", "seconds"),
    [
        (1.5, 1.5 * (3 + 3)),  # the busiest rank receives half more
        (2.5, 12),  # 2.5·6 is more than what a sum takes, which is even
    ],
)
def test_uneven_experts_make_the_sum_quicker(imbalance: float, seconds: float) -> None:
    load = {"batch": 1, "input_tokens": 10, "routing": {"imbalance": imbalance}}
    assert communication(scenario(EXPERTS, load), TEN, data=4, expert=4) == approx(seconds, rel=1e-12)


def test_gathering_is_summed_in_the_switch() -> None:
    # (1 + 1/4)·800/100 = 10; over the columns of an expert 12, for that is a gather and a scatter
    scene = scenario(EXPERTS, card=links({"reduces_in_switch": True}))
    assert communication(scene, TEN, data=4, expert_tensor=4) == approx(10)


@pytest.mark.parametrize(
    ("all_reduce", "exchange", "seconds"),
    [(16, 9, 16), (20, 9, 2 * 9)],  # one latency of a sum against two of an exchange
)
def test_latencies_decide_for_few_tokens(all_reduce: float, exchange: float, seconds: float) -> None:
    card = links({"bandwidth": 1e30}, {"bandwidth": 1e30})
    scene = scenario(EXPERTS, card=card, latencies={"all_reduce": all_reduce, "exchange": exchange})
    assert communication(scene, TEN, data=4, expert=4) == approx(seconds)


def test_across_nodes() -> None:
    # T_g = 80, two nodes. Sent: 15 each way (test_expert_exchange.py). Summed: 1.5·1,600/100 + 400/10 = 64.
    assert communication(scenario(EXPERTS), TEN, data=8, expert=8) == approx(2 * 15, rel=1e-12)
    # Three times the load on the busiest: 90.
    load = {"batch": 1, "input_tokens": 10, "routing": {"imbalance": 3}}
    assert communication(scenario(EXPERTS, load), TEN, data=8, expert=8) == approx(64, rel=1e-12)
