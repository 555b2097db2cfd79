"""Edits drawn at random on every shipped scenario, as YAML, Markdown and JSON, with and without knowledge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from shardwise.models import InputError, Scenario, ScenarioFile
from shardwise.models.edit import Edit
from shardwise.models.reading.tree import read_text_tree

SCENARIOS = Path(__file__).parents[2] / "scenarios"
FILES = sorted([*SCENARIOS.glob("*.yaml"), *SCENARIOS.glob("*.md")])
DURATIONS: list[Any] = ["1 s", "250 ms", "1e1 s", None]
BOUNDS: list[Any] = [2, {"max": 8}, {"min": 2, "max": 4}, [1, 2, 4], None]
VALUES: dict[str, list[Any]] = {
    "requirements.ttft": DURATIONS,
    "requirements.tpot": DURATIONS,
    "requirements.request_latency": DURATIONS,
    "requirements.throughput": ["5 tokens/s", {"output": "3 tokens/s"}, None],
    "requirements.throughput_per_gpu.tokens": ["5 tokens/s", None],
    "requirements.throughput_per_gpu.requests": ["5 requests/s", None],
    "hardware.gpus": [4, 128, {"min": 2, "max": 9}, None],
    "hardware.gpus.max": [64, 512, None],
    "hardware.use_all_gpus": [True, False, None],
    "hardware.memory_utilization": ["95 %", 0.8, None],
    "hardware.accelerator.memory": ["300 GB", "160 GiB"],
    "hardware.accelerator.node_link.bandwidth": ["77 GB/s"],
    "hardware.network_link": [{"bandwidth": "100 GB/s", "latency": "5 us"}, None],
    "engine": ["vllm", "sglang", "trtllm", "generic", None],
    "objective": ["latency", ["throughput", "latency"], None],
    "workload.input_tokens": [100, {"min": 10, "max": 200}],
    "workload.output_tokens": [50, None],
    "waive": [["tensor-inside-node"], None],
    **{f"strategy.{name}": BOUNDS for name in ("tensor", "pipeline", "expert", "engines", "batch")},
    **{f"strategy.{name}.max": [4, 8, None] for name in ("tensor", "pipeline")},
}
CHANGES = [(key, value) for key, values in VALUES.items() for value in values]
EDITS = st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4, unique_by=lambda change: change[0])


@cache
def original(path: Path, known: bool) -> ScenarioFile:
    return ScenarioFile.read(path, [SCENARIOS / "knowledge"] if known else ())


def changed(file: ScenarioFile, edits: Sequence[Edit], folder: Path) -> tuple[str, Scenario]:
    """The text, and what it is read as. A combination of values that no scenario may have is left aside."""
    try:
        meant = file.edited(edits)
    except InputError:
        assume(False)
    text = file.text(edits, folder)
    target = folder / f"{meant.name}{file.suffixes[0]}"
    target.write_text(text, encoding="utf-8")
    found = ScenarioFile.read(target, file.knowledge).scenario
    assert found == meant
    return text, found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.sampled_from(FILES), st.booleans(), EDITS)
def test_what_is_written_is_read_as_meant_and_the_rest_stays(path: Path, known: bool, changes: list[Any]) -> None:
    edits = [Edit(key=key, after=value) for key, value in changes]
    with TemporaryDirectory() as folder:
        text, _ = changed(original(path, known), edits, Path(folder))
    if path.suffix == ".yaml":
        touched = {edit.key.split(".")[0] for edit in edits}
        source = path.read_text(encoding="utf-8")
        new = iter(text.splitlines())
        gone = [line for line in untouched(source, touched) if line not in new]
        assert gone == []


def untouched(source: str, touched: set[str]) -> list[str]:
    """Lines of other sections, and all comments at the margin."""
    starts = {line: str(path[0]) for path, (line, _) in read_text_tree(source).keys.items() if len(path) == 1}
    kept, section = [], ""
    for number, line in enumerate(source.splitlines(), start=1):
        section = starts.get(number, section)
        if section not in touched or line.startswith("#"):
            kept.append(line)
    return kept


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.sampled_from([path for path in FILES if path.suffix == ".yaml"]), EDITS, st.sampled_from(["\t", 2, None]))
def test_json_is_read_as_meant(path: Path, changes: list[Any], indent: str | int | None) -> None:
    with TemporaryDirectory() as folder:
        source = Path(folder) / "source.json"
        data = {**original(path, False).tree.data, "name": "Größe 模型"}
        source.write_text(json.dumps(data, indent=indent), encoding="utf-8")
        edits = [Edit(key=key, after=value) for key, value in changes]
        (Path(folder) / "other").mkdir()
        text, _ = changed(ScenarioFile.read(source), edits, Path(folder) / "other")
        assert json.loads(text)["name"] == data["name"]
