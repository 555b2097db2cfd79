"""Named constants in deployments of pools, worked out by hand from docs/costs.md, section 7."""

from __future__ import annotations

from typing import Any

import pytest
from pool_plans import ONE, engine, failing, pool_plan
from shardwise.models import Latencies
from verify_plans import CARD, DENSE, scenario

QUIET = Latencies.model_validate("none").model_dump()


def test_start_stands_with_the_engine_that_reads_the_prompt() -> None:
    # Prompts of 10: 5 µs and 1 µs a token. Prefill: a pass of 28.544 ns (test_verify_by_hand), 4 µs to move.
    # Decode, 4 in flight: TPOT 16.64 ns, wait half of it (test_verify_pools): nothing of the start.
    work = {"concurrency": 4, "input_tokens": 10, "output_tokens": 20, "requests_per_client": 10}
    latencies = QUIET | {"startup": 5e-6, "prompt_token": 1e-6, "wait_steps": 3}
    plan = pool_plan(
        scenario(DENSE, work, modes="disaggregated", latencies=latencies),
        engine("prefill", token_budget=10, **ONE),
        engine("decode", 4, utilization=0.5, **ONE | {"batch": 4, "in_flight": 4}, token_budget=4),
    )
    assert not failing(plan)
    prefill, decode = plan.engines
    assert prefill.requests_per_s == pytest.approx(1 / 28.544e-9, rel=1e-12)
    assert prefill.ttft_s == pytest.approx(15e-6 + 28.544e-9 + 4e-6, rel=1e-12)
    assert decode.ttft_s == pytest.approx(4e-6 + 1.5 * 16.64e-9, rel=1e-12)


def test_a_request_waits_for_iterations_of_an_aggregated_engine() -> None:
    # Q = B = 2, I 10, O 5, U 32: full 34.752, decode 8.512, mixed 19.008, TPOT 13.76 ns (test_verify_pools).
    work = {"concurrency": 2, "input_tokens": 10, "output_tokens": 5, "requests_per_client": 10}
    latencies = QUIET | {"startup": 5e-6, "prompt_token": 1e-6, "wait_steps": 3}
    scene = scenario(DENSE, work, modes="aggregated", latencies=latencies)
    plan = pool_plan(scene, engine("aggregated", 2, **ONE | {"batch": 2, "in_flight": 2}, token_budget=32))
    assert not failing(plan)
    found = plan.engines[0]
    assert found.requests_per_s == pytest.approx(2 / (5 * 19.008e-9), rel=1e-12)
    assert found.tpot_s == pytest.approx(13.76e-9, rel=1e-12)
    # the opening burst: (1/2)/10·2·(34.752 − 8.512)
    assert found.ttft_s == pytest.approx(15e-6 + (3 * 13.76 + 34.752 + 0.1 * 26.24) * 1e-9, rel=1e-12)


def test_two_cards() -> None:
    # Three layers and a head as in test_verify_two_cards: a layer takes 14.272 ns on fast, 30.848 on slow, the head
    # 6.144 there. Layers 1 µs (half of it on fast), a sequence 0.2 µs, all of this twice; an iteration 0.3 µs.
    # Stage 0: 0.3 + 2·(0.014272 + 0.5) + 5.2 to send and 10·0.1 = 7.528544 µs.
    # Stage 1: 0.3 + 2·(2·1.030848 + 0.006144 + 0.2) = 4.83568 µs.
    fast = CARD | {"id": "fast", "launches": 0.5, "network_link": {"bandwidth": 1e8, "latency": 2e-6}}
    slow = CARD | {
        "id": "slow",
        "memory_bandwidth": 2.5e11,
        "compute": 5e11,
        "network_link": {"bandwidth": 5e7, "latency": 1e-6},
    }
    latencies = {"layer": 1e-6, "sequence": 2e-7, "pace": 2, "iteration": 3e-7, "send_token": 1e-7}
    scene = scenario(
        DENSE | {"layers": 3, "vocabulary": 64},
        {"concurrency": 2, "input_tokens": 10, "output_tokens": 20},
        modes="disaggregated",
        hardware={"inventory": [{"accelerator": card, "gpus": 4} for card in (fast, slow)]},
        latencies=QUIET | latencies | {"startup": 5e-6, "prompt_token": 1e-6},
    )
    cut: dict[str, Any] = {"pipeline": 2, "batch": 1, "micro_batches": 2, "in_flight": 2, "layers_per_stage": (1, 2)}
    found = pool_plan(scene, engine("prefill", parts={"fast": 1, "slow": 1}, token_budget=10, **cut)).engines[0]
    assert found.requests_per_s == pytest.approx(1 / 7.528544e-6, rel=1e-12)
    # the cache of a prompt leaves slow last: 320/0.4e8 + 1 µs
    assert found.ttft_s == pytest.approx(15e-6 + 2 * 7.528544e-6 + 9e-6, rel=1e-12)
