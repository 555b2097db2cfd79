"""Bounds are optimistic in every column that a limit or an objective reads, and leave no winner unpriced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from shardwise.models import Scenario
from shardwise.solver.choice.objective import stages_of
from shardwise.solver.choice.screen import screen
from shardwise.solver.choice.table import best_row, tabulate
from shardwise.solver.conditions import limits_of
from shardwise.solver.costs import price
from shardwise.solver.costs.grid import make_grid
from shardwise.solver.degrees import legal_strategies

from ... import builders

LESS_IS_BETTER = ("ttft", "ttft_mean", "tpot", "request_latency", "memory")
MORE_IS_BETTER = ("requests_rate", "output_rate", "input_rate", "output_rate_per_gpu", "budget_spare")


@settings(max_examples=120)
@given(builders.scenarios(gpus=12, limited=True))
def test_bounds_and_what_they_leave_out(scene: Scenario) -> None:
    strategies, limits, stages = legal_strategies(scene), limits_of(scene), stages_of(scene)
    assume(len(strategies))
    grid = make_grid(scene, strategies)
    exact = price(scene, grid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shardwise.solver.choice.screen._FIRST_BATCH", 1)  # small grids too are left in part
        found = screen(scene, grid, limits, stages, runners_up=0, check=lambda: None)
    for name in LESS_IS_BETTER:
        bound, value = found.bounds.column(name), exact.column(name)
        assert (np.isnan(value) | (bound <= value * (1 + 1e-9))).all(), name
    for name in MORE_IS_BETTER:
        bound, value = found.bounds.column(name), exact.column(name)
        assert (np.isnan(value) | (bound >= value - 1e-9 * abs(value))).all(), name
    table = tabulate(exact, limits, stages)
    assert not (found.bound_table.broken & ~table.broken).any()
    for stage in stages:
        bounds, values = (stage.cost(t.columns[stage.column]) for t in (found.bound_table, table))
        assert (bounds <= values).all(), stage.words
    best = best_row(table, stages, np.flatnonzero(table.broken == 0))
    kept = best_row(found.table, stages, np.flatnonzero(found.table.broken == 0))
    assert best == (None if kept is None else found.exact[kept])
