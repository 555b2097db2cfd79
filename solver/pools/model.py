"""The count model in CP-SAT: one integer per engine, the deployment's sums, nodes, pairs and identities.

Enters: some engines, a goal. Leaves: counts, and how far they are proved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from ..watch import Watch
from . import packing
from .contenders import tolerance
from .engines import AGGREGATED, DECODE, PREFILL, Demands, Engines, Integers
from .linear import INFINITE, Goal, Linear
from .looks import WHOLE, Effort, Outcome, decided


@dataclass
class Counted:
    """Counts of engines (by index into the engines given), the value of the objective and the solver's bound."""

    outcome: Outcome
    counts: dict[int, int]
    value: int = 0
    bound: int = 0


@dataclass(frozen=True)
class Asked:
    """A goal over some engines, as sums."""

    engines: Engines
    goal: Goal
    objective: Linear
    constraints: Sequence[Linear]
    most: Integers
    demands: Demands
    enough: int | None = None
    """The first deployment of this value will do."""
    ceiling: int | None = None
    """Nothing better exists."""
    effort: Effort = WHOLE


def count(asked: Asked, index: NDArray[np.intp], watch: Watch, hint: Mapping[int, int]) -> Counted:
    """Maximise the objective over the engines at `index`.

    What flows from prefill to decode engines is what the narrower pool does. Either may be the narrower: two models
    without the flow as a variable, because the solver walks through the values of so large a one.
    """
    e, demands = asked.engines, asked.demands
    if not (demands.decodes and demands.clients is None and all((e.role[index] == r).any() for r in (PREFILL, DECODE))):
        return _count(asked, index, watch, hint, PREFILL)
    passed = {role: sum(int(e.rate[i]) * c for i, c in hint.items() if e.role[i] == role) for role in (PREFILL, DECODE)}
    found: list[Counted] = []
    for narrower in sorted(passed, key=lambda role: passed[role]):  # as in the hint, which is often the answer
        one = _count(asked, index, watch, hint, narrower)
        if one.counts and (asked.enough is not None or one.value == asked.ceiling):
            return Counted("optimal", one.counts, one.value, one.value)
        found.append(one)
    best = max(found, key=lambda one: (bool(one.counts), one.value))
    proved = all(one.outcome in ("optimal", "infeasible") for one in found)
    if not best.counts:
        return Counted("infeasible" if proved else "unknown", {})
    bound = max(one.bound for one in found if one.counts)
    return Counted("optimal" if proved else "feasible", best.counts, best.value, best.value if proved else bound)


def _count(asked: Asked, index: NDArray[np.intp], watch: Watch, hint: Mapping[int, int], narrower: int) -> Counted:
    """The same where the pool of one role is the narrower; that the other keeps up is among the constraints."""
    e, most, demands = asked.engines, asked.most, asked.demands
    model = cp_model.CpModel()
    n = {int(i): model.new_int_var(0, int(most[i]), f"engines_{i}") for i in index}

    def coefficients_of(one: Linear) -> Integers:
        """With what flows counted where it is the less."""
        whole: Integers = one.coefficients + one.flow * np.where(e.role == narrower, e.rate, 0)
        return whole

    def total(one: Linear) -> tuple[cp_model.LinearExprT, int]:
        """The sum, divided by 2^shift where it would not fit 64 bits: rounded up, so that nothing is lost."""
        coefficients = coefficients_of(one)
        whole = sum(abs(int(coefficients[i])) * int(most[i]) for i in n)
        shift = max(0, whole.bit_length() - 61)
        terms = [(n[i], -(-int(coefficients[i]) >> shift)) for i in n if coefficients[i]]
        return cp_model.LinearExpr.weighted_sum([v for v, _ in terms], [c for _, c in terms]), shift

    for one in asked.constraints:
        _post(model, *total(one), one)
    for place, card in enumerate(demands.cards):
        if card.node > 1:
            packing.post(model, card, [(int(e.on[i, place]), n[i]) for i in n if e.on[i, place]])
    if demands.decodes:
        _pairs(model, e, n, most, tolerance(e, demands, asked.goal.latency))
    if not demands.mixes:
        _one_mode(model, e, n, most)
    if demands.distinct is not None:
        _distinct(model, e, n, most, demands.distinct)
    if demands.engines is not None:
        whole = int(sum(card.gpus for card in demands.cards))
        allowed = [k for k in range(1, whole + 1) if demands.engines(k)]
        model.add_linear_expression_in_domain(sum(n.values()), cp_model.Domain.from_values(allowed))
    model.add(sum(n.values()) >= 1)
    worth, shift = total(asked.objective)
    if asked.enough is not None:
        model.add(worth >= asked.enough >> shift)
    else:
        model.maximize(worth)
        if asked.ceiling is not None and not shift:
            model.add(worth <= asked.ceiling)
    for i, variable in n.items() if hint else ():
        model.add_hint(variable, hint.get(i, 0))
    enough = INFINITE if asked.ceiling is None else asked.ceiling
    if asked.enough is not None:
        enough = asked.enough >> shift
    found = decided(model, worth, watch, enough=enough, effort=asked.effort)
    if found.outcome not in ("optimal", "feasible"):
        return Counted(found.outcome, {})
    counts = {i: found.solver.value(variable) for i, variable in n.items() if found.solver.value(variable)}
    gains = coefficients_of(asked.objective)
    value = sum(int(gains[i]) * copies for i, copies in counts.items())
    outcome = "optimal" if asked.enough is not None else found.outcome
    return Counted(
        outcome, counts, value, value if outcome == "optimal" else round(found.solver.best_objective_bound) << shift
    )


def _post(model: cp_model.CpModel, expression: cp_model.LinearExprT, shift: int, one: Linear) -> None:
    if shift and one.most < INFINITE:
        raise OverflowError(f"{one.name}: a ceiling on a sum beyond 64 bits")
    if one.least == one.most:
        model.add(expression == one.least)
        return
    if one.least > -INFINITE:
        model.add(expression >= one.least >> shift)
    if one.most < INFINITE:
        model.add(expression <= one.most)


def _pairs(model: cp_model.CpModel, e: Engines, n: dict[int, cp_model.IntVar], most: Integers, far: Integers) -> None:
    """Prefill engines come with decode engines, and every one can feed every other: Booleans over the prefill parts."""
    senders = sorted((i for i in n if e.role[i] == PREFILL), key=lambda i: int(e.ttft[i]))
    takers = [i for i in n if e.role[i] == DECODE]
    apart = model.new_bool_var("disaggregated")
    for half in (senders, takers):
        for i in half:
            model.add(n[i] <= int(most[i]) * apart)
        model.add(sum(n[i] for i in half) >= apart)
    if not senders or not takers:
        return
    nearest = min(int(far[i]) for i in takers)
    late = [i for i in senders if e.ttft[i] > nearest]
    steps = sorted({int(e.ttft[i]) for i in late})
    reaches = [model.new_bool_var(f"prefill_part_of_{step}") for step in steps]
    for lower, higher in pairwise(reaches):
        model.add_implication(higher, lower)
    for i in late:
        model.add(n[i] <= int(most[i]) * reaches[steps.index(int(e.ttft[i]))])
    for i in takers:
        at = int(np.searchsorted(steps, int(far[i]), side="right"))
        if at < len(steps):
            model.add(n[i] <= int(most[i]) * (1 - reaches[at]))


def _one_mode(model: cp_model.CpModel, e: Engines, n: dict[int, cp_model.IntVar], most: Integers) -> None:
    whole = model.new_bool_var("aggregated")
    for i, variable in n.items():
        model.add(variable <= int(most[i]) * (whole if e.role[i] == AGGREGATED else 1 - whole))


def _distinct(model: cp_model.CpModel, e: Engines, n: dict[int, cp_model.IntVar], most: Integers, limit: int) -> None:
    for role in (PREFILL, DECODE, AGGREGATED):
        used: dict[int, cp_model.IntVar] = {}
        for i in (i for i in n if e.role[i] == role):
            identity = int(e.identity[i])
            if identity not in used:
                used[identity] = model.new_bool_var(f"role_{role}_identity_{identity}")
            model.add(n[i] <= int(most[i]) * used[identity])
        if len(used) > limit:
            model.add(sum(used.values()) <= limit)
