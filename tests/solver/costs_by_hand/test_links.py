"""Communication, worked out by hand from docs/costs.md: 200 bytes per token batch, 100 B/s inside, 10 B/s between."""

from __future__ import annotations

from typing import Any

import pytest
from costs_by_hand import DENSE, LATENT, a_pass, communication, links, one, rows_of, scenario
from pytest import approx
from shardwise.solver.costs.links import stage_send

TEN = a_pass(decoding=10)  # T·h·a = 10·10·2 = 200 bytes
FAST = links({"bandwidth": 1e30}, {"bandwidth": 1e30})


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


def test_every_token_that_a_stage_hands_on_takes_its_time() -> None:
    # 200 B at 100 B/s, and 10 tokens of 3 s; not shortened by overlap, on top of the link's latency
    scene = scenario(DENSE, efficiency={"overlap": 0.5}, latencies={"send_token": 3}, card=links({"latency": 5}))
    assert one(stage_send(rows_of(scene, pipeline=2), TEN.decoding, False)) == approx(1 + 30 + 5)  # type: ignore[arg-type]


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
