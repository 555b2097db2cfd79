"""The exact latency–throughput frontier: every legal row that no other legal row beats in both.

Enters: a Scenario. Leaves: a verified plan for each point. Rows are priced exactly as long as their optimistic bound is
not already beaten; then the solver proves each point: no legal row has its latency or less and more throughput.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..models import Plan, Scenario
from .assembling import plan_of, proof_of
from .choice.model import choose
from .choice.objective import Integers, Stage, stages_of
from .choice.screen import joined
from .choice.table import Table, tabulate
from .conditions import Condition, Facts, Limit, Variables, limits_of, structural_of
from .costs import Candidates, price
from .costs.grid import Grid, make_grid
from .degrees import legal_strategies
from .errors import DisagreementError
from .watch import Watch

_BATCH = 2048
_COMPANY = 64


def frontier(scenario: Scenario, *, watch: Watch | None = None) -> tuple[Plan, ...]:
    """Plans along the frontier, lowest latency first; empty if no plan exists.

    Throughput is per GPU used: at one load, total throughput and latency do not conflict, but hardware and latency do.
    Raises StoppedError if the watch ends the work, DisagreementError if the solver does not confirm a point.
    """
    watch = watch or Watch()
    structural, limits, (latency, throughput) = structural_of(scenario), limits_of(scenario), axes(scenario)
    stages = [throughput, latency, *stages_of(scenario)]
    strategies = legal_strategies(scenario, structural, watch)
    if not len(strategies):
        return ()
    grid = make_grid(scenario, strategies)
    candidates, table = _contenders(scenario, grid, limits, stages, watch)
    legal = np.flatnonzero(table.broken == 0)
    plans = []
    for row in legal[nondominated(*_axes_costs(table.take(legal), latency, throughput), table.order[legal])]:
        near = _company(table, latency, int(row))
        ceiling = _at_most(latency, int(table.columns[latency.column][row]))
        conditions: list[Condition] = [*structural, *limits, ceiling]
        choice = choose(scenario, candidates.take(near), table.take(near), stages, conditions, watch)
        if choice.outcome != "optimal" or choice.row is None or int(near[choice.row]) != int(row):
            raise DisagreementError("the solver does not confirm a point of the frontier")
        proof = proof_of(
            scenario,
            "optimal",
            watch,
            strategies=len(strategies),
            candidates=len(grid),
            rows=len(near),
            choice=choice,
            second_route=f"sorting of {len(table):,} exactly priced rows and bounds of the others agree",
        )
        plans.append(plan_of(scenario, candidates, table, stages, int(row), proof))
    return tuple(plans)


def axes(scenario: Scenario) -> tuple[Stage, Stage]:
    """(latency, throughput) of the frontier."""
    [per_gpu, *_] = stages_of(scenario.model_copy(update={"objective": "throughput-per-gpu"}))
    [latency, *_] = stages_of(scenario.model_copy(update={"objective": "latency"}))
    return latency, replace(per_gpu, words=f"{per_gpu.words}, at the point's latency")


def _axes_costs(table: Table, latency: Stage, throughput: Stage) -> tuple[Integers, Integers]:
    return table.columns[latency.column], throughput.cost(table.columns[throughput.column])


def nondominated(first: Integers, second: Integers, order: Integers) -> NDArray[np.intp]:
    """Rows that no other row beats in one cost without losing in the other, by rising first cost; one row per point."""
    ranked = np.lexsort((order, second, first))
    best = np.minimum.accumulate(second[ranked])
    improves = np.r_[True, best[1:] < best[:-1]] if len(ranked) else np.zeros(0, dtype=bool)
    return ranked[improves]


def _contenders(
    scenario: Scenario, grid: Grid, limits: Sequence[Limit], stages: Sequence[Stage], watch: Watch
) -> tuple[Candidates, Table]:
    """Exact prices of every row whose bound is not beaten by a legal row."""
    throughput, latency = stages[0], stages[1]
    bounds = price(scenario, grid, ideal=True)
    bound_table = tabulate(bounds, limits, stages, bounds=True)
    lowest, highest = _axes_costs(bound_table, latency, throughput)
    open_ = np.flatnonzero(bound_table.broken == 0)
    done: list[Candidates] = []
    reached = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    while len(open_):
        watch.check()
        open_ = open_[~_beaten(lowest[open_], highest[open_], *reached)]
        order = open_[np.argsort(_layer(lowest[open_], highest[open_]), kind="stable")]
        rows, open_ = order[:_BATCH], order[_BATCH:]
        if not len(rows):
            break
        block = price(scenario, grid.at(rows))
        done.append(block)
        table = tabulate(block, limits, stages, units=bound_table.units)
        good = table.take(np.flatnonzero(table.broken == 0))
        costs = [np.r_[old, new] for old, new in zip(reached, _axes_costs(good, latency, throughput), strict=True)]
        front = nondominated(costs[0], costs[1], np.arange(len(costs[0])))
        reached = (costs[0][front], costs[1][front])
    candidates = joined(done) if done else bounds.take([])
    return candidates, tabulate(candidates, limits, stages, units=bound_table.units)


def _layer(first: Integers, second: Integers) -> NDArray[np.float64]:
    """How far each bound is behind the bounds' own frontier in the second cost: a good order to price in."""
    ranked = np.lexsort((second, first))
    behind = np.empty(len(first))
    behind[ranked] = (second - 0.0)[ranked] - np.minimum.accumulate(second[ranked]) if len(ranked) else 0.0
    return behind


def _beaten(first: Integers, second: Integers, points: Integers, values: Integers) -> NDArray[np.bool_]:
    """Whether a legal point is at least as good in both costs and better in one. Points rise, values fall."""
    if not len(points):
        return np.zeros(len(first), dtype=bool)
    at = np.searchsorted(points, first, side="right") - 1
    value = np.where(at >= 0, values[np.maximum(at, 0)], np.iinfo(np.int64).max)
    same = (at >= 0) & (points[np.maximum(at, 0)] == first) & (value == second)
    beaten: NDArray[np.bool_] = (value <= second) & ~same
    return beaten


def _company(table: Table, latency: Stage, row: int) -> NDArray[np.intp]:
    """The point and the rows nearest in latency, legal or not, for the solver to choose among."""
    distance = np.abs(table.columns[latency.column] - table.columns[latency.column][row])
    return np.unique(np.r_[row, np.argsort(distance, kind="stable")[:_COMPANY]])


def _at_most(stage: Stage, value: int) -> Condition:
    """The point's own latency as a condition."""

    def post(v: Variables) -> None:
        v.model.add(v.values[stage.column] <= value)

    def keeps(f: Facts) -> Any:
        return f[stage.column] <= value

    statement = "latency at most the point's"
    return Condition("frontier.latency", statement, "--pareto", post, lambda f: ("", ""), keeps, "requirement")
