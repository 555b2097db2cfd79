"""Bands and `--margin` as a person sees them: terminal, plan.json, plan.md; one strategy, pools and tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_runs import shardwise
from shardwise.models.bands import Bands

ONE = "scenarios/llama-3.1-70b-h100-8.yaml"
POOLS = "scenarios/pools/llama-3.1-70b-h200-arrivals.yaml"
TABLE = "scenarios/pools/llama-3.1-8b-l4-table.yaml"
BAND = "Eight of ten measurements are expected within TTFT "
TIGHTENED = "The requirements were tightened by 10% for that (`--margin`)."


def solved(desk: Path, *arguments: str) -> tuple[dict[str, Any], str, str]:
    """(plan.json, plan.md, words)."""
    shutil.rmtree(desk / "plans", ignore_errors=True)
    result = shardwise("solve", *arguments, cwd=desk)
    assert result.code == 0, result.err
    return json.loads((desk / "plans/plan.json").read_text()), (desk / "plans/plan.md").read_text(), result.err


@pytest.mark.parametrize("scenario", [ONE, POOLS])
def test_a_plan_says_how_far_measurements_may_be(desk: Path, scenario: str) -> None:
    plan, report, words = solved(desk, scenario)
    said, bands = plan["uncertainty"], Bands()
    for name, band in (("ttft_s", bands.ttft), ("tpot_s", bands.tpot), ("tokens_per_s_per_gpu", bands.throughput)):
        assert said[name] == pytest.approx([plan["predictions"][name] * end for end in band])
    assert BAND in words and BAND in report and TIGHTENED not in report
    assert plan["scenario"]["requirements"]["tightened_by"] == 0


@pytest.mark.parametrize("scenario", [ONE, POOLS, TABLE])
def test_a_margin_is_kept(desk: Path, scenario: str) -> None:
    plain, _, said = solved(desk, scenario)
    assert "--margin" not in said
    plan, report, words = solved(desk, scenario, "--margin", "10%")
    assert words.count("limits tightened by 10% (--margin)") == 1
    before, wanted = plain["scenario"]["requirements"], plan["scenario"]["requirements"]
    assert wanted["tightened_by"] == 0.1 and TIGHTENED in report
    for name in ("ttft", "tpot", "request_latency"):
        if (limit := before.get(name)) is not None:
            assert wanted[name] == pytest.approx(limit / 1.1)
            assert plan["predictions"][f"{name}_s"] <= limit / 1.1 * (1 + 1e-6)
    if (rate := plan["scenario"]["workload"].get("request_rate")) is not None:
        assert plan["predictions"]["requests_per_s"] >= 1.1 * rate * (1 - 1e-6)
        assert "requests ≥ 8.8 requests/s" in report


def test_engines_of_a_table_have_figures_of_their_own(desk: Path) -> None:
    plan, report, words = solved(desk, TABLE)
    assert plan["uncertainty"] is None and BAND not in report and BAND not in words


def test_where_a_margin_leaves_nothing_repairs_keep_it(desk: Path) -> None:
    """Limits of 500 ms and 8 ms, tightened by a quarter; the edits say what the file must state for that."""
    impossible = "scenarios/qwen3-235b-h200-64-impossible.yaml"
    result = shardwise("solve", impossible, "--margin", "25%", cwd=desk)
    assert result.code == 3 and "time per output token ≤ 6.4 ms" in result.err
    assert "limits are tightened by 25% (--margin)" in result.err
    edits = {edit["key"]: edit["to"] for edit in json.loads(result.out)["repairs"][0]["edits"]}
    text = (desk / impossible).read_text()
    for key, old in (("ttft", "500 ms"), ("tpot", "8 ms")):
        text = text.replace(f"{key}: {old}", f"{key}: {edits[f'requirements.{key}']}")
    (desk / impossible).write_text(text)
    assert shardwise("solve", impossible, "--margin", "25%", cwd=desk).code == 0


@pytest.mark.parametrize("scenario", [POOLS, ONE])
def test_impossible_margins_are_no_crash(desk: Path, scenario: str) -> None:
    result = shardwise("solve", scenario, "--margin", "1000%", "--time-limit", "20", cwd=desk)
    assert result.code == 3 and "Traceback" not in result.err
    assert result.err.count("tightened by 1,000% (--margin)") == 1


@pytest.mark.parametrize(
    ("margin", "said"),
    [("10", "10 meant as 10% or 1000%"), ("-5%", "negative"), ("lots", "not a share"), ("2000%", "above 1,000 %")],
)
def test_what_is_no_margin(desk: Path, margin: str, said: str) -> None:
    result = shardwise("solve", ONE, f"--margin={margin}", cwd=desk)
    assert result.code == 1 and said in result.err and result.out == "" and "Traceback" not in result.err
