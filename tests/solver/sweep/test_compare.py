"""What a comparison of plans and sweeps says of what was asked, with units, and of prices."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from shardwise.models import InputError
from shardwise.solver import deploy, solve
from shardwise.solver.report.asked import differences
from shardwise.solver.report.compare import compare_plans, compare_sweeps
from shardwise.solver.sweep.row import Row

from tests.builders import CHAT, DENSE, scenario


@pytest.mark.parametrize(
    ("key", "before", "after", "said"),
    [
        ("hardware.accelerator.memory", 85899345920.0, 151397597184.0, "85.9 GB → 151.4 GB"),
        ("hardware.accelerator.memory_bandwidth", 3.35e12, 4.8e12, "3.35 TB/s → 4.8 TB/s"),
        ("latencies.layer", 6.799999999999999e-06, 8e-6, "6.8 µs → 8 µs"),
        ("latencies.pace", 1.0, 1.25, "1 → 1.25"),
        ("efficiency.mfu", 0.79, 0.6000000001, "0.79 → 0.6"),
        ("hardware.accelerator.compute.fp8", 1.979e15, 9.9e14, "1979 TFLOPS → 990 TFLOPS"),
        ("reserves.multi_gpu", 2e9, None, "2 GB → none"),
        ("requirements.ttft", 2.0, 2.0000001, "2.0 → 2.0000001"),
        ("requirements.throughput", None, {"tokens": None, "output": 1e4}, "none → output 10,000 tokens/s"),
        ("hardware.node_link", {"bandwidth": 4.5e11, "latency": 2e-6}, None, "bandwidth 450 GB/s, latency 2 µs → none"),
        ("workload.concurrency", 1, 4096, "1 → 4,096"),
        ("objective", "latency", ["cost", "latency"], "latency → cost, latency"),
        ("hardware.use_all_gpus", False, True, "False → True"),
    ],
)
def test_units(key: str, before: Any, after: Any, said: str) -> None:
    *path, last = key.split(".")
    old, new = {last: before}, {last: after}
    for step in reversed(path):
        old, new = {step: old}, {step: new}
    assert list(differences(old, new)) == [f"{key}: {said}"]


def test_into_an_inventory() -> None:
    old, new = ([{"gpus": 8, "price_per_hour": 2.0}, {"gpus": 4, "price_per_hour": price}] for price in (1.0, 1.5))
    told = list(differences({"hardware": {"inventory": old}}, {"hardware": {"inventory": new}}))
    assert told == ["hardware.inventory[1].price_per_hour: 1 → 1.5"]


def test_plans_that_differ_in_the_price() -> None:
    told = compare_plans(*(deploy(scenario(DENSE, CHAT, modes=["any"], hardware=priced(p))) for p in (2.0, 3.0)))
    assert "hardware.price_per_hour: 2 → 3" in told
    assert "cost per hour: " in told and "(+50.0%)" in told


def priced(price: float) -> dict[str, Any]:
    return {"accelerator": "h100-sxm", "gpus": 8, "price_per_hour": price}


def rows(price: float) -> Iterator[Row]:
    for gpus in (2, 4):
        hardware = {"gpus": 8, "price_per_hour": price}
        plan = {"scenario": {"hardware": hardware}, "predictions": {"ttft_s": 1.0}, "gpus_used": gpus}
        answer = zlib.compress(json.dumps(plan).encode())
        yield Row(f"{gpus}", "optimal", {"gpus": gpus}, "TP2", 1, gpus_used=gpus, answer=answer)


def test_sweeps_that_differ_in_the_price() -> None:
    told = compare_sweeps(rows(2.0), rows(3.0))
    assert "  what was asked\n    hardware.price_per_hour: 2 → 3\n" in told
    assert "  another strategy: 0 of 2\n  cost per hour: +50.0% median, +50.0% to +50.0%" in told
    assert "  what was asked: the same conditions" in compare_sweeps(rows(2.0), rows(2.0))


def test_sweeps_without_common_points() -> None:
    one, other, elsewhere = (Row("k", "optimal", changes) for changes in ({"a": 1}, {"a": 2}, {"b": 1}))
    with pytest.raises(InputError, match="no scenario in common") as refused:
        compare_sweeps([one], [other])
    assert refused.value.help == "both vary a, at other values: sweep one of them at the values of the other"
    with pytest.raises(InputError) as refused:
        compare_sweeps([one], [elsewhere])
    assert refused.value.help is not None and "the first varies a, the second b" in refused.value.help
    with pytest.raises(InputError) as refused:
        compare_sweeps([one], [])
    assert refused.value.help is not None and "sweep first" in refused.value.help


def test_plans_have_units() -> None:
    told = compare_plans(*(solve(scenario(DENSE, CHAT, latencies={"layer": f"{n} us"})) for n in (5, 50)))
    assert "latencies.layer: 5 µs → 50 µs" in told
    assert " ms → " in told or " µs → " in told
    assert "tokens per GPU: " in told and " tokens/s → " in told
