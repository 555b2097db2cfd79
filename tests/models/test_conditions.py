"""Workload, precision, hardware, constants and strategy bounds: what they compute and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pytest import approx
from shardwise.models import (
    Accelerator,
    Bound,
    Compute,
    Efficiency,
    GpuRange,
    Hardware,
    Latencies,
    Lengths,
    Link,
    Precision,
    Requirements,
    Routing,
    Strategy,
    Throughput,
    Workload,
)
from shardwise.models.constants import Reserves, source_of

FILE = {"units": "required"}
CARD: dict[str, Any] = {"memory": 80e9, "memory_bandwidth": 2e12, "compute": 4e14}


@pytest.mark.parametrize(
    ("given", "mean", "square"),
    [
        (7, 7, 49),
        ({"min": 7, "max": 7}, 7, 49),
        ({"min": 4, "max": 10}, 7, 36 / 12 + 49),  # the continuous uniform distribution
        ({"min": 128, "max": 10240}, 5184, 10112**2 / 12 + 5184**2),
    ],
)
def test_moments_of_lengths(given: Any, mean: float, square: float) -> None:
    lengths = Lengths.model_validate(given)
    assert (lengths.mean, lengths.mean_square) == (mean, approx(square))


@given(low=st.integers(1, 10**6), spread=st.integers(0, 10**6))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_moments_lie_between_the_ends(low: int, spread: int) -> None:
    lengths = Lengths(min=low, max=low + spread)
    assert lengths.min <= lengths.mean <= lengths.max
    assert lengths.mean**2 <= lengths.mean_square * (1 + 1e-12) <= lengths.max**2 * (1 + 1e-9)


@pytest.mark.parametrize("given", [0, -1, 1.5, "7", True, None, {"min": 2}, {"min": 3, "max": 2}, 100_000_001])
def test_bad_lengths(given: Any) -> None:
    with pytest.raises(ValidationError):
        Lengths.model_validate(given)


@pytest.mark.parametrize(
    ("routing", "experts", "ranks", "factor"),
    [
        ({}, 8, 4, 1),
        ({"imbalance": 1.5}, 8, 4, 1.5),
        ({"imbalance": 1.5}, 8, 1, 1),  # one rank is its own mean
        # popularity 1, 1/2, 1/3, 1/4 (sum 25/12) dealt to two ranks: 1 + 1/3 against 1/2 + 1/4; mean 25/24
        ({"zipf": 1}, 4, 2, (4 / 3) / (25 / 24)),
        ({"zipf": 1}, 4, 4, 1 / (25 / 48)),
        ({"zipf": 1}, 4, 1, 1),
        ({"zipf": 2}, 2, 2, 1 / (1.25 / 2)),
        ({"zipf": 0}, 4, 2, 1),
    ],
)
def test_the_busiest_expert_rank(routing: dict[str, float], experts: int, ranks: int, factor: float) -> None:
    assert Routing.model_validate(routing).factor(experts, ranks) == approx(factor)


def test_routing_is_measured_or_modelled_not_both() -> None:
    with pytest.raises(ValidationError, match="not both"):
        Routing(imbalance=1.2, zipf=1)
    with pytest.raises(ValidationError):
        Routing(imbalance=0.9)


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        ({}, "give concurrency .* batch .* or request_rate"),
        ({"batch": 1, "concurrency": 1}, "one of them"),
        ({"batch": 1, "output_tokens": {"min": 1, "max": 5}}, "start at 2 or be exactly 1"),
        ({"batch": 0}, "greater than or equal to 1"),
        ({"batch": 2.0}, "valid integer"),
        ({"batch": 1, "requests_per_client": 0.5}, "greater than or equal to 1"),
    ],
)
def test_bad_workloads(load: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Workload.model_validate({"input_tokens": 10, **load})


def test_workload_defaults() -> None:
    prefill = Workload.model_validate({"batch": 3, "input_tokens": 10})
    assert (prefill.sequences, prefill.decodes) == (3, False)
    chat = Workload.model_validate({"concurrency": 4, "input_tokens": 10, "output_tokens": 2})
    assert (chat.sequences, chat.decodes) == (4, True)


@pytest.mark.parametrize(
    ("precision", "sizes"),
    [
        ({}, (2, 2, 2, 2)),
        ({"weights": "fp8"}, (1, 1, 2, 2)),  # experts as the weights
        ({"weights": "bf16", "experts": "mxfp4", "kv_cache": "fp8"}, (2, 0.53125, 2, 1)),
        ({"weights": "nvfp4", "activations": "fp32"}, (0.5625, 0.5625, 4, 2)),
        ({"weights": "int4", "kv_cache": "int8"}, (0.5, 0.5, 2, 1)),
        ({"weights": "fp16", "activations": "fp16"}, (2, 2, 2, 2)),
    ],
)
def test_bytes_of_a_precision(precision: dict[str, str], sizes: tuple[float, ...]) -> None:
    p = Precision.model_validate(precision)
    assert (p.weight_bytes, p.expert_bytes, p.activation_bytes, p.kv_bytes) == sizes


ALL_UNITS = {"bf16": 1, "fp8": 2, "int8": 2, "fp4": 4}


@pytest.mark.parametrize(
    ("held", "lacking", "expected"),
    [
        ("fp8", (), "fp8"),
        ("fp8", ("fp8",), "bf16"),
        ("int8", (), "int8"),
        ("int8", ("int8",), "bf16"),
        # A 4-bit unit multiplies nvfp4; mxfp4 meets 8-bit activations, which takes both units.
        ("nvfp4", (), "fp4"),
        ("nvfp4", ("fp4",), "bf16"),
        ("mxfp4", (), "fp8"),
        ("mxfp4", ("fp4",), "bf16"),
        ("mxfp4", ("fp8",), "bf16"),
        # Formats without scales are storage alone, and what is wider than 16 bit gains nothing.
        ("fp4", (), "bf16"),
        ("int4", (), "bf16"),
        ("fp16", (), "bf16"),
        ("fp32", (), "bf16"),
    ],
)
def test_the_format_a_card_computes_in(held: Any, lacking: tuple[str, ...], expected: str) -> None:
    units = {unit: rate for unit, rate in ALL_UNITS.items() if unit not in lacking}
    card = Accelerator.model_validate({**CARD, "compute": units})
    assert Precision(weights=held).compute_format("weights", card) == expected
    assert Precision(weights=held).compute_format("experts", card) == expected  # as the weights, unless stated
    apart = Precision(weights="bf16", experts=held)
    assert (apart.compute_format("weights", card), apart.compute_format("experts", card)) == ("bf16", expected)


@pytest.mark.parametrize(
    ("gpus", "more", "low", "high", "nodes", "tail"),
    [
        (None, {}, 1, 1024, 128, 0),
        (20, {}, 1, 20, 2, 4),
        (20, {"use_all_gpus": True}, 20, 20, 2, 4),
        ({"min": 3, "max": 9}, {"gpus_per_node": 4}, 3, 9, 2, 1),
        ({"min": 3}, {}, 3, 1024, 128, 0),
        (3, {}, 1, 3, 0, 3),
    ],
)
def test_gpu_ranges_and_nodes(gpus: Any, more: dict[str, Any], low: int, high: int, nodes: int, tail: int) -> None:
    hardware = Hardware.model_validate({"accelerator": CARD, "gpus": gpus, **more})
    assert hardware.gpu_range == GpuRange(min=low, max=high)
    assert (hardware.full_nodes, hardware.tail_gpus) == (nodes, tail)


@pytest.mark.parametrize(
    "hardware",
    [
        {"gpus": 0},
        {"gpus": 8.0},
        {"gpus": True},
        {"gpus": {"min": 9, "max": 8}},
        {"use_all_gpus": True},
        {"gpus": {"max": 8}, "use_all_gpus": True},
        {"memory_utilization": 0},
        {"memory_utilization": 1.1},
        {"gpus_per_node": 0},
        {"accelerator": "no-such-card"},
        {"accelerator": {**CARD, "memory": 0}},
        {"accelerator": {**CARD, "compute": {"fp8": 1}}},
        {"node_link": {"bandwidth": 0}},
    ],
)
def test_bad_hardware(hardware: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Hardware.model_validate({"accelerator": CARD, **hardware})


def test_what_an_inline_card_leaves_out_is_marked_assumed() -> None:
    card = Accelerator.model_validate(CARD)
    assert card.assumed == ("gpus_per_node", "node_link", "network_link")
    assert (card.gpus_per_node, card.node_link.bandwidth, card.network_link.bandwidth) == (8, 64e9, 50e9)
    stated = Accelerator.model_validate({**CARD, "gpus_per_node": 4, "node_link": {"bandwidth": 1e9}})
    assert stated.assumed == ("network_link",)
    # written out and read again it stays what it was
    assert Accelerator.model_validate_json(stated.model_dump_json()) == stated


def test_the_cluster_replaces_the_cards_figures() -> None:
    own = Link(bandwidth=1e9, latency=1e-6)
    hardware = Hardware.model_validate({"accelerator": "h100-sxm", "gpus_per_node": 4, "node_link": own})
    assert (hardware.node_size, hardware.inside) == (4, own)
    assert hardware.between == hardware.accelerator.network_link
    assert Hardware.model_validate({"accelerator": "h100-sxm"}).node_size == 8


@pytest.mark.parametrize(
    ("memory", "share", "usable"),
    [(100, 0.9, 90), (101, 0.5, 50), (80e9, 1, 80 * 10**9), (85899345920, 0.9, 77309411328)],
)
def test_usable_memory_is_rounded_down(memory: float, share: float, usable: int) -> None:
    hardware = Hardware.model_validate({"accelerator": {**CARD, "memory": memory}, "memory_utilization": share})
    assert hardware.usable_memory == usable


def test_compute_rates() -> None:
    one = Compute.model_validate("400 TFlops", context=FILE)
    assert (one.bf16, one.rate("fp8"), one.has("fp8")) == (4e14, 4e14, False)  # the missing one runs at 16 bit
    two = Compute.model_validate({"bf16": "1 PFLOPS", "fp8": "2 PFLOPS"}, context=FILE)
    assert (two.rate("bf16"), two.rate("fp8"), two.has("fp8")) == (1e15, 2e15, True)


def test_a_stated_utilisation_speaks_for_the_whole_model() -> None:
    stated = Efficiency.model_validate({"mfu": "60 %", "bandwidth": 0.8}, context=FILE)
    assert (stated.mfu, stated.expert_mfu, stated.attention_mfu) == (0.6, 0.6, 0.6)
    assert (stated.bandwidth, stated.expert_bandwidth, stated.kv_bandwidth) == (0.8, 0.8, 0.8)
    assert stated.link == Efficiency().link
    own = Efficiency.model_validate({"mfu": 0.6, "expert_mfu": 0.2})
    assert (own.expert_mfu, own.attention_mfu, own.bandwidth) == (0.2, 0.6, Efficiency().bandwidth)


@pytest.mark.parametrize("bad", [{"mfu": 0}, {"mfu": 1.01}, {"overlap": 1}, {"half_rows": -1}, {"mfi": 0.5}])
def test_bad_efficiencies(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Efficiency.model_validate(bad)


def test_latencies_none_is_all_zero() -> None:
    found = Latencies.model_validate("none").model_dump()
    assert found.pop("pace") == 1  # a factor of the roofline's times, not a time
    assert set(found.values()) == {0}
    with pytest.raises(ValidationError):
        Latencies.model_validate("nothing")


@pytest.mark.parametrize("model", [Efficiency, Latencies, Reserves], ids=lambda m: m.__name__.lower())
def test_every_constant_has_a_source(model: Any) -> None:
    for name in model.model_fields:
        provenance, source = source_of(model.__name__.lower(), name)
        assert provenance in ("fitted", "measured", "assumed") and source


@pytest.mark.parametrize(
    ("given", "text", "inside", "outside"),
    [
        (4, "= 4", [4], [3, 5]),
        ({"min": 2}, "≥ 2", [2, 99], [1]),
        ({"max": 2}, "≤ 2", [1, 2], [3]),
        ({"min": 2, "max": 4}, "≥ 2 and ≤ 4", [2, 3, 4], [1, 5]),
        ([1, 8], "in [1, 8]", [1, 8], [2]),
        pytest.param({}, "free", [1, 99], []),
    ],
)
def test_bounds(given: Any, text: str, inside: list[int], outside: list[int]) -> None:
    bound = Bound.model_validate(given)
    assert str(bound) == text
    assert [bound.allows(value) for value in inside + outside] == [True] * len(inside) + [False] * len(outside)
    assert Bound.model_validate_json(bound.model_dump_json()) == bound


@pytest.mark.parametrize("given", [0, True, 1.5, "4", [], [0], {"min": 3, "max": 2}, {"mn": 1}])
def test_bad_bounds(given: Any) -> None:
    with pytest.raises(ValidationError):
        Bound.model_validate(given)


def test_strategy_products_and_notation() -> None:
    strategy = Strategy(tensor=8, data=2, pipeline=3, expert=16)
    assert (strategy.stage_group, strategy.gpus) == (16, 48)
    assert strategy.describe() == "TP8·DP2·PP3·EP16"
    assert Strategy().describe() == "TP1"


def test_a_plain_rate_is_unqualified() -> None:
    limits = Requirements.model_validate({"throughput": "5 tokens/ms", "ttft": "2 s"}, context=FILE)
    assert limits.throughput == Throughput(tokens=5000)
    assert limits.ttft == 2
    for bad in ({"ttft": "0 s"}, {"ttft": 2}, {"throughput": {"requests": "5 tokens/s"}}, {"memory_per_gpu": "-1 GB"}):
        with pytest.raises(ValidationError):
            Requirements.model_validate(bad, context=FILE)
