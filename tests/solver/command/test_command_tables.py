"""`solve` with measured tables: what it says of tables that are wrong, and what a plan says of those that served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_runs import shardwise
from shardwise.models import Plan

from tests.solver.costs.silicon import made

SCENE = """
hardware: {accelerator: h100-sxm, gpus: 2}
model: llama-3.1-8b
workload: {concurrency: 8, input_tokens: 500, output_tokens: 50}
operator_times: {tables: tables}
"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A folder with a scenario and good tables."""
    made.write_card(tmp_path / "tables")
    (tmp_path / "scene.yaml").write_text(SCENE)
    return tmp_path


def test_a_plan_says_where_its_time_comes_from(scene: Path) -> None:
    result = shardwise("solve", "scene.yaml", "--save", "plans", cwd=scene)
    assert result.code == 0, result.err
    plan = Plan.model_validate_json((scene / "plans/plan.json").read_text())
    assert plan.scenario.operator_times.source == "measured"
    assert plan.passes and all(one.shares["interpolated"] > 0 for one in plan.passes)
    data = json.loads((scene / "plans/plan.json").read_text())
    assert [one["carries"] for one in data["passes"]] == ["decode", "prompt"]
    text = (scene / "plans/plan.md").read_text()
    assert "Where the time comes from" in text
    assert "operator_times" in text and f"folder {scene / 'tables'}" in text


BAD = {
    "bytes": (b"no Parquet", "not a readable .parquet"),
    "nothing": (b"", "not a readable .parquet"),
    "another table": (None, "columns are missing: m, n, k, gemm_dtype"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_table_that_cannot_be_read(scene: Path, kind: str) -> None:
    content, said = BAD[kind]
    file = made.place(scene / "tables", "gemm", "gemm")
    if content is None:
        made.write(file, made.reduces())
    else:
        file.write_bytes(content)
    result = shardwise("solve", "scene.yaml", "--save", "plans", cwd=scene)
    assert (result.code, result.out) == (1, "")
    assert said in result.err
    assert "gemm_perf.parquet" in result.err
    assert "help: " in result.err
    assert "Traceback" not in result.err


def test_no_such_folder(scene: Path) -> None:
    (scene / "scene.yaml").write_text(SCENE.replace("tables: tables", "tables: elsewhere"))
    result = shardwise("solve", "scene.yaml", "--save", "plans", cwd=scene)
    assert result.code == 1
    assert "no such folder of silicon tables" in result.err
    assert "--> scene.yaml:5" in result.err
    assert "Traceback" not in result.err
