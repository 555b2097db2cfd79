"""`--margin`: every kind of requirement is tightened in its direction, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shardwise.models import InputError, Requirements, Scenario, ScenarioFile
from shardwise.models.conditions_file import read_conditions, tightened
from shardwise.models.edit import Edit
from shardwise.models.requirements import tightened as stricter
from shardwise.models.requirements import with_margin
from shardwise.models.table_scenario import TableScenario
from shardwise.solver.command.options import share

LIMITS: dict[str, Any] = {
    "ttft": 2.0,
    "tpot": 0.05,
    "request_latency": 30.0,
    "throughput": {"output": 1000.0, "requests": 5.0},
    "throughput_per_gpu": {"tokens": 100.0},
    "memory_per_gpu": 80e9,
}
FILE = """\
hardware: {accelerator: h100-sxm, gpus: 8}
model: llama-3.1-8b
workload: {concurrency: 16, input_tokens: 1000, output_tokens: 200}
requirements: {ttft: 2 s, throughput: 100 tokens/s}
"""


def test_times_shrink_and_rates_grow() -> None:
    found = stricter(Requirements.model_validate(LIMITS), 0.25)
    assert (found.ttft, found.tpot, found.request_latency) == pytest.approx((1.6, 0.04, 24.0))
    assert found.throughput is not None and found.throughput_per_gpu is not None
    assert (found.throughput.output, found.throughput.requests) == pytest.approx((1250.0, 6.25))
    assert found.throughput.input is None and found.throughput_per_gpu.tokens == pytest.approx(125.0)
    assert found.memory_per_gpu == 80e9 and found.ttft_at == "p95" and found.tightened_by == pytest.approx(0.25)


def test_a_hundred_per_cent_halves_times_and_doubles_rates() -> None:
    found = stricter(Requirements.model_validate(LIMITS), 1.0)
    assert found.ttft == 1.0 and found.throughput is not None and found.throughput.output == 2000.0


def test_nothing_and_nothing_to_tighten() -> None:
    limits = Requirements.model_validate(LIMITS)
    assert stricter(limits, 0.0) == limits
    assert stricter(Requirements(), 0.1) == Requirements(tightened_by=0.1)


def test_margins_add_up() -> None:
    twice = stricter(stricter(Requirements.model_validate(LIMITS), 0.1), 0.2)
    assert twice.ttft == pytest.approx(2 / 1.32) and twice.tightened_by == pytest.approx(0.32)


def arriving(rate: Any, **limits: Any) -> Scenario:
    work = {"request_rate": rate, "input_tokens": 1000, "output_tokens": 200}
    data = {"hardware": {"accelerator": "h100-sxm", "gpus": 8}, "model": "llama-3.1-8b", "workload": work}
    return Scenario.model_validate({**data, "requirements": limits})


@pytest.mark.parametrize(
    ("limits", "rate", "floor"),
    [
        ({}, 8.0, 8.8),
        ({"throughput": {"requests": 10.0}}, 8.0, 11.0),
        ({"throughput": {"requests": 4.0}}, 8.0, 8.8),
        ({"throughput": {"output": 100.0}}, 8.0, 8.8),
        ({}, "max", None),
    ],
)
def test_a_rate_that_arrives_is_to_be_carried_with_a_margin(
    limits: dict[str, Any], rate: Any, floor: float | None
) -> None:
    """The load itself stays, and with it the waits."""
    found = with_margin(arriving(rate, **limits), 0.1)
    wanted = found.requirements.throughput
    assert found.workload.request_rate == rate
    assert (wanted.requests if wanted else None) == (None if floor is None else pytest.approx(floor))
    if "output" in limits.get("throughput", {}):
        assert wanted is not None and wanted.output == pytest.approx(110.0)


def test_without_a_margin_a_rate_adds_no_requirement() -> None:
    assert with_margin(arriving(8.0), 0.0).requirements.throughput is None


def test_scenarios_over_a_table() -> None:
    data = {"engines": {"table": "x.csv"}, "hardware": {}, "workload": {"request_rate": 8.0}}
    found = with_margin(TableScenario.model_validate({**data, "requirements": {"ttft": 1.1, "tpot": 0.022}}), 0.1)
    assert (found.requirements.ttft, found.requirements.tpot) == pytest.approx((1.0, 0.02))
    assert found.requirements.throughput is not None
    assert found.requirements.throughput.requests == pytest.approx(8.8)
    assert found.requirements.tightened_by == pytest.approx(0.1)


def test_a_changed_file_keeps_the_margin(tmp_path: Path) -> None:
    """Repairs are edits of the file; what they make is planned with the same margin, and written without it."""
    path = tmp_path / "scenario.yaml"
    path.write_text(FILE)
    file = tightened(read_conditions(path), 0.25)
    assert isinstance(file, ScenarioFile)
    assert file.scenario.requirements.ttft == pytest.approx(1.6)
    edit = Edit(key="requirements.ttft", before="2 s", after="4 s")
    assert file.edited([edit]).requirements.ttft == pytest.approx(3.2)
    assert "ttft: 4 s" in file.text([edit], tmp_path)


@pytest.mark.parametrize(("text", "value"), [("10%", 0.1), ("10 %", 0.1), ("0.1", 0.1), ("0%", 0), ("100%", 1.0)])
def test_shares(text: str, value: float) -> None:
    assert share("--margin", text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["10", "1", "1001%", "-5%", "nan", "inf", "foo", "", "10 s", "1,5%", "²"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(InputError, match="--margin: "):
        share("--margin", text)
