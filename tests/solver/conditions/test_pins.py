"""Pins and bounds on degrees, engines, batch and budget, each against the next value."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import Scenario
from shardwise.solver import solve
from shardwise.solver.degrees import legal_strategies

from ...builders import CHAT, DENSE, EXPERTS, scenario
from .twins import Twins, check, check_conflict, twins

TWO_PROMPTS = {"batch": 2, "input_tokens": 2}
FOUR_PROMPTS = {"batch": 4, "input_tokens": 100}
SINGLE = {"tensor": 1, "context": 1, "pipeline": 1}


def pinned(name: str, value: Any, model: dict[str, Any] = DENSE) -> Scenario:
    """4 heads, 4 layers, prompts of two tokens, four GPUs."""
    return scenario(model, TWO_PROMPTS, strategy={name: value})


def engines(value: Any) -> Scenario:
    """Engines of one GPU for two sequences, at least two GPUs: exactly two engines."""
    return scenario(workload=TWO_PROMPTS, gpus={"min": 2, "max": 4}, strategy=SINGLE | {"engines": value})


def batch(value: Any) -> Scenario:
    """Four sequences decode together on one GPU: a batch of exactly 4."""
    return scenario(workload=CHAT, gpus=1, strategy={"batch": value})


def budget(value: Any) -> Scenario:
    """Micro-batches of 1, 2 or 4 prompts of 100 tokens on one GPU."""
    return scenario(workload=FOUR_PROMPTS, gpus=1, strategy={"token_budget": value})


TWINS: dict[str, Twins] = {
    "strategy.tensor": twins(lambda t: pinned("tensor", t), 2, 3),  # 4 heads
    "strategy.context": twins(lambda c: pinned("context", c), 2, 3),  # prompts of 2 tokens
    "strategy.data": twins(lambda d: pinned("data", d, EXPERTS), 2, 3),  # 2 sequences
    "strategy.pipeline": twins(lambda p: pinned("pipeline", p, DENSE | {"layers": 2}), 2, 3),
    "strategy.expert": twins(lambda e: pinned("expert", e), 1, 2),  # a dense model
    "strategy.expert_tensor": twins(lambda s: pinned("expert_tensor", s, EXPERTS), 2, 3),  # width 32
    "strategy.engines.max": twins(lambda most: engines({"max": most}), 2, 1),
    "strategy.engines.min": twins(lambda least: engines({"min": least}), 2, 3),
    "strategy.engines": twins(lambda only: engines([only]), 2, 3),
    "strategy.batch.max": twins(lambda most: batch({"max": most}), 4, 3),
    "strategy.batch.min": twins(lambda least: batch({"min": least}), 4, 5),
    "strategy.batch": twins(lambda only: batch([only]), 4, 5),
    "strategy.token_budget.max": twins(lambda most: budget({"max": most}), 100, 99),
    "strategy.token_budget.min": twins(lambda least: budget({"min": least}), 400, 401),
    "strategy.token_budget": twins(lambda only: budget([only]), 400, 401),
}


@pytest.mark.parametrize("id", TWINS)
def test_twins(id: str) -> None:
    check(TWINS[id])


@pytest.mark.parametrize("id", TWINS)
def test_conflict(id: str) -> None:
    check_conflict(id, TWINS[id])


@pytest.mark.parametrize(
    ("bound", "allowed"),
    [(2, {2}), ({"min": 2}, {2, 4}), ({"max": 2}, {1, 2}), ({"min": 2, "max": 3}, {2}), ([1, 3, 4], {1, 4})],
)
def test_forms_of_a_bound(bound: Any, allowed: set[int]) -> None:
    scene = scenario(workload=CHAT, strategy={"tensor": bound})  # 4 heads: tensor 1, 2 or 4
    assert set(legal_strategies(scene)[:, 0].tolist()) == allowed


def test_a_pinned_budget_is_tried_although_it_is_no_power_of_two() -> None:
    plan = solve(scenario(workload=CHAT, gpus=1, strategy={"token_budget": 777}))
    assert plan.engines[0].strategy.token_budget == 777


def test_a_pinned_batch_that_is_no_even_share() -> None:
    # 8 prompts in batches of 5 are two turns; two turns are as well made of 4.
    plan = solve(scenario(workload={"batch": 8, "input_tokens": 100}, gpus=1, strategy={"batch": 5}))
    assert plan.status in ("optimal", "infeasible")
