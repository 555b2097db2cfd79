"""Integers are rounded against the plan: what holds in integers holds in floats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shardwise.solver.choice import scale

CEILINGS = ("ttft", "ttft_mean", "tpot", "request_latency", "memory", "gpus_used")
FLOORS = ("output_rate", "input_rate", "requests_rate", "output_rate_per_gpu", "budget_spare")
NUMBERS = st.floats(1e-6, 1e4)


def integer(column: str, value: float) -> int:
    return int(scale.integers(column, np.array([value]))[0])


@given(st.sampled_from(CEILINGS), NUMBERS, NUMBERS)
def test_a_ceiling_kept_in_integers_is_kept(column: str, value: float, limit: float) -> None:
    if integer(column, value) <= scale.limit(column, "<=", limit):
        assert value <= limit * (1 + 1e-12)


@given(st.sampled_from(FLOORS), NUMBERS, NUMBERS)
def test_a_floor_kept_in_integers_is_kept(column: str, value: float, limit: float) -> None:
    if integer(column, value) >= scale.limit(column, ">=", limit):
        assert value >= limit * (1 - 1e-12)


@given(st.sampled_from(CEILINGS + FLOORS), st.integers(0, 2**42))
def test_back_to_si(column: str, steps: int) -> None:
    assert scale.natural(column, steps) == pytest.approx(steps * scale.unit(column))


def test_what_does_not_exist_is_worst_for_a_floor() -> None:
    assert integer("output_rate", float("nan")) == 0
