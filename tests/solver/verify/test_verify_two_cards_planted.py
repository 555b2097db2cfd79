"""Errors planted in engines over two cards, and conditions that they break: each is caught by its finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pool_plans import STOCKS, engine, failing, pool_plan, table_plan
from pool_planting import DECODE, PREFILL, Plant, with_engine, with_memory, with_plan, with_rank, with_strategy
from shardwise.models.deployment import DeploymentPlan, EnginePart, Idle
from verify_plans import CARD, DENSE, EXPERTS, scenario


def crossing_plan(**more: Any) -> DeploymentPlan:
    """Prefill over a small and a big card, decode over two stages on big cards and one on small; aggregated on big."""
    work = {"concurrency": 18, "input_tokens": 100, "output_tokens": 2000}
    scene = scenario(EXPERTS, work, **{"modes": "any", "hardware": {"inventory": STOCKS}} | more)
    prompts = {"context": 2, "pipeline": 2, "expert": 2, "batch": 1, "micro_batches": 2, "in_flight": 2}
    answers = {"data": 2, "pipeline": 3, "expert": 2, "batch": 1, "micro_batches": 3, "in_flight": 6}
    both = {"tensor": 2, "expert": 2, "batch": 4, "micro_batches": 1, "in_flight": 4, "token_budget": 512}
    ahead, behind = {"small": 1, "big": 1}, {"big": 2, "small": 1}
    return pool_plan(
        scene,
        engine("prefill", parts=ahead, layers_per_stage=(1, 2), token_budget=50, **prompts),
        engine("decode", 6, parts=behind, utilization=0.5, layers_per_stage=(1, 1, 1), token_budget=1, **answers),
        engine("aggregated", 4, count=3, card="big", layers_per_stage=(3,), **both),
    )


def test_the_plan_itself_passes() -> None:
    plan = crossing_plan()
    assert not failing(plan)
    assert [entry.accelerator for entry in plan.engines] == ["small+big", "big+small", "big"]
    assert {idle.accelerator: idle.gpus for idle in plan.idle} == {"big": 6, "small": 2}
    assert [entry.cost_per_hour for entry in plan.engines] == [2 * 1.0 + 2 * 3.0, 4 * 3.0 + 2 * 1.0, 2 * 3.0]


def with_parts(place: int, *parts: tuple[str, int, int]) -> Plant:
    """Other parts of one kind of engine: card, stages and GPUs."""
    own = tuple(EnginePart(accelerator=name, stages=stages, gpus=gpus) for name, stages, gpus in parts)
    return with_engine(place, parts=own)


def moved(plan: DeploymentPlan, places: dict[int, tuple[int, int]]) -> DeploymentPlan:
    """Ranks on other nodes and GPUs."""
    for index, (node, gpu) in places.items():
        plan = with_rank(index, node=node, gpu=gpu)(plan)
    return plan


# Ranks 0 and 1 (prefill, engine 0) on node 5, which is small, 2 and 3 on node 0, which is big; 4 to 7 (decode,
# engine 1) on node 1, 8 and 9 on node 6. Big: nodes 0 to 4 of 4 GPUs, the last of 2. Small: nodes 5 to 7 of 2 GPUs.
UNREADABLE = {"degrees", "load", "stages", "memory", "engine", "placement", "together", "balance"}
ON_NO_CARD = (UNREADABLE - {"placement"}) | {"placement.cards"}
PLANTED: dict[str, tuple[Plant, set[str]]] = {
    "another name": (with_engine(DECODE, accelerator="small+big"), {"parts.name"}),
    "the same card twice": (
        with_parts(DECODE, ("big", 2, 4), ("big", 1, 2)),
        UNREADABLE | {"parts.cards", "parts.name", "gpus.idle_by_card"},
    ),
    "one part": (with_parts(DECODE, ("big", 3, 6)), UNREADABLE | {"parts.cards", "parts.name", "gpus.idle_by_card"}),
    "three parts": (
        with_parts(DECODE, ("big", 1, 2), ("small", 1, 2), ("big", 1, 2)),
        UNREADABLE | {"parts.cards", "parts.name"},
    ),
    "a card that the cluster lacks": (
        with_parts(DECODE, ("big", 2, 4), ("huge", 1, 2)),
        ON_NO_CARD | {"parts.cards", "parts.name", "gpus.idle_by_card", "gpus.stock"},
    ),
    "a stage too many": (
        with_parts(DECODE, ("big", 3, 6), ("small", 1, 2)),
        UNREADABLE | {"parts.stages", "gpus.used", "gpus.idle", "gpus.idle_by_card", "gpus.placed"},
    ),
    "a part with GPUs too many": (
        with_parts(DECODE, ("big", 2, 5), ("small", 1, 2)),
        {"parts.gpus", "gpus.used", "gpus.idle", "gpus.idle_by_card", "gpus.placed"},
    ),
    "GPUs dealt to the wrong card": (
        with_parts(DECODE, ("big", 2, 2), ("small", 1, 4)),
        {"parts.gpus", "gpus.idle_by_card"},
    ),
    "parts that are not said": (
        with_engine(DECODE, parts=()),
        ON_NO_CARD | {"gpus.stock", "gpus.idle_by_card"},
    ),
    "idle GPUs by card": (
        with_plan(idle=(Idle(accelerator="big", gpus=4), Idle(accelerator="small", gpus=4))),
        {"gpus.idle_by_card"},
    ),
    "a product of one part": (
        with_engine(DECODE, gpus_per_engine=4),
        {
            "degrees.engine",
            "gpus.decode",
            "predictions.requests_per_s_per_gpu",
            "predictions.tokens_per_s_per_gpu",
        },
    ),
    "the second part on the first card": (
        lambda plan: moved(plan, {8: (4, 0), 9: (4, 1)}),
        {"placement.cards"},
    ),
    "a part over two nodes": (lambda plan: moved(plan, {8: (7, 0)}), {"placement.nodes"}),
    "two engines on one GPU": (lambda plan: moved(plan, {8: (5, 0), 9: (5, 1)}), {"placement.one_rank_per_gpu"}),
    "a stage counted from the part": (with_rank(8, stage=0), {"placement.coordinates"}),
    "a rank too far": (
        with_rank(9, rank=6),
        {"placement.every_rank_once"},
    ),
    "layers counted from the part": (
        with_rank(9, layers=(0, 1), experts=(0, 0), expert_columns=(0, 0)),
        {"placement.shares", "coverage.attention", "coverage.experts"},
    ),
    "the memory of the other stage's card": (with_memory(PREFILL, usable=10**9 + 1), {"memory.usable"}),
    "bytes of another stage": (with_memory(DECODE, weights=1), {"memory.weights", "memory.sum"}),
    "another stage": (with_memory(DECODE, stage=0), {"memory.stage"}),
    "the whole pipeline at the price of one card": (with_engine(DECODE, cost_per_hour=18.0), {"engine.cost_per_hour"}),
    "a wrong transfer": (with_engine(DECODE, transfer_s=1e-9), {"engine.transfer_s"}),
    "a wrong rating": (with_engine(PREFILL, requests_per_s=1.0), {"engine.requests_per_s"}),
    "a wrong TPOT": (with_engine(DECODE, tpot_s=1.0), {"engine.tpot_s"}),
    "a wrong TTFT": (with_engine(PREFILL, ttft_s=1.0), {"engine.ttft_s"}),
    "as many micro-batches as a part has stages": (with_strategy(PREFILL, micro_batches=1), {"load.micro_batches"}),
    "in flight as in one part": (with_strategy(PREFILL, in_flight=1), {"load.in_flight"}),
}


@pytest.mark.parametrize("error", PLANTED)
def test_planted_error(error: str) -> None:
    plant, expected = PLANTED[error]
    assert failing(plant(crossing_plan())) == expected


def chat(a: dict[str, Any], b: dict[str, Any], *engines: dict[str, Any], **more: Any) -> DeploymentPlan:
    """Aggregated engines over the cards a and b, each with a load of 2."""
    links = {"node_link": {"bandwidth": 1e20}, "network_link": {"bandwidth": 1e20}}
    stocks = [{"accelerator": CARD | links | {"id": name} | card, "gpus": 32} for name, card in (("a", a), ("b", b))]
    layers = sum(engines[0]["layers_per_stage"])
    scene = scenario(
        DENSE | {"layers": layers},
        {"concurrency": 2 * len(engines), "input_tokens": 10, "output_tokens": 20},
        **{"modes": "aggregated", "hardware": {"inventory": stocks}} | more,
    )
    run = {"pipeline": 2, "parts": {"a": 1, "b": 1}, "batch": 1, "micro_batches": 2, "in_flight": 2, "token_budget": 32}
    return pool_plan(scene, *(engine("aggregated", 2, **run | one) for one in engines))


@pytest.mark.parametrize(
    ("a", "b", "names"),
    [
        (4, 4, set()),
        (4, 2, set()),
        (6, 6, set()),  # eight GPUs are more than a node, but the four of each part are not
        (4, 3, {"division.tensor_nodes"}),
        (3, 4, {"division.tensor_nodes"}),
    ],
)
def test_tensor_groups_lie_well_in_the_nodes_of_both_cards(a: int, b: int, names: set[str]) -> None:
    nodes = ({"gpus_per_node": a}, {"gpus_per_node": b})
    assert failing(chat(*nodes, {"tensor": 4, "layers_per_stage": (1, 1)})) == names


@pytest.mark.parametrize(
    ("group", "a", "b", "kept"),
    [
        ("tensor", 4, 4, True),
        ("tensor", 2, 2, True),
        ("tensor", 4, 1, False),
        ("tensor", 1, 4, False),
        ("engine", 8, 8, False),
    ],
)
def test_rules_about_nodes_hold_on_both_cards(group: str, a: int, b: int, kept: bool) -> None:
    rule = {"id": "near", "statement": "inside a node", "inside_node": [group]}
    nodes = ({"gpus_per_node": a}, {"gpus_per_node": b})
    plan = chat(*nodes, {"tensor": 2, "layers_per_stage": (1, 1)}, rules=[rule])
    assert failing(plan) == (set() if kept else {"rules.near"})


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"strategy": {"pipeline": {"max": 3}}}, set()),
        ({"strategy": {"pipeline": {"max": 2}}}, {"strategy.pipeline"}),
        ({"rules": [{"id": "deep", "statement": "PP2", "pipeline": 2, "roles": ["prefill"]}]}, set()),
        ({"rules": [{"id": "flat", "statement": "PP1", "pipeline": 1, "roles": ["prefill"]}]}, {"rules.flat"}),
        ({"requirements": {"memory_per_gpu": 1}}, {"requirements.memory_per_gpu", "memory.fits"}),
        # Four GPUs of the small card are in use, on two nodes.
        ({"hardware": {"inventory": (STOCKS[0], STOCKS[1] | {"gpus": 3})}}, {"gpus.stock", "placement.gpus_exist"}),
    ],
)
def test_conditions_on_the_whole_engine(more: dict[str, Any], names: set[str]) -> None:
    assert failing(crossing_plan(**more)) == names


def test_every_stage_must_fit_its_own_card() -> None:
    # Stage 0: (192 + 384 + 16)·2 = 1,184 B a layer; both requests of 30 tokens, 2·16·30 = 960 B; activations
    # 32·2·(48 + 32) = 5,120 B: 7,264 B. Stage 1, of two layers: 16 B for the last norm, 9,424 B.
    cut = {"layers_per_stage": (1, 2)}

    def on(a: int, b: int) -> set[str]:
        return failing(chat({"memory": a}, {"memory": b}, cut))

    assert on(7264, 10**9) == on(10**9, 9424) == on(7264, 9424) == set()
    assert on(7263, 10**9) == on(10**9, 9423) == {"memory.fits"}


def test_a_split_is_judged_on_both_cards() -> None:
    # The second card is three times as slow: three layers of four belong on the first, unless it cannot hold them.
    slow = {"compute": 1e12 / 3, "memory_bandwidth": 1e12 / 3}

    def on(a: dict[str, Any], b: dict[str, Any], *layers: int) -> set[str]:
        return failing(chat(a, b, {"layers_per_stage": layers}))

    assert on({}, slow, 3, 1) == on(slow, {}, 1, 3) == set()
    assert on({}, slow, 2, 2) == on({}, slow, 1, 3) == on(slow, {}, 2, 2) == on(slow, {}, 3, 1) == {"stages.slowest"}
    # 1,184 B of weights and 960 B of cache a layer, 5,120 B of activations: room for two layers.
    assert on({"memory": 5120 + 2 * 2144 + 4}, slow, 2, 2) == set()


def test_strategies_differ_by_the_stages_on_each_card() -> None:
    deep = {"pipeline": 3, "micro_batches": 2, "layers_per_stage": (1, 1, 1)}

    def two(first: int) -> dict[str, Any]:
        return deep | {"parts": {"a": first, "b": 3 - first}}

    assert failing(chat({}, {}, two(1), two(1), distinct_strategies=1)) == set()
    assert failing(chat({}, {}, two(1), two(2), distinct_strategies=2)) == set()
    assert failing(chat({}, {}, two(1), two(2), distinct_strategies=1)) == {"distinct_strategies"}


def test_engines_of_a_table_have_no_parts(tmp_path: Path) -> None:
    plan = table_plan(tmp_path, ("A", 1))
    assert not failing(plan)
    parts = tuple(EnginePart(accelerator=name, stages=1, gpus=1) for name in ("a", "b"))
    assert failing(with_engine(0, parts=parts)(plan)) == {"row.unpriced"}
