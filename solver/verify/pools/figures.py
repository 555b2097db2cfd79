"""The predictions of the whole deployment, from its engines' figures (docs/costs.md, section 7: together)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shardwise.models.deployment import DeploymentPlan
from shardwise.models.plan import Finding
from shardwise.models.requirements import Quantile
from shardwise.models.scenario import Scenario

from ..deployment import mean
from ..serving import Served
from ..text import agree, rule
from .rating import Rated
from .together import carried, of_role


@dataclass(frozen=True)
class Whole:
    """The recomputed figures of a deployment; `served` holds those that one engine alone would have too."""

    served: Served
    quantiles: dict[Quantile, float]
    input_rate: float | None
    tokens: float | None
    """Tokens/s: prompts where nothing is decoded."""
    cost: float | None
    offered: float | None


def chains(engines: list[Rated]) -> list[list[Rated]]:
    """What a request may run through: one aggregated engine, or any pair of prefill and decode."""
    sources, sinks = of_role(engines, "prefill"), of_role(engines, "decode")
    found = [[one] for one in of_role(engines, "aggregated")]
    if sinks:
        return found + [[source, sink] for source in sources for sink in sinks]
    return found + [[one] for one in sources]


def whole(plan: DeploymentPlan, engines: list[Rated]) -> Whole:
    """The figures of the slowest engine or pair, and the sums. Raises ValueError where nothing makes first tokens."""
    requests = carried(plan, engines)
    every = chains(engines)
    if not every:
        raise ValueError("no engine makes a first token")
    ttft = max(sum(one.ttft for one in chain) for chain in every)
    tpots = [one.tpot for one in engines if one.tpot is not None]
    quantiles = {
        name: max(sum(one.quantiles[name] for one in chain) for chain in every) for name in every[0][0].quantiles
    }
    own, rate = isinstance(plan.scenario, Scenario), plan.scenario.workload.request_rate
    output: float | None = None
    prompts = 0.0
    if isinstance(plan.scenario, Scenario):
        workload = plan.scenario.workload
        output = requests * mean(workload.output_tokens) if workload.output_tokens.max > 1 else None
        prompts = requests * mean(workload.input_tokens)
    costs = [None if one.cost is None else one.entry.count * one.cost for one in engines]
    known = [cost for cost in costs if cost is not None]
    served = Served(
        ttft=ttft,
        ttft_mean=quantiles.get("mean", ttft),
        tpot=max(tpots, default=None),
        requests=requests,
        output_rate=output,
        input_rate=prompts,
        latency=max(sum(one.latency for one in chain) for chain in every),
        gpus=sum(one.entry.count * one.entry.gpus_per_engine for one in engines),
    )
    return Whole(
        served=served,
        quantiles=quantiles,
        input_rate=prompts if own else None,
        tokens=served.rate if own else None,
        cost=math.fsum(known) if len(known) == len(costs) else None,
        offered=None if rate is None or rate == "max" else rate,
    )


def same_quantiles(name: str, said: dict[Quantile, float], found: dict[Quantile, float]) -> list[Finding]:
    """The TTFT at the mean and at every quantile; none in a closed loop."""
    if said.keys() != found.keys():
        return [rule(name, False, ", ".join(said) or "none", ", ".join(found) or "none")]
    return [agree(f"{name}.{which}", said[which], time, "s") for which, time in found.items()]


def check_figures(plan: DeploymentPlan, found: Whole) -> list[Finding]:
    """Every prediction against the recomputed one."""
    said, served = plan.predictions, found.served
    if said is None:
        raise ValueError("the plan has no predictions")
    each = None if found.tokens is None else found.tokens / served.gpus
    busy = None if found.offered is None else found.offered / served.requests
    request, token = "requests/s", "tokens/s"
    pairs = [
        ("requests_per_s", said.requests_per_s, served.requests, request),
        ("ttft_s", said.ttft_s, served.ttft, "s"),
        ("tpot_s", said.tpot_s, served.tpot, "s"),
        ("request_latency_s", said.request_latency_s, served.latency, "s"),
        ("output_tokens_per_s", said.output_tokens_per_s, served.output_rate, token),
        ("input_tokens_per_s", said.input_tokens_per_s, found.input_rate, token),
        ("requests_per_s_per_gpu", said.requests_per_s_per_gpu, served.requests / served.gpus, f"{request} per GPU"),
        ("tokens_per_s_per_gpu", said.tokens_per_s_per_gpu, each, f"{token} per GPU"),
        ("cost_per_hour", said.cost_per_hour, found.cost, "per hour"),
        ("offered_requests_per_s", said.offered_requests_per_s, found.offered, request),
        ("utilization", said.utilization, busy, ""),
    ]
    return [
        *(agree(f"predictions.{name}", stated, figure, unit) for name, stated, figure, unit in pairs),
        *same_quantiles("predictions.ttft_quantiles_s", said.ttft_quantiles_s, found.quantiles),
    ]
