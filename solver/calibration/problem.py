"""Measurements whose setups are priced again and again with other constants.

Everything is in logarithms: a residual is log(predicted / measured).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

WEIGHTS = {"tpot": 1.0, "throughput": 1.0, "ttft": 0.5}
"""TTFT repeats only to about 1.3."""
FEWEST = 2
"""Setups below which nothing is fitted."""
SERVED = ("startup", "prompt_token", "wait_steps")
"""Constants of a server, which static batches and offline runs do not have (see case_of)."""


@dataclass(frozen=True)
class Row:
    """One measurement that can be priced."""

    measured: Measurement
    case: int
    """Index of its case."""


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
            if one.speculative:
                place: int | str = "speculative decoding"
            else:
                if one.setup not in known:
                    known[one.setup] = self._case(one.setup)
                place = known[one.setup]
            if not isinstance(place, str) and not self._has(place, one):
                place = f"no {one.quantity} under this load"
            if isinstance(place, str):
                self.skipped[place] = self.skipped.get(place, 0) + 1
            else:
                self.rows.append(Row(one, place))
        if (told := len({row.case for row in self.rows})) < FEWEST:
            why = "; ".join(f"{reason}: {count}" for reason, count in self.skipped.items())
            raise InputError(
                f"{told} setups can be compared, a fit needs {FEWEST}" + (f" (left out: {why})" if why else ""),
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
        """The value of a constant before the fit: that of the first case that has it."""
        group, constant = name
        having = [case for case in self.cases if constant not in SERVED or _served(case)]
        value: float = getattr(getattr((having or self.cases)[0].scenario, group), constant)
        return value

    def residuals(self, values: dict[Name, float]) -> Vector:
        """log(predicted / measured) of every row."""
        predictions = [_predicted(case, values) for case in self.cases]
        figures = [_figure(row.measured, self.cases[row.case], predictions[row.case]) for row in self.rows]
        return np.log(figures) - self.measured

    def groups(self) -> list[int]:
        """Of each row: its model and card; where that is one for all, its layout and lengths; then its whole setup."""
        cases = [self.cases[row.case] for row in self.rows]
        ways: tuple[Callable[[Case], tuple[object, ...]], ...] = (
            lambda case: (case.scenario.model.id, case.scenario.hardware.accelerator.id),
            lambda case: (case.strategy, case.engines, case.setup.input_tokens, case.setup.output_tokens),
            lambda case: (case.setup,),
        )
        for way in ways:
            known: dict[tuple[object, ...], int] = {}
            keys = [known.setdefault(way(case), len(known)) for case in cases]
            if len(known) > 1:
                return keys
        raise AssertionError("a fit has two setups")


def _predicted(case: Case, values: dict[Name, float]) -> Prediction:
    scenario = case.scenario
    groups: dict[str, Efficiency | Latencies] = {"efficiency": scenario.efficiency, "latencies": scenario.latencies}
    for (group, name), value in values.items():
        if name not in SERVED or _served(case):
            groups[group] = groups[group].model_copy(update={name: value})
    return predict(replace(case, scenario=scenario.model_copy(update=groups)), saturated=True)


def _served(case: Case) -> bool:
    return case.setup.load in ("concurrency", "request_rate")


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
