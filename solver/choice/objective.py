"""What is best, as a list of stages solved one after the other; each keeps what the stages before it reached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...models import GpuRange, Scenario

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """Optimise one column."""

    column: str
    sense: Literal["max", "min"]
    words: str
    unit: str
    slack: float = 0.0
    """Share of the best value that later stages may give up."""

    def cost(self, values: Integers) -> Integers:
        """The column so that less is better."""
        return -values if self.sense == "max" else values

    def keep(self, best: int) -> int:
        """The worst value that later stages may accept, in the column's integers."""
        if self.sense == "max":
            return math.ceil(best * (1 - self.slack))
        return math.floor(best * (1 + self.slack))

    def tolerated(self, best: int) -> int:
        """The cost up to which a row is within the slack of the best value."""
        return -self.keep(best) if self.sense == "max" else self.keep(best)


def stages_of(scenario: Scenario) -> list[Stage]:
    """The scenario's objectives, then what breaks ties: throughput, latency, fewest GPUs."""
    rate = "output_rate" if scenario.workload.decodes else "input_rate"
    token = "output tokens/s" if scenario.workload.decodes else "input tokens/s"
    throughput = Stage(rate, "max", "highest throughput", token)
    per_gpu = Stage(f"{rate}_per_gpu", "max", "highest throughput per GPU used", f"{token} per GPU")
    latency = Stage("request_latency", "min", "lowest latency", "s")
    gpus = Stage("gpus_used", "min", "fewest GPUs", "GPUs")
    # A fixed machine is to be used; within a range, using more must pay per GPU.
    free = scenario.hardware.gpus is None or isinstance(scenario.hardware.gpus, GpuRange)
    primary = per_gpu if free else throughput
    words = f"{primary.words} ({scenario.balance:.1%} of it may be given up for latency)"
    balanced = Stage(primary.column, "max", words, primary.unit, slack=scenario.balance)
    table = {
        "balanced": [balanced, latency, primary],
        "throughput": [throughput],
        "latency": [latency],
        "throughput-per-gpu": [per_gpu],
        "fewest-gpus": [gpus],
    }
    stages: list[Stage] = []
    for stage in (*(s for name in scenario.objectives for s in table[name]), throughput, latency, gpus):
        if stage not in stages:
            stages.append(stage)
    return stages
