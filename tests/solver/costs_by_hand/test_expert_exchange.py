"""The two ways to a token's experts, worked out by hand from docs/costs.md: links of 100 and 10 B/s."""

from __future__ import annotations

import pytest
from costs_by_hand import EXPERTS, a_pass, changed, links, one, rows_of, scenario
from pytest import approx
from shardwise.models import Scenario
from shardwise.solver.costs.source import Roofline

TEN = a_pass(decoding=10)  # T·h·a = 10·10·2 = 200 bytes
FAST = links({"bandwidth": 1e30}, {"bandwidth": 1e30})


def sent(scene: Scenario, **degrees: int) -> float:
    """Seconds in which ten tokens of every attention group reach their experts alone, and the results come back."""
    rows = rows_of(scene, **degrees)
    return one(Roofline(rows.setting).sent(rows, TEN.decoding))


@pytest.mark.parametrize(
    ("degrees", "per_token", "precision", "seconds"),
    [
        # u = 10 tokens, 2 copies, 10 elements of 2 B, three quarters leave: 300 B, out and back
        ({"data": 4, "expert": 4}, 2, {}, 3 + 3),
        ({"data": 4, "expert": 4}, 1, {}, 1.5 + 1.5),
        ({"data": 4, "expert": 4}, 2, {"experts": "fp8"}, 1.5 + 3),  # dispatched in 8 bit
        ({"data": 4, "expert": 4}, 2, {"experts": "int8"}, 3 + 3),  # only fp8 is
        ({"data": 4, "expert": 4}, 2, {"weights": "fp8"}, 1.5 + 3),
        # tensor ranks share the sending, u = 5
        ({"tensor": 2, "data": 2, "expert": 4}, 2, {}, 1.5 + 1.5),
        # e 2, s 2: half leave, 2·200/100; then 40·min(1, 2/2)·10·2 = 800 B over two: 8 s
        ({"data": 4, "expert": 2, "expert_tensor": 2}, 2, {}, 2 + 2 + 8),
        ({"context": 2, "data": 2, "expert": 2, "expert_tensor": 2}, 2, {}, 2 + 2 + 8),
        # one expert per token: only half of the group's tokens come to either half: 400 B
        ({"data": 4, "expert": 2, "expert_tensor": 2}, 1, {}, 1 + 1 + 4),
        # 8-bit dispatch: the gather is half as large, the scatter is not: 40·10·1.5 = 600 B
        ({"data": 4, "expert": 2, "expert_tensor": 2}, 2, {"experts": "fp8"}, 1 + 2 + 6),
        # expert tensor alone: 40·1·10·2 = 800 B over four, 2·(3/4)·800/100
        ({"data": 4, "expert_tensor": 4}, 2, {}, 12),
        ({"data": 2, "pipeline": 4, "expert": 2}, 2, {}, 2 + 2),  # two nodes, but the stage is inside one
    ],
)
def test_expert_exchange_inside_a_node(
    degrees: dict[str, int], per_token: int, precision: dict[str, str], seconds: float
) -> None:
    scene = scenario(changed(EXPERTS, experts={"per_token": per_token}), precision=precision)
    assert sent(scene, **degrees) == approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("degrees", "imbalance", "seconds"),
    [
        ({"data": 4, "expert": 4}, 1.5, 1.5 * (3 + 3)),  # the busiest rank receives half more
        ({"data": 4, "expert": 4}, 9, 4 * (3 + 3)),  # no more than all of it
        # e 4, s 2 on two nodes: 15 s each way as above; 80·min(1, γ·2/4) tokens to the busiest pair
        ({"data": 8, "expert": 4, "expert_tensor": 2}, 1.5, 1.5 * 2 * 15 + 80 * 0.75 * 20 / 100),
        ({"data": 8, "expert": 4, "expert_tensor": 2}, 3, 3 * 2 * 15 + 80 * 1 * 20 / 100),
        ({"data": 4, "expert_tensor": 4}, 9, 12),  # one expert rank, nothing to be uneven
    ],
)
def test_uneven_experts_are_waited_for(degrees: dict[str, int], imbalance: float, seconds: float) -> None:
    load = {"batch": 1, "input_tokens": 10, "routing": {"imbalance": imbalance}}
    assert sent(scenario(EXPERTS, load), **degrees) == approx(seconds, rel=1e-12)


def test_the_latency_of_an_exchange_does_not_grow_with_imbalance() -> None:
    load = {"batch": 1, "input_tokens": 10, "routing": {"imbalance": 2}}
    scene = scenario(EXPERTS, load, card=FAST, latencies={"exchange": 8})
    assert sent(scene, data=4, expert=4) == approx(2 * 8)


def test_expert_tensor_is_not_reduced_in_the_switch() -> None:
    # a gather and a scatter, not a sum
    scene = scenario(EXPERTS, card=links({"reduces_in_switch": True}))
    assert sent(scene, data=4, expert_tensor=4) == approx(12)


def test_expert_tensor_over_two_nodes() -> None:
    # T_g = 80: 1,600 B over eight: 1.5·1,600/100 inside, 1·400/10 between
    assert sent(scenario(EXPERTS), data=8, expert_tensor=8) == approx(24 + 40)


@pytest.mark.parametrize(
    ("degrees", "node_limit", "between", "each"),
    [
        # e 8, M 2: 400·7/8 = 350 B inside: 3.5 s. Between: 2·(1 − 1/4) = 1.5 nodes, half of them remote:
        # 10·0.75·20 = 150 B: 15 s
        ({"data": 8, "expert": 8}, None, 10, 15),
        ({"data": 8, "expert": 8}, 2, 10, 15),
        ({"data": 8, "expert": 8}, 1, 10, 10),  # at most one node: half the time remote, 100 B
        ({"data": 8, "expert": 8}, None, 1000, 3.5),  # the larger of the two counts
        # M 3: 3·(1 − (2/3)²) = 5/3 nodes, two thirds remote: 10·(10/9)·20 B
        ({"data": 12, "expert": 12}, None, 10, 10 * 10 / 9 * 20 / 10),
        ({"data": 8, "expert": 8, "pipeline": 2}, None, 10, 15),  # a second stage has its own nodes
        ({"data": 10, "expert": 10}, None, 10, 10 * 10 / 9 * 20 / 10),  # ten ranks on three nodes
        # six ranks lie on two nodes, and so may three
        ({"data": 6, "expert": 6}, None, 10, 15),
        ({"data": 3, "expert": 3, "pipeline": 2}, None, 10, 15),
    ],
)
def test_expert_exchange_across_nodes(
    degrees: dict[str, int], node_limit: int | None, between: float, each: float
) -> None:
    model = changed(EXPERTS, experts={"count": 24, "node_limit": node_limit})
    scene = scenario(model, card=links(between={"bandwidth": between}))
    assert sent(scene, **degrees) == approx(2 * each, rel=1e-12)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (2, 2 * 2 * 3),  # 200 B over one of three links
        (4, 2 * 3),
        (8, 2 * 3.5),  # across nodes every link of the mesh is used
    ],
)
def test_expert_exchange_on_a_mesh(data: int, seconds: float) -> None:
    scene = scenario(EXPERTS, card=links({"mesh": True}, {"bandwidth": 1e30}))
    assert sent(scene, data=data, expert=data) == approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("expert", "latency", "each"),
    [
        (4, 5, 5),  # fitted 8·(4/8) = 4, the link's own 5
        (4, 3, 4),
        (8, 5, 20),  # fitted 8, the link between nodes 20
    ],
)
def test_latency_of_an_exchange_is_the_larger_one(expert: int, latency: float, each: float) -> None:
    card = links({"bandwidth": 1e30, "latency": latency}, {"bandwidth": 1e30, "latency": 20})
    scene = scenario(EXPERTS, card=card, latencies={"exchange": 8, "exchange_growth": 1})
    assert sent(scene, data=expert, expert=expert) == approx(2 * each)


def test_exchange_efficiency_and_overlap() -> None:
    scene = scenario(EXPERTS, efficiency={"exchange_link": 0.5, "overlap": 0.25})
    assert sent(scene, data=4, expert=4) == approx(2 * 3 / 0.5 * 0.75)
    assert sent(scene, data=8, expert=8) == approx(2 * 15 / 0.5 * 0.75)
