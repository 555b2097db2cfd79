"""What the whole deployment of a scenario must keep, in the count model's steps."""

from __future__ import annotations

import numpy as np

from ...models import Requirements, Scenario
from .engines import Card, Demands, Steps, time_steps
from .loads import allowed_engines

ROUNDING = 1e-9
"""Share by which figures of our own may miss a limit through rounding alone."""


def demands_of(scenario: Scenario, steps: Steps) -> Demands:
    """From the cluster, the load and the requirements."""
    work, wanted, hardware = scenario.workload, scenario.requirements, scenario.hardware
    cards = tuple(
        Card(s.accelerator.id, s.gpus, s.gpus_per_node or s.accelerator.gpus_per_node) for s in hardware.stocks
    )
    modes = scenario.modes or ("any",)
    offered = work.request_rate if isinstance(work.request_rate, float) else 0.0
    return Demands(
        cards=cards,
        decodes=work.decodes,
        clients=None if work.open_loop else work.sequences,
        least_gpus=hardware.gpu_range.min,
        least_rate=max(1, steps.least(max(offered, _requests(scenario, wanted, "throughput")), ROUNDING)),
        least_rate_per_gpu=steps.least(_requests(scenario, wanted, "throughput_per_gpu"), ROUNDING),
        ttft=_time(wanted.ttft),
        latency=_time(wanted.request_latency),
        engines=allowed_engines(scenario.strategy.engines),
        mixes="any" in modes or len(modes) == 1,
        distinct=scenario.distinct_strategies,
    )


def _requests(scenario: Scenario, wanted: Requirements, group: str) -> float:
    """The largest of the stated rates, in requests/s."""
    rates, work = getattr(wanted, group), scenario.workload
    if rates is None:
        return 0.0
    tokens = work.output_tokens.mean if work.decodes else work.input_tokens.mean
    per_request = {
        "tokens": tokens,
        "input": work.input_tokens.mean,
        "output": work.output_tokens.mean,
        "requests": 1.0,
    }
    return max(
        (getattr(rates, name) / each for name, each in per_request.items() if getattr(rates, name) is not None),
        default=0.0,
    )


def _time(value: float | None) -> int | None:
    """A ceiling; parts of a pair are rounded before they are added up."""
    return None if value is None else int(time_steps(np.array([value * (1 + ROUNDING)]))[0]) + 1
