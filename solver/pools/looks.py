"""A model searched in one way, or in two: presolve has lost solutions (docs/decisions.md), and is mostly slower.

Enters: a model and what its solution is worth. Leaves: the better of the searches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ortools.sat.python import cp_model

from ..cpsat import new_solver
from ..watch import Watch

Outcome = Literal["optimal", "feasible", "infeasible", "unknown"]
OUTCOMES: dict[object, Outcome] = {
    cp_model.OPTIMAL: "optimal",
    cp_model.FEASIBLE: "feasible",
    cp_model.INFEASIBLE: "infeasible",
    cp_model.UNKNOWN: "unknown",
}
SHORT = 0.5
"""Deterministic seconds of a search that most models are decided in, and of one that another is held against."""
PATIENCE = 20.0
"""Deterministic seconds of the one that has to decide; what is open then is told with its bound."""


@dataclass(frozen=True)
class Effort:
    """How much a search may cost."""

    sure: bool = True
    """On the word of two searches; else of one."""
    patience: float = PATIENCE


WHOLE = Effort()


@dataclass
class Look:
    """One search and how it ended."""

    outcome: Outcome
    solver: cp_model.CpSolver
    value: int | None
    """What it found is worth; None: nothing."""

    @property
    def decided(self) -> bool:
        """Whether it left nothing open."""
        return self.outcome in ("optimal", "infeasible")


def decided(model: cp_model.CpModel, worth: cp_model.LinearExprT, watch: Watch, *, enough: int, effort: Effort) -> Look:
    """Search without presolve, and with it if that does not end.

    Where it must be sure, with presolve too unless what was found is `enough`: nothing is ruled out on one word.
    """
    first = _look(model, worth, watch, SHORT, presolve=False)
    if first.decided and (not effort.sure or (first.value is not None and first.value >= enough)):
        return first
    second = _look(model, worth, watch, SHORT if first.decided else effort.patience, presolve=True)
    if first.value == second.value:
        return first if first.decided else second
    return max(first, second, key=lambda look: -1 if look.value is None else look.value)


def _look(
    model: cp_model.CpModel, worth: cp_model.LinearExprT, watch: Watch, patience: float, *, presolve: bool
) -> Look:
    """One search, the same in every run."""
    solver = new_solver()
    solver.parameters.linearization_level = 2  # measured: knapsacks with ties stay open for minutes at level 1
    solver.parameters.max_deterministic_time = patience
    solver.parameters.cp_model_presolve = presolve
    status = watch.solve(solver, model)
    if status not in OUTCOMES:
        raise RuntimeError(f"the count model was not accepted: {model.validate()}")
    outcome = OUTCOMES[status]
    return Look(outcome, solver, solver.value(worth) if outcome in ("optimal", "feasible") else None)
