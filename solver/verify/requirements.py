"""The limits of a scenario, kept by the recomputed figures and by the plan's degrees."""

from __future__ import annotations

from collections.abc import Iterator

from shardwise.models.plan import Finding, Plan
from shardwise.models.requirements import Throughput
from shardwise.models.strategy import Bound

from .serving import Served
from .text import at_most, rule, show


def _ceiling(name: str, value: float | None, limit: float | None, unit: str) -> Iterator[Finding]:
    if limit is not None and value is not None:
        yield rule(name, at_most(value, limit), f"at most {show(limit, unit)}", show(value, unit))


def _rates(name: str, asked: Throughput | None, served: Served, share: int) -> Iterator[Finding]:
    """Floors on rates; a plain rate counts prompts where nothing is generated. None is generated then: 0."""
    if asked is None:
        return
    unit = " per GPU" if name.endswith("per_gpu") else ""
    for kind, limit, rate, thing in (
        ("tokens", asked.tokens, served.rate, "tokens/s"),
        ("input", asked.input, served.input_rate, "tokens/s"),
        ("output", asked.output, served.output_rate or 0.0, "tokens/s"),
        ("requests", asked.requests, served.requests, "requests/s"),
    ):
        if limit is not None:
            value = rate / share
            said, found = f"at least {show(limit, thing + unit)}", show(value, thing + unit)
            yield rule(f"{name}.{kind}", at_most(limit, value), said, found)


def check_requirements(plan: Plan, served: Served, fullest: int) -> list[Finding]:
    """Every requirement of the scenario on the recomputed figures; `fullest`: bytes on the fullest GPU."""
    asked = plan.scenario.requirements
    return [
        *_ceiling("requirements.ttft", served.ttft, asked.ttft, "s"),
        *_ceiling("requirements.tpot", served.tpot, asked.tpot, "s"),
        *_ceiling("requirements.request_latency", served.latency, asked.request_latency, "s"),
        *_rates("requirements.throughput", asked.throughput, served, 1),
        *_rates("requirements.throughput_per_gpu", asked.throughput_per_gpu, served, served.gpus),
        *_ceiling("requirements.memory_per_gpu", fullest, asked.memory_per_gpu, "B"),
    ]


def _inside(bound: Bound, value: int) -> bool:
    above = bound.min is None or value >= bound.min
    below = bound.max is None or value <= bound.max
    return above and below and (bound.any_of is None or value in bound.any_of)


def _words(bound: Bound) -> str:
    parts = [f"at least {bound.min:,}"] if bound.min is not None else []
    parts += [f"at most {bound.max:,}"] if bound.max is not None else []
    parts += [f"one of {', '.join(map(str, bound.any_of))}"] if bound.any_of is not None else []
    return " and ".join(parts) or "any"


def check_bounds(plan: Plan) -> list[Finding]:
    """Pins and bounds on the degrees, the engines, the batch and the token budget (of engines that read prompts)."""
    bounds, findings = plan.scenario.strategy, []
    values: list[tuple[str, Bound | None, list[int]]] = [
        ("engines", bounds.engines, [sum(engine.count for engine in plan.engines)]),
    ]
    for quantity in (
        "tensor",
        "context",
        "data",
        "pipeline",
        "expert",
        "expert_tensor",
        "batch",
        "token_budget",
    ):
        bounded = [engine for engine in plan.engines if quantity != "token_budget" or engine.role != "decode"]
        stated = [getattr(engine.strategy, quantity) for engine in bounded]
        values.append((quantity, getattr(bounds, quantity), stated))
    for quantity, bound, stated in values:
        if bound is not None:
            words = _words(bound)
            findings += [rule(f"strategy.{quantity}", _inside(bound, value), f"{value:,}", words) for value in stated]
    return findings
