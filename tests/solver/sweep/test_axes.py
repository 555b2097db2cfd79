"""Axes and points against hand-counted cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shardwise.models import InputError, ScenarioFile
from shardwise.solver.sweep.axes import Axis, axis_of
from shardwise.solver.sweep.checks import checked
from shardwise.solver.sweep.exclusions import exclusions_of
from shardwise.solver.sweep.factors import edits_of
from shardwise.solver.sweep.points import Sweep
from shardwise.solver.sweep.sweep_file import read_sweep

SCENARIOS = Path(__file__).parents[3] / "scenarios"
BASE = ScenarioFile.read(SCENARIOS / "llama-3.1-8b-h100-1.yaml")
QWEN = {"model": "qwen3-8b"}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("hardware.gpus=8,16,32", (8, 16, 32)),
        ("hardware.gpus=8:64:8", (8, 16, 24, 32, 40, 48, 56, 64)),
        ("hardware.gpus=3:5", (3, 4, 5)),
        ("workload.concurrency=1:256:x2", (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        ("workload.concurrency=1:10:x1.5", (1, 2, 3, 5, 8)),
        ("requirements.ttft=200 ms, 1 s", ("200 ms", "1 s")),
        ("model=llama-3.1-70b,qwen3-32b", ("llama-3.1-70b", "qwen3-32b")),
        ("workload.input_tokens={min: 1, max: 9},{min: 2, max: 4}", ({"min": 1, "max": 9}, {"min": 2, "max": 4})),
        ("objective=[latency, cost],throughput", (["latency", "cost"], "throughput")),
        ("requirements.tpot=null,20 ms", (None, "20 ms")),
        ("efficiency.mfu=x0.8,x1,x1.2", ("x0.8", "x1", "x1.2")),
        ("efficiency.mfu=0.1:0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("hardware.gpus=64:8:-8", (64, 56, 48, 40, 32, 24, 16, 8)),
        ("hardware.gpus=64:8:8", (64, 56, 48, 40, 32, 24, 16, 8)),
        ("hardware.gpus=5:3", (5, 4, 3)),
        ("hardware.gpus=8:1:x2", (8, 4, 2, 1)),
        ("workload.routing.skew=0.5:2:x2", (0.5, 1.0, 2.0)),
    ],
)
def test_values(text: str, values: tuple[Any, ...]) -> None:
    assert axis_of(text, BASE.scenario) == Axis(text.split("=")[0], values)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hardware.gpus", "names no values"),
        ("=3", "names no values"),
        ("hardware.gpus=", "names no values"),
        ("hardware.gpus=8,,9", "empty value"),
        ("hardware.gpus=8,8", "twice"),
        ("hardware.gpus=8,8.0", "twice"),
        ("efficiency.mfu=x1,x1.0", "twice"),
        ("hardware.gpus=3:9:-1", "is no range"),
        ("hardware.gpus=3:9:0", "is no range"),
        ("efficiency.mfu=0.1:0.5", "is no range"),
        ("hardware.gpus=8:2:x-2", "is no range"),
        ("workload.concurrency=x0.001", "less than one"),
        ("efficiency.mfu=x1000000000000", "take smaller factors"),
        ("hardware.gpus=1:9:x1", "is no range"),
        ("hardware.gpus=0:9:x2", "is no range"),
        ("hardware.gpus=1:10000000:1", "10,000,000 values"),
        ("model.name=x2", "no number there"),
        ("efficiency.nothing=x2", "no number there"),
    ],
)
def test_bad_axes(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        axis_of(text, BASE.scenario)


def test_a_grid_is_every_combination_last_axis_fastest() -> None:
    axes = (axis_of("hardware.gpus=1,2", BASE.scenario), axis_of("workload.concurrency=4,8,16", BASE.scenario))
    points = list(Sweep(BASE, axes).points())
    assert [tuple(point.changes.values()) for point in points] == [(1, 4), (1, 8), (1, 16), (2, 4), (2, 8), (2, 16)]
    assert len({point.key for point in points}) == 6


def test_exclusions_and_lists() -> None:
    axes = (axis_of("hardware.gpus=1,2,4", BASE.scenario), axis_of("workload.concurrency=4,8", BASE.scenario))
    excluded, listed = ({"hardware.gpus": [1, 2], "workload.concurrency": 8}, {"hardware.gpus": 4}), (QWEN,)
    sweep = Sweep(BASE, axes, listed, exclusions_of(excluded, axes, listed))
    left = [dict(point.changes) for point in sweep.points()]
    assert left == [
        {"hardware.gpus": 1, "workload.concurrency": 4},
        {"hardware.gpus": 2, "workload.concurrency": 4},
        {"model": "qwen3-8b"},
    ]


def test_more_points_than_anybody_wants() -> None:
    axes = tuple(axis_of(f"workload.{name}=1:2000:1", BASE.scenario) for name in ("concurrency", "output_tokens"))
    with pytest.raises(InputError, match="4,000,000 scenarios"):
        next(Sweep(BASE, axes).points())


def test_a_key_is_of_the_content() -> None:
    """The same scenario written otherwise, or under another name, is the same one."""
    one = next(iter(Sweep(BASE, (axis_of("workload.concurrency=64", BASE.scenario),)).points())).key
    assert one == next(iter(Sweep(BASE, listed=({"workload.concurrency": 64},)).points())).key
    assert one == next(iter(Sweep(BASE, listed=({"workload.concurrency": 64, "name": "other"},)).points())).key
    assert one != next(iter(Sweep(BASE, listed=({"workload.concurrency": 65},)).points())).key


def test_a_factor_is_of_the_base_value() -> None:
    """`mfu` given alone would set the experts' and attention's share too: a factor goes for each of them."""
    changed = BASE.edited(edits_of({"efficiency.mfu": "x0.5"}, BASE.scenario)).efficiency
    own = BASE.scenario.efficiency
    assert (changed.mfu, changed.expert_mfu, changed.attention_mfu) == pytest.approx(
        (own.mfu / 2, own.expert_mfu / 2, own.attention_mfu / 2)
    )
    same = BASE.edited(edits_of({"efficiency.bandwidth": "x1"}, BASE.scenario))
    assert same.efficiency == own
    card = BASE.edited(edits_of({"hardware.accelerator.memory_bandwidth": "x1.2"}, BASE.scenario)).hardware.accelerator
    assert card.memory_bandwidth == pytest.approx(1.2 * BASE.scenario.hardware.accelerator.memory_bandwidth)
    startup = BASE.edited(edits_of({"latencies.startup": "x2"}, BASE.scenario)).latencies.startup
    assert startup == pytest.approx(2 * BASE.scenario.latencies.startup)


def test_a_factor_of_a_count_is_whole() -> None:
    """64 requests and 1,000 tokens in the base."""
    own = BASE.scenario.workload
    for factor, times in (("x2", 2), ("x0.5", 0.5), ("x1.0", 1)):
        changed = BASE.edited(
            edits_of({"workload.concurrency": factor, "workload.output_tokens": factor}, BASE.scenario)
        ).workload
        assert own.concurrency is not None
        assert changed.concurrency == own.concurrency * times
        assert changed.output_tokens.max == own.output_tokens.max * times
    assert BASE.edited(edits_of({"hardware.gpus": "x2"}, BASE.scenario)).hardware.gpu_range.max == 2


def test_an_unknown_key_is_told_before_anything_runs() -> None:
    with pytest.raises(InputError, match=r"hardware\.gpuz"):
        checked(Sweep(BASE, (axis_of("hardware.gpuz=1,2", BASE.scenario),)))


def test_a_sweep_file(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text((SCENARIOS / "llama-3.1-8b-h100-1.yaml").read_text(encoding="utf-8"))
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "base: base.yaml\nvary: {hardware.gpus: [1, 2], workload.concurrency: '4:16:x2'}\n"
        "list: [{model: qwen3-8b}]\nexclude: [{hardware.gpus: 2, workload.concurrency: [8, 16]}]\nsave: here\n",
        encoding="utf-8",
    )
    sweep, folder = read_sweep(file, ["objective=latency,throughput"], [])
    assert folder == tmp_path / "here"
    assert len(list(sweep.points())) == 2 * 3 * 2 - 2 * 2 + 1


@pytest.mark.parametrize("text", ["base: nowhere.yaml\n", "base: base.yaml\nvaries: {}\n", "base: 3\n"])
def test_bad_sweep_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "base.yaml").write_text((SCENARIOS / "llama-3.1-8b-h100-1.yaml").read_text(encoding="utf-8"))
    (tmp_path / "sweep.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        read_sweep(tmp_path / "sweep.yaml", [], [])
