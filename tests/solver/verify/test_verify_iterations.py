"""The closed loop's iterations in the second route, worked out by hand from docs/costs.md, section 4."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import Latencies, Plan
from verify_plans import DENSE, failing, plan_of, predict, scenario

QUIET = Latencies.model_validate("none").model_dump()
LOAD: dict[str, Any] = {"concurrency": 2, "input_tokens": 10, "output_tokens": 5, "requests_per_client": 10}


def closed(model: dict[str, Any], load: dict[str, Any], budget: int, **latencies: float) -> Plan:
    """Two sequences on one GPU."""
    scene = scenario(model, LOAD | load, latencies=QUIET | latencies)
    return plan_of(scene, batch=2, micro_batches=1, in_flight=2, token_budget=budget)


def test_some_iterations_carry_a_prompt() -> None:
    # U 32: one chunk of 10; X = 12.5. Two layers:
    # full: T 12: (4,608 + 384 + 1,600 + 800 + 9,216 + 768)·2 = 34.752 ns; decode: (768 + 384 + 800 + 1,536 + 768)·2 =
    #   8.512 ns. mixed, s = 2/5: 19.008 ns; others, s = 1/5: 13.76 ns.
    # TTFT: 5 µs, 1 µs for each prompt token, 2.5 iterations, the prompt's pass; (1/2)/10·2·(34.752 − 8.512) ns.
    plan = closed(DENSE, {}, 32, startup=5e-6, prompt_token=1e-6, wait_steps=2.5)
    said = predict(plan)
    assert said.tpot_s == pytest.approx(13.76e-9, rel=1e-12)
    assert said.output_tokens_per_s == pytest.approx(2 / 19.008e-9, rel=1e-12)
    ttft = 15e-6 + (2.5 * 13.76 + 34.752 + 0.1 * 26.24) * 1e-9
    assert said.ttft_s == pytest.approx(ttft, rel=1e-12)
    assert said.request_latency_s == pytest.approx(ttft + 4 * 13.76e-9, rel=1e-12)
    assert not failing(plan)


def test_start_and_waits_at_the_longest_and_at_the_mean_length() -> None:
    # 5 to 11 tokens, mean 8, E[I²] 36/12 + 64 = 67, one chunk either way; X = 10.5: decode attention 32·21 = 672.
    # full at 8: T 10: (3,840 + 384 + 16·67 + 672 + 7,680 + 768)·2 = 28.832 ns; at 11: T 13: (4,992 + 384 + 16·121 +
    #   672 + 9,984 + 768)·2 = 37.472 ns; decode (768 + 384 + 672 + 1,536 + 768)·2 = 8.256 ns.
    # others, s = 1/5: 0.8·8.256 + 0.2·28.832 = 12.3712 ns.
    plan = closed(DENSE, {"input_tokens": {"min": 5, "max": 11}}, 32, prompt_token=1e-6, wait_steps=2)
    said = predict(plan)
    assert said.tpot_s == pytest.approx(12.3712e-9, rel=1e-12)
    longest, mean = 37.472 + 0.1 * (37.472 - 8.256), 28.832 + 0.1 * (28.832 - 8.256)
    assert said.ttft_s == pytest.approx(11e-6 + (2 * 12.3712 + longest) * 1e-9, rel=1e-12)
    assert said.ttft_mean_s == pytest.approx(8e-6 + (2 * 12.3712 + mean) * 1e-9, rel=1e-12)
    assert not failing(plan)


def test_every_iteration_carries_several_prompts() -> None:
    # Answers of 3, U 7: two chunks of 5; X = 11.5. Vocabulary of 64: head 2·Y·512 + 1,024 ps and 3 ns a sequence.
    # mixed, s = 2/3·2 > 1: P 20/3, T 26/3, pairs 2/3·50, Y 8/3: (3,328 + 384 + 3,200/3 + 736 + 6,656 + 768)·2 +
    #   8,192/3 + 1,024 = 29,632 ps, and 8 ns.
    # full: T 7, pairs 25: (2,688 + 384 + 800 + 736 + 5,376 + 768)·2 + 3,072 + 1,024 = 25,600 ps, and 9 ns.
    # decode: (768 + 384 + 736 + 1,536 + 768)·2 + 2,048 + 1,024 = 11,456 ps, and 6 ns.
    # others, s = 1/3·2: a third of decode and two of full.
    plan = closed(DENSE | {"vocabulary": 64}, {"output_tokens": 3}, 7, sequence=3e-9)
    said = predict(plan)
    assert said.output_tokens_per_s == pytest.approx(2 / 37.632e-9, rel=1e-12)
    assert said.tpot_s == pytest.approx((17.456e-9 + 2 * 34.6e-9) / 3, rel=1e-12)
    # what comes is more than the budget: 2 + 20/3 > 7
    assert failing(plan) == {"budget.carries_load"}
