"""Planted errors: each is caught, by the finding that is meant to catch it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from shardwise.models import Plan
from shardwise.models.plan import Rank
from shardwise.solver.verify import verify
from verify_plans import CARD, DENSE, dense_plan, experts_plan, failing, plan_of, scenario


def with_rank(plan: Plan, index: int, **change: Any) -> Plan:
    """The plan with one rank changed."""
    ranks = list(plan.placement)
    ranks[index] = ranks[index].model_copy(update=change)
    return plan.model_copy(update={"placement": tuple(ranks)})


def with_strategy(plan: Plan, **change: Any) -> Plan:
    """The plan with its strategy changed."""
    engine = plan.engines[0]
    strategy = engine.strategy.model_copy(update=change)
    return plan.model_copy(update={"engines": (engine.model_copy(update={"strategy": strategy}),)})


def with_figure(plan: Plan, **change: Any) -> Plan:
    """The plan with a prediction changed."""
    assert plan.predictions is not None
    return plan.model_copy(update={"predictions": plan.predictions.model_copy(update=change)})


def with_memory(plan: Plan, **change: Any) -> Plan:
    """The plan with a count of bytes changed."""
    assert plan.predictions is not None
    memory = plan.predictions.memory_bytes_per_gpu
    return with_figure(plan, memory_bytes_per_gpu=memory.model_copy(update=change))


def test_the_plans_themselves_pass() -> None:
    assert not failing(dense_plan())
    assert not failing(experts_plan())
    assert [row.resource for row in verify(experts_plan()).balance] == ["weights", "flops", "kv_cache"]


# experts_plan: engine 0 has ranks 0 to 7 on nodes 0 and 1, stage 1 (layers 1 and 2) on ranks 4 to 7.
PLANTED: dict[str, tuple[Callable[[Plan], Plan], set[str]]] = {
    "a lost expert": (
        lambda plan: with_rank(plan, 4, experts=(0, 3)),
        {"placement.shares", "coverage.experts"},
    ),
    "overlapping experts": (
        lambda plan: with_rank(plan, 6, experts=(3, 8)),
        {"placement.shares", "coverage.experts"},
    ),
    "a lost expert column": (
        lambda plan: with_rank(plan, 5, expert_columns=(3, 4)),
        {"placement.shares", "coverage.experts"},
    ),
    "a layer missing": (
        lambda plan: with_rank(plan, 4, layers=(1, 2)),
        {"placement.shares", "coverage.attention", "coverage.experts"},
    ),
    "heads missing": (
        lambda plan: with_rank(plan, 3, heads=(0, 3)),
        {"placement.shares", "coverage.attention"},
    ),
    "two ranks on one GPU": (
        lambda plan: with_rank(plan, 1, gpu=0),
        {"placement.one_rank_per_gpu"},
    ),
    "a doubled rank": (
        lambda plan: plan.model_copy(
            update={
                "placement": (
                    *plan.placement[:-1],
                    plan.placement[0].model_copy(update={"node": 3, "gpu": 3}),
                )
            }
        ),
        {
            "placement.every_rank_once",
            "placement.nodes",
            "coverage.attention",
            "coverage.experts",
        },
    ),
    "a node that does not exist": (
        lambda plan: with_rank(plan, 15, node=5, gpu=0),
        {"placement.gpus_exist", "placement.nodes"},
    ),
    "a GPU that does not exist": (lambda plan: with_rank(plan, 15, gpu=4), {"placement.gpus_exist"}),
    "a GPU that the partial node lacks": (
        lambda plan: with_rank(plan, 15, node=4, gpu=2),
        {"placement.gpus_exist", "placement.nodes"},
    ),
    "a rank on another node": (lambda plan: with_rank(plan, 15, node=4, gpu=0), {"placement.nodes"}),
    "exchanged coordinates": (lambda plan: with_rank(plan, 1, expert_tensor=0), {"placement.coordinates"}),
    "GPUs miscounted": (
        lambda plan: plan.model_copy(update={"gpus_used": 17}),
        {"gpus.engines", "gpus.placement", "gpus.idle"},
    ),
    "engines without number": (
        lambda plan: plan.model_copy(update={"engines": (plan.engines[0].model_copy(update={"count": 2**40}),)}),
        {
            "gpus.engines",
            "division.sequences",
            "placement.every_rank_once",
            "coverage",
            "load.micro_batches",
            "load.in_flight",
            "predictions.ttft_s",
            "predictions.ttft_mean_s",
            "predictions.request_latency_s",
            "predictions.tokens_per_s_per_gpu",
        },
    ),
    "idle GPUs miscounted": (lambda plan: plan.model_copy(update={"gpus_idle": 3}), {"gpus.idle"}),
    "a wrong byte count": (
        lambda plan: with_memory(plan, weights=9, total=9),
        {"memory.weights", "memory.total", "memory.sum"},
    ),
    "a wrong limit": (lambda plan: with_memory(plan, usable=10**9 + 1), {"memory.usable"}),
    "not the fullest stage": (
        lambda plan: with_memory(plan, stage=0),
        {"memory.stage"},
    ),
    "a wrong TTFT": (lambda plan: with_figure(plan, ttft_s=1.0), {"predictions.ttft_s"}),
    "a TPOT left out": (lambda plan: with_figure(plan, tpot_s=None), {"predictions.tpot_s"}),
    "too many in flight": (lambda plan: with_strategy(plan, in_flight=9), {"load.in_flight"}),
    "stages that hold too few layers": (
        lambda plan: with_strategy(plan, layers_per_stage=(2,)),
        {
            "division.layers",
            "placement.shares",
            "load",
            "stages",
            "memory",
            "predictions",
            "requirements",
            "balance",
        },
    ),
    "no predictions": (
        lambda plan: plan.model_copy(update={"predictions": None}),
        {"memory", "predictions"},
    ),
    "a wrong role": (
        lambda plan: plan.model_copy(update={"engines": (plan.engines[0].model_copy(update={"role": "prefill"}),)}),
        {"engine.role"},
    ),
}


@pytest.mark.parametrize("error", PLANTED)
def test_planted_error(error: str) -> None:
    plant, expected = PLANTED[error]
    assert failing(plant(experts_plan())) == expected


def test_overlapping_heads() -> None:
    # Heads 0 to 2 and 1 to 4: head 1 is held twice.
    assert failing(with_rank(dense_plan(), 1, heads=(1, 4))) == {"placement.shares", "coverage.attention"}


def test_one_byte_too_much_and_one_less() -> None:
    # The dense plan holds exactly this much: a card of so many bytes fits it, one of a byte less does not.
    plan = dense_plan()
    assert plan.predictions is not None
    total = plan.predictions.memory_bytes_per_gpu.total
    hardware = plan.scenario.hardware

    def on(memory: int) -> set[str]:
        card = hardware.accelerator.model_copy(update={"memory": float(memory)})
        scene = plan.scenario.model_copy(update={"hardware": hardware.model_copy(update={"accelerator": card})})
        return failing(with_memory(plan, usable=memory).model_copy(update={"scenario": scene}))

    assert on(total) == set()
    assert on(total - 1) == {"memory.fits"}


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        ({"ttft": 1e-12}, "requirements.ttft"),
        ({"tpot": 1e-12}, "requirements.tpot"),
        ({"request_latency": 1e-12}, "requirements.request_latency"),
        ({"throughput": 1e15}, "requirements.throughput.tokens"),
        ({"throughput": {"input": 1e15}}, "requirements.throughput.input"),
        ({"throughput": {"requests": 1e15}}, "requirements.throughput.requests"),
        ({"throughput_per_gpu": {"output": 1e15}}, "requirements.throughput_per_gpu.output"),
        ({"memory_per_gpu": 1}, "requirements.memory_per_gpu"),
    ],
)
def test_a_requirement_that_is_not_met(limit: dict[str, Any], name: str) -> None:
    assert failing(experts_plan(requirements=limit)) == {name}


def test_requirements_that_bind_exactly_are_met() -> None:
    # The plan's own figures as limits: each binds, none is broken.
    said = experts_plan().predictions
    assert said is not None
    limits = {
        "ttft": said.ttft_s,
        "tpot": said.tpot_s,
        "throughput": said.output_tokens_per_s,
        "memory_per_gpu": said.memory_bytes_per_gpu.total,
    }
    assert not failing(experts_plan(requirements=limits))


@pytest.mark.parametrize(
    ("bounds", "name"),
    [
        ({"tensor": 2}, "strategy.tensor"),
        ({"engines": {"max": 1}}, "strategy.engines"),
        ({"batch": [2, 4]}, "strategy.batch"),
        ({"token_budget": {"min": 1024}}, "strategy.token_budget"),
    ],
)
def test_a_bound_that_is_broken(bounds: dict[str, Any], name: str) -> None:
    assert failing(experts_plan(strategy=bounds)) == {name}


def test_a_budget_that_does_not_carry_the_load() -> None:
    # B = 2, P = 2·100/2 = 100: 102 tokens per iteration. A budget of 102 carries them, 101 does not.
    def on(budget: int) -> set[str]:
        scene = scenario(DENSE, {"concurrency": 2, "input_tokens": 100, "output_tokens": 2})
        return failing(plan_of(scene, batch=2, micro_batches=1, in_flight=2, token_budget=budget))

    assert on(102) == set()
    assert on(101) == {"budget.carries_load"}


def test_a_split_that_is_not_the_fastest() -> None:
    # Five equal layers on two stages: 3 + 2 is the shortest, 2 + 3 as short, as sending takes nothing.
    card = CARD | {"node_link": {"bandwidth": 1e20}}
    scene = scenario(DENSE | {"layers": 5}, {"batch": 1, "input_tokens": 10}, hardware={"accelerator": card})

    def on(*layers: int) -> set[str]:
        return failing(
            plan_of(
                scene,
                pipeline=2,
                batch=1,
                micro_batches=1,
                in_flight=1,
                token_budget=10,
                layers_per_stage=layers,
            )
        )

    assert on(3, 2) == on(2, 3) == set()
    assert on(4, 1) == {"stages.slowest"}


def test_a_degree_that_divides_nothing() -> None:
    scene = scenario(DENSE, {"batch": 1, "input_tokens": 10})
    found = failing(plan_of(scene, tensor=3, batch=1, micro_batches=1, in_flight=1, token_budget=10))
    assert {"division.heads", "division.kv_heads", "division.feed_forward", "coverage.attention"} <= found


def test_dense_models_have_no_data_degree() -> None:
    scene = scenario(DENSE, {"batch": 2, "input_tokens": 10})
    plan = plan_of(scene, data=2, batch=1, micro_batches=1, in_flight=2, token_budget=10)
    assert failing(plan) == {"degrees.dense"}


def test_context_needs_prompts_only() -> None:
    scene = scenario(DENSE, {"batch": 2, "input_tokens": 10, "output_tokens": 2})
    plan = plan_of(scene, context=2, batch=2, micro_batches=1, in_flight=2, token_budget=20)
    assert failing(plan) == {"degrees.context"}


def test_nothing_to_verify() -> None:
    plan = dense_plan().model_copy(update={"status": "infeasible", "engines": ()})
    found = verify(plan)
    assert not found.ok and len(found.findings) == 1


def test_several_kinds_of_engine_are_placed_but_not_priced() -> None:
    # Two engines as one entry of two, and as two entries of one: the same map, engine by engine.
    plan = experts_plan()
    one = plan.engines[0].model_copy(update={"count": 1})
    found = failing(plan.model_copy(update={"engines": (one, one)}))
    assert found == {"load", "stages", "memory", "predictions", "requirements", "balance"}


def test_a_rank_of_no_engine() -> None:
    extra = Rank.model_validate(experts_plan().placement[0].model_dump() | {"engine": 2, "node": 4})
    plan = experts_plan()
    found = failing(plan.model_copy(update={"placement": (*plan.placement, extra)}))
    assert {"gpus.placement", "placement.every_rank_once", "coverage.attention"} <= found
