"""Measurements beside their predictions: every setup is priced once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...models.measurement import Measurement, Setup
from ...models.operator_times import Source
from .cases import Case, Constants, Unpriced, case_of
from .errors import Compared
from .predict import Prediction, predict


@dataclass
class Comparison:
    """What could be compared, and how many rows could not be, by reason."""

    rows: list[Compared] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    operators: Counter[Source] = field(default_factory=Counter)
    """Rows by where their times of operators come from."""


def compare(
    measurements: Iterable[Measurement], constants: Constants | None = None, operators: Source | None = None
) -> Comparison:
    """Predict every measurement; `operators` as in case_of."""
    found = Comparison()
    priced: dict[Setup, tuple[Case, Prediction] | str] = {}
    for one in measurements:
        if one.speculative:
            found.skipped["speculative decoding"] += 1
            continue
        if one.setup not in priced:
            try:
                case = case_of(one.setup, constants, operators)
                priced[one.setup] = case, predict(case)
            except Unpriced as reason:
                priced[one.setup] = str(reason)
        known = priced[one.setup]
        if isinstance(known, str):
            found.skipped[known] += 1
            continue
        case, prediction = known
        value = prediction.figure(one.quantity, one.counts, case)
        if value is None:
            found.skipped[f"no {one.quantity} under this load"] += 1
        else:
            found.rows.append(Compared(one, value))
            found.operators[case.scenario.operator_times.source] += 1
    return found
