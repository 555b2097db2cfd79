"""The solver's choice, plain filtering and loops agree on random tables; what a stopped solver leaves is marked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from ortools.sat.python import cp_model
from shardwise.solver import solve, solving
from shardwise.solver.choice.model import Choice, choose
from shardwise.solver.choice.table import best_row
from shardwise.solver.conditions.limits import limit
from shardwise.solver.watch import Watch

from ...builders import CHAT, DENSE, EXPERTS, scenario
from .tables import LIMITED, Case, best, cases


def chosen(case: Case, watch: Watch | None = None) -> Choice:
    """Every row is one engine of one GPU: only the columns differ."""
    rows = len(case.table)
    candidates = SimpleNamespace(strategies=np.ones((rows, 6), dtype=np.int64), engines=np.ones(rows, dtype=np.int64))
    limits = [
        limit(f"limit.{name}", "", "", name, "<=", most, str) for name, most in zip(LIMITED, case.most, strict=True)
    ]
    return choose(case.scene, cast(Any, candidates), case.table, case.stages, limits, watch or Watch())


@settings(max_examples=200)
@given(cases())
def test_three_routes_to_the_best_row(case: Case) -> None:
    legal = np.flatnonzero(case.table.broken == 0)
    choice, expected = chosen(case), best(case, legal.tolist())
    assert best_row(case.table, case.stages, legal) == expected
    assert choice.row == expected
    assert choice.outcome == ("optimal" if len(legal) else "infeasible")
    if expected is not None:
        reached = [solved.value for solved in choice.stages]
        assert [solved.bound for solved in choice.stages] == reached
        assert reached[-1] == case.table.columns[case.stages[-1].column][expected]


class Stopping(Watch):
    """Stops every optimisation at its first solution, as a time limit may."""

    def solve(self, solver: cp_model.CpSolver, model: cp_model.CpModel, callback: Any = None) -> Any:
        if model.has_objective():
            solver.parameters.stop_after_first_solution = True
            solver.parameters.cp_model_presolve = False
        return super().solve(solver, model, callback)


@pytest.mark.parametrize("model", [DENSE, EXPERTS], ids=["dense", "experts"])
def test_a_stopped_solver_leaves_a_marked_plan_and_a_bound(
    model: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solving, "Watch", Stopping)
    plan = solve(scenario(model, CHAT | {"concurrency": 32}, gpus=8, objective="throughput"))
    assert plan.status == "feasible"
    assert plan.verification is not None and plan.verification.ok
    *proved, last = plan.proof.stages
    assert all(stage.status == "optimal" and stage.value == stage.bound for stage in proved)
    assert last.status in ("optimal", "feasible")
    assert last.value is not None and last.bound is not None
    if last.objective == "highest throughput":
        assert last.value <= last.bound
