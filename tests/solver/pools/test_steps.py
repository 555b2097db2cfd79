"""Rates and prices in whole steps: what is far apart in size, and what nobody may use, changes no answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from shardwise.models import Scenario
from shardwise.models.deployment import DeploymentPlan
from shardwise.models.table_scenario import TableScenario
from shardwise.solver import deploy

from tests.builders import CARD, DENSE, scenario

HEADER = "engine,role,gpus,batch,ttft_ms,tpot_ms,requests_per_s,accelerator,memory_gb,cost_per_hour"


def row(name: str, rate: float, cost: float | str = "", *, gpus: int = 1, ttft: float = 100, card: str = "") -> str:
    return f"{name},aggregated,{gpus},1,{ttft},10,{rate},{card},,{cost}"


def planned(folder: Path, rows: list[str], hardware: dict[str, Any], **terms: Any) -> DeploymentPlan:
    (folder / "engines.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    table = {"table": str(folder / "engines.csv")}
    return deploy(TableScenario.model_validate({"engines": table, "hardware": hardware, **terms}))


def counts(plan: DeploymentPlan) -> dict[str, int]:
    return {entry.name: entry.count for entry in plan.engines}


@pytest.mark.parametrize(("objective", "rate"), [("cost", 100), ("throughput-per-cost", 100)])
def test_prices_of_a_large_cluster_that_differ_by_little(tmp_path: Path, objective: str, rate: int) -> None:
    """100 × 4.2011 = 420.11 for 100 requests/s; 100 × 4.2090 carries a thousandth more for 0.19 % more."""
    rows = [row("x", 1.0, 4.2011), row("y", 1.001, 4.2090)]
    plan = planned(tmp_path, rows, {}, workload={"request_rate": f"{rate} requests/s"}, objective=objective)
    assert plan.status == "optimal"
    assert set(counts(plan)) == {"x"}
    if objective == "cost":
        assert counts(plan) == {"x": 100}
        assert plan.proof.stages[0].value == pytest.approx(420.11)


def test_the_price_of_an_engine_that_is_too_slow(tmp_path: Path) -> None:
    rows = [row("y", 1, 0.9), row("x", 1, 0.5), row("slow", 1, 90_000, ttft=9_000)]
    terms = {"workload": {"request_rate": "10 requests/s"}, "requirements": {"ttft": "1 s"}, "objective": "cost"}
    plan = planned(tmp_path, rows, {"gpus": 64}, **terms)
    assert counts(plan) == {"x": 10}
    assert plan.predictions is not None
    assert plan.predictions.cost_per_hour == pytest.approx(5.0)


def test_the_rate_of_an_engine_that_is_too_slow(tmp_path: Path) -> None:
    rows = [row("x", 0.004, ttft=50), row("fast", 1e9, gpus=8, ttft=5_000)]
    plan = planned(tmp_path, rows, {"gpus": 8}, requirements={"ttft": "100 ms"})
    assert counts(plan) == {"x": 8}


@pytest.mark.parametrize("floor", [1e9, 1e12, 1e15])
def test_a_floor_beyond_all_rates(tmp_path: Path, floor: float) -> None:
    terms = {"requirements": {"throughput_per_gpu": {"requests": f"{floor:.0f} requests/s"}}}
    plan = planned(tmp_path, [row("x", 1), row("y", 2.5, gpus=2)], {"gpus": 64}, **terms)
    assert plan.status == "infeasible"
    assert plan.conflicts[0].ids == ("requirements.throughput_per_gpu",)


def test_a_rate_is_a_matter_of_gpus(tmp_path: Path) -> None:
    """300 GPUs would do: the rate alone is no conflict."""
    plan = planned(tmp_path, [row("x", 1)], {"gpus": 8}, workload={"request_rate": "300 requests/s"})
    members = {member.id: member for member in plan.conflicts[0].members}
    assert set(members) == {"workload.request_rate", "gpus.available"}
    assert members["workload.request_rate"].best_possible == "8 requests/s"
    assert members["gpus.available"].best_possible == "300 GPUs"


def test_an_inventory_that_must_be_used_whole(tmp_path: Path) -> None:
    """One engine of two GPUs on one card; the third GPU, of another card, has none."""
    hardware = {"inventory": [{"accelerator": "a", "gpus": 2}, {"accelerator": "b", "gpus": 1}], "use_all_gpus": True}
    plan = planned(tmp_path, [row("x", 1, gpus=2, card="a")], hardware)
    assert plan.status == "infeasible"
    assert "gpus.minimum" in plan.conflicts[0].ids


def test_slow_decode_engines_beside_fast_prefill_engines() -> None:
    """Prompts of 2 tokens and long answers: prefill engines are thousands of times faster."""
    model, load = DENSE | {"layers": 1}, {"input_tokens": 2, "output_tokens": 4000}
    given: dict[str, Any] = {"gpus": 4, "modes": "disaggregated", "latencies": "none"}
    most = deploy(scenario(model, {"request_rate": "max", **load}, objective="throughput", **given))
    assert most.predictions is not None
    rate = most.predictions.requests_per_s
    for share, status in ((0.9999, "optimal"), (1.0001, "infeasible")):
        asked = scenario(model, {"request_rate": rate * share, **load}, objective="fewest-gpus", **given)
        assert deploy(asked, conflicts=False).status == status


def test_a_card_that_costs_nothing_divides_nothing() -> None:
    given = {"hardware": {"accelerator": CARD, "gpus": 2, "price_per_hour": 0}, "model": DENSE, "modes": "any"}
    load = {"request_rate": "max", "input_tokens": 30, "output_tokens": 5}
    with pytest.raises(ValidationError, match="divides by the price"):
        Scenario.model_validate({**given, "workload": load, "objective": "throughput-per-cost"})
