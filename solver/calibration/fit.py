"""Constants of the cost model fitted to measurements, robustly, and only as far as the measurements tell them.

Enters: measurements. Leaves: the constants that are identified, with their spread, why the others are left alone, and
the residuals that remain, cross-validated. Everything is in logarithms: a residual is log(predicted / measured).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...models import InputError
from ...models.constants import Efficiency, Latencies
from ...models.measurement import Measurement, Setup
from ...models.operator_times import Source
from .cases import Case, Unpriced, case_of
from .predict import Prediction, predict

Vector = NDArray[np.float64]
Name = tuple[str, str]
"""(group, constant)."""

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
WEIGHTS = {"tpot": 1.0, "throughput": 1.0, "ttft": 0.5}
"""TTFT repeats only to about 1.3."""
FEWEST = 2
"""Setups below which nothing is fitted."""
_STEP = 0.02


@dataclass(frozen=True)
class Row:
    """One measurement that can be priced."""

    measured: Measurement
    case: int
    """Index of its case."""


@dataclass
class Fitted:
    """What a fit found."""

    values: dict[Name, float]
    spread: dict[Name, float]
    """Standard error of the logarithm."""
    left_alone: dict[Name, str]
    """Constants that keep their value, and why."""
    rows: list[Measurement]
    before: Vector
    """Residuals with the constants as they were."""
    after: Vector
    held_out: Vector
    """Residuals of each group's rows, fitted without them."""
    groups: int


class Problem:
    """Measurements whose setups are priced again and again with other constants."""

    def __init__(self, measurements: Sequence[Measurement], operators: Source | None = None) -> None:
        """`operators`: where their times come from; absent: measured, if all cards have tables here."""
        self.operators = operators or _common_source(measurements)
        self.rows: list[Row] = []
        self.cases: list[Case] = []
        self.shown: list[Prediction] = []
        """Of each case, with the constants in force."""
        self.skipped: dict[str, int] = {}
        known: dict[Setup, int | str] = {}
        for one in measurements:
            if one.setup not in known:
                known[one.setup] = self._case(one.setup)
            place = known[one.setup]
            if one.speculative:
                place = "speculative decoding"
            elif not isinstance(place, str) and not self._has(place, one):
                place = f"no {one.quantity} under this load"
            if isinstance(place, str):
                self.skipped[place] = self.skipped.get(place, 0) + 1
            else:
                self.rows.append(Row(one, place))
        if len(self.cases) < FEWEST:
            why = "; ".join(f"{reason}: {count}" for reason, count in self.skipped.items())
            raise InputError(
                f"{len(self.cases)} setups can be priced, a fit needs {FEWEST}"
                + (f" (left out: {why})" if why else ""),
                help="measure more loads, lengths or layouts",
            )
        self.measured = np.log([row.measured.value for row in self.rows])
        self.weights = np.array([WEIGHTS[row.measured.quantity] for row in self.rows])

    def _case(self, setup: Setup) -> int | str:
        try:
            case = case_of(setup, operators=self.operators)
            self.shown.append(predict(case))
        except Unpriced as reason:
            return str(reason)
        self.cases.append(case)
        return len(self.cases) - 1

    def _has(self, case: int, one: Measurement) -> bool:
        return self.shown[case].figure(one.quantity, one.counts, self.cases[case]) is not None

    def start(self, name: Name) -> float:
        """The value of a constant before the fit: that of the first case whose engine brings one, or the default."""
        group, constant = name
        value: float = getattr(getattr(self.cases[0].scenario, group), constant)
        return value

    def residuals(self, values: dict[Name, float]) -> Vector:
        """log(predicted / measured) of every row."""
        predictions = [_predicted(case, values) for case in self.cases]
        figures = [_figure(row.measured, self.cases[row.case], predictions[row.case]) for row in self.rows]
        return np.log(figures) - self.measured

    def groups(self) -> list[str]:
        """Of each row: its model and card, or, where there is only one such pair, its layout and lengths."""
        keys = [f"{row.measured.setup.model} on {row.measured.setup.accelerator}" for row in self.rows]
        if len(set(keys)) > 1:
            return keys
        return [
            f"{s.gpus}/{s.tensor}/{s.pipeline}/{s.data}/{s.expert}/{s.input_tokens}/{s.output_tokens}"
            for s in (row.measured.setup for row in self.rows)
        ]


def _predicted(case: Case, values: dict[Name, float]) -> Prediction:
    scenario = case.scenario
    groups: dict[str, Efficiency | Latencies] = {"efficiency": scenario.efficiency, "latencies": scenario.latencies}
    served = case.setup.load in ("concurrency", "request_rate")
    for (group, name), value in values.items():
        if served or name not in ("startup", "prompt_token", "wait_steps"):  # see case_of
            groups[group] = groups[group].model_copy(update={name: value})
    return predict(replace(case, scenario=scenario.model_copy(update=groups)))


def _common_source(measurements: Iterable[Measurement]) -> Source:
    """One for all: constants belong to the times of operators that they were fitted beside."""
    found: set[Source] = set()
    for setup in {one.setup for one in measurements}:
        try:
            found.add(case_of(setup).scenario.operator_times.source)
        except Unpriced:
            continue
    return "measured" if found == {"measured"} else "datasheet"


def _figure(one: Measurement, case: Case, prediction: Prediction) -> float:
    found = prediction.figure(one.quantity, one.counts, case)
    assert found is not None, "a quantity that this load does not have"
    return max(found, 1e-9)


def fit(problem: Problem, names: Sequence[Name] = NAMES) -> Fitted:
    """Fit what the data identify, starting from the constants in force."""
    from scipy.optimize import least_squares  # type: ignore[import-untyped]

    left_alone: dict[Name, str] = {}
    values = {name: problem.start(name) for name in names}
    before = problem.residuals({})
    chosen = []
    for name in names:
        if values[name] <= 0:
            left_alone[name] = "it is 0"
        else:
            chosen.append(name)
    jacobian = _jacobian(problem, {}, values, chosen, before)
    chosen, left_alone = _identified(problem, jacobian, before, chosen, left_alone)
    if not chosen:
        raise InputError("the measurements identify none of the constants", help="measure more loads and layouts")
    anchor = np.log([values[name] for name in chosen])
    ends = [1.0 if group == "efficiency" else values[group, name] * 30 for group, name in chosen]
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
        values=values,
        spread=dict(zip(chosen, spread, strict=True)),
        left_alone=left_alone,
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
    problem: Problem, jacobian: Vector, residuals: Vector, moved: Vector, limits: tuple[Vector, Vector], keys: list[str]
) -> Vector:
    """Residuals of each group with constants fitted to the other groups: one Gauss–Newton step from the whole fit."""
    weights, _ = _information(problem, jacobian, residuals)
    low, high = limits
    found, groups = residuals.copy(), np.array(keys)
    prior = np.eye(jacobian.shape[1]) / PRIOR**2
    for group in sorted(set(keys)):
        out = groups == group
        if out.all():
            continue
        kept = np.where(out, 0.0, weights)
        normal = jacobian.T @ (kept[:, None] * jacobian) + prior
        step = np.linalg.solve(normal, -(jacobian.T @ (kept * residuals)) - prior @ moved)
        step = np.clip(moved + step, low, high) - moved
        found[out] = residuals[out] + jacobian[out] @ step
    return found
