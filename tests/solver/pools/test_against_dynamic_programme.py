"""Deployments against the same semantics in plain loops: stage by stage the same values, and the same feasibility."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from shardwise.models import TableScenario
from shardwise.models.deployment import DeploymentPlan
from shardwise.solver import deploy

from . import tables_at_random as at_random
from .dynamic_programme import Row, Terms, best_of, figures_of, optimum, stages_of, write_table

Problem = tuple[list[Row], Terms]
PATIENCE = 20.0
"""Seconds for problems that take milliseconds: a search that does not end is a failure, not an endless run."""
one_objective = st.sampled_from(at_random.OBJECTIVES).map(lambda name: (name,))
lists = st.lists(st.sampled_from(at_random.OBJECTIVES), min_size=2, max_size=3, unique=True).map(tuple)


def deployed(rows: Sequence[Row], terms: Terms, *, restrictions: bool = False) -> DeploymentPlan:
    """The plan for a table that is written for it."""
    with tempfile.TemporaryDirectory() as folder:
        table = write_table(Path(folder) / "engines.csv", rows)
        scenario = TableScenario.model_validate(terms.scenario(table))
        return deploy(scenario, time_limit=PATIENCE, restrictions=restrictions)


def assert_same(plan: DeploymentPlan, values: Sequence[Fraction] | None) -> None:
    """The stages reached these values, or the plan says that there is none."""
    if values is None:
        assert plan.status == "infeasible"
        assert not plan.pools
        return
    assert plan.status == "optimal"
    reached = [stage.value for stage in plan.proof.stages][: len(values)]
    assert reached == pytest.approx([float(value) for value in values], rel=1e-11)
    assert [stage.bound for stage in plan.proof.stages] == [stage.value for stage in plan.proof.stages]


def assert_best(problem: Problem) -> None:
    """Every stage of the plan is as good as the best of all deployments."""
    rows, terms = problem
    plan, values = deployed(rows, terms), optimum(rows, terms)
    event("infeasible" if values is None else "optimal")
    assert_same(plan, values)
    if values is not None:
        assert len(plan.proof.stages) == len(stages_of(terms)) == len(values)
        assert plan.predictions is not None
        assert plan.gpus_used in {figures.gpus for figures in figures_of(rows, terms)}


@settings(max_examples=88)
@given(at_random.problems(one_objective))
def test_one_objective(problem: Problem) -> None:
    assert_best(problem)


@settings(max_examples=64)
@given(at_random.problems(lists))
def test_objectives_in_order(problem: Problem) -> None:
    assert_best(problem)


@settings(max_examples=64)
@given(at_random.problems(one_objective | lists, cards=2))
def test_two_cards(problem: Problem) -> None:
    assert_best(problem)


@settings(max_examples=32)
@given(at_random.large_problems(), st.sampled_from(["throughput", "throughput-per-gpu", "fewest-gpus"]))
def test_large_tables(problem: Problem, objective: str) -> None:
    rows, terms = problem
    terms = replace(terms, objectives=(objective,))
    assert_same(deployed(rows, terms), best_of(rows, terms, objective))


@settings(max_examples=48)
@given(at_random.problems(one_objective), st.sampled_from(["throughput", "throughput-per-gpu", "fewest-gpus"]))
def test_the_two_ways_of_this_test_agree(problem: Problem, objective: str) -> None:
    """The dynamic programme and the list of all deployments, without the solver."""
    rows, terms = problem
    terms = replace(terms, objectives=(objective,), distinct=None)
    quick, whole = best_of(rows, terms, objective), optimum(rows, terms)
    assert (quick is None) == (whole is None)
    if quick is not None and whole is not None:
        assert list(quick) == whole[: len(quick)]


@pytest.mark.parametrize("most", [23, 64, 256])
def test_a_ratio_of_two_engines_is_proved_at_once(most: int) -> None:
    """Three of one with five of the other: 3.75 requests/s on 23 GPUs."""
    rows = [Row("decode", 1, 1_250_000, 2, 1), Row("prefill", 4, 750_449, 1)]
    terms = Terms(gpus=(1, most), objectives=("throughput-per-gpu",))
    plan = deployed(rows, terms)
    assert plan.proof.wall_s < PATIENCE / 2
    assert_same(plan, best_of(rows, terms, "throughput-per-gpu"))
