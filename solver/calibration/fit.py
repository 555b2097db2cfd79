"""Constants of the cost model fitted to measurements, robustly, and only as far as the measurements tell them.

Enters: measurements. Leaves: the constants that are identified, with their spread, why the others are left alone, and
the residuals that remain, cross-validated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...models import InputError
from ...models.measurement import Measurement
from ...models.operator_times import STATED, Source
from .problem import Name, Problem, Vector

NAMES: tuple[Name, ...] = (
    ("latencies", "pace"),
    ("efficiency", "mfu"),
    ("efficiency", "bandwidth"),
    ("efficiency", "expert_mfu"),
    ("efficiency", "expert_bandwidth"),
    ("efficiency", "attention_mfu"),
    ("efficiency", "kv_bandwidth"),
    ("efficiency", "link"),
    ("latencies", "layer"),
    ("latencies", "expert_layer"),
    ("latencies", "linear_layer"),
    ("latencies", "indexer"),
    ("latencies", "block_matrix"),
    ("latencies", "all_reduce"),
    ("latencies", "iteration"),
    ("latencies", "sequence"),
    ("latencies", "send_token"),
    ("latencies", "eager_layer"),
    ("latencies", "startup"),
    ("latencies", "prompt_token"),
    ("latencies", "wait_steps"),
)
PRIOR = 0.5
"""Spread (of the logarithm) within which a constant is believed to be before anything is measured: a factor of 1.65."""
IDENTIFIED = 0.6
"""A constant counts as told by the data if they shrink that spread to this share of itself."""
SCALE = 0.12
"""Residuals beyond this weigh less and less (soft L1): published measurements repeat to about 1.17."""
_STEP = 0.02


@dataclass
class Fitted:
    """What a fit found."""

    start: dict[Name, float]
    """The constants as they were."""
    values: dict[Name, float]
    spread: dict[Name, float]
    """Standard error of the logarithm."""
    left_alone: dict[Name, str]
    """Constants that keep their value, and why."""
    operators: Source
    """Where the times of operators came from."""
    rows: list[Measurement]
    before: Vector
    """Residuals with the constants as they were."""
    after: Vector
    held_out: Vector
    """Residuals of each group's rows, fitted without them."""
    groups: int


def fit(problem: Problem, names: Sequence[Name] = NAMES) -> Fitted:
    """Fit what the data identify, starting from the constants in force."""
    from scipy.optimize import least_squares  # type: ignore[import-untyped]

    left_alone: dict[Name, str] = {}
    start = {name: problem.start(name) for name in dict.fromkeys((*NAMES, *names))}
    before = problem.residuals({})
    chosen = []
    for name in names:
        if start[name] <= 0:
            left_alone[name] = "it is 0"
        elif problem.operators == "measured" and ".".join(name) in STATED:  # who states it sets the tables aside
            left_alone[name] = "the tables of measured operators say it"
        else:
            chosen.append(name)
    jacobian = _jacobian(problem, {}, start, chosen, before)
    chosen, left_alone = _identified(problem, jacobian, before, chosen, left_alone)
    if not chosen:
        raise InputError("the measurements identify none of the constants", help="measure more loads and layouts")
    anchor = np.log([start[name] for name in chosen])
    ends = [1.0 if group == "efficiency" else start[group, name] * 30 for group, name in chosen]
    lower, upper = anchor - np.log(30), np.maximum(np.log(ends), anchor + 1e-6)

    def named(point: Vector) -> dict[Name, float]:
        return {name: float(np.exp(value)) for name, value in zip(chosen, point, strict=True)}

    def weighted(point: Vector) -> Vector:
        data = problem.residuals(named(point)) * problem.weights
        return np.concatenate([data, SCALE * (point - anchor) / PRIOR])

    found = least_squares(
        weighted, anchor, bounds=(lower, upper), loss="soft_l1", f_scale=SCALE, max_nfev=12, diff_step=_STEP / 4
    )
    values = named(found.x)
    after = problem.residuals(values)
    jacobian = _jacobian(problem, values, values, chosen, after)
    spread = _spread(problem, jacobian, after)
    keys = problem.groups()
    return Fitted(
        start=start,
        values=values,
        spread=dict(zip(chosen, spread, strict=True)),
        left_alone=left_alone,
        operators=problem.operators,
        rows=[row.measured for row in problem.rows],
        before=before,
        after=after,
        held_out=_held_out(problem, jacobian, after, found.x - anchor, (lower - anchor, upper - anchor), keys),
        groups=len(set(keys)),
    )


def _jacobian(
    problem: Problem, base: dict[Name, float], values: dict[Name, float], names: Sequence[Name], at: Vector
) -> Vector:
    """Of the residuals by the logarithms of the constants, shape (rows, constants)."""
    columns = []
    for name in names:
        step = -_STEP if name[0] == "efficiency" else _STEP  # a share must not pass 1
        moved = problem.residuals({**base, name: values[name] * float(np.exp(step))})
        columns.append((moved - at) / step)
    return np.array(columns).T.reshape(len(at), len(names))


def _information(problem: Problem, jacobian: Vector, residuals: Vector) -> tuple[Vector, Vector]:
    """(weights of the rows, normal matrix with the prior), in units of the residuals' scale."""
    size = residuals * problem.weights / SCALE
    weights = problem.weights**2 / np.sqrt(1 + size**2) / SCALE**2
    normal = jacobian.T @ (weights[:, None] * jacobian) + np.eye(jacobian.shape[1]) / PRIOR**2
    return weights, normal


def _spread(problem: Problem, jacobian: Vector, residuals: Vector) -> Vector:
    _, normal = _information(problem, jacobian, residuals)
    spread: Vector = np.sqrt(np.diag(np.linalg.inv(normal)))
    return spread


def _identified(
    problem: Problem, jacobian: Vector, residuals: Vector, names: Sequence[Name], left_alone: dict[Name, str]
) -> tuple[list[Name], dict[Name, str]]:
    """Drop the constant that the data tell least, until all that are left are told."""
    names, columns = list(names), list(range(len(names)))
    left_alone = dict(left_alone)
    while columns:
        spread = _spread(problem, jacobian[:, columns], residuals) / PRIOR
        worst = int(spread.argmax())
        if spread[worst] <= IDENTIFIED:
            break
        effect = float(np.abs(jacobian[:, columns[worst]]).max())
        why = "no measurement depends on it" if effect < 0.01 else "it cannot be told from the others"
        left_alone[names[columns[worst]]] = f"{why} ({spread[worst]:.0%} of what is unknown stays so)"
        del columns[worst]
    return [names[column] for column in columns], left_alone


def _held_out(
    problem: Problem, jacobian: Vector, residuals: Vector, moved: Vector, limits: tuple[Vector, Vector], keys: list[int]
) -> Vector:
    """Residuals of each group with constants fitted to the other groups: one Gauss–Newton step from the whole fit."""
    weights, _ = _information(problem, jacobian, residuals)
    low, high = limits
    found, groups = residuals.copy(), np.array(keys)
    prior = np.eye(jacobian.shape[1]) / PRIOR**2
    for group in sorted(set(keys)):
        out = groups == group
        kept = np.where(out, 0.0, weights)
        normal = jacobian.T @ (kept[:, None] * jacobian) + prior
        step = np.linalg.solve(normal, -(jacobian.T @ (kept * residuals)) - prior @ moved)
        step = np.clip(moved + step, low, high) - moved
        found[out] = residuals[out] + jacobian[out] @ step
    return found
