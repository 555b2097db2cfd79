"""What is told of a sweep before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from shardwise.models import InputError, ScenarioFile
from shardwise.solver.sweep.axes import axis_of
from shardwise.solver.sweep.checks import checked
from shardwise.solver.sweep.exclusions import exclusions_of
from shardwise.solver.sweep.points import Sweep
from shardwise.solver.sweep.sweep_file import read_sweep

SCENARIOS = Path(__file__).parents[3] / "scenarios"
BASE = ScenarioFile.read(SCENARIOS / "llama-3.1-8b-h100-1.yaml")


def swept(*axes: str, listed: tuple[Mapping[str, Any], ...] = ()) -> Sweep:
    return Sweep(BASE, tuple(axis_of(text, BASE.scenario) for text in axes), listed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hardware.accelerator=h100-sxm", "hardware.accelerator.memory=90 GB"),
        ("hardware.gpus=1,2", "hardware.gpus.max=4"),
        ("hardware.gpus=1,2", "hardware={accelerator: h100-sxm, gpus: 4}"),
        ("efficiency.kv_bandwidth=0.5", "efficiency.bandwidth=x0.8,x1"),
        ("efficiency.mfu=x1,x2", "efficiency.attention_mfu=x1,x2"),
    ],
)
def test_keys_that_set_the_same_thing(one: str, other: str) -> None:
    for axes in ((one, other), (other, one)):
        with pytest.raises(InputError, match="cannot both be varied") as told:
            checked(swept(*axes))
        assert all(text.partition("=")[0] in told.value.message for text in axes)
    point = {"hardware.gpus": 1, "hardware.gpus.max": 2}
    with pytest.raises(InputError, match="cannot both be varied"):
        checked(swept(listed=(point,)))


def test_keys_that_do_not() -> None:
    checked(swept("efficiency.kv_bandwidth=0.5", "efficiency.bandwidth=0.7,0.8"))
    checked(swept("hardware.gpus.min=1", "hardware.gpus.max=4"))
    checked(swept(listed=({"hardware.gpus": 1}, {"hardware.gpus.max": 2})))
    checked(swept("workload.batch=8", "workload.concurrency=null"))  # only together do they make a scenario


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        (({"hardware.gpus": 1}, {"hardware.gpuz": 1}), "gpuz"),
        (({"hardware.gpus": 1}, {"hardware.gpus": {"most": 2}}), "most"),
        (({"model": "qwen3-8b"}, {"model": "x2"}), "no number there to multiply"),
        (({"objective": "x2"},), "no number there to multiply"),
        (({"hardware.price_per_hour": "x2"},), "no number there to multiply"),
        (({"hardware.gpus.max.most": 3},), "'most' cannot be changed in it"),
    ],
)
def test_a_mistake_in_a_later_entry(listed: tuple[Mapping[str, Any], ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        checked(swept(listed=listed))


def test_a_misspelt_key_in_a_later_value() -> None:
    with pytest.raises(InputError, match="memroy"):
        checked(swept("hardware.accelerator=h100-sxm,h200-sxm,{memory: 64 GB, memroy: 3}"))


GRID = ("hardware.gpus=1:8:x2", "workload.concurrency=8:64:8")


@pytest.mark.parametrize(
    ("excluded", "says"),
    [
        ({}, "names no key"),
        ({"hardware.gpuz": 1}, "is not varied"),
        ({"model": "qwen3-8b"}, "is not varied"),
        ({"hardware.gpus": 3}, "no point has hardware.gpus 3"),
        ({"hardware.gpus": True}, "no point has hardware.gpus True"),
        ({"hardware.gpus": "9:16:1"}, "no point has"),
        ({"hardware.gpus": 1, "workload.output_tokens": 7}, "matches no point"),
    ],
)
def test_exclusions_that_leave_out_nothing_or_everything(excluded: Mapping[str, Any], says: str) -> None:
    sweep = swept(*GRID, listed=({"workload.output_tokens": 7},))
    with pytest.raises(InputError, match=says):
        exclusions_of((excluded,), sweep.axes, sweep.listed)


@pytest.mark.parametrize(
    ("excluded", "left"),
    [
        ({"hardware.gpus": "1:8:x2"}, 0),
        ({"hardware.gpus": "4,8"}, 2 * 8),
        ({"hardware.gpus": [2.0]}, 3 * 8),
        ({"workload.concurrency": "8:32:8", "hardware.gpus": [1, "2:4:1"]}, 4 * 8 - 3 * 4),
    ],
)
def test_exclusions_are_written_as_axes_are(excluded: Mapping[str, Any], left: int) -> None:
    axes = swept(*GRID).axes
    sweep = Sweep(BASE, axes, (), exclusions_of((excluded,), axes, ()))
    if left:
        assert len(list(sweep.points())) == left
    else:
        with pytest.raises(InputError, match="all 32 scenarios are excluded"):
            list(sweep.points())


def test_an_engine_table_is_refused_by_its_name() -> None:
    with pytest.raises(InputError, match="engine table cannot be swept yet"):
        read_sweep(SCENARIOS / "pools" / "llama-3.1-8b-l4-table.yaml", ["hardware.gpus=7,14"], [])
