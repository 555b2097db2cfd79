"""The objectives of a deployment, solved one after the other; each keeps what the ones before it reached.

Sums (requests/s, GPUs, price) are maximised by the count model, ratios by Dinkelbach's iterations, the latency of the
slowest engine or pair by bisection over the values it can have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from ..errors import StoppedError
from .best import Search
from .engines import AGGREGATED, DECODE, PREFILL, RATE_BITS, RATIO_BITS, TIME_STEP, Engines
from .linear import Goal, Weights, sums_of
from .looks import PATIENCE, WHOLE, Effort, Outcome
from .model import Counted

Kind = Literal["throughput", "latency", "per-gpu", "per-cost", "gpus", "cost"]
_RATE = Weights(rate=1)
_SUMS = {"throughput": _RATE, "gpus": Weights(gpus=-1), "cost": Weights(price=-1)}
"""Figures of which more is better."""
_RATIOS = {"per-gpu": Weights(gpus=1), "per-cost": Weights(price=1)}
"""What the rate is divided by."""
_DINKELBACH = 60
_TIE = 1e-3
"""Share of the latency that a tie is left open at, where it is hard to break."""
_BRIEF = 1.0
"""Deterministic seconds of a step that may stay open."""


@dataclass(frozen=True)
class Stage:
    """Optimise one quantity; `slack` is the share of the best value that later stages may give up."""

    kind: Kind
    words: str
    unit: str
    slack: float = 0.0
    within: float = 0.0
    """Share of the value up to which its proof may stay open where it is hard; only for what breaks ties."""

    @property
    def falls(self) -> bool:
        """Whether less is better."""
        return self.kind in ("latency", "gpus", "cost")


@dataclass
class Solved:
    """One stage: value and proved bound, in SI units (None: unknown)."""

    stage: Stage
    outcome: Outcome
    value: float | None
    bound: float | None
    wall_s: float


@dataclass
class Answer:
    """Counts by engine, and how far every stage is proved."""

    outcome: Outcome
    counts: dict[int, int] = field(default_factory=dict)
    stages: list[Solved] = field(default_factory=list)


def stages_of(objectives: Sequence[str], balance: float, *, free: bool, latency_words: str = "latency") -> list[Stage]:
    """The objectives, then what breaks ties: throughput, latency, fewest GPUs. `free`: the GPU count is a range."""
    throughput = Stage("throughput", "highest throughput", "requests/s")
    per_gpu = Stage("per-gpu", "highest throughput per GPU used", "requests/s per GPU")
    per_cost = Stage("per-cost", "highest throughput per price", "requests per unit of money")
    latency = Stage("latency", f"lowest {latency_words} of the slowest engine", "s")
    gpus, cost = Stage("gpus", "fewest GPUs", "GPUs"), Stage("cost", "lowest price", "per hour")
    primary = per_gpu if free else throughput
    words = f"{primary.words} ({balance:.1%} of it may be given up for latency)"
    table = {
        "balanced": [replace(primary, words=words, slack=balance), replace(latency, within=_TIE), primary],
        "throughput": [throughput],
        "latency": [latency],
        "throughput-per-gpu": [per_gpu],
        "fewest-gpus": [gpus],
        "cost": [cost],
        "throughput-per-cost": [per_cost],
    }
    stages: list[Stage] = []
    for stage in (*(s for name in objectives for s in table[name]), throughput, replace(latency, within=_TIE), gpus):
        if all(stage.words != other.words for other in stages):
            stages.append(stage)
    return stages


def optimise(search: Search, stages: Sequence[Stage]) -> Answer:
    """Solve all stages in order."""
    work = _Work(search)
    answer = Answer("unknown")
    for stage in stages:
        began = time.monotonic()
        try:
            found = work.solve(stage, answer.counts)
        except StoppedError:
            if not answer.counts:
                raise
            answer.outcome = "feasible"  # what the stages before it found stands
            return answer
        took = time.monotonic() - began
        if found.counts:
            answer.counts = found.counts
        answer.stages.append(Solved(stage, found.outcome, *work.figures(stage, found), took))
        if found.outcome != "optimal":
            answer.outcome = "feasible" if answer.counts else found.outcome
            return answer
        work.keep(stage, found.counts)
    answer.outcome = "optimal"
    return answer


class _Work:
    """The search under what earlier stages reached."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.kept: list[tuple[Weights, int]] = []
        self.latency: int | None = None

    @property
    def engines(self) -> Engines:
        """With the figures as they are now."""
        return self.search.source.engines

    def value(self, weights: Weights, counts: Mapping[int, int]) -> int:
        """A figure of a deployment, in steps."""
        return weights.of(*totals(self.search, counts))

    def solve(self, stage: Stage, counts: Mapping[int, int]) -> Counted:
        """One stage, from the deployment found so far."""
        if stage.kind == "latency":
            return self._least_latency(counts, stage.within)
        if stage.kind in _RATIOS:
            return self._best_ratio(_RATIOS[stage.kind], counts)
        return self._best(_SUMS[stage.kind], counts)

    def _best(
        self, objective: Weights, counts: Mapping[int, int], enough: int | None = None, effort: Effort = WHOLE
    ) -> Counted:
        goal = Goal(objective, tuple(self.kept), self.latency)
        return self.search.best(goal, counts, enough=enough, effort=effort)

    def _best_ratio(self, below: Weights, counts: Mapping[int, int]) -> Counted:
        """Dinkelbach (1967): maximise rate·b − below·a for the best ratio a/b so far, until nothing is gained."""
        at = dict(counts)
        if not at:
            first = self._best(_RATE, at)
            if first.outcome != "optimal":
                return first
            at = first.counts
        for _ in range(_DINKELBACH):
            ratio = self._ratio(below, at)
            found = self._best(_gain(below, ratio), at)
            if found.outcome != "optimal":
                return Counted("feasible", at)
            if self._ratio(below, found.counts) <= ratio:
                return Counted("optimal", at)
            at = found.counts
        return Counted("feasible", at)

    def _ratio(self, below: Weights, counts: Mapping[int, int]) -> Fraction:
        return Fraction(self.value(_RATE, counts), max(1, self.value(below, counts)))

    def _least_latency(self, counts: Mapping[int, int], within: float) -> Counted:
        """Bisect the latency of the slowest engine or pair; what is found sets the upper end, so it ends on a value.

        A step that is hard is left open where the ends are `within` a share of each other.
        """
        ceiling, at = self.latency, dict(counts)
        if not at:
            first = self._best(_RATE, at)
            if first.outcome != "optimal":
                return first
            at = first.counts
        low, high = 0, slowest(self.engines, at)  # no deployment keeps low
        # What was kept last is the tightest: as the goal it rules most engines out.
        goal, enough = self.kept[-1] if self.kept else (_RATE, 0)
        try:
            proved = False
            while not proved:
                last = low + 1 >= high  # where the bisection ended, its last step is taken again with care
                close = high - low <= within * high
                self.latency = high - 1 if last else (low + high) // 2
                found = self._best(goal, at, enough, Effort(sure=last, patience=_BRIEF if close else PATIENCE))
                if found.outcome == "infeasible":
                    low = next_latency(self.engines, self.latency, high) - 1
                    proved = last
                elif found.counts:
                    at, high = found.counts, slowest(self.engines, found.counts)
                    low = 0 if last else low
                else:
                    return Counted("optimal" if close else "feasible", at, high, low + 1)
            return Counted("optimal", at, high, high)
        finally:
            self.latency = ceiling

    def keep(self, stage: Stage, counts: Mapping[int, int]) -> None:
        """Later stages keep this one's value, but for its slack."""
        if stage.kind == "latency":
            self.latency = math.floor(slowest(self.engines, counts) * (1 + stage.slack))
        elif stage.kind in _RATIOS:
            below = _RATIOS[stage.kind]
            ratio = self._ratio(below, counts)
            if stage.slack:
                ratio = (ratio * Fraction(1 - stage.slack)).limit_denominator(10**4)
            self.kept.append((_gain(below, ratio), 0))
        else:
            reached = self.value(_SUMS[stage.kind], counts)
            self.kept.append((_SUMS[stage.kind], math.ceil(reached * (1 - stage.slack)) if stage.slack else reached))

    def figures(self, stage: Stage, found: Counted) -> tuple[float | None, float | None]:
        """Value and bound in SI units; the bound is unknown where a ratio's iterations were cut off."""
        if not found.counts:
            return None, None
        value = self.measured(stage, found.counts)
        if found.outcome == "optimal" and stage.kind != "latency":
            return value, value
        units = self.search.source.steps
        steps = {"throughput": units.rate, "latency": TIME_STEP, "gpus": -1.0, "cost": -units.price}
        return value, found.bound * steps[stage.kind] if stage.kind in steps else None

    def measured(self, stage: Stage, counts: Mapping[int, int]) -> float:
        """What a deployment is worth to a stage, SI units."""
        steps, gpus, cost = totals(self.search, counts)
        units = self.search.source.steps
        rate, price = steps * units.rate, cost * units.price
        return {
            "throughput": rate,
            "latency": slowest(self.engines, counts) * TIME_STEP,
            "per-gpu": rate / gpus,
            "per-cost": rate / price * 3600 if price else math.inf,
            "gpus": float(gpus),
            "cost": price,
        }[stage.kind]


def _gain(below: Weights, ratio: Fraction) -> Weights:
    """What is above a ratio of the rate to a sum, in weights that sums can be multiplied with; at most the ratio."""
    above, under = ratio.numerator, ratio.denominator
    rate, sum_ = RATIO_BITS if below.price else (RATE_BITS, 13)  # at most 8,192 GPUs
    spare = max(0, above.bit_length() + sum_ - 61, under.bit_length() + rate - 61)
    above, under = above >> spare, -(-under >> spare)
    return Weights(under, -above * below.gpus, -above * below.price)


def totals(search: Search, counts: Mapping[int, int]) -> tuple[int, int, int]:
    """(requests/s, GPUs, price) of a deployment, in steps; the flow is as large as the pools allow."""
    e = search.source.engines
    sums = sums_of(e, search.demands)
    rate, gpus, price = (
        sum(int(one.coefficients[i]) * c for i, c in counts.items()) for one in (sums.rate, sums.gpus, sums.price)
    )
    return rate + (flow_of(e, counts) if sums.rate.flow else 0), gpus, price


def flow_of(e: Engines, counts: Mapping[int, int]) -> int:
    """What passes from prefill to decode engines, in steps."""
    return min(sum(int(e.rate[i]) * c for i, c in counts.items() if e.role[i] == role) for role in (PREFILL, DECODE))


def next_latency(e: Engines, above: int, below: int) -> int:
    """The smallest latency above one that an engine or pair can have; `below` if there is none before it."""
    alone = e.latency[e.usable & (e.role != DECODE) & (e.latency > above)]
    found = [below, *(alone.min(initial=below),)]
    senders = np.unique(e.latency[e.usable & (e.role == PREFILL)])
    takers = np.unique(e.latency[e.usable & (e.role == DECODE)])
    if len(senders) and len(takers):
        at = np.searchsorted(takers, above - senders, side="right")
        pairs = senders[at < len(takers)] + takers[at[at < len(takers)]]
        found.append(pairs.min(initial=below))
    return int(min(found))


def slowest(e: Engines, counts: Mapping[int, int]) -> int:
    """Latency of the slowest engine or pair, in steps."""
    parts = {role: max((int(e.latency[i]) for i in counts if e.role[i] == role), default=0) for role in range(3)}
    return max(parts[PREFILL] + parts[DECODE], parts[AGGREGATED])
