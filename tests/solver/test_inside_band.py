"""Runners-up within the band of the plan's throughput are marked, and the plan says so."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.solver import deploy, solve
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
