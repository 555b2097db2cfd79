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
