"""The linear relaxation: what its bound and its losses promise, on problems whose integer answers are all listed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from shardwise.solver.pools.linear import INFINITE, Linear
from shardwise.solver.pools.relaxation import relax

from . import tables_at_random as at_random
from .dynamic_programme import Row, Terms, best_by_gpus


class Small(NamedTuple):
    """Maximise the objective under constraints, with at most so many of every engine."""

    objective: Linear
    constraints: list[Linear]
    most: np.ndarray


def linear(name: str, coefficients: Sequence[int], **ends: int) -> Linear:
    return Linear(name, np.array(coefficients, dtype=np.int64), **ends)


@st.composite
def small_problems(draw: st.DrawFn, scale: int = 1) -> Small:
    """Up to five engines: what they take, what they give, floors and exact sums, and a flow between two pools."""
    number = draw(st.integers(1, 5))

    def row(low: int, high: int, by: int = 1) -> list[int]:
        return [by * draw(st.integers(low, high)) for _ in range(number)]

    constraints = [linear("room", row(1, 4), most=draw(st.integers(1, 10)))]
    flows = draw(st.booleans())
    if flows:
        constraints += [
            linear("out", row(0, 5, scale), least=0, flow=-1),
            linear("in", row(0, 5, scale), least=0, flow=-1),
        ]
    rate = linear("rate", row(0, 9, scale), flow=int(flows))
    if draw(st.booleans()):
        constraints.append(
            linear("floor", rate.coefficients.tolist(), least=scale * draw(st.integers(0, 20)), flow=int(flows))
        )
    if draw(st.booleans()):
        exactly = draw(st.integers(0, 6))
        constraints.append(linear("exactly", row(0, 3), least=exactly, most=exactly))
    if draw(st.booleans()):
        constraints.append(linear("balance", row(-5, 5, scale), least=0))
    minus = linear(
        "gain", [a - b for a, b in zip(rate.coefficients.tolist(), row(0, 4, scale), strict=True)], flow=int(flows)
    )
    objective = draw(st.sampled_from([rate, minus, linear("fewest", [-1] * number)]))
    return Small(objective, constraints, np.array(row(0, 4), dtype=np.int64))


def flow_range(constraints: Sequence[Linear], counts: Sequence[int]) -> tuple[int, int] | None:
    """Flows (whole numbers) that are allowed with such counts; None: the counts are not."""
    low, high = 0, INFINITE
    for one in constraints:
        total = sum(int(c) * n for c, n in zip(one.coefficients, counts, strict=True))
        if one.flow == 0:
            if not one.least <= total <= one.most:
                return None
        elif one.flow < 0:
            high = min(high, (total - one.least) // -one.flow)
        else:
            low = max(low, -(-(one.least - total) // one.flow))
    return (low, high) if low <= high else None


def values(problem: Small) -> dict[tuple[int, ...], int]:
    """The best value of all counts that are allowed."""
    found = {}
    for counts in itertools.product(*(range(int(most) + 1) for most in problem.most)):
        ends = flow_range(problem.constraints, counts)
        if ends is not None:
            own = sum(int(c) * n for c, n in zip(problem.objective.coefficients, counts, strict=True))
            found[counts] = own + (problem.objective.flow * ends[1] if problem.objective.flow else 0)
    return found


def assert_bounds(problem: Small) -> None:
    """No deployment is above the bound, and none is nearer to it than the losses of its engines say."""
    relaxed, every = relax(*problem), values(problem)
    event("infeasible" if not every else "feasible")
    if not relaxed.feasible:
        assert not every
        return
    if not every:
        return
    assert relaxed.bound >= max(every.values())
    assert relaxed.loss is not None
    assert (relaxed.loss >= 0).all()
    for counts, value in every.items():
        used = [float(loss) * n for loss, n in zip(relaxed.loss, counts, strict=True)]
        assert sum(used) <= relaxed.bound - value


@settings(max_examples=300)
@given(small_problems())
def test_small_integers(problem: Small) -> None:
    assert_bounds(problem)


@settings(max_examples=300)
@given(small_problems(scale=333_333_337))
def test_large_integers(problem: Small) -> None:
    """As of rates in steps, beside GPUs."""
    assert_bounds(problem)


def table_problem(rows: Sequence[Row], gpus: int, least: int = 0) -> Small:
    """The highest rate of a table's engines on one card."""
    by = {role: [row.rate if row.role == role else 0 for row in rows] for role in ("prefill", "decode", "aggregated")}
    constraints = [
        linear("room", [row.gpus for row in rows], most=gpus),
        linear("out", by["prefill"], least=0, flow=-1),
        linear("in", by["decode"], least=0, flow=-1),
        linear("floor", by["aggregated"], least=least, flow=1),
    ]
    most = np.array([gpus // row.gpus for row in rows], dtype=np.int64)
    return Small(linear("rate", by["aggregated"], flow=1), constraints, most)


@settings(max_examples=60)
@given(at_random.large_problems())
def test_tables(problem: tuple[list[Row], Terms]) -> None:
    """Many columns, priced in a few at a time; the integer optimum by dynamic programming."""
    rows, terms = problem
    free = Terms(gpus=terms.most)
    best = max(best_by_gpus(rows, free))
    relaxed = relax(*table_problem(rows, terms.most, least=max(best, 0)))
    assert relaxed.feasible
    assert relaxed.bound >= best
    # Pruning must leave enough to reach the optimum.
    assert relaxed.loss is not None
    left = [row for row, loss in zip(rows, relaxed.loss, strict=True) if relaxed.bound - loss >= best]
    assert max(best_by_gpus(left, free)) == best


@settings(max_examples=60)
@given(st.lists(at_random.engines(), min_size=1, max_size=60), st.integers(6, 64))
def test_the_bound_is_that_of_the_best_ratio(rows: list[Row], gpus: int) -> None:
    """Fractions of aggregated engines: all GPUs at the highest rate per GPU."""
    rows = [Row("aggregated", row.gpus, row.rate, 1, 1) for row in rows]
    bound = max(row.rate / row.gpus for row in rows) * gpus
    assert relax(*table_problem(rows, gpus)).bound <= bound * (1 + 1e-6)


@pytest.mark.parametrize(("least", "feasible"), [(25, True), (26, False)])
def test_infeasible_beyond_what_fractions_reach(least: int, feasible: bool) -> None:
    """10 GPUs at 2.5 a GPU."""
    rows = [Row("aggregated", 4, 10, 1, 1), Row("aggregated", 1, 2, 1, 1)]
    problem = table_problem(rows, 10, least)
    assert relax(problem.objective, problem.constraints, np.array([10, 10])).feasible is feasible


def test_nothing_to_choose_from() -> None:
    assert relax(*table_problem([], 8)).feasible
    assert not relax(*table_problem([], 8, least=1)).feasible
