"""The source document's conditions, worked out by hand.

10 B parameters declared, of which attention holds 16 layers · 4 · 512² = 16.8 M and the routers 0.13 M. The experts are
widened to the remaining 9.98 B; with 2 of 16 a token passes 1/8 of them, 1.248 B, and attention: 1.265 B weights, twice
as many flops, 2.53 GFLOP. At 400 TFLOPS · 60 % that is 10.54 µs.

A prompt is 5,184 tokens long in the mean, E[S²] = (10,240 − 128)²/12 + 5,184² = 35.4 M. Its attention core is
16 layers · 2 · 16 heads · 64 · 35.4 M / 2 = 580 GFLOP: 2.42 ms, 0.466 µs for each token.

1 / (10.54 µs + 0.466 µs) = 90.9 tokens/ms per GPU, less than the 100 asked. So one condition alone is in conflict, and
the repair is a lower throughput: what is left beside launches, activation traffic and thin matrices (`best_rate`).
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import pytest
from shardwise.models import Explanation, ScenarioFile
from shardwise.solver import explain, solve

SCENARIOS = Path(__file__).parents[3] / "scenarios"
THROUGHPUT = "requirements.throughput_per_gpu.tokens"


def floor3(value: float) -> float:
    """Three significant digits, rounded down."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return round(math.floor(value / step) * step, 9)


def best_rate() -> float:
    """Tokens/s of one GPU, as docs/costs.md, section 3, has it.

    128 sequences on two engines of one card each (one alone would need 16 s to its first token), all 64 in one pass.
    """
    compute, memory = 400e12 * 0.6, 1.8e12 * 0.8
    tokens, half = 64 * 5_184, 64
    attention, router = 4 * 512**2, 512 * 16
    expert = (10e9 / 16 - attention - router) / 16  # of 16 layers and 16 experts; norms are not worth counting
    rows = tokens * 2 / 16
    layer = 2 * tokens * attention / (compute * 512 / (512 + half)) + 2 * attention / memory
    layer += 64 * 2 * 16 * 64 * 35.4e6 / 2 / compute
    layer += 2 * tokens * router / (compute * 16 / (16 + half)) + 2 * router / memory
    layer += 2 * 2 * tokens * expert / (compute * rows / (rows + 1) * 1_024 / (1_024 + half)) + 16 * 2 * expert / memory
    layer += tokens * 2.8 * 512 * 2 / memory + 7.4e-6 + 39e-6 + 97e-6  # activation traffic; launches
    return tokens / (16 * layer + 50e-6)


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
    best = best_rate() / 1e3
    asked = floor3(best)
    assert (edit.key, edit.before, edit.after) == (THROUGHPUT, "100 tokens/ms", f"{asked:g} tokens/ms")
    file = ScenarioFile.read(SCENARIOS / "source-document-64-declared.yaml")
    assert solve(file.edited([edit])).status == "optimal"
    for beyond, status in ((0.999, "optimal"), (1.001, "infeasible")):
        near = edit.model_copy(update={"after": f"{best * beyond} tokens/ms"})
        assert solve(file.edited([near]), conflicts=False).status == status


def test_numbers_are_round_in_the_unit_that_was_used(tmp_path: Path) -> None:
    # Rounded down to three digits in tokens per minute.
    text = (SCENARIOS / "source-document-64-declared.yaml").read_text()
    (tmp_path / "s.yaml").write_text(text.replace("100 tokens/ms", "6M tokens/min"))
    file = ScenarioFile.read(tmp_path / "s.yaml")
    [repair] = explain(file.scenario, file=file).repairs
    expected = floor3(best_rate() * 60 / 1e6)
    assert [(edit.before, edit.after) for edit in repair.edits] == [("6M tokens/min", f"{expected:g} M tokens/min")]


def test_the_shapes_alone_are_enough() -> None:
    found = explained("source-document-64-from-shapes.yaml")
    assert found.status == "optimal" and not found.conflicts and found.bindings
