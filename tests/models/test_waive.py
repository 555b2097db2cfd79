"""Rules that a scenario sets aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from shardwise.models import InputError, Scenario, ScenarioFile
from shardwise.models.edit import Edit
from shardwise.solver.conditions import rules

TEXT = """hardware: {accelerator: h200-sxm, gpus: 8}
model: llama-3.1-8b
workload: {concurrency: 8, input_tokens: 100, output_tokens: 50}
rules:
  - {id: small, statement: small engines, tensor: {max: 2}}
  - {id: flat, statement: no stages, pipeline: 1}
"""
SITE = "rules:\n  - {id: site, statement: ours, context: 1}\n"


def load(folder: Path, waive: str) -> Scenario:
    (folder / "s.yaml").write_text(TEXT + waive)
    (folder / "site.yaml").write_text(SITE)
    return Scenario.load(folder / "s.yaml", knowledge=[folder / "site.yaml"])


def ids(scenario: Scenario) -> list[str]:
    return [rule.id for rule in scenario.rules_in_force]


def test_without_waive_all_rules_are_in_force(tmp_path: Path) -> None:
    scene = load(tmp_path, "")
    assert ids(scene) == ["small", "flat", "site"] and scene.knowledge == {"rules.site": "site.yaml"}


def test_a_rule_of_the_scenario_or_of_the_knowledge_is_waived(tmp_path: Path) -> None:
    scene = load(tmp_path, "waive: [small, site]\n")
    assert ids(scene) == ["flat"] and scene.knowledge == {}
    assert [rule.id for rule in scene.rules] == ["small", "flat", "site"]
    assert [condition.id for condition in rules.conditions(scene)] == ["rules.flat"]


def test_what_a_plan_holds_can_be_read_again(tmp_path: Path) -> None:
    scene = load(tmp_path, "waive: [site]\n")
    assert Scenario.model_validate(scene.model_dump()) == scene
    assert Scenario.model_validate_json(scene.model_dump_json()) == scene


@pytest.mark.parametrize(
    ("waive", "said"),
    [
        ("waive: [smal]", "did you mean 'small'?"),
        ("waive: [sites]", "did you mean 'site'?"),
        ("waive: [xyz]", "rules here: small, flat, site"),
        ("waive: [small, small]", "twice"),
        ("waive: small", "waive"),
    ],
)
def test_what_cannot_be_waived_is_refused_with_its_line(tmp_path: Path, waive: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path, waive)
    assert said in str(error.value) and "s.yaml:7" in str(error.value)


def test_waive_is_edited_like_any_key(tmp_path: Path) -> None:
    load(tmp_path, "waive: [small]\n")
    file = ScenarioFile.read(tmp_path / "s.yaml", [tmp_path / "site.yaml"])
    edits = [Edit(key="waive", before=["small"], after=["small", "site"])]
    assert ids(file.edited(edits)) == ["flat"] and file.edited(edits).knowledge == {}
    assert file.text(edits, tmp_path) == TEXT + "waive: [small, site]\n"
