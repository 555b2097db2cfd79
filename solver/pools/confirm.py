"""A deployment's engines fixed back into the degree model: each must be feasible there, every condition posted."""

from __future__ import annotations

from ortools.sat.python import cp_model

from ...models.deployment import PoolEngine
from ...models.strategy import DEGREES
from ..cpsat import new_solver
from ..degrees import degree_model
from ..errors import DisagreementError
from .parts import Part


def confirm(part: Part, entry: PoolEngine) -> None:
    """Raise DisagreementError unless so many engines keep the part's structural conditions, on every card they use."""
    assert entry.strategy is not None
    stages = [one.stages for one in entry.parts] or [entry.strategy.pipeline]
    for scene, pipeline in zip(part.scenes, stages, strict=True):
        variables = degree_model(scene)
        for name in DEGREES:
            value = pipeline if name == "pipeline" else getattr(entry.strategy, name)
            variables.model.add(getattr(variables, name) == value)
        variables.model.add(variables.engines == entry.count)
        solver = new_solver()
        if solver.solve(variables.model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            raise DisagreementError(f"the degree model refuses {entry.count} {part.role} engines of {entry.name}")
