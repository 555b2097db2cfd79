"""`solve` as a whole process: what it prints, what it writes, how it ends."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
from command_runs import assert_snapshot, shardwise
from shardwise.models import Plan
from shardwise.solver.verify import verify

SMALL = "scenarios/llama-3.1-8b-h100-1.yaml"


def test_a_good_run(desk: Path) -> None:
    result = shardwise("solve", "scenarios/llama-3.1-70b-h100-8.yaml", "--save", "plans", cwd=desk)
    assert_snapshot("good", result)
    plan = Plan.model_validate_json((desk / "plans/plan.json").read_text())
    assert plan.status == "optimal" and plan.gpus_used == len(plan.placement) == 8
    assert verify(plan).ok  # the file alone is enough for the second route
    assert plan.proof.bound == pytest.approx(plan.predictions.output_tokens_per_s, rel=1e-5)


def test_a_bad_run_writes_nothing(desk: Path) -> None:
    text = (desk / SMALL).read_text().replace("accelerator", "acelerator")
    (desk / "bad.yaml").write_text(text)
    assert_snapshot("bad", shardwise("solve", "bad.yaml", "--save", "plans", cwd=desk))
    assert not (desk / "plans").exists()


def test_an_infeasible_run_names_the_condition(desk: Path) -> None:
    result = shardwise("solve", "scenarios/source-document-64-declared.yaml", "--save", "plans", cwd=desk)
    assert_snapshot("infeasible", result)
    assert sorted(path.name for path in (desk / "plans").iterdir()) == ["explanation.json", "explanation.md"]
    explanation = json.loads((desk / "plans/explanation.json").read_text())
    [conflict] = explanation["conflicts"]
    assert [member["id"] for member in conflict["members"]] == ["requirements.throughput_per_gpu.tokens"]


def test_a_page_of_no_plan_is_not_written(desk: Path) -> None:
    words = ("scenarios/source-document-64-declared.yaml", "--save", "plans", "--report", "--launch", "vllm")
    result = shardwise("solve", *words, cwd=desk)
    assert result.code == 3
    assert "report.html and launch: not written, for there is no proved plan" in result.err
    assert not (desk / "plans/report.html").exists()


def test_no_time_means_unknown_and_no_file(desk: Path) -> None:
    result = shardwise("solve", SMALL, "--save", "plans", "--time-limit", "1 ns", cwd=desk)
    assert (result.code, json.loads(result.out)["status"]) == (4, "unknown")
    assert list((desk / "plans").iterdir()) == []


@pytest.mark.parametrize("limit", ["soon", "5 parsec", "-1 s", "", "nan"])
def test_a_bad_time_limit(desk: Path, limit: str) -> None:
    result = shardwise("solve", SMALL, f"--time-limit={limit}", cwd=desk)
    assert result.code == 1 and "--time-limit" in result.err and "Traceback" not in result.err


def test_the_report_has_the_sections_of_a_plan(desk: Path) -> None:
    shardwise("solve", "scenarios/qwen3-235b-h200-64.yaml", "--save", "plans", cwd=desk)
    report = (desk / "plans/plan.md").read_text()
    for title in (
        "Hardware environment", "Model configuration", "Input data", "Performance requirements",
        "Recommended parallel strategy", "Why this strategy", "Expected performance", "Memory per GPU", "Load balance",
        "Rank layout", "Validation checklist", "Proof", "Assumptions", "Where the numbers come from",
    ):  # fmt: skip
        assert f"## {title}\n" in report
    assert re.search(r"\b(None|nan|inf)\b", report) is None


def test_a_save_folder_that_is_a_file(desk: Path) -> None:
    (desk / "plans").write_text("mine")
    result = shardwise("solve", SMALL, "--save", "plans", cwd=desk)
    assert result.code == 1 and "Traceback" not in result.err
    assert (desk / "plans").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_save_folder_without_permission(desk: Path) -> None:
    (desk / "plans").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    result = shardwise("solve", SMALL, "--save", "plans", cwd=desk)
    assert result.code == 1 and "Traceback" not in result.err


def test_links_at_the_file_names_are_replaced_not_followed(desk: Path) -> None:
    (desk / "plans").mkdir()
    (desk / "precious").write_text("mine")
    (desk / "plans/plan.json").symlink_to(desk / "precious")
    assert shardwise("solve", SMALL, "--save", "plans", cwd=desk).code == 0
    assert (desk / "precious").read_text() == "mine"
    assert not (desk / "plans/plan.json").is_symlink()
    assert [path.name for path in (desk / "plans").iterdir() if path.name.startswith(".")] == []
