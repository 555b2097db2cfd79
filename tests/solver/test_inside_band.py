"""Runners-up within the band of the plan's throughput are marked, and the plan says so."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models.bands import Bands
from shardwise.models.plan import Check
from shardwise.solver import deploy, solve
from shardwise.solver.writing.checks import MEASURE, check_lines, in_band
from shardwise.solver.writing.plan_md import plan_markdown

from tests.builders import CHAT, DENSE, scenario


def bands(low: float, high: float) -> dict[str, Any]:
    return {"ttft": (0.5, 2.0), "tpot": (0.9, 1.1), "throughput": (low, high), "source": "a lab"}


@pytest.mark.parametrize(("low", "high"), [(0.999, 1.001), (0.7, 1.3), (1e-3, 1e3)])
def test_by_throughput_per_gpu(low: float, high: float) -> None:
    plan = solve(scenario(DENSE, CHAT, bands=bands(low, high)), alternatives=20)
    assert plan.predictions is not None and len(plan.alternatives) > 5
    rate = plan.predictions.tokens_per_s_per_gpu
    for other in plan.alternatives:
        assert other.inside_band == (low * rate <= other.tokens_per_s_per_gpu <= high * rate)
    close = [other.strategy.describe() for other in plan.alternatives if other.inside_band]
    assert ("Within the band of the prediction" in plan_markdown(plan)) == bool(close)
    assert bool(close) == (high > 1.01)


def test_a_plan_has_the_bands_of_its_scenario() -> None:
    plan = solve(scenario(DENSE, CHAT, bands=bands(0.8, 1.25)))
    assert plan.uncertainty is not None and plan.predictions is not None and plan.predictions.tpot_s is not None
    assert plan.uncertainty.ttft_s == pytest.approx((plan.predictions.ttft_s / 2, plan.predictions.ttft_s * 2))
    assert plan.uncertainty.tpot_s == pytest.approx((plan.predictions.tpot_s * 0.9, plan.predictions.tpot_s * 1.1))
    assert plan.uncertainty.source == "a lab"


def test_a_prefill_plan_has_no_band_of_time_per_token() -> None:
    plan = solve(scenario(bands=bands(0.8, 1.25)))
    assert plan.uncertainty is not None and plan.uncertainty.tpot_s is None


def test_so_has_a_deployment_of_pools() -> None:
    plan = deploy(scenario(DENSE, CHAT, modes=["any"], bands=bands(0.8, 1.25)))
    assert plan.uncertainty is not None and plan.predictions is not None
    assert plan.predictions.tokens_per_s_per_gpu is not None
    low, high = plan.uncertainty.tokens_per_s_per_gpu
    assert low == pytest.approx(plan.predictions.tokens_per_s_per_gpu * 0.8)
    assert high == pytest.approx(plan.predictions.tokens_per_s_per_gpu * 1.25)
    assert plan.uncertainty.source == "a lab"


BANDS = Bands(ttft=(0.67, 1.47), tpot=(0.83, 1.21), throughput=(0.74, 1.43))


def check(name: str, margin: float | None) -> Check:
    return Check(name=name, statement="", required="", predicted="", margin=margin, ok=True)


@pytest.mark.parametrize(
    ("name", "margin", "inside"),
    [
        ("requirements.ttft", 0.31, True),  # 0.69 of the limit, times 1.47: 1.014 of it
        ("requirements.ttft", 0.33, False),
        ("requirements.tpot", 0.17, True),  # 0.83 · 1.21 = 1.004
        ("requirements.tpot", 0.18, False),
        ("requirements.throughput.output", 0.35, True),  # 1.35 · 0.74 = 0.999
        ("requirements.throughput_per_gpu.tokens", 0.36, False),
        ("load.request_rate", 0.35, True),
        ("requirements.request_latency", 0.01, False),  # has no band
        ("memory.fits", 0.01, False),
        ("requirements.ttft", None, False),
    ],
)
def test_a_limit_inside_the_band(name: str, margin: float | None, inside: bool) -> None:
    assert in_band(check(name, margin), BANDS) == inside


def test_what_a_margin_leaves_is_room() -> None:
    """0.95 of 1/1.21 of a limit, times 1.21, is 0.95 of it; 1.25 · 1.1 times a floor, times 0.74, is 1.02 of it."""
    assert in_band(check("requirements.tpot", 0.05), BANDS)
    assert not in_band(check("requirements.tpot", 0.05), BANDS, tightened_by=0.21)
    assert in_band(check("requirements.throughput.output", 0.25), BANDS)
    assert not in_band(check("requirements.throughput.output", 0.25), BANDS, tightened_by=0.1)
    assert in_band(check("load.request_rate", 0.25), BANDS, tightened_by=0.1), "arrivals stay as stated"


def test_plan_and_terminal_say_so() -> None:
    loose = solve(scenario(DENSE, CHAT, bands=bands(0.8, 1.25)))
    assert loose.predictions is not None and loose.predictions.tpot_s is not None
    for times, inside in ((1.05, True), (1.15, False)):  # the band ends at 1.1
        asked = {"tpot": f"{loose.predictions.tpot_s * times:.9f} s"}
        plan = solve(scenario(DENSE, CHAT, bands=bands(0.8, 1.25), requirements=asked))
        [line] = check_lines(plan, ("requirements.",))
        assert line.startswith("ok   time per output token ≤ ")
        assert line.endswith(f" margin, {MEASURE}") == inside
        assert (MEASURE in plan_markdown(plan)) == inside
