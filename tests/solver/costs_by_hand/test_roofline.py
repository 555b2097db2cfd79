"""How long flops and bytes take, worked out by hand from docs/costs.md: a card of 1 FLOP/s and 1 B/s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from costs_by_hand import (
    COMPUTE_ONLY,
    DENSE,
    EXPERTS,
    MEMORY_ONLY,
    a_pass,
    one,
    rows_of,
    scenario,
)
from pytest import approx
from shardwise.models import Precision
from shardwise.solver.costs.forward import layer_times
from shardwise.solver.costs.rows import Rows
from shardwise.solver.costs.setting import setting
from shardwise.solver.costs.source import Roofline


def roofline(
    card: Mapping[str, Any] | None = None, model: dict[str, Any] = EXPERTS, **efficiency: float
) -> tuple[Rows, Roofline]:
    rows = rows_of(scenario(model, card=card, efficiency=efficiency))
    return rows, Roofline(rows.setting)


def column(value: float) -> np.ndarray:
    return np.array([float(value)])


def matrix(source: tuple[Rows, Roofline], rows: float, width: float, part: Any = "weights") -> float:
    """A matrix of 2 by 3 in 16 bit: 12 flops a row, 12 bytes."""
    of, times = source
    return one(times.matrices(of, part, column(rows), column(width), ((2, 3),)))


@pytest.mark.parametrize(
    ("rows", "width", "efficiency", "seconds"),
    [
        (1, 1, {}, 12 + 12),  # kernels hide neither behind the other
        (5, 1, {}, 60 + 12),
        (5, 1, {"mfu": 0.5}, 120 + 12),
        (5, 1, {"bandwidth": 0.5}, 60 + 24),
        (0, 1, {}, 0),  # no rows, no time, not even for the weights
        (16, 64, {"half_rows": 16}, 2 * 192 + 12),  # half the mfu at 16 rows
        (48, 64, {"half_rows": 16}, 576 / (48 / 64) + 12),
        (16, 64, {"half_width": 64}, 2 * 192 + 12),
        (16, 192, {"half_width": 64, "half_rows": 16}, 192 / (1 / 2 * 192 / 256) + 12),
        (16, 64, {"expert_half_rows": 16}, 192 + 12),  # of experts alone
    ],
)
def test_a_matrix(rows: float, width: float, efficiency: dict[str, float], seconds: float) -> None:
    assert matrix(roofline(**efficiency), rows, width) == approx(seconds, rel=1e-12)


def test_several_matrices_are_added() -> None:
    # 2·3 + 3·4 = 18 weights: 36 flops a row, 36 bytes
    rows, times = roofline()
    found = times.matrices(rows, "weights", column(2), 8.0, ((2, 3), (column(3), column(4))))
    assert one(found) == approx(72 + 36)


@pytest.mark.parametrize("part", ["weights", "plain", "shared"])
def test_dense_matrices_have_one_efficiency(part: Any) -> None:
    efficiency = {"mfu": 0.5, "bandwidth": 0.25, "expert_mfu": 0.2, "expert_bandwidth": 0.1}
    assert matrix(roofline(**efficiency), 1, 1, part) == approx(12 / 0.5 + 12 / 0.25)


@pytest.mark.parametrize(
    ("tokens", "efficiency", "seconds"),
    [
        # W_ex 120, 8 experts, 2 a token: 2·120·2 = 480 flops a token; 8·120·2 = 1,920 B, of which some are read.
        # One token hits a quarter of them, two 1 − (3/4)² = 7/16.
        (1, {}, 480 + 480),
        (2, {}, 960 + 840),
        (2, {"expert_mfu": 0.5}, 1_920 + 840),
        (2, {"expert_bandwidth": 0.25}, 960 + 3_360),
        (2, {"mfu": 0.5, "bandwidth": 0.25, "expert_mfu": 1, "expert_bandwidth": 1}, 960 + 840),
        # two tokens are 2·2/8 = 1/2 to an expert: a third of the flops where half are reached at 1
        (2, {"expert_half_rows": 1}, 960 * 3 + 840),
        (2, {"half_rows": 1}, 960 + 840),  # of dense matrices alone
        (2, {"half_width": 12}, 960 * (4 + 12) / 4 + 840),  # experts are 4 wide
        (2, {"expert_half_rows": 1, "half_width": 12}, 960 * 3 * 4 + 840),
        (0, {"expert_half_rows": 1}, 0),
    ],
)
def test_routed_experts(tokens: float, efficiency: dict[str, float], seconds: float) -> None:
    rows, times = roofline(**efficiency)
    assert one(times.routed_experts(rows, column(tokens))) == approx(seconds, rel=1e-12)


def test_tokens_per_expert_are_those_of_all_experts_alike() -> None:
    # e 2, s 2, imbalance 1.5: 480·8·1.5/4 flops; 8 tokens are 2 to an expert: (2 + 1)/2 as long. Width 4/2.
    load = {"batch": 1, "input_tokens": 10, "routing": {"imbalance": 1.5}}
    efficiency = {"expert_half_rows": 1, "half_width": 2}
    rows = rows_of(scenario(EXPERTS, load, card=COMPUTE_ONLY, efficiency=efficiency), data=4, expert=2, expert_tensor=2)
    assert one(Roofline(rows.setting).routed_experts(rows, column(8))) == approx(1_440 * 1.5 * 2, rel=1e-12)


@pytest.mark.parametrize(
    ("card", "efficiency", "prompt", "decode"),
    [
        # pairs 72, prefix 30 tokens of 40 B: 2·4·10·72 = 5,760 flops, 1,200 B; the larger counts
        (COMPUTE_ONLY, {"attention_mfu": 0.2}, 5_760 / 0.2, 4_800 / 0.2),
        (MEMORY_ONLY, {"kv_bandwidth": 0.1}, 1_200 / 0.1, 2_400 / 0.1),  # decoding: 3·20 tokens
        (None, {"mfu": 0.1, "bandwidth": 0.1, "attention_mfu": 1, "kv_bandwidth": 1}, 5_760, 4_800),
        (None, {"kv_bandwidth": 0.1}, 12_000, 24_000),
    ],
)
def test_attention_takes_the_longer_of_the_two(
    card: dict[str, Any] | None, efficiency: dict[str, float], prompt: float, decode: float
) -> None:
    rows, times = roofline(card, DENSE, **efficiency)
    work, full = a_pass(decoding=3, context=20, prompt=12, pairs=(72, 72), prefix=(30, 30)), rows.setting.kinds[0].mixer
    assert one(times.prompt_attention(rows, work, full)) == approx(prompt, rel=1e-12)
    assert one(times.decode_attention(rows, work, full)) == approx(decode, rel=1e-12)


def test_traffic_goes_at_the_bandwidth_of_matrices() -> None:
    _, times = roofline(bandwidth=0.25, kv_bandwidth=0.1, expert_bandwidth=0.1)
    assert one(times.traffic(column(1))) == approx(4)


FOUR = {"bf16": 1.0, "fp8": 2.0, "fp4": 4.0}


@pytest.mark.parametrize(
    ("compute", "precision", "weights", "experts"),
    [
        (FOUR, Precision(weights="bf16"), 1, 1),
        (FOUR, Precision(weights="fp8"), 2, 2),
        (FOUR, Precision(weights="fp8", experts="bf16"), 2, 1),
        (FOUR, Precision(weights="bf16", experts="fp8"), 1, 2),
        (FOUR, Precision(weights="int8"), 1, 1),  # this card has no 8-bit integers: widened to 16 bit
        (FOUR, Precision(weights="int4", experts="fp4"), 1, 1),  # weight-only kernels compute in 16 bit
        # a 4-bit unit multiplies nvfp4, of its rate 0.75; mxfp4 meets 8-bit activations
        (FOUR, Precision(weights="nvfp4"), 3, 3),
        (FOUR, Precision(weights="bf16", experts="nvfp4"), 1, 3),
        (FOUR, Precision(weights="nvfp4", experts="mxfp4"), 3, 2),
        (FOUR, Precision(weights="mxfp4", experts="fp8"), 2, 2),
        # without that unit both are widened
        ({"bf16": 1.0, "fp8": 2.0}, Precision(weights="nvfp4", experts="mxfp4"), 1, 1),
    ],
)
def test_narrow_matrices_run_natively_where_the_card_can(
    compute: dict[str, float], precision: Precision, weights: float, experts: float
) -> None:
    given = precision.model_dump(exclude_none=True)
    s = setting(scenario(EXPERTS, card={"compute": compute}, precision=given, efficiency={"fp4": 0.75}))
    assert (s.rate_weights, s.rate_experts, s.rate_plain) == (weights, experts, 1)


def test_a_layer_adds_its_operators() -> None:
    # t 2, T 7. Projections 300 weights: 4,200 + 600; feed-forward 1,500: 21,000 + 3,000. Decode attention, X 10:
    # 2·2·10·70 = 2,800 flops, 70·20 = 1,400 B. Two all-reduces of 140 B: 2·1.4.
    rows = rows_of(scenario(DENSE), tensor=2)
    found = layer_times(rows, a_pass(decoding=7, context=10), Roofline(rows.setting))
    assert one(found.layers[0]) == approx(4_800 + 24_000 + 2_800 + 2.8, rel=1e-12)
