"""`audit` and `launch` as people run them: exit codes, JSON, files, bad input without a traceback."""

import io
import json
import subprocess
import traceback
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
from command_runs import Result, shardwise
from shardwise.models.audit import Audit
from shardwise.models.reading.plan_json import read_plan
from shardwise.solver.command import main

LLAMA = "scenarios/llama-3.1-70b-h100-8.yaml"
GOOD = ["vllm", "serve", "m", "-tp", "4"]


def inside(*arguments: str, cwd: Path) -> Result:
    """The same command in this process, which is ten times as fast."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), mock.patch("sys.argv", ["shardwise", *arguments]):
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        except Exception:
            code = 1
            traceback.print_exc()
    return Result(code, out.getvalue(), err.getvalue())


def audit(desk: Path, *arguments: str, scenario: str = LLAMA) -> Result:
    return inside("audit", "--scenario", scenario, *arguments, cwd=desk)


def failed(result: Result) -> str:
    """Exit 1, one error, nothing on stdout. Returns the error's line."""
    assert (result.code, result.out) == (1, "") and "Traceback" not in result.err
    assert len([line for line in result.err.splitlines() if line.startswith("error")]) == 1
    return result.err.splitlines()[0]


def test_the_whole_command(desk: Path) -> None:
    bad, wrong = (
        shardwise("audit", "--scenario", LLAMA, "--", *words, cwd=desk) for words in ([*GOOD, "--bogus"], ["ls"])
    )
    assert (bad.code, bad.err, wrong.code) == (5, "", 1) and "error: cannot read the plan" in failed(wrong)


def test_a_sound_plan(desk: Path) -> None:
    (desk / "s.sh").write_text("vllm serve m -tp 4 --port 1 &\nvllm serve m -tp 4 --port 2 &\nwait\n")
    result = audit(desk, "s.sh")
    assert result.code == 0 and result.err == "" and ": sound" in result.out.splitlines()[0]
    assert result.out.startswith("s.sh: 2 × TP4 on vllm, 8 GPUs, for llama-3.1-70b-h100-8")


def test_a_plan_that_is_not_sound(desk: Path) -> None:
    result = audit(desk, "--", "vllm", "serve", "m", "-tp", "3", "--bogus")
    assert (
        result.code == 5 and "NOT sound" in result.out and "heads.divisible" in result.out and "--bogus" in result.out
    )


def test_json(desk: Path) -> None:
    result = audit(desk, "--json", "--", *GOOD)
    found = Audit.model_validate_json(result.out)
    assert (result.code, found.sound, found.file, found.gpus_used, found.gpus_idle) == (0, True, "command line", 4, 4)
    bad = audit(desk, "--json", "--", "vllm", "serve", "m", "-tp", "16")
    found = Audit.model_validate_json(bad.out)
    assert bad.code == 5 and not found.sound and found.findings[0].severity == "error"
    assert set(json.loads(bad.out)) == set(json.loads(inside("schema", "audit", cwd=desk).out)["properties"])


def test_options_of_the_command_are_not_ours(desk: Path) -> None:
    result = audit(desk, "--json", "--", *GOOD, "--json", "--scenario", "x")
    unknown = {one.stated for one in Audit.model_validate_json(result.out).findings if one.id == "runs.flag"}
    assert result.code == 5 and unknown == {"--json", "--scenario"}


def test_rules_of_the_site(desk: Path) -> None:
    (desk / "known.yaml").write_text(
        "measures:\n  - {id: graphs, says: [[cuda], [graph]], severity: error, statement: not here, source: us}\n"
    )
    (desk / "p.md").write_text(
        "# Plan\n\n## Recommended Parallel Strategy\n- Tensor Parallelism (TP): 4-way\n- Total GPUs: 4\n\n"
        "### Optimizations\n- CUDA graphs\n"
    )
    result = audit(desk, "p.md", "--json", "--knowledge", "known.yaml")
    assert "measures.graphs" in {one.id for one in Audit.model_validate_json(result.out).findings}, result.err


def test_a_plan_of_our_own_and_its_scripts(desk: Path) -> None:
    assert shardwise("solve", LLAMA, "--save", "plans", "--launch", "vllm", cwd=desk).code == 0
    for name in ("plans/plan.json", "plans/launch"):
        result = audit(desk, name, "--json")
        found = Audit.model_validate_json(result.out)
        ids = {one.id for one in found.findings if one.topic != "hardware"}  # use of the machine is noted, not blamed
        assert result.code == 0 and ids == {"optimum.reached"}, result.out
        assert {one.severity for one in found.findings} == {"note"}
    made = inside("launch", "plans/plan.json", "--engine", "dynamo", "--save", "k8s", cwd=desk)
    assert (made.code, json.loads(made.out)["files"]) == (0, ["deployment.yaml", "bench.sh", "README.md"])
    assert audit(desk, "k8s/deployment.yaml").code == 0


def test_a_time_limit_keeps_the_findings(desk: Path) -> None:
    result = audit(desk, "--time-limit", "1 ns", "--json", "--", *GOOD)
    found = Audit.model_validate_json(result.out)
    assert result.code == 0 and found.gap is None
    assert "the time ended" in next(one.statement for one in found.findings if one.topic == "optimum")


def test_a_scenario_without_a_plan(desk: Path) -> None:
    result = audit(desk, "--json", "--", "vllm", "serve", "m", "-dp", "8", "-ep",
                   scenario="scenarios/qwen3-235b-h200-64-impossible.yaml")  # fmt: skip
    found = Audit.model_validate_json(result.out)
    assert result.code == 5 and "optimum.none" in {one.id for one in found.findings}


# Bad input

BAD: list[tuple[str, bytes, str]] = [
    ("empty.sh", b"", "no command here starts"),
    ("empty.json", b"", "no JSON"),
    ("empty.yaml", b"", "no command here starts"),
    ("binary.sh", bytes(range(256)) * 8, "no UTF-8"),
    ("binary.json", bytes(range(256)) * 8, "no UTF-8"),
    ("binary.md", bytes(range(256)) * 8, "no UTF-8"),
    ("huge.sh", b"vllm serve m\n" * 100_000, "bytes are no plan"),
    ("huge.json", b" " * 64_000_001, "bytes are no plan"),
    ("a.json", b'{"a": 1}', "no plan.json"),
    ("a.json", b"[1]", "no plan.json"),
    ("a.json", b"[" * 100_000, "nested too deeply"),
    ("a.json", b'{"kind": "deployment"}', "no plan.json"),
    ("a.txt", b"{", "no JSON"),
    ("a.yaml", b"apiVersion: v1\nkind: [", "not valid YAML"),
    ("a.yaml", b"apiVersion: v1\nkind: Service\n", "no command here starts"),
    ("a.sh", b"ls\n", "no command here starts"),
]


@pytest.mark.parametrize(("name", "content", "said"), BAD, ids=[f"{name}-{said}" for name, _, said in BAD])
def test_bad_files(desk: Path, name: str, content: bytes, said: str) -> None:
    (desk / name).write_bytes(content)
    result = audit(desk, name)
    failed(result)
    assert said in result.err and name in result.err


def test_bad_folders(desk: Path) -> None:
    (desk / "folder").mkdir()
    assert "holds no script" in failed(audit(desk, "folder"))
    (desk / "folder/a.sh").write_text("ls\n")
    assert "no command here starts" in failed(audit(desk, "folder"))
    (desk / "folder/a.sh").unlink()
    (desk / "folder/a.sh").symlink_to("nowhere")
    assert "holds no script" in failed(audit(desk, "folder"))


@pytest.mark.parametrize("arguments", [[], ["no/such/plan.json"], ["--", "ls"], ["scenarios/none.sh", "--json"]])
def test_nothing_to_audit(desk: Path, arguments: list[str]) -> None:
    failed(audit(desk, *arguments))


def test_bad_scenarios(desk: Path) -> None:
    failed(audit(desk, "--", *GOOD, scenario="none.yaml"))
    table = next(
        file for file in (desk / "scenarios").rglob("*.yaml") if "\nengines: {table" in f"\n{file.read_text()}"
    )
    assert "of a table" in failed(audit(desk, "--", *GOOD, scenario=str(table.relative_to(desk))))
    assert inside("audit", "--", *GOOD, cwd=desk).code == 2
    assert "--time-limit" in failed(audit(desk, "--time-limit", "soon", "--", *GOOD))


def test_a_plan_without_engines(desk: Path) -> None:
    shardwise("solve", LLAMA, "--save", "plans", cwd=desk)
    plan = read_plan(desk / "plans/plan.json")
    none = plan.model_copy(update={"status": "infeasible", "predictions": None, "engines": ()})
    (desk / "none.json").write_text(none.model_dump_json())
    failed(audit(desk, "none.json"))
    failed(inside("launch", "none.json", "--engine", "vllm", cwd=desk))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.json", "--engine", "vllm"], "cannot read the plan"),
        ([LLAMA, "--engine", "vllm"], "no JSON"),
        (["none.json", "--engine", "tgi"], "unknown engine 'tgi'"),
        (["none.json", "--engine", "dynamo", "--backend", "tgi"], "unknown engine 'tgi' for --backend"),
    ],
)
def test_bad_launches(desk: Path, arguments: list[str], said: str) -> None:
    assert said in failed(inside("launch", *arguments, "--save", "out", cwd=desk))
    assert not (desk / "out").exists()


def test_a_plan_that_the_engine_cannot_express(desk: Path) -> None:
    (desk / "s.yaml").write_text(
        (desk / "scenarios/qwen3-235b-h200-64.yaml").read_text().replace("strategy:", "#")
        + "strategy: {expert: 4, expert_tensor: 2}\n"
    )
    assert shardwise("solve", "s.yaml", "--save", "plans", cwd=desk).code == 0
    refused = inside("launch", "plans/plan.json", "--engine", "vllm", "--save", "out", cwd=desk)
    assert refused.code == 3 and json.loads(refused.out)["status"] == "refused" and "Traceback" not in refused.err
    assert not list((desk / "out").glob("*.sh"))


def test_the_scripts_can_be_run(desk: Path) -> None:
    shardwise("solve", LLAMA, "--save", "plans", cwd=desk)
    made = inside("launch", "plans/plan.json", "--engine", "sglang", "--save", "out", cwd=desk)
    assert made.code == 0
    for name in json.loads(made.out)["files"]:
        file = desk / "out" / name
        if name.endswith(".sh"):
            assert bool(file.stat().st_mode & 0o100) == (name != "hosts.sh")
            assert subprocess.run(["bash", "-n", file]).returncode == 0


# Defects


def test_a_long_command_in_quotes(desk: Path) -> None:
    result = audit(desk, "vllm serve m -tp 4 " + "--port 8000 " * 30)
    assert "Traceback" not in result.err


def test_a_command_in_quotes(desk: Path) -> None:
    assert audit(desk, "vllm serve m -tp 4").code == 0


def test_a_folder_of_the_commands_name(desk: Path) -> None:
    (desk / "vllm").mkdir()
    assert audit(desk, "--", *GOOD).code == 0


def test_huge_degrees(desk: Path) -> None:
    failed(audit(desk, "--", "vllm", "serve", "m", "-tp", "9000"))


@pytest.mark.parametrize("name", ["no/such/plan.json", "launch/run.sh"])
def test_a_missing_file_is_named(desk: Path, name: str) -> None:
    assert name in audit(desk, name).err


@pytest.mark.parametrize("name", ["huge.sh", "huge.json"])
def test_a_huge_file_is_called_huge(desk: Path, name: str) -> None:
    (desk / name).write_bytes(b" " * 64_000_001)
    assert "more than" in audit(desk, name).err
