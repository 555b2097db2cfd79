"""The other commands as whole processes."""

import json
from pathlib import Path

import pytest
from command_runs import shardwise
from shardwise.models import Evaluation

SOURCE = "scenarios/source-document-64-from-shapes.yaml"
THEIRS = ("--tensor", "4", "--data", "16", "--expert", "16", "--expert-tensor", "4", "--engines", "1")


def test_check_prints_one_object(desk: Path) -> None:
    result = shardwise("check", SOURCE, cwd=desk)
    assert result.code == 0 and json.loads(result.out) == {"status": "valid", "scenario": SOURCE}


def test_the_source_documents_strategy_is_priced_and_beaten(desk: Path) -> None:
    """EP 16 × TP 4 × PP 1 on 64 GPUs, as the document writes it, against ours on the same conditions."""
    result = shardwise("evaluate", SOURCE, *THEIRS, cwd=desk)
    theirs = Evaluation.model_validate_json(result.out)
    assert result.code == 3 and theirs.gpus_used == 64
    assert theirs.broken == ("requirements.throughput_per_gpu.tokens",)
    ours = json.loads(shardwise("solve", SOURCE, cwd=desk).out)
    assert ours["tokens_per_s_per_gpu"] > 1.5 * theirs.predictions.tokens_per_s_per_gpu
    assert ours["ttft_s"] < theirs.predictions.ttft_s


def test_evaluate_agrees_with_solve(desk: Path) -> None:
    scenario = "scenarios/qwen3-235b-h200-64.yaml"
    solved = json.loads(shardwise("solve", scenario, cwd=desk).out)
    plan = json.loads((desk / "plans/plan.json").read_text())
    strategy = plan["engines"][0]["strategy"]
    given = [
        f"--{name.replace('_', '-')}={strategy[name]}"
        for name in ("tensor", "data", "pipeline", "expert", "expert_tensor")
    ]
    result = shardwise("evaluate", scenario, *given, f"--engines={plan['engines'][0]['count']}", cwd=desk)
    assert result.code == 0
    assert json.loads(result.out)["predictions"]["tpot_s"] == solved["tpot_s"]


def test_evaluate_says_what_is_impossible(desk: Path) -> None:
    result = shardwise("evaluate", SOURCE, "--tensor", "3", "--expert", "3", cwd=desk)
    found = json.loads(result.out)
    assert result.code == 3 and found["predictions"] is None
    assert {"heads.divisible", "experts.divisible"} <= set(found["broken"])


def test_evaluate_with_a_batch_that_cannot_arise(desk: Path) -> None:
    result = shardwise(
        "evaluate", "scenarios/qwen3-235b-h200-64.yaml", "--tp", "8", "--etp", "8", "--batch", "77", cwd=desk
    )
    assert result.code == 1 and "batch 77 cannot arise" in result.err and "help:" in result.err


def test_catalog(desk: Path) -> None:
    listed = json.loads(shardwise("catalog", "list", "--json", cwd=desk).out)
    assert "h200-sxm" in listed["accelerators"] and "deepseek-v3" in listed["language_models"]
    shown = json.loads(shardwise("catalog", "show", "llama-3.1-70b", "--json", cwd=desk).out)
    assert shown["kv_bytes_per_token"] == 327_680
    assert shown["parameters"] == 70_553_706_496  # as its published weights count
    assert "bandwidth: 450 GB/s" in shardwise("catalog", "show", "h100-sxm", cwd=desk).out
    unknown = shardwise("catalog", "show", "llama-3.1-7b", cwd=desk)
    assert unknown.code == 1 and "did you mean llama-3.1-70b" in unknown.err


@pytest.mark.parametrize("of", ["scenario", "plan", "evaluation"])
def test_schema(desk: Path, of: str) -> None:
    schema = json.loads(shardwise("schema", of, cwd=desk).out)
    assert schema["type"] == "object"
    undocumented = [
        f"{name}.{key}"
        for name, model in schema["$defs"].items()
        for key, field in model.get("properties", {}).items()
        if of == "scenario" and "description" not in field and "$ref" not in field
    ]
    assert undocumented == []


@pytest.mark.parametrize("arguments", [(), ("solve",), ("fly",), ("solve", "x.yaml", "--sav", "y")])
def test_usage_errors(desk: Path, arguments: tuple[str, ...]) -> None:
    assert shardwise(*arguments, cwd=desk).code == 2


def test_version(desk: Path) -> None:
    assert shardwise("--version", cwd=desk).out.startswith("shardwise ")
