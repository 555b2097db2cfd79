"""Engine tables through the command line: what is refused, with the place of the mistake, and what is understood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..command.command_runs import Result, shardwise

HEADER = "engine,role,gpus,batch,ttft_ms,tpot_ms,requests_per_s"
ROWS = ("p,prefill,2,,100,,4", "d,decode,1,8,,20,3", "a,aggregated,4,64,150,25,3.5")
SCENARIO = "engines: {table: engines.csv}\nhardware: {gpus: 8}\n"


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a scenario and its table, and another one to run commands in."""
    (tmp_path / "conditions").mkdir()
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path, HEADER, *ROWS)
    describe(tmp_path, SCENARIO)
    return tmp_path


def write(desk: Path, *lines: str) -> None:
    (desk / "conditions/engines.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def describe(desk: Path, text: str) -> None:
    (desk / "conditions/table.yaml").write_text(text, encoding="utf-8")


def run(desk: Path, command: str, *options: str) -> Result:
    """A command on the scenario, from the other folder."""
    return shardwise(command, "../conditions/table.yaml", *options, cwd=desk / "elsewhere")


def written(desk: Path) -> list[Path]:
    """Files that a command left behind."""
    return [path for path in (desk / "elsewhere").rglob("*") if path.is_file()]


def assert_refused(desk: Path, result: Result, *parts: str) -> None:
    """Exit 1, what is wrong and where, nothing else."""
    assert result.code == 1, result.err
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert "Traceback" not in result.err
    for part in parts:
        assert part in result.err
    assert written(desk) == []


BAD_TABLES = {
    "a missing column": (("engine,role,gpus,batch,ttft_ms,tpot_ms", "p,prefill,2,,100,"), 1, "requests_per_s"),
    "a misspelt column": ((HEADER.replace("gpus", "gpu"), *ROWS), 1, "did you mean 'gpus'?"),
    "a negative rate": ((HEADER, ROWS[0], "d,decode,1,8,,20,-3"), 3, "requests_per_s: '-3' is not above 0"),
    "a rate of 0": ((HEADER, "a,aggregated,4,64,150,25,0"), 2, "requests_per_s: '0' is not above 0"),
    "an unknown role": ((HEADER, *ROWS[:2], "a,agregated,4,64,150,25,3"), 4, "did you mean 'aggregated'?"),
    "a duplicate engine": ((HEADER, *ROWS, "p,prefill,1,,90,,2"), 5, "engine: 'p' stands twice"),
    "half a GPU": ((HEADER, "p,prefill,0.5,,100,,4"), 2, "gpus: '0.5'"),
    "no time": ((HEADER, *ROWS[:2], "a,aggregated,4,64,,25,3"), 4, "ttft_ms"),
    "a comma too few": ((HEADER, *ROWS[:2], "a,aggregated,4,64,150,25"), 4, "the row has 6 cells"),
    "not a number": ((HEADER, "p,prefill,2,,100,,nan"), 2, "requests_per_s: 'nan' is not a plain number"),
}


@pytest.mark.parametrize("mistake", BAD_TABLES)
def test_mistakes_in_a_table(desk: Path, mistake: str) -> None:
    lines, line, message = BAD_TABLES[mistake]
    write(desk, *lines)
    assert_refused(desk, run(desk, "check"), message, f"conditions/engines.csv:{line}", "help: ")


@pytest.mark.parametrize("mistake", ["a missing column", "a negative rate", "an unknown role", "a duplicate engine"])
def test_no_plan_for_a_table_with_mistakes(desk: Path, mistake: str) -> None:
    lines, line, message = BAD_TABLES[mistake]
    write(desk, *lines)
    assert_refused(desk, run(desk, "solve"), message, f"conditions/engines.csv:{line}", "help: ")


def test_all_mistakes_are_shown(desk: Path) -> None:
    write(desk, HEADER, "p,prefill,2,,100,,-4", ROWS[1], "a,both,4,64,150,25,3")
    assert_refused(desk, run(desk, "solve"), "engines.csv:2", "'-4'", "engines.csv:4", "'both'")


@pytest.mark.parametrize("command", ["solve", "check"])
class TestNoTable:
    def test_a_missing_file(self, desk: Path, command: str) -> None:
        describe(desk, SCENARIO.replace("engines.csv", "nothing.csv"))
        assert_refused(desk, run(desk, command), "no such file", "conditions/nothing.csv")

    def test_a_folder(self, desk: Path, command: str) -> None:
        describe(desk, SCENARIO.replace("engines.csv", "."))
        assert_refused(desk, run(desk, command), "this is a folder", "conditions")

    def test_an_empty_file(self, desk: Path, command: str) -> None:
        (desk / "conditions/engines.csv").write_text("", encoding="utf-8")
        assert_refused(desk, run(desk, command), "the file is empty", "engines.csv")

    def test_a_header_alone(self, desk: Path, command: str) -> None:
        write(desk, HEADER)
        assert_refused(desk, run(desk, command), "no engines", "engines.csv")


class TestScenario:
    @pytest.mark.parametrize(
        ("text", "help", "line"),
        [
            (SCENARIO + "objectiv: latency\n", "did you mean 'objective'?", 3),
            (SCENARIO + "distinct_strategy: 1\n", "did you mean 'distinct_strategies'?", 3),
            ("engines: {tabel: engines.csv}\nhardware: {gpus: 8}\n", "did you mean 'table'?", 1),
            ("engines: {table: engines.csv}\nhardware: {gpu: 8}\n", "did you mean 'gpus'?", 2),
        ],
    )
    def test_an_unknown_key(self, desk: Path, text: str, help: str, line: int) -> None:
        describe(desk, text)
        assert_refused(desk, run(desk, "solve"), help, f"table.yaml:{line}")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (SCENARIO + "modes: [mixed]\n", 3),
            (SCENARIO + "objective: [latency, latency]\n", 3),
            (SCENARIO + "distinct_strategies: 0\n", 3),
            (SCENARIO + "requirements: {ttft: 300}\n", 3),
            ("engines: {table: engines.csv}\nhardware: {use_all_gpus: true}\n", 2),
            ("engines: {table: engines.csv}\nhardware: {gpus: 8, inventory: [{accelerator: x, gpus: 8}]}\n", 2),
        ],
    )
    def test_a_bad_value(self, desk: Path, text: str, line: int) -> None:
        describe(desk, text)
        assert_refused(desk, run(desk, "solve"), f"table.yaml:{line}")

    def test_knowledge_is_refused(self, desk: Path) -> None:
        (desk / "conditions/knowledge.yaml").write_text("accelerators: {}\n", encoding="utf-8")
        result = run(desk, "solve", "--knowledge", "../conditions/knowledge.yaml")
        assert_refused(desk, result, "help: leave --knowledge out")


class TestRefused:
    def test_pareto(self, desk: Path) -> None:
        assert_refused(desk, run(desk, "solve", "--pareto"), "--pareto", "asks for pools")
        assert not (desk / "elsewhere/plans").exists()

    @pytest.mark.parametrize("command", ["explain", "evaluate"])
    def test_commands_for_one_strategy(self, desk: Path, command: str) -> None:
        assert_refused(desk, run(desk, command), f"`{command}`", "help: ")


def test_check_says_what_was_understood(desk: Path) -> None:
    describe(desk, SCENARIO + "modes: [disaggregated]\nobjective: [latency, throughput]\n")
    result = run(desk, "check")
    assert result.code == 0
    assert json.loads(result.out) == {"status": "valid", "scenario": "../conditions/table.yaml"}
    for part in ("3 engines", "engines.csv", "1 prefill, 1 decode, 1 aggregated", "up to 8 GPUs", "disaggregated"):
        assert part in result.err
    assert "latency, throughput" in result.err
    assert written(desk) == []


def test_check_shows_an_inventory(desk: Path) -> None:
    stocks = "[{accelerator: x, gpus: 16}, {accelerator: y, gpus: 8}]"
    describe(desk, f"engines: {{table: engines.csv}}\nhardware: {{inventory: {stocks}}}\n")
    assert "up to 16 x, 8 y" in run(desk, "check").err


@pytest.mark.parametrize(
    ("folder", "scenario"),
    [("elsewhere", "../conditions/table.yaml"), ("conditions", "table.yaml"), (".", "conditions/table.yaml")],
)
def test_a_relative_path_starts_at_the_scenario(desk: Path, folder: str, scenario: str) -> None:
    result = shardwise("solve", scenario, "--save", "plans", cwd=desk / folder)
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    assert summary["status"] == "optimal"
    assert summary["kind"] == "deployment"
    plan = json.loads((desk / folder / "plans/plan.json").read_text(encoding="utf-8"))
    assert plan["predictions"]["requests_per_s"] == summary["requests_per_s"]
    assert (desk / folder / "plans/plan.md").read_text(encoding="utf-8").strip()


def test_an_absolute_path(desk: Path) -> None:
    describe(desk, SCENARIO.replace("engines.csv", str(desk / "conditions/engines.csv")))
    assert run(desk, "solve").code == 0


@pytest.mark.parametrize("limit", ["requirements: {ttft: 1 ms}", "workload: {request_rate: 1000 requests/s}"])
def test_infeasible(desk: Path, limit: str) -> None:
    describe(desk, SCENARIO + limit + "\n")
    result = run(desk, "solve")
    assert result.code == 3, result.err
    assert "Traceback" not in result.err
    assert json.loads(result.out)["status"] == "infeasible"
    assert "no deployment exists" in result.err
