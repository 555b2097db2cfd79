"""The degree model: integer variables for the six degrees, the engines and the GPUs, under named conditions.

Enters: a Scenario. Leaves: every legal strategy, as an integer array. Prices come later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from ortools.sat.python import cp_model

from ..models import Scenario
from ..models.strategy import DEGREES
from .conditions import Condition, Variables, structural_of
from .conditions.structure import LARGEST_DEGREE
from .cpsat import new_solver
from .errors import StoppedError
from .watch import Watch

if TYPE_CHECKING:
    from numpy.typing import NDArray


def new_variables(scenario: Scenario, largest: int | None = None) -> Variables:
    """Fresh variables in a fresh model, nothing posted yet. `largest` widens their domains beyond the cluster."""
    model = cp_model.CpModel()
    largest = largest or scenario.hardware.gpu_range.max
    degrees = {name: model.new_int_var(1, largest, name) for name in DEGREES}
    others = ("stage_group", "engine_gpus", "engines", "gpus_used")
    more = {name: model.new_int_var(1, largest, name) for name in others}
    return Variables(model=model, scenario=scenario, largest=largest, **degrees, **more)  # type: ignore[arg-type]


def is_legal(scenario: Scenario, conditions: Iterable[Condition], *, presolve: bool = True) -> bool:
    """Whether any strategy meets the conditions. Without presolve it is a second route to the same answer."""
    # Wide domains: the number of GPUs must be a condition here, not an end of the variables.
    variables = degree_model(scenario, conditions, LARGEST_DEGREE)
    variables.model.add(variables.engines == 1)
    solver = new_solver()
    solver.parameters.cp_model_presolve = presolve
    status = solver.solve(variables.model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.INFEASIBLE):
        raise RuntimeError(f"the degree model was not decided: {solver.status_name(status)}")
    return status != cp_model.INFEASIBLE


def degree_model(
    scenario: Scenario, conditions: Iterable[Condition] | None = None, largest: int | None = None
) -> Variables:
    """The model without prices; `conditions` replaces the scenario's own (to drop or isolate some)."""
    variables = new_variables(scenario, largest)
    for condition in structural_of(scenario) if conditions is None else conditions:
        condition.post(variables)
    return variables


def legal_strategies(
    scenario: Scenario, conditions: Iterable[Condition] | None = None, watch: Watch | None = None
) -> NDArray[np.int64]:
    """All strategies of which one engine can be placed; how many engines is priced later.

    Shape (strategies, 6), columns as DEGREES.
    Sorted by the degrees, so that the answer does not depend on the solver's order. Raises StoppedError if the watch
    ends the enumeration.
    """
    variables = degree_model(scenario, conditions)
    variables.model.add(variables.engines == 1)
    order = [getattr(variables, name) for name in ("tensor", "expert", "pipeline", "expert_tensor", "data", "context")]
    variables.model.add_decision_strategy(order, cp_model.CHOOSE_FIRST, cp_model.SELECT_MIN_VALUE)
    asked = str(variables.model.proto)
    if (known := _ENUMERATED.get(asked)) is not None:
        return known
    solver = new_solver()
    solver.parameters.enumerate_all_solutions = True
    # Products of degrees have useless linear relaxations: without them the enumeration is 10 to 15 times faster.
    solver.parameters.linearization_level = 0
    solver.parameters.search_branching = cp_model.FIXED_SEARCH
    collector = _Collector([getattr(variables, name) for name in DEGREES])
    status = (watch or Watch()).solve(solver, variables.model, collector)
    if status not in (cp_model.OPTIMAL, cp_model.INFEASIBLE):
        raise StoppedError
    found = np.array(collector.found, dtype=np.int64).reshape(-1, len(DEGREES))
    found = found[np.lexsort(found.T[::-1])]
    found.setflags(write=False)
    if len(_ENUMERATED) == MOST_ENUMERATED:
        del _ENUMERATED[next(iter(_ENUMERATED))]
    _ENUMERATED[asked] = found
    return found


MOST_ENUMERATED = 64
_ENUMERATED: dict[str, NDArray[np.int64]] = {}
"""Models written out -> their solutions: the scenarios of a sweep that differ in their load have the same ones."""


class _Collector(cp_model.CpSolverSolutionCallback):
    """Keeps every solution."""

    def __init__(self, variables: list[cp_model.IntVar]) -> None:
        super().__init__()
        self._variables = variables
        self.found: list[tuple[int, ...]] = []

    def on_solution_callback(self) -> None:
        """Called by the solver at each solution."""
        self.found.append(tuple(self.value(variable) for variable in self._variables))
