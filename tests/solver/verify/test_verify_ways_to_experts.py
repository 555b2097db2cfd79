"""How tokens reach their experts, in the second route: by hand from docs/costs.md, section 3."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.solver.verify.deployment import read_deployment
from shardwise.solver.verify.links import Links
from verify_plans import CARD, EXPERTS, plan_of, scenario


def links(imbalance: float | None = None, inside: dict[str, Any] | None = None, **degrees: int) -> Links:
    """Two of eight experts, h 8; 1e9 B/s inside nodes of four, 1e8 between."""
    card = CARD | {"node_link": {"bandwidth": 1e9} | (inside or {})}
    load = {"batch": 8, "input_tokens": 10, "routing": {"imbalance": imbalance}}
    run = {"batch": 1, "micro_batches": 1, "in_flight": 1, "token_budget": 10}
    return Links(read_deployment(plan_of(scenario(EXPERTS, load, hardware={"accelerator": card}), **(run | degrees))))


@pytest.mark.parametrize("cut", [{"expert": 4}, {"expert_tensor": 4}, {"expert": 2, "expert_tensor": 2}])
def test_ranks_that_hold_the_same_tokens_sum_their_results(cut: dict[str, int]) -> None:
    # 10·8·2 = 160 B: 2·(3/4)·160/1e9 = 240 ns; in the switch (1 + 1/4)·160. Four expert ranks would be sent
    # 2.5·2·16·(3/4) = 60 B twice; nobody does it.
    assert links(tensor=4, **cut).experts(10, 10) == pytest.approx(240e-9, rel=1e-12)
    assert links(9, tensor=4, **cut).experts(10, 10) == pytest.approx(240e-9, rel=1e-12)
    switch = links(inside={"reduces_in_switch": True}, tensor=4, **cut)
    assert switch.experts(10, 10) == pytest.approx(200e-9, rel=1e-12)


def test_the_sum_goes_over_the_whole_stage() -> None:
    # Two nodes: 240 ns inside, 2·(1/2)·40/1e8 = 400 ns between.
    assert links(tensor=8, expert=8).experts(10, 10) == pytest.approx(640e-9, rel=1e-12)
    assert links().experts(10, 10) == 0


@pytest.mark.parametrize(
    ("imbalance", "nanoseconds"),
    [
        # Sent: 10·2·16·(3/4) = 240 B each way, to the busiest γ times as much. Gathered and summed: 1.5·640.
        (None, 480),
        (1.5, 720),
        (4, 960),
    ],
)
def test_the_quicker_way_is_taken(imbalance: float | None, nanoseconds: float) -> None:
    for degrees in ({"data": 4}, {"context": 4}):
        found = links(imbalance, expert=4, **degrees).experts(10, 40)
        assert found == pytest.approx(nanoseconds * 1e-9, rel=1e-12)


def test_columns_of_experts_are_gathered_and_scattered() -> None:
    # e 2, s 2: half leave, 160 B each way; 40·min(1, 2/2)·16 B over two: 640. Gathered over all: 1.5·640, as much.
    assert links(data=4, expert=2, expert_tensor=2).experts(10, 40) == pytest.approx(960e-9, rel=1e-12)
    # In the switch the sum takes 1.25·640; the columns' exchange is no sum.
    switch = links(inside={"reduces_in_switch": True}, data=4, expert=2, expert_tensor=2)
    assert switch.experts(10, 40) == pytest.approx(800e-9, rel=1e-12)
