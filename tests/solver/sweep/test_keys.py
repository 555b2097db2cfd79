"""Keys of scenarios: of all that a result depends on, and of nothing that would block."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from shardwise.models import ScenarioFile
from shardwise.solver.sweep import keys
from shardwise.solver.sweep.code import digest_of
from shardwise.solver.sweep.keys import Keys

from tests.solver.costs.silicon import made

SCENARIO = Path(__file__).parents[3] / "scenarios" / "llama-3.1-8b-h100-1.yaml"
CONFIG = Path(__file__).parents[2] / "models" / "hf_configs"


def test_the_code_and_the_catalogue_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report").mkdir()
    code, card, page = tmp_path / "costs.py", tmp_path / "card.yaml", tmp_path / "report" / "data.py"
    for file in (code, card, page):
        file.write_text("1")
    seen = [digest_of([tmp_path])]
    for file in (code, card):
        file.write_text("2")
        seen.append(digest_of([tmp_path]))
    assert len(set(seen)) == 3
    page.write_text("2")  # shows answers, makes none
    assert digest_of([tmp_path]) == seen[-1]
    base = ScenarioFile.read(SCENARIO)
    before = Keys(base).of({})
    assert before == Keys(base).of({})
    monkeypatch.setattr(keys, "code_digest", lambda: b"another commit")
    assert before != Keys(base).of({})


@pytest.mark.parametrize("model", ["./pipe", "/dev/zero", "./with\0nul", "./nowhere/", "./folder"])
def test_a_model_that_is_no_regular_file(tmp_path: Path, model: str) -> None:
    """A row tells what is wrong; making the key must neither block nor fail."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "config.json")
    base = ScenarioFile.read(shutil.copy(SCENARIO, tmp_path / "base.yaml"))
    assert Keys(base).of({"model": model}) != Keys(base).of({})


def test_the_content_of_a_config_is_in_it(tmp_path: Path) -> None:
    base = ScenarioFile.read(shutil.copy(SCENARIO, tmp_path / "base.yaml"))
    config = tmp_path / "config.json"
    config.write_text("{}")
    before = Keys(base).of({"model": "./config.json"})
    config.write_text("{ }")
    assert before != Keys(base).of({"model": "./config.json"})


@pytest.mark.parametrize("stated", [True, False])
def test_the_measured_tables_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: bool) -> None:
    """Those that the scenario names, or those that lie here; written anew they make another key."""
    root, file = tmp_path / "tables", tmp_path / "base.yaml"
    gemm = made.write(made.place(root, "gemm", "gemm"), made.gemm())
    text = SCENARIO.read_text(encoding="utf-8")
    file.write_text(text + ("operator_times: {tables: tables}\n" if stated else ""), encoding="utf-8")

    def key() -> str:
        return Keys(ScenarioFile.read(file)).of({})

    if not stated:
        without = key()
        monkeypatch.setenv("SHARDWISE_SILICON", str(root))
        assert key() != without
    before = key()
    assert key() == before
    made.write(gemm, made.gemm(["bfloat16"]))
    changed = key()
    assert changed != before
    made.write(made.place(root, "moe", "moe"), made.moe())
    assert key() not in (before, changed)


def test_a_stated_source_is_in_it(tmp_path: Path) -> None:
    base, sheet = tmp_path / "base.yaml", tmp_path / "sheet.yaml"
    base.write_text(SCENARIO.read_text(encoding="utf-8"), encoding="utf-8")
    sheet.write_text(base.read_text(encoding="utf-8") + "operator_times: datasheet\n", encoding="utf-8")
    assert Keys(ScenarioFile.read(base)).of({}) != Keys(ScenarioFile.read(sheet)).of({})
