"""From a priced row to the plan's parts: engines, predictions, checks, figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..models import Engine, EngineStrategy, Memory, Predictions, Scenario
from ..models.counts import contradiction
from ..models.plan import Check
from ..models.strategy import DEGREES
from ..models.units import show_count
from .conditions import Condition, Facts, Limit
from .costs import Candidates
from .figures import card_figure, open_figures


def engine_of(scenario: Scenario, row: Candidates) -> Engine:
    """The engines of a table of one row."""
    strategy = strategy_of(row, 0)
    return Engine(
        role="aggregated" if scenario.workload.decodes else "prefill",
        count=int(row.engines[0]),
        gpus_per_engine=strategy.gpus,
        accelerator=scenario.hardware.accelerator.id,
        strategy=strategy,
    )


def strategy_of(candidates: Candidates, row: int) -> EngineStrategy:
    """Degrees, batch and stages of one row."""
    degrees = dict(zip(DEGREES, candidates.strategies[row].tolist(), strict=True))
    return EngineStrategy(
        **degrees,
        batch=int(candidates.batch[row]),
        micro_batches=int(candidates.micro_batches[row]),
        in_flight=int(candidates.in_flight[row]),
        token_budget=int(candidates.token_budget[row]),
        layers_per_stage=tuple(np.bincount(candidates.stage_of_layer[row]).tolist()),
    )


def predictions_of(scenario: Scenario, row: Candidates) -> Predictions:
    """What one row is expected to do."""

    def number(name: str) -> float:
        return float(row.column(name)[0])

    decodes = scenario.workload.decodes
    return Predictions(
        ttft_s=number("ttft"),
        ttft_mean_s=number("ttft_mean"),
        tpot_s=number("tpot") if decodes else None,
        request_latency_s=number("request_latency"),
        requests_per_s=number("requests_rate"),
        output_tokens_per_s=number("output_rate") if decodes else None,
        input_tokens_per_s=number("input_rate"),
        tokens_per_s_per_gpu=float(row.tokens_rate[0] / row.gpus_used[0]),
        memory_bytes_per_gpu=Memory(
            weights=int(row.weights[0]),
            kv_cache=int(row.kv_cache[0]),
            activations=int(row.activations[0]),
            reserve=int(row.reserve[0]),
            total=int(row.column("memory")[0]),
            usable=scenario.hardware.usable_memory,
            stage=int(row.fullest_stage[0]),
        ),
    )


def facts_of(row: Candidates, conditions: Sequence[Condition]) -> Facts:
    """The numbers that conditions explain themselves with."""
    facts: dict[str, Any] = dict(zip(DEGREES, row.strategies[0].tolist(), strict=True))
    facts["stage_group"] = math.prod(row.strategies[0, :3].tolist())
    facts["engine_gpus"] = facts["stage_group"] * facts["pipeline"]
    facts["engines"], facts["gpus_used"] = int(row.engines[0]), int(row.gpus_used[0])
    for condition in conditions:
        if isinstance(condition, Limit):
            facts[condition.column] = float(row.column(condition.column)[0])
    return facts


def check_of(condition: Condition, facts: Facts, ok: bool) -> Check:
    """How far one condition is from its limit."""
    required, predicted = condition.explain(facts)
    margin = None
    if isinstance(condition, Limit) and condition.allowed is None and condition.bound:
        sign = 1 if condition.sense == "<=" else -1
        margin = sign * (condition.bound - facts[condition.column]) / condition.bound
    return Check(
        name=condition.id,
        statement=condition.statement,
        required=required,
        predicted=predicted,
        margin=margin,
        ok=ok,
    )


def assumptions_of(scenario: Scenario) -> tuple[str, ...]:
    """What the conditions leave open and the plan takes for granted."""
    card, model, work = scenario.hardware.accelerator, scenario.model, scenario.workload
    found = [f"{card.name}: {name} = {card_figure(scenario, name)} is assumed" for name in open_figures(scenario)]
    if work.concurrency and work.decodes:
        found.append(
            f"TTFT is a mean over each client's {work.requests_per_client:g} requests (workload.requests_per_client), "
            "the first of which arrive in one burst; it is no percentile"
        )
    if not work.decodes:
        found.append("no answer length beyond the first token: prefill only")
    found += [f"{model.name}: {name} is assumed" for name in model.assumed]
    for name, lengths in (("input_tokens", work.input_tokens), ("output_tokens", work.output_tokens)):
        if lengths.min != lengths.max:
            found.append(f"{name} are uniform between {lengths.min:,} and {lengths.max:,} (mean {lengths.mean:,.0f})")
    if model.experts is not None and work.routing.imbalance is None and work.routing.zipf is None:
        found.append("tokens fall evenly on the experts (workload.routing states otherwise)")
    formats = scenario.precision
    if formats.weight_bytes < 1 or formats.expert_bytes < 1:
        found.append("4-bit weights are widened to 16 bit before they multiply (no native 4-bit rate is used)")
    if formats.activations not in ("bf16", "fp16", "fp32"):
        found.append(f"activations {formats.activations} are inputs of matrices; the stream between them stays 16 bit")
    found += [f"the rule {id} is set aside (`waive`)" for id in scenario.waive]
    if scenario.efficiency.overlap == 0:
        found.append("no communication is hidden behind computation")
    found.append("efficiencies and fixed latencies are global fitted values unless the scenario states its own")
    return tuple(found)


def warnings_of(scenario: Scenario) -> tuple[str, ...]:
    """Contradictions in the input, both numbers shown."""
    found = contradiction(scenario.model)
    if found is None:
        return ()
    declared, counted = found
    reading = (
        "the declared total: the missing weights widen the experts" if scenario.model.experts else "the declared total"
    )
    if scenario.parameters == "from-shapes":
        reading = "the shapes"
    return (
        f"the model declares {show_count(declared)} parameters, its shapes make {show_count(counted)}; "
        f"planned on {reading} (`parameters:` chooses)",
    )
