"""Memory, budget and requirements: an instance with one priced row, and limits one integer step apart."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import Scenario
from shardwise.solver import solve

from ...builders import CHAT, DENSE, scenario
from .twins import Twins, check, check_conflict, twins

# One GPU, one sequence, one micro-batch: exactly one row. Its bytes:
#   weights      attention 4·64·64 + feed-forward 3·64·128 = 40,960; norms 2·64 + 64; two bytes each    82,304
#   KV cache     2·4 heads·16·2 B = 256 B per token, 100 tokens                                         25,600
#   activations  100 tokens·2 B·(6·64 + 2·128)                                                         128,000
ONE_LAYER = DENSE | {"layers": 1}
BYTES = 82_304 + 25_600 + 128_000
PREFILL = {"batch": 1, "input_tokens": 100}
STATIC = {"batch": 1, "input_tokens": 100, "output_tokens": 2}


def one_row(workload: dict[str, Any] = STATIC, **more: Any) -> Scenario:
    return scenario(ONE_LAYER, workload, gpus=1, node=1, **more)


def ceiling(name: str, figure: str) -> Twins:
    """The row's own value, and one step (10 ns) less."""
    value = getattr(solve(one_row()).predictions, figure)
    return twins(lambda step: one_row(requirements={name: value + step}), 0, -1e-8)


def floor(group: str, name: str, figure: str, workload: dict[str, Any] = STATIC) -> Twins:
    """The row's own value, and one step (a thousandth per second) more."""
    value = getattr(solve(one_row(workload)).predictions, figure)
    return twins(lambda step: one_row(workload, requirements={group: {name: value + step}}), 0, 1e-3)


RATES = {
    "tokens": "output_tokens_per_s",
    "input": "input_tokens_per_s",
    "output": "output_tokens_per_s",
    "requests": "requests_per_s",
}


def build() -> dict[str, Twins]:
    pairs = {
        "memory.fits": twins(lambda memory: one_row(PREFILL, card={"memory": memory}), BYTES, BYTES - 1),
        "requirements.memory_per_gpu": twins(
            lambda memory: one_row(PREFILL, requirements={"memory_per_gpu": memory}), BYTES, BYTES - 1
        ),
        # 4 sequences decode 4 tokens and bring 4·100/50 = 8 prompt tokens per iteration.
        "budget.carries_load": twins(
            lambda budget: scenario(ONE_LAYER, CHAT, gpus=1, strategy={"token_budget": {"max": budget}}), 12, 11
        ),
        # Engines of one GPU: as many as there are sequences.
        "gpus.minimum": twins(
            lambda batch: scenario(
                workload={"batch": batch, "input_tokens": 8},
                gpus={"min": 2, "max": 4},
                strategy={"tensor": 1, "context": 1, "pipeline": 1},
            ),
            2,
            1,
        ),
        "requirements.ttft": ceiling("ttft", "ttft_s"),
        "requirements.tpot": ceiling("tpot", "tpot_s"),
        "requirements.request_latency": ceiling("request_latency", "request_latency_s"),
    }
    for group in ("throughput", "throughput_per_gpu"):  # one GPU: the same figure
        for name, figure in RATES.items():
            pairs[f"requirements.{group}.{name}"] = floor(group, name, figure)
    return pairs


TWINS = build()


@pytest.mark.parametrize("id", TWINS)
def test_twins(id: str) -> None:
    check(TWINS[id])


@pytest.mark.parametrize("id", TWINS)
def test_conflict(id: str) -> None:
    check_conflict(id, TWINS[id])


def test_the_row_takes_the_bytes_worked_out_above() -> None:
    predicted = solve(one_row(PREFILL)).predictions
    assert predicted is not None
    assert predicted.memory_bytes_per_gpu.total == BYTES


def test_a_plain_rate_counts_prompts_where_nothing_is_generated() -> None:
    check(floor("throughput", "tokens", "input_tokens_per_s", workload=PREFILL))


def test_rates_per_gpu_divide_by_the_gpus_used() -> None:
    # All four GPUs must be used: a rate per GPU that the whole deployment reaches only together is out of reach.
    free = scenario(hardware={"use_all_gpus": True})
    rate = solve(free).predictions.input_tokens_per_s  # type: ignore[union-attr]
    asked = {
        name: scenario(hardware={"use_all_gpus": True}, requirements={name: {"input": rate * 0.99}})
        for name in ("throughput", "throughput_per_gpu")
    }
    check(Twins(asked["throughput"], asked["throughput_per_gpu"]))


def test_use_all_gpus_is_a_minimum() -> None:
    scene = scenario(gpus=3, hardware={"use_all_gpus": True})
    assert solve(scene).gpus_used == 3


SLOW = {"compute": 100.0}
"""FLOP/s: the prompt of 100 tokens takes 203,931 s, 56.6 hours."""


@pytest.mark.parametrize(("hours", "status"), [(13, "infeasible"), (56, "infeasible"), (57, "optimal")])
def test_a_limit_of_many_hours(hours: int, status: str) -> None:
    assert solve(one_row(PREFILL, card=SLOW, requirements={"ttft": f"{hours} h"})).status == status


def test_the_proof_of_a_latency_of_many_hours() -> None:
    plan = solve(one_row(PREFILL, card=SLOW, objective="latency"))
    assert plan.predictions is not None
    assert plan.proof.bound == pytest.approx(plan.predictions.request_latency_s)
