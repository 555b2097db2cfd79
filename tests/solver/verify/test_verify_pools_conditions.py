"""Conditions of a deployment of pools: a plan that breaks one is caught, one that just keeps it is not."""

from __future__ import annotations

from typing import Any

import pytest
from pool_plans import ONE, STOCKS, engine, failing, mixed_plan, open_plan, pool_plan
from pool_planting import AGGREGATED, DECODE, PREFILL, Plant, with_figure, with_strategy
from shardwise.solver.verify.pools import verify_deployment
from verify_plans import CARD, DENSE, EXPERTS, scenario


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"modes": "aggregated"}, {"modes"}),
        ({"modes": "disaggregated"}, {"modes"}),
        ({"modes": ["aggregated", "disaggregated"]}, {"modes"}),
        ({"modes": ["aggregated", "any"]}, set()),
        ({"modes": None}, set()),
        ({"distinct_strategies": 1}, set()),
        ({"workload": {"concurrency": 21}}, {"loads"}),
        ({"hardware": {"inventory": STOCKS, "use_all_gpus": True}}, {"gpus.use_all"}),
        ({"hardware": {"inventory": (STOCKS[0] | {"gpus": 13}, STOCKS[1])}}, {"gpus.stock", "placement.gpus_exist"}),
        ({"strategy": {"tensor": 1}}, {"strategy.tensor"}),
        ({"strategy": {"engines": {"max": 5}}}, {"strategy.engines"}),
        ({"strategy": {"batch": [1, 2]}}, {"strategy.batch"}),
        ({"strategy": {"token_budget": {"min": 50}}}, set()),  # the decode engine's 1 is not bound
        ({"strategy": {"token_budget": {"min": 51}}}, {"strategy.token_budget"}),
        ({"strategy": {"token_budget": {"max": 511}}}, {"strategy.token_budget"}),
        ({"rules": [{"id": "narrow", "statement": "TP1", "tensor": 1, "roles": ["decode"]}]}, {"rules.narrow"}),
        ({"rules": [{"id": "whole", "statement": "CP1", "context": 1, "roles": ["prefill"]}]}, {"rules.whole"}),
        ({"rules": [{"id": "none", "statement": "CP1", "context": 1, "roles": ["decode"]}]}, set()),
        (
            {"engine": "vllm"},
            {"engine.context", "engine.expert_split", "engine.data_ranks_apart", "engine.transfer_stages"},
        ),
        ({"requirements": {"ttft": 1e-12}}, {"requirements.ttft"}),
        ({"requirements": {"tpot": 1e-12}}, {"requirements.tpot"}),
        ({"requirements": {"request_latency": 1e-12}}, {"requirements.request_latency"}),
        ({"requirements": {"throughput": 1e15}}, {"requirements.throughput.tokens"}),
        ({"requirements": {"throughput_per_gpu": {"input": 1e15}}}, {"requirements.throughput_per_gpu.input"}),
        ({"requirements": {"memory_per_gpu": 1}}, {"requirements.memory_per_gpu"}),
    ],
)
def test_a_condition_that_is_not_met(more: dict[str, Any], names: set[str]) -> None:
    found = failing(mixed_plan(**more))
    assert found == names


@pytest.mark.parametrize(
    ("plant", "names"),
    [
        (with_strategy(DECODE, context=2), {"degrees.context", "degrees.engine", "degrees.experts"}),
        (with_strategy(PREFILL, expert=3), {"degrees.experts", "division.experts"}),
        (with_strategy(PREFILL, expert_tensor=3), {"degrees.experts", "division.expert_width"}),
        (with_strategy(AGGREGATED, tensor=3), {"division.heads", "division.kv_heads", "division.feed_forward"}),
        (with_strategy(AGGREGATED, tensor=3), {"division.shared_experts", "division.vocabulary"}),
        (with_strategy(DECODE, layers_per_stage=(3,)), {"division.layers", "stages", "memory", "engine", "together"}),
    ],
)
def test_degrees_that_do_not_fit(plant: Plant, names: set[str]) -> None:
    assert names <= failing(plant(mixed_plan()))


def test_dense_models_have_no_data_degree() -> None:
    cut = {"data": 2, "batch": 1, "micro_batches": 1, "in_flight": 2, "layers_per_stage": (2,), "token_budget": 64}
    scene = scenario(DENSE, {"concurrency": 2, "input_tokens": 10, "output_tokens": 4}, modes="aggregated")
    assert failing(pool_plan(scene, engine("aggregated", 2, **cut))) == {"degrees.dense"}


def test_strategies_of_a_pool_are_counted() -> None:
    # The same degrees on one card with another budget are another strategy; another load is not.
    scene = scenario(DENSE, {"concurrency": 7, "input_tokens": 10, "output_tokens": 20}, gpus=12, modes="aggregated")

    def on(limit: int, loads: tuple[int, ...], budgets: tuple[int, ...]) -> set[str]:
        kinds = [
            engine("aggregated", load, **ONE | {"batch": load, "in_flight": load}, token_budget=budget)
            for load, budget in zip(loads, budgets, strict=True)
        ]
        return failing(pool_plan(scene.model_copy(update={"distinct_strategies": limit}), *kinds))

    assert on(1, (3, 4), (64, 64)) == set()
    assert on(1, (3, 4), (64, 32)) == {"distinct_strategies"}
    assert on(2, (3, 4), (64, 32)) == set()


def test_budgets_count_where_prompts_are_read() -> None:
    # Decode engines of 3 and 4 requests are one strategy; prefill engines that take 1 and 2 prompts at once are two.
    work = {"concurrency": 7, "input_tokens": 10, "output_tokens": 20}
    scene = scenario(DENSE, work, gpus=20, modes="disaggregated", distinct_strategies=1)
    kinds = [
        engine("decode", load, utilization=0.25, **ONE | {"batch": load, "in_flight": load}, token_budget=load)
        for load in (3, 4)
    ]
    one = engine("prefill", count=6, token_budget=10, **ONE)
    two = engine("prefill", token_budget=20, **ONE | {"batch": 2, "in_flight": 2})
    assert failing(pool_plan(scene, one, *kinds)) == set()
    assert failing(pool_plan(scene, one, two, *kinds)) == {"distinct_strategies"}


def test_prefill_must_keep_up() -> None:
    # Answers of 2 tokens, 4 in flight: X = 11, a layer takes 1,920 + 1,408 + 3,840 ps, TPOT 14.336 ns. One prompt
    # takes 28.544 ns: 28.544·4/(2·14.336) = 3.98 prefill engines would be busy all the time, 4.19 for 95 % of it,
    # 7.96 for half.
    scene = scenario(DENSE, {"concurrency": 4, "input_tokens": 10, "output_tokens": 2}, 16, modes="disaggregated")

    def on(count: int, busy: float) -> set[str]:
        decode = engine("decode", 4, utilization=busy, **ONE | {"batch": 4, "in_flight": 4}, token_budget=4)
        return failing(pool_plan(scene, engine("prefill", count=count, token_budget=10, **ONE), decode))

    assert on(4, 0.95) == on(7, 0.5) == {"prefill_keeps_up"}
    assert on(5, 0.95) == on(8, 0.5) == set()
    assert on(5, 0.96) == {"load.utilization"}


def test_the_rate_must_be_carried() -> None:
    most = open_plan().predictions
    assert most is not None

    def on(rate: float) -> set[str]:
        plan = open_plan()
        workload = plan.scenario.workload.model_copy(update={"request_rate": rate})
        scene = plan.scenario.model_copy(update={"workload": workload})
        busy = rate / most.requests_per_s
        return failing(
            with_figure(offered_requests_per_s=rate, utilization=busy)(plan.model_copy(update={"scenario": scene}))
        )

    assert on(most.requests_per_s) == set()
    assert on(most.requests_per_s * 1.001) == {"carries_rate"}


def test_engines_must_not_be_too_busy() -> None:
    scene = scenario(DENSE, {"request_rate": "max", "input_tokens": 10, "output_tokens": 1})

    def on(busy: float) -> set[str]:
        return failing(pool_plan(scene, engine("prefill", utilization=busy, token_budget=10, **ONE)))

    assert on(0.95) == set()
    assert on(0.96) == {"load.utilization"}


def test_aggregated_engines_must_not_be_too_busy() -> None:
    # One prompt in two tokens of an answer, and J prompts to a pass: more room in the budget, less waste.
    scene = scenario(DENSE, {"request_rate": "max", "input_tokens": 10, "output_tokens": 2}, modes="aggregated")

    def on(budget: int) -> set[str]:
        entry = engine("aggregated", 16, **ONE | {"batch": 16, "in_flight": 16}, token_budget=budget)
        return failing(pool_plan(scene, entry))

    assert on(106) == {"load.utilization"}
    assert on(216) == set()


def test_a_budget_that_does_not_carry_the_load() -> None:
    # B = 2, P = 2·100/2 = 100: 102 tokens per iteration.
    scene = scenario(DENSE, {"concurrency": 2, "input_tokens": 100, "output_tokens": 2}, modes="aggregated")

    def on(budget: int) -> set[str]:
        entry = engine("aggregated", 2, **ONE | {"batch": 2, "in_flight": 2}, token_budget=budget)
        return failing(pool_plan(scene, entry))

    assert on(102) == set()
    assert on(101) == {"budget.carries_load"}


def test_every_replica_needs_a_load() -> None:
    scene = scenario(EXPERTS, {"concurrency": 1, "input_tokens": 10, "output_tokens": 4}, modes="aggregated")
    cut = {"data": 2, "expert": 2, "batch": 1, "micro_batches": 1, "in_flight": 1, "token_budget": 64}
    assert failing(pool_plan(scene, engine("aggregated", 1, layers_per_stage=(3,), **cut))) == {"load.replicas"}


def test_a_split_that_is_not_the_fastest() -> None:
    card = CARD | {"node_link": {"bandwidth": 1e20}}
    work = {"concurrency": 2, "input_tokens": 10, "output_tokens": 20}
    scene = scenario(DENSE | {"layers": 5}, work, modes="disaggregated", hardware={"accelerator": card})

    def on(*layers: int) -> set[str]:
        cut = {"pipeline": 2, "batch": 1, "micro_batches": 2, "in_flight": 2, "layers_per_stage": layers}
        prefill = engine("prefill", count=2, **ONE | {"layers_per_stage": (5,)}, token_budget=10)
        return failing(pool_plan(scene, prefill, engine("decode", 2, utilization=0.5, token_budget=1, **cut)))

    assert on(3, 2) == on(2, 3) == set()
    assert on(4, 1) == {"stages.slowest"}


def test_an_engine_that_does_not_fit_its_card() -> None:
    plan = mixed_plan()
    total = max(entry.memory_bytes_per_gpu.total for entry in plan.engines if entry.memory_bytes_per_gpu)

    def on(memory: int) -> set[str]:
        cards = tuple(stock | {"accelerator": stock["accelerator"] | {"memory": memory}} for stock in STOCKS)
        return failing(mixed_plan(hardware={"inventory": cards}))

    assert on(total) == set()
    assert on(total - 1) == {"memory.fits"}


def test_nothing_to_verify() -> None:
    for change in ({"status": "infeasible"}, {"pools": ()}):
        found = verify_deployment(mixed_plan().model_copy(update=change))
        assert not found.ok and [finding.name for finding in found.findings] == ["pools.engines"]
