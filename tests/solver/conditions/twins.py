"""Twins: two scenarios one unit apart, of which one condition alone allows the first and excludes the second."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from shardwise.models import Scenario
from shardwise.solver import solve
from shardwise.solver.choice.model import choose
from shardwise.solver.choice.table import tabulate
from shardwise.solver.conditions import Condition, Limit, all_conditions
from shardwise.solver.costs import price
from shardwise.solver.costs.grid import Grid, make_grid
from shardwise.solver.degrees import legal_strategies
from shardwise.solver.watch import Watch


@dataclass(frozen=True)
class Twins:
    """The condition `id` is met by one and broken by the other."""

    met: Scenario
    broken: Scenario


def twins(build: Callable[..., Scenario], met: Any, broken: Any) -> Twins:
    """From a builder of one argument."""
    return Twins(build(met), build(broken))


def possible(scene: Scenario, conditions: Iterable[Condition]) -> bool:
    """Whether the solver finds a plan under these conditions; no row is filtered out before it sees them."""
    conditions = list(conditions)
    limits = [c for c in conditions if isinstance(c, Limit)]
    found = legal_strategies(scene, [c for c in conditions if not isinstance(c, Limit)])
    if not len(found):
        return False
    strategies = np.unique(found, axis=0)
    counts = range(1, scene.hardware.gpu_range.max + 1)
    grids = [make_grid(scene, strategies, engines=n) for n in counts]
    grid = Grid(
        np.concatenate([g.strategies for g in grids]),
        np.concatenate([g.engines for g in grids]),
        np.concatenate([g.choice for g in grids]),
    )
    priced = price(scene, grid)
    outcome = choose(scene, priced, tabulate(priced, limits, ()), (), conditions, Watch()).outcome
    assert outcome in ("optimal", "infeasible")
    return outcome == "optimal"


def without(scene: Scenario, id: str) -> list[Condition]:
    """The scenario's conditions but one."""
    kept = [c for c in all_conditions(scene) if c.id != id]
    assert len(kept) == len(all_conditions(scene)) - 1
    return kept


def check(pair: Twins) -> None:
    """One twin has a plan, the other has none."""
    assert solve(pair.met).status == "optimal"
    assert solve(pair.broken).status == "infeasible"


def check_conflict(id: str, pair: Twins) -> None:
    """The conflict names the condition; a fact that nobody can change is told as the reason. Arithmetic is neither."""
    [condition] = [c for c in all_conditions(pair.broken) if c.id == id]
    conflicts = solve(pair.broken).conflicts
    assert conflicts
    if not condition.background:
        assert id in {member for conflict in conflicts for member in conflict.ids}
    elif not id.startswith("degrees."):
        assert all(condition.statement in conflict.because for conflict in conflicts)
