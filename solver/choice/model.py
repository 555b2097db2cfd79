"""The degree model with prices: exactly one priced row is chosen, and the objective is on the degrees' variables.

Enters: priced rows in integers, conditions, objective stages. Leaves: the chosen row, proved stage by stage.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ortools.sat.python import cp_model

from ...models import Scenario
from ...models.strategy import DEGREES
from ..conditions import Condition, Variables
from ..costs import Candidates
from ..cpsat import new_solver
from ..degrees import degree_model
from ..watch import Watch
from .objective import Stage
from .scale import LARGEST
from .table import Table

Outcome = Literal["optimal", "feasible", "infeasible", "unknown"]


@dataclass
class Solved:
    """One stage: its outcome, the value reached and the solver's bound, both in the column's integers."""

    stage: Stage
    outcome: Outcome
    value: int | None
    bound: int | None
    wall_s: float


@dataclass
class Choice:
    """The row chosen (an index into the table), and how far it is proved."""

    outcome: Outcome
    row: int | None
    units: dict[str, float] = field(default_factory=dict)
    stages: list[Solved] = field(default_factory=list)


def choose(
    scenario: Scenario,
    candidates: Candidates,
    table: Table,
    stages: Sequence[Stage],
    conditions: Sequence[Condition],
    watch: Watch,
) -> Choice:
    """Solve the stages in order; each adds `objective at least as good as found` to the next."""
    if not len(table):
        return Choice("infeasible", None)
    variables, rows = priced_model(scenario, candidates, table, conditions)
    model, choice = variables.model, Choice("unknown", None, units=table.units)
    for stage in (*stages, None):
        target = variables.values[stage.column] if stage else variables.values["canonical"]
        if stage is not None and stage.sense == "max":
            model.maximize(target)
        else:
            model.minimize(target)
        began = time.monotonic()
        solver = new_solver()
        outcome = _OUTCOMES[watch.solve(solver, model)]
        found = outcome in ("optimal", "feasible")
        if found:
            choice.row = next(i for i, literal in enumerate(rows) if solver.value(literal))
        value = solver.value(target) if found else None
        bound = round(solver.best_objective_bound) if outcome == "feasible" else value
        if stage is not None:
            choice.stages.append(Solved(stage, outcome, value, bound, time.monotonic() - began))
        if outcome != "optimal":
            # What an earlier stage found stands; a first stage without an answer is the answer.
            choice.outcome = "feasible" if choice.row is not None else outcome
            return choice
        assert value is not None
        if stage is not None:
            model.add(target >= stage.keep(value) if stage.sense == "max" else target <= stage.keep(value))
            model.clear_hints()  # type: ignore[no-untyped-call]
            for i, literal in enumerate(rows):
                model.add_hint(literal, i == choice.row)
    choice.outcome = "optimal"
    return choice


_OUTCOMES: dict[object, Outcome] = {
    cp_model.OPTIMAL: "optimal",
    cp_model.FEASIBLE: "feasible",
    cp_model.INFEASIBLE: "infeasible",
    cp_model.UNKNOWN: "unknown",
}


def priced_model(
    scenario: Scenario, candidates: Candidates, table: Table, conditions: Sequence[Condition]
) -> tuple[Variables, list[cp_model.IntVar]]:
    """The degree model, one literal per row, and every priced column tied to the literals."""
    variables = degree_model(scenario, ())
    variables.units = table.units
    model = variables.model
    rows = [model.new_bool_var(f"row_{i}") for i in range(len(table))]
    model.add_exactly_one(rows)

    def tie(variable: cp_model.IntVar, values: Sequence[int]) -> None:
        model.add(cp_model.LinearExpr.weighted_sum(rows, list(values)) == variable)

    for i, name in enumerate(DEGREES):
        tie(getattr(variables, name), candidates.strategies[:, i].tolist())
    tie(variables.engines, candidates.engines.tolist())
    for name, column in {**table.columns, "canonical": table.order}.items():
        values = column.tolist()
        if max(map(abs, values)) > LARGEST:
            raise OverflowError(f"{name}: a value beyond 2^42 reached the solver")
        variables.values[name] = model.new_int_var(min(values), max(values), name)
        tie(variables.values[name], values)
    for condition in conditions:
        condition.post(variables)
    return variables, rows
