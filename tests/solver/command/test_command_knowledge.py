"""Knowledge, other readings and the frontier as whole processes."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from command_runs import shardwise
from shardwise.models import Plan
from shardwise.solver.verify import verify

QWEN = "scenarios/qwen3-235b-h200-64.yaml"
LLAMA = "scenarios/llama-3.1-70b-h100-8.yaml"
FOLDER = "scenarios/knowledge"


def test_solve_with_a_folder_and_a_file(desk: Path) -> None:
    (desk / "more.yaml").write_text("latencies: {startup: 10 ms}\n")
    result = shardwise("solve", LLAMA, "--knowledge", FOLDER, "--knowledge", "more.yaml", cwd=desk)
    assert result.code == 0, result.err
    shutil.rmtree(desk / FOLDER)
    plan = Plan.model_validate_json((desk / "plans/plan.json").read_text())
    assert verify(plan).ok  # without the knowledge
    assert plan.scenario.knowledge == {
        "links.network": "cluster.yaml",
        "efficiency.link": "cluster.yaml",
        "latencies.startup": "more.yaml",
        "reserves.multi_gpu": "cluster.yaml",
        "rules.tensor-inside-node": "rules.yaml",
        "rules.shallow-decode": "rules.yaml",
    }
    figures = {figure.name: (figure.value, figure.source) for figure in plan.provenance}
    assert figures["efficiency.link"] == ("0.6", "knowledge: cluster.yaml")
    assert figures["latencies.startup"] == ("10 ms", "knowledge: more.yaml")
    assert {check.name for check in plan.checks if check.name.startswith("rules.")} == {
        "rules.tensor-inside-node",
        "rules.shallow-decode",
    }


def test_evaluate_and_check_know_it_too(desk: Path) -> None:
    checked = shardwise("check", QWEN, "--knowledge", FOLDER, cwd=desk)
    assert checked.code == 0 and "126 GB usable per GPU" in checked.err  # 90 % of 140 GB
    deep = ("--tp", "4", "--pp", "4", "--etp", "4")
    result = shardwise("evaluate", QWEN, *deep, "--knowledge", FOLDER, cwd=desk)
    assert result.code == 3 and "rules.shallow-decode" in json.loads(result.out)["broken"]


@pytest.mark.parametrize(
    ("text", "said"), [("efficiency:\n  mfu: 3 s\n", "knowledge.yaml:2:8"), (None, "no such file")]
)
def test_bad_knowledge_writes_nothing(desk: Path, text: str | None, said: str) -> None:
    if text is not None:
        (desk / "knowledge.yaml").write_text(text)
    result = shardwise("solve", LLAMA, "--knowledge", "knowledge.yaml", cwd=desk)
    assert result.code == 1 and said in result.err and "knowledge.yaml" in result.err
    assert result.out == "" and "Traceback" not in result.err and not (desk / "plans").exists()


@pytest.mark.parametrize(
    ("file", "code", "here"),
    [
        ("source-document.md", 3, "no plan exists; one does"),
        ("source-document-64-from-shapes.yaml", 0, "a plan exists"),
    ],
)
def test_a_verdict_that_hangs_on_a_reading_comes_first(desk: Path, file: str, code: int, here: str) -> None:
    result = shardwise("solve", f"scenarios/{file}", cwd=desk)
    first, *_ = result.err.splitlines()
    assert result.code == code
    assert first.startswith(f"warning: The verdict depends on how the conditions are read: here {here}")
    depends = json.loads(result.out)["verdict_depends_on"]
    assert depends and all(reading in first for reading in depends)


def test_pareto_files_and_many_alternatives(desk: Path) -> None:
    result = shardwise("solve", LLAMA, "--pareto", "--alternatives", "10", cwd=desk)
    summary = json.loads(result.out)
    assert result.code == 0 and "verdict_depends_on" not in summary
    assert (summary["pareto"], summary["pareto_csv"]) == ("plans/pareto.json", "plans/pareto.csv")
    points = [Plan.model_validate(point) for point in json.loads((desk / "plans/pareto.json").read_text())["points"]]
    assert len(points) > 1 and all(verify(plan).ok for plan in points)
    rows = list(csv.DictReader((desk / "plans/pareto.csv").read_text().splitlines()))
    for row, plan in zip(rows, points, strict=True):
        predicted = plan.predictions
        assert predicted is not None
        assert float(row["request_latency_s"]) == predicted.request_latency_s
        assert float(row["tokens_per_s_per_gpu"]) == predicted.tokens_per_s_per_gpu
        assert float(row["tokens_per_s"]) == predicted.output_tokens_per_s
        assert (row["strategy"], int(row["gpus_used"])) == (plan.engines[0].strategy.describe(), plan.gpus_used)
    plan = Plan.model_validate_json((desk / "plans/plan.json").read_text())
    degrees = [tuple(other.strategy.model_dump().values())[:6] for other in plan.alternatives]
    assert 3 < len(degrees) <= 10 and len(set(degrees)) == len(degrees)


def test_no_plan_no_pareto_files(desk: Path) -> None:
    result = shardwise("solve", "scenarios/source-document-64-declared.yaml", "--pareto", cwd=desk)
    assert result.code == 3 and "pareto" not in json.loads(result.out)
    assert sorted(path.name for path in (desk / "plans").iterdir()) == ["explanation.json", "explanation.md"]


def test_no_alternatives(desk: Path) -> None:
    assert shardwise("solve", LLAMA, "--alternatives", "0", cwd=desk).code == 0
    assert Plan.model_validate_json((desk / "plans/plan.json").read_text()).alternatives == ()
    assert sorted(path.name for path in (desk / "plans").iterdir()) == ["plan.json", "plan.md"]
