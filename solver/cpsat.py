"""CP-SAT solvers set up alike: the same answer in every run, and no step that is known to lose solutions."""

from __future__ import annotations

from ortools.sat.python import cp_model


def new_solver() -> cp_model.CpSolver:
    """A solver with one worker and a fixed seed; set what a search needs beyond that on its parameters."""
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    # OR-Tools 9.15 "proves" wrong optima where presolve looks for constraints inside others (google/or-tools#5293):
    # three of our models lost their best deployment so. Without that step all are right, and none is slower.
    solver.parameters.presolve_inclusion_work_limit = 0
    return solver
