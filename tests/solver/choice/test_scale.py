"""Quantities and their limits in integers: what holds in floats holds in integers; within a step floats decide."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shardwise.solver.choice import scale
from shardwise.solver.choice.table import _agree
from shardwise.solver.conditions.limits import limit as limit_of

CEILINGS = ("ttft", "ttft_mean", "tpot", "request_latency", "memory", "gpus_used")
FLOORS = ("output_rate", "input_rate", "requests_rate", "output_rate_per_gpu", "budget_spare")
NUMBERS = st.floats(1e-6, 1e4)


def integer(column: str, value: float) -> int:
    return int(scale.integers(column, np.array([value]))[0])


def is_kept(column: str, value: float, limit: float) -> bool:
    return value <= limit if column in CEILINGS else value >= limit


def is_kept_in_integers(column: str, value: float, limit: float) -> bool:
    sense: Literal["<=", ">="] = "<=" if column in CEILINGS else ">="
    edge = scale.limit(column, sense, limit)
    return integer(column, value) <= edge if column in CEILINGS else integer(column, value) >= edge


@given(st.sampled_from(CEILINGS + FLOORS), NUMBERS, NUMBERS | st.just(1.0))
def test_what_keeps_its_limit_keeps_it_in_integers(column: str, value: float, near: float) -> None:
    for limit in (value, value * near, value * (1 + 1e-12)):
        if is_kept(column, value, limit):
            assert is_kept_in_integers(column, value, limit)


@given(st.sampled_from(CEILINGS + FLOORS), NUMBERS, st.floats(0, 3))
def test_what_integers_let_pass_is_less_than_a_step_beyond(column: str, value: float, steps: float) -> None:
    """Value and limit are rounded the same way, so nearer than a step only the floats can tell (the next test)."""
    step = scale.unit(column)
    limit = value + steps * step * (-1 if column in CEILINGS else 1)
    if is_kept_in_integers(column, value, limit):
        assert is_kept(column, value, limit) or abs(value - limit) < step * (1 + 1e-9) + 1e-12 * value


@given(st.sampled_from(CEILINGS + FLOORS), st.lists(NUMBERS, min_size=1, max_size=9), NUMBERS)
def test_the_table_has_the_word_of_the_floats(column: str, values: list[float], near: float) -> None:
    step = scale.unit(column)
    bound = values[0] + near * step * 1e-4  # most of them within a step of the first value
    sense: Literal["<=", ">="] = "<=" if column in CEILINGS else ">="
    limit = limit_of("x", "x", "x", column, sense, bound, str)
    holds = np.asarray(limit.keeps({column: np.array(values)}))
    columns = {column: scale.integers(column, np.array(values))}
    _agree(limit, columns, holds, {})
    edge = scale.limit(column, sense, bound)
    assert list(columns[column] <= edge if column in CEILINGS else columns[column] >= edge) == list(holds)


@given(st.sampled_from(CEILINGS + FLOORS), st.integers(0, 2**42))
def test_back_to_si(column: str, steps: int) -> None:
    assert scale.natural(column, steps) == pytest.approx(steps * scale.unit(column))


def test_what_does_not_exist_is_worst_for_a_floor() -> None:
    assert integer("output_rate", float("nan")) == 0
