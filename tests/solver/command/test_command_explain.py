"""`explain` as people run it: text, JSON, files, repairs, bad input, stops."""

import json
import math
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_runs import COMMAND, assert_snapshot, shardwise
from shardwise.models import Explanation, Scenario

IMPOSSIBLE = "scenarios/qwen3-235b-h200-64-impossible.yaml"
SMALL = "scenarios/llama-3.1-8b-h100-1.yaml"
LLAMA = "scenarios/llama-3.1-70b-h100-8.yaml"


def just_above(milliseconds: float) -> str:
    """The limit that a repair should set where its plan reaches so much: rounded up to three digits."""
    assert 10 < milliseconds < 1000
    step = 1 if milliseconds >= 100 else 0.1
    return f"{math.ceil(milliseconds / step - 1e-6) * step:g} ms"


def test_conflicts_and_repairs(desk: Path) -> None:
    result = shardwise("explain", IMPOSSIBLE, "--save", "plans", cwd=desk)
    assert_snapshot("explain_impossible", result)
    data = json.loads((desk / "plans/explanation.json").read_text())
    found = Explanation.model_validate(data)
    assert (result.code, found.complete, found.status) == (3, True, "infeasible")
    assert [conflict.ids for conflict in found.conflicts] == [
        ("requirements.tpot",),
        ("gpus.available", "requirements.ttft"),
    ]
    member = data["conflicts"][1]["members"][1]
    assert member["source"] == {"file": IMPOSSIBLE, "line": 8, "key": "requirements.ttft", "stated": True}
    [ttft, tpot] = data["repairs"][0]["edits"]
    for edit, name, before in ((ttft, "ttft", "500 ms"), (tpot, "tpot", "8 ms")):
        assert (edit["key"], edit["from"]) == (f"requirements.{name}", before)
        reached = re.findall(rf"{name.upper()} ([0-9.]+) ms", data["repairs"][0]["headline"])[0]
        assert edit["to"] == just_above(float(reached))
    summary = json.loads(result.out)
    assert summary["conflicts"] == [["requirements.tpot"], ["gpus.available", "requirements.ttft"]]
    assert [repair["headline"] for repair in summary["repairs"]] == [one.headline for one in found.repairs]
    report = (desk / "plans/explanation.md").read_text()
    assert all(one.because[1:] in report for one in found.conflicts) and all(
        r.headline in report for r in found.repairs
    )


def test_solve_says_the_same(desk: Path) -> None:
    one = shardwise("explain", IMPOSSIBLE, "--save", "a", cwd=desk)
    two = shardwise("solve", IMPOSSIBLE, "--save", "b", cwd=desk)
    assert two.code == 3 and one.err.replace("a/expl", "b/expl") == two.err
    files = [json.loads((desk / folder / "explanation.json").read_text()) for folder in "ab"]
    for file in files:
        file["proof"].pop("wall_s")
    assert files[0] == files[1]


def test_what_holds_a_plan_back(desk: Path) -> None:
    result = shardwise("explain", LLAMA, "--save", "plans", cwd=desk)
    assert_snapshot("explain_feasible", result)
    found = Explanation.model_validate_json((desk / "plans/explanation.json").read_text())
    assert result.code == 0 and not found.conflicts and not found.repairs
    [gpus] = [binding for binding in found.bindings if binding.id == "gpus.available"]
    assert gpus.binds and [effect.change for effect in gpus.effects] == ["1 GPU more", "a node of 8 more"]
    assert not next(binding for binding in found.bindings if binding.id == "memory.fits").binds


def test_a_repair_is_written_and_has_the_plan_it_promised(desk: Path) -> None:
    result = shardwise("explain", IMPOSSIBLE, "--apply", "2", "--out", "repaired.yaml", cwd=desk)
    assert result.code == 0 and json.loads(result.out)["repaired"] == "repaired.yaml"
    old, new = (desk / IMPOSSIBLE).read_text().splitlines(), (desk / "repaired.yaml").read_text().splitlines()
    promised = json.loads(result.out)["repairs"][1]["headline"]
    again = shardwise("solve", "repaired.yaml", cwd=desk)
    assert again.code == 0 and promised in again.err
    plan = json.loads(again.out)
    assert plan["gpus_used"] > 64
    assert [b.strip() for a, b in zip(old, new, strict=True) if a != b] == [
        f"hardware: {{accelerator: h200-sxm, gpus_per_node: 8, gpus: {plan['gpus_used']}}}",
        f"tpot: {just_above(1e3 * plan['tpot_s'])}",
    ]


def test_a_markdown_document_is_repaired_as_yaml(desk: Path) -> None:
    document = "scenarios/source-document.md"
    wrong = shardwise("explain", document, "--apply", "1", "--out", "r.md", cwd=desk)
    assert wrong.code == 1 and ".yaml" in wrong.err and not (desk / "r.md").exists()
    done = shardwise("explain", document, "--apply", "1", "--out", "r.yaml", cwd=desk)
    assert done.code == 0
    reached = re.findall(r"\(([0-9,]+) input tokens/s per GPU\)", json.loads(done.out)["repairs"][0]["headline"])[0]
    rates = Scenario.load(desk / "r.yaml").requirements.throughput_per_gpu
    assert rates is not None and rates.tokens == int(reached.replace(",", "")) // 100 * 100  # three digits


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([IMPOSSIBLE, "--apply", "1"], "--apply and --out belong together"),
        ([IMPOSSIBLE, "--out", "r.yaml"], "--apply and --out belong together"),
        ([IMPOSSIBLE, "--apply", "9", "--out", "r.yaml"], "no repair number 9: there are 2"),
        ([IMPOSSIBLE, "--apply", "1", "--out", IMPOSSIBLE], "this file exists"),
        ([IMPOSSIBLE, "--apply", "1", "--out", "no/r.yaml"], "there is no such folder"),
        ([SMALL, "--apply", "1", "--out", "r.yaml"], "the scenario has a plan as it stands"),
        ([IMPOSSIBLE, "--budget", "soon"], "--budget"),
        (["scenarios/none.yaml"], "no such file"),
    ],
)
def test_bad_input(desk: Path, arguments: list[str], said: str) -> None:
    before = (desk / IMPOSSIBLE).read_text()
    result = shardwise("explain", *arguments, cwd=desk)
    assert result.code == 1 and said in result.err and "Traceback" not in result.err
    assert (desk / IMPOSSIBLE).read_text() == before and not (desk / "r.yaml").exists()


def test_a_knowledge_rule_is_waived(desk: Path) -> None:
    rule = "{id: one-gpu, statement: engines of one GPU, tensor: 1, pipeline: 1}"
    (desk / "known.yaml").write_text(f"rules:\n  - {rule}\n")
    (desk / "s.yaml").write_text((desk / LLAMA).read_text())
    result = shardwise("explain", "s.yaml", "--knowledge", "known.yaml", "--apply", "1", "--out", "r.yaml", cwd=desk)
    found = Explanation.model_validate_json((desk / "plans/explanation.json").read_text())
    ids = {id for conflict in found.conflicts for id in conflict.ids}
    assert "rules.one-gpu" in ids, result.err
    [member] = [m for conflict in found.conflicts for m in conflict.members if m.id == "rules.one-gpu"][:1]
    assert (member.source.file, member.source.line) == ("known.yaml", 2)
    edits = [edit for repair in found.repairs for edit in repair.edits if edit.key == "waive"]
    assert edits and edits[0].after == ["one-gpu"]


def test_another_engine_where_the_rules_of_one_exclude_every_plan(desk: Path) -> None:
    text = (desk / IMPOSSIBLE).read_text().replace("ttft: 500 ms", "ttft: 5 s").replace("tpot: 8 ms", "tpot: 100 ms")
    pins = "engine: vllm\nstrategy: {expert: 4, expert_tensor: 2}\n"
    (desk / "s.yaml").write_text(text.replace("strategy: {pipeline: {max: 4}}\n", pins))
    result = shardwise("explain", "s.yaml", cwd=desk)
    found = Explanation.model_validate_json((desk / "plans/explanation.json").read_text())
    assert any("engine.expert_split" in conflict.ids for conflict in found.conflicts), result.err
    assert any(repair.edits[0].key == "engine" for repair in found.repairs)


@pytest.mark.parametrize("budget", ["1 ns", "0.3", "1.2"])
def test_a_small_budget_keeps_what_is_proved(desk: Path, budget: str) -> None:
    result = shardwise("explain", IMPOSSIBLE, "--save", "plans", "--budget", budget, cwd=desk)
    assert result.code in (3, 4) and "Traceback" not in result.err
    summary = json.loads(result.out)
    if result.code == 4:
        assert summary["status"] == "unknown" and not (desk / "plans/explanation.json").exists()
    else:
        known = {("requirements.tpot",), ("gpus.available", "requirements.ttft")}
        found = Explanation.model_validate_json((desk / "plans/explanation.json").read_text())
        assert found.complete or "--budget" in result.err
        assert {c.ids for c in found.conflicts if c.proved} <= known


@pytest.mark.parametrize("after", [0.6, 1.2, 2.0])
def test_ctrl_c(desk: Path, after: float) -> None:
    command = [*COMMAND, "explain", IMPOSSIBLE, "--save", "plans"]
    process = subprocess.Popen(command, cwd=desk, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    if process.returncode not in (130, -signal.SIGINT):
        assert process.returncode in (3, 4) and json.loads(out)["status"] in ("infeasible", "unknown")


def test_the_schema_of_an_explanation(desk: Path) -> None:
    schema = json.loads(shardwise("schema", "explanation", cwd=desk).out)
    assert {"conflicts", "repairs", "bindings"} <= set(schema["properties"])
