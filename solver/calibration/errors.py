"""How far predictions are from measurements: errors of figures, and the ranking of layouts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median

from ...models.measurement import Measurement, Setup


@dataclass(frozen=True)
class Errors:
    """Of predictions relative to the measured value, as shares: 0.12 is 12 %."""

    n: int
    median: float | None
    """Of the absolute error; None without any."""
    mean: float | None
    bias: float | None
    """Median of the signed error: above 0 the model predicts too much."""
    within_20: float | None
    """Share of the predictions that are within 20 %."""

    @classmethod
    def of(cls, errors: Iterable[float]) -> Errors:
        """From signed relative errors."""
        signed = list(errors)
        if not signed:
            return cls(0, None, None, None, None)
        size = [abs(error) for error in signed]
        close = sum(error <= 0.2 for error in size) / len(size)
        return cls(len(size), median(size), fmean(size), median(signed), close)


@dataclass(frozen=True)
class Compared:
    """A measurement and what was predicted for it."""

    measured: Measurement
    predicted: float

    @property
    def error(self) -> float:
        """Signed, relative to the measured value."""
        return self.predicted / self.measured.value - 1


@dataclass(frozen=True)
class Ranking:
    """Groups of layouts under the same load per GPU: whether the layout predicted best is the measured best."""

    groups: int
    top1: float | None
    """Share of the groups in which it is."""
    median_regret: float | None
    mean_regret: float | None
    """What the chosen layout gives up against the measured best, throughput per GPU, as a share."""

    def as_dict(self) -> dict[str, float | int | None]:
        """For JSON."""
        return asdict(self)


def ranking(rows: Sequence[Compared]) -> Ranking:
    """Rank layouts at equal concurrency per GPU by output tokens per second and GPU.

    In a closed loop of C requests that is C·O/(TTFT + (O − 1)·TPOT) per GPU, by Little's law, measured and predicted
    alike. Setups need both figures; layouts that ran twice count at the mean of their measurements.
    """
    values: dict[Setup, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.measured.setup.load == "concurrency" and row.measured.quantity in ("ttft", "tpot"):
            values[row.measured.setup][row.measured.quantity].append((row.measured.value, row.predicted))
    groups: dict[Hashable, list[tuple[float, float]]] = defaultdict(list)
    for setup, found in values.items():
        if {"ttft", "tpot"} <= found.keys():
            rates = tuple(_rate_per_gpu(setup, found, side) for side in (0, 1))
            groups[_load_of(setup)].append((rates[0], rates[1]))
    several = [layouts for layouts in groups.values() if len(layouts) > 1]
    regrets = []
    hits = 0
    for layouts in several:
        best = max(measured for measured, _ in layouts)
        chosen = max(layouts, key=lambda one: one[1])[0]
        hits += chosen == best
        regrets.append(1 - chosen / best)
    if not several:
        return Ranking(0, None, None, None)
    return Ranking(len(several), hits / len(several), median(regrets), fmean(regrets))


def _rate_per_gpu(setup: Setup, found: dict[str, list[tuple[float, float]]], side: int) -> float:
    ttft, tpot = (fmean(pair[side] for pair in found[name]) for name in ("ttft", "tpot"))
    amount, answer = setup.amount or 0.0, setup.output_tokens
    return amount * answer / (ttft + (answer - 1) * tpot) / setup.gpus


def _load_of(setup: Setup) -> Hashable:
    """What layouts must share to be ranked: all but the layout and the number of GPUs."""
    per_gpu = round((setup.amount or 0) / setup.gpus, 6)
    return (
        setup.model,
        setup.precision,
        setup.accelerator,
        setup.framework,
        setup.input_tokens,
        setup.output_tokens,
        per_gpu,
    )
