"""The source document's conditions, worked out by hand.

10 B parameters declared, of which attention holds 16 layers · 4 · 512² = 16.8 M and the routers 0.13 M. The experts are
widened to the remaining 9.98 B; with 2 of 16 a token passes 1/8 of them, 1.248 B, and attention: 1.265 B weights, twice
as many flops, 2.53 GFLOP. At 400 TFLOPS · 60 % that is 10.54 µs.

A prompt is 5,184 tokens long in the mean, E[S²] = (10,240 − 128)²/12 + 5,184² = 35.4 M. Its attention core is
16 layers · 2 · 16 heads · 64 · 35.4 M / 2 = 580 GFLOP: 2.42 ms, 0.466 µs for each token.

1 / (10.54 µs + 0.466 µs) = 90.9 tokens/ms per GPU, less than the 100 asked. So one condition alone is in conflict, and
the repair is a lower throughput: what the model reaches beside start-up, launches and activation traffic is 82.1.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from shardwise.models import Explanation, ScenarioFile
from shardwise.solver import explain, solve

SCENARIOS = Path(__file__).parents[3] / "scenarios"
THROUGHPUT = "requirements.throughput_per_gpu.tokens"


@cache
def explained(name: str) -> Explanation:
    file = ScenarioFile.read(SCENARIOS / name)
    return explain(file.scenario, file=file)


@pytest.mark.parametrize(("name", "line"), [("source-document-64-declared.yaml", 32), ("source-document.md", 37)])
def test_one_condition_is_in_conflict(name: str, line: int) -> None:
    found = explained(name)
    [conflict] = found.conflicts
    [member] = conflict.members
    assert (found.status, found.complete, conflict.proved) == ("infeasible", True, True)
    assert (member.id, member.source.line, member.source.stated) == (THROUGHPUT, line, True)
    assert "10.54 µs" in conflict.because and "2.416 ms" in conflict.because
    assert "at most 90,868 input tokens/s per GPU, and you ask for 100,000" in conflict.because


def test_the_repair_is_the_best_that_there_is() -> None:
    found = explained("source-document-64-declared.yaml")
    [repair] = found.repairs
    [edit] = repair.edits
    assert (edit.key, edit.before, edit.after) == (THROUGHPUT, "100 tokens/ms", "82 tokens/ms")
    file = ScenarioFile.read(SCENARIOS / "source-document-64-declared.yaml")
    assert solve(file.edited([edit])).status == "optimal"
    tighter = edit.model_copy(update={"after": "82.1 tokens/ms"})
    assert solve(file.edited([tighter]), conflicts=False).status == "infeasible"


def test_numbers_are_round_in_the_unit_that_was_used(tmp_path: Path) -> None:
    # 82,092 tokens/s are 4.92 M tokens/min, rounded down to three digits there.
    text = (SCENARIOS / "source-document-64-declared.yaml").read_text()
    (tmp_path / "s.yaml").write_text(text.replace("100 tokens/ms", "6M tokens/min"))
    file = ScenarioFile.read(tmp_path / "s.yaml")
    [repair] = explain(file.scenario, file=file).repairs
    assert [(edit.before, edit.after) for edit in repair.edits] == [("6M tokens/min", "4.92 M tokens/min")]


def test_the_shapes_alone_are_enough() -> None:
    found = explained("source-document-64-from-shapes.yaml")
    assert found.status == "optimal" and not found.conflicts and found.bindings
