"""Where each named constant enters what a person asks for, worked out by hand from docs/costs.md, sections 3 and 4."""

from __future__ import annotations

from typing import Any

from costs_by_hand import DENSE, figures, priced
from serving_by_hand import CLOSED, TIMES, TWO_LAYERS, near, scene

FREE = {"compute": {"bf16": 1e30}}
START = {"startup": 5, "prompt_token": 2}
SPREAD: dict[str, Any] = {"input_tokens": {"min": 4, "max": 10}}


def test_a_prompt_token_is_handled_before_the_first_pass() -> None:
    # 4 to 10 tokens, mean 7: 10·7,200 + 80·50 = 76,000; 7·7,200 + 80·26 = 52,480.
    row = priced(scene(DENSE, {"batch": 1, **SPREAD}, latencies=START), 1)
    assert figures(row, *TIMES[:2]) == near(76_000 + 5 + 20, 52_480 + 5 + 14)
    # nobody waits for it
    assert figures(row, "requests_rate") == near(1 / 52_480)
    row = priced(scene(DENSE, {"batch": 1, **SPREAD, "output_tokens": 4}, latencies=START), 1)
    assert figures(row, *TIMES[:2]) == near(76_025, 52_499)
    # decode: X = 7 + 2: 7,200 + 720
    assert figures(row, "requests_rate") == near(1 / (52_480 + 3 * 7_920))


def test_a_request_waits_for_iterations_of_the_running_batch() -> None:
    # As in test_closed_loop.py: prompts of 5 to 11, TPOT 51,044, prompts 3·(59,360 + 80·60.5/3) and 2·63,100; a
    # million requests of each client, so that the opening burst is forgotten.
    load = {**CLOSED, "input_tokens": {"min": 5, "max": 11}, "requests_per_client": 1e12}
    row = priced(scene(DENSE, load, latencies={**START, "wait_steps": 2.5}), 8)
    prompts = 3 * 59_360 + 80 * 60.5, 2 * 63_100
    assert figures(row, "tpot", "ttft", "ttft_mean") == near(
        51_044, 5 + 22 + 2.5 * 51_044 + prompts[0], 5 + 16 + 2.5 * 51_044 + prompts[1]
    )


def test_sequences_with_logits_in_the_closed_loop() -> None:
    # Nothing takes time but an iteration, 1 s, and a sequence, 10 s: decode 41, full (B + 1) 51.
    # mixed 0.2·41 + 0.8·51 = 49; others 0.4·41 + 0.6·51 = 47; TTFT 2·51 + 0.4·10.
    row = priced(scene(TWO_LAYERS, CLOSED, card=FREE, latencies={"iteration": 1, "sequence": 10}), 8)
    assert figures(row, "tpot", "output_rate", "ttft") == near(47, 4 / 49, 106)


def test_sequences_with_logits_of_prompts() -> None:
    # Three prompts a pass, two passes; then five sequences decode: X = 12.
    latencies = {"iteration": 1, "sequence": 10}
    row = priced(scene(TWO_LAYERS, {"batch": 5, "input_tokens": 10}, card=FREE, latencies=latencies), 3)
    assert figures(row, "ttft") == near(2 * 31)
    load = {"batch": 5, "input_tokens": 10, "output_tokens": 4}
    row = priced(scene(TWO_LAYERS, load, card=FREE, latencies=latencies), 3)
    assert figures(row, "ttft", "tpot") == near(2 * 31, 51)


def test_tokens_that_a_stage_hands_on() -> None:
    # Two stages, B 2, nothing but 7 s a token sent: decode 14, full (T 4) 28; mixed 0.2·14 + 0.8·28 = 25.2; others
    # 0.6·14 + 0.4·28 = 19.6. TPOT 19.6 + 25.2; a chunk 28 + 25.2; TTFT 4·53.2 + (0.5/10)·4·4·(28 − 14).
    row = priced(scene(TWO_LAYERS, CLOSED, card=FREE, latencies={"send_token": 7}), 4, pipeline=2)
    assert figures(row, "tpot", "output_rate", "ttft") == near(44.8, 4 / 50.4, 224)


def test_tokens_of_prompts_that_a_stage_hands_on() -> None:
    # 20 tokens are sent; context ranks send half of them each. (2 + 2 − 1) turns.
    conditions = scene(TWO_LAYERS, {"batch": 4, "input_tokens": 10}, card=FREE, latencies={"send_token": 7})
    assert figures(priced(conditions, 2, pipeline=2), "ttft") == near(3 * 140)
    assert figures(priced(conditions, 2, pipeline=2, context=2), "ttft") == near(3 * 70)


def test_pace() -> None:
    # Prompts of 10, two of three on each of two engines: stage 0 takes 2·152,000 + 20,000 to send + 1,
    # stage 1 2·(152,000 + 4,000) + 1. Start 5.
    latencies = {"pace": 2, "iteration": 1, "startup": 5}
    row = priced(scene(TWO_LAYERS, {"batch": 6, "input_tokens": 10}, 0.02, latencies=latencies), 2, 2, pipeline=2)
    assert figures(row, "ttft", "requests_rate") == near(5 + 3 * 324_001, 6 / (3 * 324_001))


def test_pace_in_the_closed_loop() -> None:
    # test_closed_loop.py's one GPU without what is eager: decode 73,920, full 136,080; mixed and others 0.8 and 0.6 on
    # the way; all of it twice as long, an iteration 1 more.
    row = priced(scene(TWO_LAYERS, CLOSED, latencies={"pace": 2, "iteration": 1}), 8)
    mixed, others = 0.2 * 73_920 + 0.8 * 136_080, 0.4 * 73_920 + 0.6 * 136_080
    assert figures(row, "tpot", "output_rate") == near(2 * others + 1, 4 / (2 * mixed + 1))
    assert figures(row, "ttft") == near(2 * (2 * 136_080 + 1) + 0.4 * 2 * (136_080 - 73_920))


def test_launches_of_a_card() -> None:
    # Two layers of 100 s, half as long on this card; one prompt of 10: 2·(72,000 + 4,000) + 2,000.
    row = priced(
        scene(TWO_LAYERS, {"batch": 1, "input_tokens": 10}, card={"launches": 0.5}, latencies={"layer": 100}), 1
    )
    assert figures(row, "ttft") == near(154_000 + 2 * 50)
