"""Every scenario of the repository has a proved and verified answer, the same one in every run."""

from __future__ import annotations

from pathlib import Path

import pytest
from shardwise.models import Scenario, ScenarioFile
from shardwise.models.conditions_file import read_conditions
from shardwise.solver import deploy, solve

HERE = Path(__file__).parents[2] / "scenarios"
FILES = sorted(file for folder in (HERE, HERE / "pools") for file in folder.iterdir() if file.is_file())
TOO_SLOW = {"requirements.throughput_per_gpu.tokens"}
INFEASIBLE = {
    "source-document-64-declared": TOO_SLOW,
    "source-document": TOO_SLOW,
    "qwen3-235b-h200-64-impossible": {"gpus.available", "requirements.ttft", "requirements.tpot"},
    "deepseek-v3-h200-1024-impossible": {"gpus.available", "requirements.tpot"},
}


def asks_for_pools(file: Path) -> bool:
    conditions = read_conditions(file)
    return not isinstance(conditions, ScenarioFile) or conditions.scenario.pools


POOLS = [file for file in FILES if asks_for_pools(file)]
SINGLE = [file for file in FILES if file not in POOLS]


@pytest.mark.parametrize("file", POOLS, ids=[file.name for file in POOLS])
def test_deployment(file: Path) -> None:
    conditions = read_conditions(file)
    scene = conditions.scenario if isinstance(conditions, ScenarioFile) else conditions
    plan = deploy(scene)
    assert plan.status == "optimal"
    assert all(stage.value == stage.bound for stage in plan.proof.stages)
    assert all(check.ok for check in plan.checks)
    assert plan.verification is not None and plan.verification.ok
    assert plan.gpus_used + plan.gpus_idle == scene.hardware.gpu_range.max
    assert (plan.idle_reason is None) == (plan.gpus_idle == 0)


@pytest.mark.parametrize("file", SINGLE, ids=[file.name for file in SINGLE])
def test_scenario(file: Path) -> None:
    scene = Scenario.load(file)
    first, second = solve(scene), solve(scene)
    assert first.engines == second.engines
    if file.stem in INFEASIBLE:
        assert first.status == "infeasible"
        assert {id for conflict in first.conflicts for id in conflict.ids} == INFEASIBLE[file.stem]
        return
    assert first.status == "optimal"
    assert all(stage.value == stage.bound for stage in first.proof.stages)
    assert all(check.ok for check in first.checks)
    assert first.verification is not None and first.verification.ok
    assert first.gpus_used + first.gpus_idle == scene.hardware.gpu_range.max
    assert (first.idle_reason is None) == (first.gpus_idle == 0)


def test_there_are_scenarios() -> None:
    assert len(SINGLE) >= 10 and len(POOLS) >= 4 and set(INFEASIBLE) <= {file.stem for file in FILES}
