"""The linear relaxation over all engines, by column generation: a bound, and what each engine loses against it.

Enters: engines as columns of a few linear constraints. Leaves: dual prices. Any dual prices bound every deployment from
above (weak duality), so engines that the bound rules out can be dropped without changing the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ortools.linear_solver import pywraplp  # type: ignore[import-untyped]

from .linear import INFINITE, Linear

_AT_ONCE = 24
"""Columns added in one round."""
_ROUNDS = 400
_TOLERANCE = 1e-9
"""Relative, on scaled figures."""


@dataclass
class Relaxed:
    """What the relaxation says: nothing fits, or a bound."""

    feasible: bool
    bound: float = np.inf
    """No deployment is better, in the objective's steps."""
    loss: NDArray[np.float64] | None = None
    """Steps by which a deployment with one such engine is below the bound, at least; shape (engines,)."""


def relax(objective: Linear, constraints: Sequence[Linear], most: NDArray[np.int64]) -> Relaxed:
    """Maximise the objective over fractional counts."""
    problem = _Scaled(objective, constraints, most)
    columns = problem.start()
    if not problem.solve(columns, phase=1):
        return Relaxed(False)
    problem.solve(columns, phase=2)
    return problem.relaxed()


class _Scaled:
    """The problem in floats of order 1, and its dual prices so far."""

    def __init__(self, objective: Linear, constraints: Sequence[Linear], most: NDArray[np.int64]) -> None:
        self.most = most.astype(np.float64)
        matrix = np.array([c.coefficients for c in constraints], dtype=np.float64).reshape(len(constraints), len(most))
        scale = np.maximum(np.abs(matrix).max(axis=1, initial=0), [max(abs(c.flow), 1) for c in constraints])
        self.matrix = matrix / scale[:, None]
        # The flow is measured in the largest rate, so that its coefficients are of order 1 too.
        self.step = max([s for s, c in zip(scale, constraints, strict=True) if c.flow], default=1.0)
        self.flow = np.array([c.flow for c in constraints]) / scale * self.step
        self.has_flow = bool(self.flow.any())
        self.least = np.array([c.least if c.least > -INFINITE else -np.inf for c in constraints]) / scale
        self.high = np.array([c.most if c.most < INFINITE else np.inf for c in constraints]) / scale
        self.unit = float(np.abs(objective.coefficients).max(initial=0)) or 1.0
        self.gain = objective.coefficients / self.unit
        self.flow_gain = objective.flow / self.unit * self.step
        self.prices = np.zeros(len(constraints))

    def start(self) -> list[int]:
        """Some columns to begin with: for every constraint those that help it most and least."""
        chosen: set[int] = set()
        for row in (*self.matrix, self.gain):
            order = np.argpartition(row, min(4, len(row) - 1)) if len(row) > 8 else np.arange(len(row))
            chosen |= {int(i) for i in (*order[:4], *order[-4:], row.argmax(), row.argmin())} if len(row) else set()
        return sorted(chosen)

    def solve(self, columns: list[int], phase: int) -> bool:
        """Price columns in until none helps. Phase 1: whether the constraints can be met."""
        here = set(columns)
        for _ in range(_ROUNDS):
            missing = self._master(columns, phase)
            helps = (self.gain if phase == 2 else 0.0) - self.prices @ self.matrix
            if phase == 1 and missing <= 1e-9:
                return True
            wanted = min(_AT_ONCE + len(columns), len(helps))
            best = np.argpartition(-helps, wanted - 1)[:wanted]
            best = best[np.lexsort((best, -helps[best]))]
            new = [int(i) for i in best if helps[i] > _TOLERANCE and int(i) not in here][:_AT_ONCE]
            if not new:
                return phase == 2 or missing <= 1e-7
            columns += new
            here |= set(new)
        return True  # prices of any round give a valid bound

    def _master(self, columns: list[int], phase: int) -> float:
        """Solve over some columns; keeps the dual prices, returns by how much constraints are missed."""
        solver = pywraplp.Solver.CreateSolver("GLOP")
        infinity = solver.infinity()
        rows = [
            solver.Constraint(float(max(low, -infinity)), float(min(high, infinity)))
            for low, high in zip(self.least, self.high, strict=True)
        ]
        goal = solver.Objective()
        for i in columns:
            count = solver.NumVar(0.0, float(self.most[i]), "")
            for j in np.flatnonzero(self.matrix[:, i]):
                rows[j].SetCoefficient(count, float(self.matrix[j, i]))
            if phase == 2:
                goal.SetCoefficient(count, float(self.gain[i]))
        if self.has_flow:
            flow = solver.NumVar(0.0, infinity, "")
            for j in np.flatnonzero(self.flow):
                rows[j].SetCoefficient(flow, float(self.flow[j]))
            if phase == 2:
                goal.SetCoefficient(flow, float(self.flow_gain))
        slack = []
        for row in rows:
            for sign in (1.0, -1.0):
                one = solver.NumVar(0.0, infinity if phase == 1 else 0.0, "")
                row.SetCoefficient(one, sign)
                slack.append(one)
                if phase == 1:
                    goal.SetCoefficient(one, -1.0)
        goal.SetMaximization()
        if solver.Solve() != pywraplp.Solver.OPTIMAL:
            return 0.0  # numerical trouble: the prices so far stand, and bound less tightly
        self.prices = np.array([row.dual_value() for row in rows])
        return float(sum(one.solution_value() for one in slack))

    def relaxed(self) -> Relaxed:
        """The bound of the dual prices, worked out here, so that it holds whatever the solver's tolerance."""
        prices = self.prices.copy()
        prices[(prices > 0) & ~np.isfinite(self.high)] = 0.0
        prices[(prices < 0) & ~np.isfinite(self.least)] = 0.0
        reduced = self.gain - prices @ self.matrix
        flow = self.flow_gain - float(prices @ self.flow)
        if flow > 0:  # push the price of a constraint that the flow stands in until the flow gains nothing
            at = np.flatnonzero((self.flow < 0) & np.isfinite(self.least))[:1]
            prices[at] -= flow / -self.flow[at]
            reduced = self.gain - prices @ self.matrix
        with np.errstate(invalid="ignore"):
            ends = np.where(prices > 0, prices * self.high, np.where(prices < 0, prices * self.least, 0.0))
        bound = float(ends.sum() + (np.maximum(reduced, 0) * self.most).sum())
        slack = 1e-7 * max(1.0, abs(bound))
        return Relaxed(True, (bound + slack) * self.unit, np.maximum(-reduced, 0) * self.unit)
