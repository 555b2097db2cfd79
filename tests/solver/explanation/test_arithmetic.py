"""What a pencil finds: never wrong, and found where the input contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.models import Scenario
from shardwise.solver import explain, solve
from shardwise.solver.explanation.arithmetic import contradictions

from ...builders import CHAT, DENSE, EXPERTS, models, scenario, workloads


@st.composite
def greedy(draw: st.DrawFn) -> Scenario:
    """Requirements around what is possible, on both sides."""
    asked: dict[str, Any] = {
        "ttft": draw(st.sampled_from([0.001, 0.0152, 0.016, 0.3])),
        "throughput_per_gpu": {"tokens": draw(st.sampled_from([10, 1e3, 1e4, 1e5]))},
    }
    workload = draw(workloads())
    if workload["output_tokens"] > 1:
        asked["tpot"] = draw(st.sampled_from([1e-5, 6e-5, 1e-4, 0.1]))
    pins = draw(st.sampled_from([{}, {"engines": {"min": 3}}, {"pipeline": 2, "engines": 2}, {"tensor": [4]}]))
    card = {"memory": draw(st.sampled_from([1e4, 1e5, 1e9])), "compute": draw(st.sampled_from([1e9, 1e12]))}
    return scenario(
        draw(models(3)), workload, gpus=draw(st.integers(1, 4)), card=card, requirements=asked, strategy=pins
    )


@settings(max_examples=80, deadline=None)
@given(greedy())
def test_a_contradiction_is_no_plan_and_contains_a_conflict(scene: Scenario) -> None:
    found = contradictions(scene)
    if not found:
        return
    assert solve(scene).status == "infeasible"
    conflicts = [set(conflict.ids) for conflict in explain(scene, everything=True, most_gpus=8).conflicts]
    for one in found:
        assert any(conflict <= set(one.ids) for conflict in conflicts), one


def test_more_replicas_than_gpus() -> None:
    [one] = contradictions(scenario(gpus=8, strategy={"engines": 9}))
    assert one.ids == ("gpus.available", "strategy.engines")
    assert one.because == "9 (engines) are at least 9 GPUs, and you allow 8"


def test_pinned_degrees_beyond_the_machine() -> None:
    # 4 · 2 · 2 = 16 > 8; 4 · 2 alone would fit.
    [one] = contradictions(scenario(gpus=8, strategy={"engines": 2, "tensor": 4, "pipeline": {"min": 2}}))
    assert set(one.ids) == {"gpus.available", "strategy.engines", "strategy.tensor", "strategy.pipeline"}


def test_experts_beyond_the_machine() -> None:
    [one] = contradictions(scenario(EXPERTS, gpus=4, strategy={"expert": 4, "expert_tensor": 2}))
    assert one.ids == ("gpus.available", "strategy.expert", "strategy.expert_tensor")
    assert one.because == "4 (expert) × 2 (expert_tensor) are at least 8 GPUs, and you allow 4"


def test_weights_beyond_all_cards() -> None:
    # Per layer 4·64·64 attention + 3·64·128 feed-forward weights of 2 bytes: 81,920 B; 4 layers: 327,680 B.
    # A card holds 100,000 B: 4 cards.
    [one] = contradictions(scenario(DENSE, gpus=3, card={"memory": 1e5}))
    assert one.ids == ("gpus.available", "memory.fits")
    assert one.because.startswith("the weights are 327.7 kB and a card has 100 kB usable: they need at least 4 cards")
    assert contradictions(scenario(DENSE, gpus=4, card={"memory": 1e5})) == ()


@pytest.mark.parametrize(
    ("model", "changes", "microseconds"),
    [
        (DENSE, {}, 4 * 8 + 500),
        (EXPERTS, {}, 4 * (8 + 40) + 500),
        (EXPERTS, {"card": {"launches": 0.5}}, 4 * (8 + 40) / 2 + 500),  # a card and a host that launch twice as fast
        (EXPERTS, {"pace": 2}, 2 * 4 * (8 + 40) + 500),  # pace is of the layers, not of the host
    ],
)
def test_launches_alone(model: dict[str, Any], changes: dict[str, Any], microseconds: float) -> None:
    def found(limit: float) -> Any:
        times = {"layer": 8e-6, "expert_layer": 40e-6, "iteration": 500e-6, "pace": changes.get("pace", 1)}
        more = {key: value for key, value in changes.items() if key != "pace"}
        return contradictions(scenario(model, CHAT, latencies=times, requirements={"tpot": limit * 1e-6}, **more))

    [one] = found(microseconds - 1)
    assert one.ids == ("requirements.tpot",) and f"{microseconds:g} µs" in one.because
    assert found(microseconds + 1) == ()


def test_start_up_and_launches() -> None:
    # 15 ms to start, 4 layers of 8 + 97 µs for a prompt, 0.5 ms of the host: 15.92 ms.
    times = {"startup": 15e-3, "layer": 8e-6, "eager_layer": 97e-6, "iteration": 500e-6}
    [one] = contradictions(scenario(DENSE, CHAT, latencies=times, requirements={"ttft": 15.91e-3}))
    assert one.ids == ("requirements.ttft",) and "920 µs" in one.because
    assert contradictions(scenario(DENSE, CHAT, latencies=times, requirements={"ttft": 15.93e-3})) == ()
