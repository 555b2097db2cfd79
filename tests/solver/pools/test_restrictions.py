"""Terms one unit apart, more room, and what restrictions are said to cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.models import InputError, TableScenario
from shardwise.models.deployment import DeploymentPlan
from shardwise.solver import deploy

from . import tables_at_random as at_random
from .dynamic_programme import HEADER, Row, Terms
from .test_against_dynamic_programme import deployed

Problem = tuple[list[Row], Terms]
TABLE = (
    # name, role, GPUs, batch, TTFT ms, TPOT ms, requests/s, accelerator, memory GB, cost per hour
    "p-fast,prefill,2,,100,,4,,60,",
    "p-slow,prefill,1,,300,,3,,70,",
    "d-fast,decode,2,8,25,10,3,,60,",
    "d-slow,decode,1,32,50,20,2,,,",
    "a-small,aggregated,1,8,200,30,0.75,,80,",
    "a-large,aggregated,4,64,150,25,3.5,,75,",
)
PAIRS = TABLE[:4]


def plan_of(folder: Path, rows: Sequence[str], gpus: Any = 8, *, priced: bool = True, **terms: Any) -> DeploymentPlan:
    """The plan of a table written as text, and terms as in a scenario; a number of GPUs, or the whole `hardware`."""
    table = folder / "engines.csv"
    table.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    hardware = gpus if isinstance(gpus, dict) else {"gpus": gpus} | ({"price_per_hour": 2.5} if priced else {})
    return deploy(TableScenario.model_validate({"engines": {"table": str(table)}, "hardware": hardware, **terms}))


def counts(plan: DeploymentPlan) -> dict[str, int]:
    """Engines by name."""
    return {engine.name: engine.count for engine in plan.engines}


def rate(plan: DeploymentPlan) -> float:
    """Requests/s; 0 where there is no deployment."""
    return 0.0 if plan.predictions is None else plan.predictions.requests_per_s


class TestTwins:
    """The same terms, but for one unit."""

    def test_ttft_of_an_engine(self, tmp_path: Path) -> None:
        rows = TABLE[4:]
        assert counts(plan_of(tmp_path, rows, 4, requirements={"ttft": 0.15})) == {"a-large": 1}
        assert plan_of(tmp_path, rows, 4, requirements={"ttft": 0.149999}).status == "infeasible"

    def test_ttft_of_a_pair(self, tmp_path: Path) -> None:
        """100 + 25 ms, where each of them is far below the limit."""
        assert counts(plan_of(tmp_path, PAIRS, 4, requirements={"ttft": 0.125})) == {"p-fast": 1, "d-fast": 1}
        assert plan_of(tmp_path, PAIRS, 4, requirements={"ttft": 0.124}).status == "infeasible"
        nearly = (TABLE[0], TABLE[2].replace(",25,", ",25.001,"))
        assert plan_of(tmp_path, nearly, 4, requirements={"ttft": 0.125}).status == "infeasible"

    @pytest.mark.parametrize(("prefill", "decode", "limit"), [(62.5, 62.5, 0.125), (100, 25, 0.125)])
    def test_a_pair_at_the_limit(self, tmp_path: Path, prefill: float, decode: float, limit: float) -> None:
        rows = (f"p,prefill,1,,{prefill},,3,,,", f"d,decode,1,,{decode},20,2,,,")
        assert plan_of(tmp_path, rows, requirements={"ttft": limit}).status == "optimal"
        above = (rows[0], rows[1].replace(f",{decode},", f",{decode + 0.001},"))
        assert plan_of(tmp_path, above, requirements={"ttft": limit}).status == "infeasible"

    @pytest.mark.parametrize(("decode", "limit"), [(50, 0.15), (200, 0.3)])
    def test_a_pair_at_the_limit_that_floats_exceed(self, tmp_path: Path, decode: int, limit: float) -> None:
        rows = ("p,prefill,1,,100,,3,,,", f"d,decode,1,,{decode},20,2,,,")
        assert plan_of(tmp_path, rows, requirements={"ttft": limit}).status == "optimal"

    def test_a_pair_less_than_a_step_above_the_limit(self, tmp_path: Path) -> None:
        rows = ("p,prefill,1,,100.000004,,3,,,", "d,decode,1,,50.000004,20,2,,,")
        assert plan_of(tmp_path, rows, requirements={"ttft": 0.15}).status == "infeasible"

    def test_a_pair_at_a_limit_between_steps(self, tmp_path: Path) -> None:
        rows = ("p,prefill,1,,100.000006,,3,,,", "d,decode,1,,50.000006,20,2,,,")
        assert plan_of(tmp_path, rows, requirements={"ttft": 0.150000013}).status == "optimal"

    def test_all_pairs_count(self, tmp_path: Path) -> None:
        """p-slow may feed d-slow (350 ms) as soon as both stand; p-slow with d-fast takes 325 ms."""
        at = plan_of(tmp_path, PAIRS, 7, requirements={"ttft": 0.35}, objective="throughput")
        below = plan_of(tmp_path, PAIRS, 7, requirements={"ttft": 0.349999}, objective="throughput")
        assert rate(at) > rate(below)
        assert not {"p-slow", "d-slow"} <= counts(below).keys()
        assert {"p-slow", "d-slow"} <= counts(at).keys()

    def test_tpot(self, tmp_path: Path) -> None:
        assert "d-slow" in counts(plan_of(tmp_path, PAIRS, 2, requirements={"tpot": 0.02}))
        assert plan_of(tmp_path, PAIRS, 2, requirements={"tpot": 0.019999}).status == "infeasible"

    def test_memory(self, tmp_path: Path) -> None:
        """A blank is unknown, and unknown does not fit."""
        plan = plan_of(tmp_path, TABLE, 4, requirements={"memory_per_gpu": "60 GB"})
        assert counts(plan) == {"p-fast": 1, "d-fast": 1}
        assert plan_of(tmp_path, TABLE, 4, requirements={"memory_per_gpu": "59.999 GB"}).status == "infeasible"

    def test_one_gpu_more_or_less(self, tmp_path: Path) -> None:
        found = {gpus: plan_of(tmp_path, TABLE[5:], gpus) for gpus in (3, 4, 7, 8)}
        assert [found[gpus].status for gpus in (3, 4)] == ["infeasible", "optimal"]
        assert [rate(found[gpus]) for gpus in (4, 7, 8)] == [3.5, 3.5, 7.0]
        assert found[7].gpus_idle == 3

    def test_distinct_strategies(self, tmp_path: Path) -> None:
        """5 GPUs: a-large with a-small, or five of a-small."""
        terms = {"modes": ["aggregated"], "objective": "throughput"}
        both = plan_of(tmp_path, TABLE, 5, distinct_strategies=2, **terms)
        one = plan_of(tmp_path, TABLE, 5, distinct_strategies=1, **terms)
        assert counts(both) == {"a-large": 1, "a-small": 1}
        assert counts(one) == {"a-small": 5}
        assert (rate(both), rate(one)) == (4.25, 3.75)

    def test_distinct_strategies_are_counted_role_by_role(self, tmp_path: Path) -> None:
        plan = plan_of(tmp_path, TABLE, 8, distinct_strategies=1, objective="throughput")
        assert all(len(pool.engines) == 1 for pool in plan.pools)
        assert {pool.role for pool in plan.pools} >= {"prefill", "decode"}

    @pytest.mark.parametrize(("gpus", "reachable"), [(4, True), (5, False), (6, False), (7, False), (8, True)])
    def test_use_all_gpus(self, tmp_path: Path, gpus: int, reachable: bool) -> None:
        plan = plan_of(tmp_path, TABLE[5:], {"gpus": gpus, "use_all_gpus": True})
        assert plan.status == ("optimal" if reachable else "infeasible")
        assert plan.gpus_used == (gpus if reachable else 0)

    def test_use_all_gpus_costs_throughput_per_gpu(self, tmp_path: Path) -> None:
        """Nine GPUs take the slow engine too; a range may leave the ninth idle."""
        rows, terms = TABLE[4:], {"objective": "throughput-per-gpu"}
        free = plan_of(tmp_path, rows, {"gpus": {"max": 9}}, **terms)
        every = plan_of(tmp_path, rows, {"gpus": 9, "use_all_gpus": True}, **terms)
        assert (free.gpus_used, every.gpus_used) == (8, 9)

    @pytest.mark.parametrize(("least", "used"), [(1, 1), (2, 2), (5, 5)])
    def test_least_gpus(self, tmp_path: Path, least: int, used: int) -> None:
        plan = plan_of(tmp_path, TABLE, {"gpus": {"min": least, "max": 8}}, objective="fewest-gpus")
        assert plan.gpus_used == used

    @pytest.mark.parametrize("group", ["throughput", "request_rate"])
    def test_least_rate(self, tmp_path: Path, group: str) -> None:
        """Four small engines carry 3.0."""

        def plan(least: float) -> DeploymentPlan:
            load = {"workload": {"request_rate": least}}
            terms = {"requirements": {"throughput": {"requests": least}}} if group == "throughput" else load
            return plan_of(tmp_path, TABLE[4:5], 4, objective="fewest-gpus", **terms)

        assert counts(plan(2.25)) == {"a-small": 3}
        assert counts(plan(2.250001)) == {"a-small": 4}
        assert plan(3.0).status == "optimal"
        assert plan(3.000001).status == "infeasible"

    def test_least_rate_per_gpu(self, tmp_path: Path) -> None:
        def plan(least: float) -> DeploymentPlan:
            return plan_of(tmp_path, TABLE[4:], 5, requirements={"throughput_per_gpu": {"requests": least}})

        assert counts(plan(0.85)) == {"a-large": 1, "a-small": 1}
        assert counts(plan(0.850001)) == {"a-large": 1}
        assert plan(0.875001).status == "infeasible"

    @pytest.mark.parametrize(
        "requirements", [{"throughput_per_gpu": {"requests": 0.33333339}}, {"throughput": {"requests": 1.0000009}}]
    )
    def test_a_floor_less_than_a_millionth_above(self, tmp_path: Path, requirements: dict[str, Any]) -> None:
        rows = ("a,aggregated,3,,100,20,1,,,",)
        assert plan_of(tmp_path, rows, 3, requirements=requirements).status == "infeasible"

    def test_balance_at_its_edge(self, tmp_path: Path) -> None:
        """One per cent less is within one per cent; a millionth of it more is not."""
        slow, fast = "slow,aggregated,4,,500,20,100,,,", "fast,aggregated,4,,100,20,{},,,"
        assert counts(plan_of(tmp_path, (slow, fast.format("99")), 4)) == {"fast": 1}
        assert counts(plan_of(tmp_path, (slow, fast.format("98.999999")), 4)) == {"slow": 1}

    def test_modes(self, tmp_path: Path) -> None:
        """One or the other is not a mix of both."""
        rates = {
            modes: rate(plan_of(tmp_path, TABLE, 5, modes=list(modes), objective="throughput"))
            for modes in (("any",), ("aggregated",), ("disaggregated",), ("aggregated", "disaggregated"))
        }
        assert rates["any",] >= rates["aggregated", "disaggregated"]
        assert rates["aggregated", "disaggregated"] == max(rates["aggregated",], rates["disaggregated",])

    @pytest.mark.parametrize("row", ["p,prefill,1,,100,,3,,,", "d,decode,1,,,20,2,,,"])
    @pytest.mark.parametrize("objective", ["latency", "throughput", "fewest-gpus"])
    def test_half_a_pair_serves_nobody(self, tmp_path: Path, row: str, objective: Any) -> None:
        """Neither alone, nor beside aggregated engines to use all GPUs."""
        assert plan_of(tmp_path, (row,), 3, objective=objective).status == "infeasible"
        beside = plan_of(
            tmp_path, (row, "a,aggregated,2,,100,20,1,,,"), {"gpus": 3, "use_all_gpus": True}, objective=objective
        )
        assert beside.status == "infeasible"


class TestPrices:
    """Prices of rows, prices of GPUs, none at all."""

    def test_a_rows_price_goes_first(self, tmp_path: Path) -> None:
        rows = ("cheap,aggregated,4,,100,20,1,,,1.5", "dear,aggregated,1,,100,20,1,,,")
        plan = plan_of(tmp_path, rows, 4, objective="cost")
        assert counts(plan) == {"cheap": 1}
        assert plan.predictions is not None
        assert plan.predictions.cost_per_hour == 1.5

    @pytest.mark.parametrize("objective", ["cost", "throughput-per-cost"])
    def test_unknown_prices_cannot_be_optimised(self, tmp_path: Path, objective: Any) -> None:
        """A row without a price is not free of charge."""
        rows = ("known,aggregated,1,,100,20,1,,,2", "unknown,aggregated,1,,100,20,1,,,")
        with pytest.raises(InputError):
            plan_of(tmp_path, rows, 4, priced=False, objective=objective)

    def test_some_prices_unknown(self, tmp_path: Path) -> None:
        """As long as nobody asks for them."""
        rows = ("known,aggregated,1,,100,20,1,,,2", "unknown,aggregated,2,,100,20,1,,,")
        assert counts(plan_of(tmp_path, rows, 4, priced=False)) == {"known": 4}

    def test_throughput_per_cost_with_prices_as_people_have_them(self, tmp_path: Path) -> None:
        """No common factor of rate and price: the weights of the ratio are large."""
        rows = ("a,aggregated,4,,100,20,3.345679,,,", "b,aggregated,8,,100,20,6.700001,,,")
        plan = plan_of(tmp_path, rows, {"gpus": 64, "price_per_hour": 3.9871}, objective="throughput-per-cost")
        assert plan.status == "optimal"
        assert counts(plan) == {"b": 8}

    def test_free_of_charge(self, tmp_path: Path) -> None:
        """A price of 0 has no throughput per price."""
        rows = ("a,aggregated,1,,100,20,1,,,",)
        with pytest.raises(InputError):
            plan_of(tmp_path, rows, {"gpus": 2, "price_per_hour": 0}, objective="throughput-per-cost")


class TestLargeFigures:
    """What the reader of tables accepts is also computed with."""

    @pytest.mark.parametrize("value", ["4398046", "5000000", "1000000000"])
    def test_rates(self, tmp_path: Path, value: str) -> None:
        plan = plan_of(tmp_path, (f"a,aggregated,1,,100,20,{value},,,",), 1, objective="throughput")
        assert plan.proof.stages[0].value == pytest.approx(float(value))

    @pytest.mark.parametrize("value", ["1000", "40000000", "1000000000"])
    def test_times(self, tmp_path: Path, value: str) -> None:
        plan = plan_of(tmp_path, (f"a,aggregated,1,,{value},20,1,,,",), 1, objective="latency")
        assert plan.proof.stages[0].value == pytest.approx(float(value) / 1e3 + 0.02)

    @pytest.mark.parametrize("value", ["0.000001", "0.0000009"])
    def test_small_rates(self, tmp_path: Path, value: str) -> None:
        assert plan_of(tmp_path, (f"a,aggregated,1,,100,20,{value},,,",), 1).status == "optimal"


def lone_rows(rows: Sequence[Row], terms: Terms) -> list[tuple[Row, int]]:
    """Aggregated engines that may be used, with the most of them that there is room for."""
    kept = [row for row in rows if row.role == "aggregated" and terms.allows(row)]
    return [(row, terms.most // row.gpus) for row in kept if row.gpus <= terms.most]


def value_of(rows: Sequence[Row], terms: Terms) -> float:
    """The first objective, more being better."""
    plan = deployed(rows, terms)
    if plan.status == "infeasible":
        return float("-inf")
    assert plan.status == "optimal"
    first = plan.proof.stages[0]
    assert first.value is not None
    return -first.value if first.objective.startswith(("lowest", "fewest")) else first.value


some = at_random.problems(st.sampled_from(at_random.OBJECTIVES).map(lambda name: (name,)), least=False)


@settings(max_examples=32)
@given(some, st.integers(1, 3))
def test_more_gpus_never_hurt(problem: Problem, more: int) -> None:
    rows, terms = problem
    low, most = terms.gpus if isinstance(terms.gpus, tuple) else (1, terms.most)
    wider = (low, most + more) if isinstance(terms.gpus, tuple) else most + more
    assert value_of(rows, replace(terms, gpus=wider)) >= value_of(rows, terms)


@settings(max_examples=24)
@given(some)
def test_never_worse_than_one_mode(problem: Problem) -> None:
    rows, terms = problem
    of = {
        modes: value_of(rows, replace(terms, modes=modes))
        for modes in (("any",), ("aggregated",), ("disaggregated",), ("aggregated", "disaggregated"))
    }
    assert of["aggregated", "disaggregated"] == max(of["aggregated",], of["disaggregated",])
    assert of["any",] >= of["aggregated", "disaggregated"]


@settings(max_examples=32)
@given(at_random.large_problems())
def test_never_worse_than_many_of_one_engine(problem: Problem) -> None:
    rows, terms = problem
    terms = replace(terms, gpus=terms.most, rate=0, rate_per_gpu=0, objectives=("throughput",))
    best = max((row.rate * count for row, count in lone_rows(rows, terms)), default=0)
    plan = deployed(rows, terms)
    assert rate(plan) >= best / 10**6 * (1 - 1e-12)


@settings(max_examples=24)
@given(at_random.problems(st.sampled_from(at_random.OBJECTIVES).map(lambda name: (name,))))
def test_loosening_distinct_strategies(problem: Problem) -> None:
    rows, terms = problem
    values = [value_of(rows, replace(terms, distinct=k)) for k in (1, 2, None)]
    assert values == sorted(values)


@settings(max_examples=32)
@given(some, st.sampled_from(at_random.MODES[1:4]), st.integers(1, 2))
def test_costs_of_restrictions(problem: Problem, modes: tuple[str, ...], distinct: int) -> None:
    """What the plan says equals a solve without them."""
    rows, terms = problem
    terms = replace(terms, modes=modes, distinct=distinct, rate=0, request_rate=0, rate_per_gpu=0, tpot=None)
    plan = deployed(rows, terms, restrictions=True)
    if plan.status == "infeasible":
        assert not plan.restrictions
        return
    freer = {"modes": replace(terms, modes=("any",)), "distinct_strategies": replace(terms, distinct=None)}
    assert {one.name for one in plan.restrictions} == freer.keys()
    here = plan.proof.stages[0].value
    for one in plan.restrictions:
        there = abs(value_of(rows, freer[one.name]))
        assert one.first_objective == there
        assert one.costs.startswith("nothing in") == (here == pytest.approx(there, rel=1e-6))


def test_no_restriction_costs_nothing(tmp_path: Path) -> None:
    assert plan_of(tmp_path, TABLE).restrictions == ()
