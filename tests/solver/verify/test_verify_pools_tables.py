"""Planted errors in deployments of a table's engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pool_plans import TABLE, failing, table_plan
from pool_planting import DECODE, PREFILL, Plant, with_engine, with_feed, with_figure, with_pool
from shardwise.models.deployment import Idle

ROWS: dict[str, tuple[Plant, set[str]]] = {
    "a wrong rate": (with_engine(PREFILL, requests_per_s=6.0), {"row.requests_per_s"}),
    "a wrong TTFT": (with_engine(PREFILL, ttft_s=0.2), {"row.ttft_s"}),
    "a wrong TPOT": (with_engine(DECODE, tpot_s=0.2), {"row.tpot_s"}),
    "a wrong latency": (with_engine(DECODE, request_latency_s=0.1), {"row.request_latency_s"}),
    "wrong GPUs": (
        with_engine(DECODE, gpus_per_engine=5),
        {
            "row.gpus",
            "gpus.decode",
            "gpus.used",
            "gpus.idle",
            "gpus.idle_by_card",
            "predictions.requests_per_s_per_gpu",
        },
    ),
    "a wrong batch": (with_engine(DECODE, batch=33), {"row.batch"}),
    "a wrong cost": (with_engine(DECODE, cost_per_hour=8.0), {"row.cost_per_hour"}),
    "a load": (with_engine(DECODE, load=3), {"row.unpriced"}),
    "a card": (with_engine(DECODE, accelerator="x"), {"row.accelerator"}),
    "no such engine": (with_engine(DECODE, name="X"), {"row", "together"}),
    "a pool that does more": (with_pool(PREFILL, requests_per_s=10.0), {"prefill.requests_per_s"}),
    "a feed too much": (with_feed(requests_per_s=9.0), {"feeds.prefill", "feeds.decode"}),
    "a wrong latency of all": (with_figure(request_latency_s=1.0), {"predictions.request_latency_s"}),
    "no latency": (with_figure(request_latency_s=None), {"predictions.request_latency_s"}),
    "a wrong TTFT of all": (with_figure(ttft_s=1.0), {"predictions.ttft_s"}),
}


@pytest.mark.parametrize("error", ROWS)
def test_planted_error_in_a_table(error: str, tmp_path: Path) -> None:
    plant, expected = ROWS[error]
    plan = table_plan(tmp_path, ("P", 2), ("D", 1))
    assert not failing(plan)
    assert failing(plant(plan)) == expected


def test_a_wrong_role(tmp_path: Path) -> None:
    plan = table_plan(tmp_path, ("P", 2), ("D", 1))
    assert {"row.role", "roles", "feeds.none"} <= failing(with_engine(DECODE, role="aggregated")(plan))


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"requirements": {"ttft": 0.11}}, set()),
        ({"requirements": {"ttft": 0.11 * (1 - 1e-9)}}, {"requirements.ttft"}),  # strict: no tolerance
        ({"requirements": {"tpot": 0.024}}, {"requirements.tpot"}),
        ({"requirements": {"throughput": {"requests": 11}}}, {"requirements.throughput.requests"}),
        ({"requirements": {"throughput_per_gpu": {"requests": 2}}}, {"requirements.throughput_per_gpu.requests"}),
        ({"requirements": {"memory_per_gpu": 65e9}}, {"requirements.memory_per_gpu"}),
        ({"workload": {"request_rate": 11}}, {"carries_rate"}),
        ({"modes": "aggregated"}, {"modes"}),
        ({"hardware": {"gpus": 15}}, {"gpus.range", "gpus.stock"}),
        ({"distinct_strategies": 1}, {"distinct_strategies"}),
    ],
)
def test_a_condition_of_a_table_that_is_not_met(more: dict[str, Any], names: set[str], tmp_path: Path) -> None:
    if "gpus" in more.get("hardware", {}):
        plan = table_plan(tmp_path, ("P", 2), ("D", 1), ("E", 1))
        hardware = plan.scenario.hardware.model_copy(update={"gpus": 11})
        scene = plan.scenario.model_copy(update={"hardware": hardware})
        assert failing(plan.model_copy(update={"scenario": scene, "gpus_idle": 0, "idle": ()})) >= names
        return
    assert failing(table_plan(tmp_path, ("P", 2), ("D", 1), ("E", 1), **more)) == names


def test_a_table_on_several_cards(tmp_path: Path) -> None:
    stocks = [{"accelerator": "a", "gpus": 4, "price_per_hour": 1.0}, {"accelerator": "b", "gpus": 9}]
    hardware = {"inventory": stocks, "gpus": None, "price_per_hour": 5.0}
    table = TABLE.replace(",5,,60", ",5,a,60").replace(",12,,70", ",12,b,70")
    plan = table_plan(tmp_path, ("P", 2), ("E", 1), hardware=hardware, table=table)
    assert not failing(plan)
    assert [entry.cost_per_hour for entry in plan.engines] == [2.0, 20.0]
    assert plan.idle == (Idle(accelerator="b", gpus=5),)
    Path(plan.scenario.engines.table).unlink()
    assert failing(plan) == {"table"}


def test_only_rows_of_the_card(tmp_path: Path) -> None:
    table = TABLE.replace(",5,,60", ",5,a,60")
    assert not failing(table_plan(tmp_path, ("P", 1), ("D", 1), hardware={"accelerator": "a"}, table=table))
    found = failing(table_plan(tmp_path, ("P", 1), ("D", 1), hardware={"accelerator": "b"}, table=table))
    assert found == {"row.card"}
