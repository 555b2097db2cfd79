"""Whether batch, micro-batches, sequences in flight, budget and utilisation of an engine agree with its load."""

from __future__ import annotations

import math

from shardwise.models.plan import Finding

from ..deployment import mean
from ..text import close, equal, rule, show
from .kinds import Kind, load_of
from .parts import strategy_of
from .rating import BUSIEST, Rated


def check_engine_load(kind: Kind) -> list[Finding]:
    """What one engine runs at, against what follows from its load."""
    if kind.entry.role == "prefill":
        return _prefill(kind)
    entry, strategy, cut = kind.entry, strategy_of(kind.entry), kind.deployment.cut
    held = math.ceil(load_of(entry) / cut.data)
    rounds = min(cut.pipeline, held)
    batch = math.ceil(held / rounds)
    findings = [
        equal("load.micro_batches", strategy.micro_batches, rounds),
        equal("load.batch", strategy.batch, batch, "sequences"),
        equal("load.in_flight", strategy.in_flight, load_of(entry), "sequences"),
        _replicas(kind, load_of(entry)),
    ]
    if entry.role == "decode":
        return [*findings, equal("load.token_budget", strategy.token_budget, batch, "tokens")]
    workload = kind.scenario.workload
    carried = strategy.batch + strategy.batch * mean(workload.input_tokens) / mean(workload.output_tokens)
    return [
        *findings,
        rule(
            "budget.carries_load",
            carried <= strategy.token_budget * (1 + 1e-9),  # rounding of one division
            show(strategy.token_budget, "tokens"),
            f"at least {show(carried, 'tokens')} of an average iteration",
        ),
    ]


def _prefill(kind: Kind) -> list[Finding]:
    entry, strategy, cut = kind.entry, strategy_of(kind.entry), kind.deployment.cut
    longest = kind.scenario.workload.input_tokens.max
    return [
        equal("load.micro_batches", strategy.micro_batches, cut.pipeline),
        equal("load.in_flight", strategy.in_flight, strategy.batch * cut.data * cut.pipeline, "sequences"),
        equal("load.token_budget", strategy.token_budget, math.ceil(strategy.batch * longest / cut.context), "tokens"),
        rule("load.stated", entry.load is None, show(entry.load), "no load: Q is of engines that decode"),
    ]


def _replicas(kind: Kind, load: int) -> Finding:
    data = kind.deployment.cut.data
    return rule("load.replicas", load >= data, f"load {load:,}", f"at least {data:,}, one for each attention replica")


def check_utilization(found: Rated) -> list[Finding]:
    """Engines whose queue is priced, and the prefill engines that a decode engine asks, are busy at most so long."""
    busy = found.utilization
    if busy is None:
        return []
    kept = 0 < busy <= BUSIEST or close(busy, BUSIEST)
    said = f"busy {show(found.entry.utilization)} of the time"
    return [rule("load.utilization", kept, said, f"{show(busy)}, which must be above 0 and at most {BUSIEST}")]
