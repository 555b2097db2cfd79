"""Communication, worked out by hand from docs/costs.md: 200 bytes per token batch, 100 B/s inside, 10 B/s between."""

from __future__ import annotations

from typing import Any

import pytest
from costs_by_hand import DENSE, EXPERTS, LATENT, a_pass, changed, communication, one, rows_of, scenario
from pytest import approx
from shardwise.solver.costs.links import stage_send

TEN = a_pass(decoding=10)  # T·h·a = 10·10·2 = 200 bytes
FAST = {"node_link": {"bandwidth": 1e30}, "network_link": {"bandwidth": 1e30}}


def links(inside: dict[str, Any] | None = None, between: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "node_link": {"bandwidth": 100, **(inside or {})},
        "network_link": {"bandwidth": 10, **(between or {})},
    }


@pytest.mark.parametrize(
    ("node", "degrees", "inside", "seconds"),
    [
        (4, {"tensor": 1}, {}, 0),
        (4, {"tensor": 2}, {}, 2 * 1 / 2 * 200 / 100),
        (4, {"tensor": 4}, {}, 2 * 3 / 4 * 200 / 100),
        (4, {"tensor": 2, "data": 4}, {}, 2),  # eight GPUs, but every pair lies inside a node
        # over two nodes: a ring of four inside, then a quarter of the bytes between two
        (4, {"tensor": 8}, {}, 3 + 2 * 1 / 2 * (200 / 4) / 10),
        # three nodes
        (4, {"tensor": 12}, {}, 3 + 2 * 2 / 3 * (200 / 4) / 10),
        # a node of three: groups of two straddle, groups of eight share no whole node; everything between nodes
        (3, {"tensor": 2, "data": 2}, {}, 2 * 1 / 2 * 200 / 10),
        (3, {"tensor": 8}, {}, 2 * 7 / 8 * 200 / 10),
        # summed in the switch: min(2·(l − 1)/l, 1 + 1/l)
        (4, {"tensor": 2}, {"reduces_in_switch": True}, 1 * 200 / 100),
        (4, {"tensor": 4}, {"reduces_in_switch": True}, 1.25 * 200 / 100),
        (4, {"tensor": 8}, {"reduces_in_switch": True}, 2.5 + 5),
        (3, {"tensor": 8}, {"reduces_in_switch": True}, 35),
        # a mesh of four: two GPUs have one of three links between them, four have all
        (4, {"tensor": 2}, {"mesh": True}, 2 * 3),
        (4, {"tensor": 4}, {"mesh": True}, 3),
        (4, {"tensor": 8}, {"mesh": True}, 3 + 5),
        (1, {"tensor": 2}, {"mesh": True}, 20),
    ],
)
def test_all_reduce(node: int, degrees: dict[str, int], inside: dict[str, Any], seconds: float) -> None:
    scene = scenario(DENSE, card={"gpus_per_node": node, **links(inside)})
    # a dense layer has two of them
    assert communication(scene, TEN, **degrees) == approx(2 * seconds, rel=1e-12)


def test_link_efficiency_and_overlap_act_on_the_bytes() -> None:
    scene = scenario(DENSE, efficiency={"link": 0.5, "overlap": 0.25})
    assert communication(scene, TEN, tensor=4) == approx(2 * 3 / 0.5 * 0.75)
    assert communication(scene, TEN, tensor=8) == approx(2 * (3 + 5) / 0.5 * 0.75)


@pytest.mark.parametrize(
    ("tensor", "seconds"),
    [
        (1, 0),
        (2, 8),  # fitted 16·(2/4); two hops of 3 s are less
        (4, 18),  # fitted 16; six hops of 3 s are more
        (8, 58),  # fitted 32; six hops of 3 s inside, two of 20 s between
    ],
)
def test_latency_of_an_all_reduce_is_the_larger_one(tensor: int, seconds: float) -> None:
    card = links({"bandwidth": 1e30, "latency": 3}, {"bandwidth": 1e30, "latency": 20})
    latencies = {"all_reduce": 16, "all_reduce_growth": 1}
    # not shortened by overlap
    scene = scenario(DENSE, card=card, latencies=latencies, efficiency={"overlap": 0.5})
    assert communication(scene, TEN, tensor=tensor) == approx(2 * seconds)


def test_growth_of_the_fitted_latency() -> None:
    scene = scenario(DENSE, card=FAST, latencies={"all_reduce": 16, "all_reduce_growth": 0.5})
    assert communication(scene, TEN, tensor=16) == approx(2 * 16 * 2)


@pytest.mark.parametrize(
    ("degrees", "per_token", "precision", "seconds"),
    [
        # u = 10 tokens, 2 copies, 10 elements of 2 B, three quarters leave: 300 B, out and back
        ({"data": 4, "expert": 4}, 2, {}, 3 + 3),
        ({"data": 4, "expert": 4}, 1, {}, 1.5 + 1.5),
        ({"data": 4, "expert": 4}, 2, {"experts": "fp8"}, 1.5 + 3),  # dispatched in 8 bit
        ({"data": 4, "expert": 4}, 2, {"experts": "int8"}, 3 + 3),  # only fp8 is
        ({"data": 4, "expert": 4}, 2, {"weights": "fp8"}, 1.5 + 3),
        # tensor ranks share the sending, u = 5; and the all-reduce after attention stays: 2 s
        ({"tensor": 2, "data": 2, "expert": 4}, 2, {}, 1.5 + 1.5 + 2),
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
    assert communication(scene, TEN, **degrees) == approx(seconds, rel=1e-12)


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
    assert communication(scenario(EXPERTS, load), TEN, **degrees) == approx(seconds, rel=1e-12)


def test_the_latency_of_an_exchange_does_not_grow_with_imbalance() -> None:
    load = {"batch": 1, "input_tokens": 10, "routing": {"imbalance": 2}}
    scene = scenario(EXPERTS, load, card=FAST, latencies={"exchange": 8})
    assert communication(scene, TEN, data=4, expert=4) == approx(2 * 8)


def test_expert_tensor_is_not_reduced_in_the_switch() -> None:
    # a gather and a scatter, not a sum
    scene = scenario(EXPERTS, card=links({"reduces_in_switch": True}))
    assert communication(scene, TEN, data=4, expert_tensor=4) == approx(12)


def test_expert_tensor_over_two_nodes() -> None:
    # T_g = 80: 1,600 B over eight: 1.5·1,600/100 inside, 1·400/10 between
    assert communication(scenario(EXPERTS), TEN, data=8, expert_tensor=8) == approx(24 + 40)


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
    assert communication(scene, TEN, **degrees) == approx(2 * each, rel=1e-12)


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
    assert communication(scene, TEN, data=data, expert=data) == approx(seconds, rel=1e-12)


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
    assert communication(scene, TEN, data=expert, expert=expert) == approx(2 * each)


def test_exchange_efficiency_and_overlap() -> None:
    scene = scenario(EXPERTS, efficiency={"exchange_link": 0.5, "overlap": 0.25})
    assert communication(scene, TEN, data=4, expert=4) == approx(2 * 3 / 0.5 * 0.75)
    assert communication(scene, TEN, data=8, expert=8) == approx(2 * 15 / 0.5 * 0.75)


@pytest.mark.parametrize(
    ("model", "degrees", "inside", "seconds"),
    [
        (DENSE, {"context": 1}, {}, 0),
        # 20 prompt tokens: the 10 of the other rank at 40 B
        (DENSE, {"context": 2}, {}, 1 * 10 * 40 / 100),
        (DENSE, {"context": 4}, {}, 3 * 5 * 40 / 100),
        (DENSE, {"context": 8}, {}, 7 * 2.5 * 40 / 10),  # over two nodes
        (DENSE, {"context": 2}, {"mesh": True}, 4 * 3),
        (DENSE, {"context": 4}, {"mesh": True}, 6),
        (DENSE, {"context": 2}, {"latency": 5}, 4 + 5),
        (DENSE, {"context": 4}, {"latency": 5}, 6 + 3 * 5),
        # one KV head per rank: 20 B; and two all-reduces of 200 B over two: 2·2
        (DENSE, {"tensor": 2, "context": 2}, {}, 1 * 10 * 20 / 100 + 4),
        (LATENT, {"context": 2}, {}, 1 * 10 * 20 / 100),
    ],
)
def test_context_exchange(
    model: dict[str, Any], degrees: dict[str, int], inside: dict[str, Any], seconds: float
) -> None:
    # keys and values travel at 16 bit, however they are stored
    scene = scenario(model, card=links(inside), precision={"kv_cache": "fp8"})
    assert communication(scene, a_pass(prompt=20), **degrees) == approx(seconds, rel=1e-12)


def test_context_exchange_across_nodes_has_the_latency_between_them() -> None:
    scene = scenario(DENSE, card=links({"latency": 5}, {"bandwidth": 1e30, "latency": 20}))
    assert communication(scene, a_pass(prompt=20), context=8) == approx(7 * 20)


@pytest.mark.parametrize(
    ("crosses", "mesh", "seconds"), [(False, False, 2 + 5), (True, False, 20 + 50), (False, True, 6 + 5)]
)
def test_stage_send(crosses: bool, mesh: bool, seconds: float) -> None:
    card = links({"latency": 5, "mesh": mesh}, {"latency": 50})
    rows = rows_of(scenario(DENSE, card=card), pipeline=8)
    assert one(stage_send(rows, TEN.decoding, crosses)) == approx(seconds)  # type: ignore[arg-type]


def test_overlap_hides_bytes_of_context_and_stages_too() -> None:
    scene = scenario(DENSE, efficiency={"overlap": 0.5, "link": 0.5}, card=links({"latency": 5}))
    assert communication(scene, a_pass(prompt=20), context=2) == approx(4 + 5)
    assert one(stage_send(rows_of(scene, pipeline=2), TEN.decoding, False)) == approx(2 + 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("degrees", "crossing"),
    [
        ({"pipeline": 4}, [False, False, False]),  # the engine is one node
        ({"pipeline": 8}, [False, False, False, True, False, False, False]),
        ({"tensor": 2, "pipeline": 4}, [False, True, False]),
        ({"tensor": 4, "pipeline": 3}, [True, True]),
        ({"data": 3, "pipeline": 4}, [True, True, True]),  # ranks 0-2 | 3-5: rank 0 to 3 stays, 1 to 4 does not
        ({"context": 8, "pipeline": 2}, [True]),
    ],
)
def test_boundaries_that_leave_a_node(degrees: dict[str, int], crossing: list[bool]) -> None:
    rows = rows_of(scenario(DENSE), **degrees)
    assert [bool(rows.boundary_crosses(stage)[0]) for stage in range(degrees["pipeline"] - 1)] == crossing
