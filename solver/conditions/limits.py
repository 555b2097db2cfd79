"""Ceilings and floors on priced quantities: memory, token budget, and the scenario's requirements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from ...models import Scenario
from ...models.units import show_bytes, show_rate, show_seconds
from .base import Facts, Kind, Limit, Variables, restrict

Sense = Literal["<=", ">="]
SLACK = 1e-9
"""Relative room for the rounding of floats where a value is compared with its limit."""


def conditions(scenario: Scenario) -> Iterator[Limit]:
    """The priced conditions of a scenario."""
    card = (
        f"{scenario.hardware.memory_utilization:.0%} of the card's {show_bytes(scenario.hardware.accelerator.memory)}"
    )
    yield limit(
        "memory.fits", f"the fullest GPU holds at most {card}", "hardware.memory_utilization", "memory", "<=",
        scenario.hardware.usable_memory, show_bytes, kind="resource",
    )  # fmt: skip
    if scenario.workload.batch is None and scenario.workload.decodes:
        yield limit(
            "budget.carries_load", "the token budget carries decode and steady-state prompt tokens",
            "workload", "budget_spare", ">=", 0, lambda x: f"{x:,.0f} tokens to spare",
            kind="fact",
        )  # fmt: skip
    least = scenario.hardware.gpu_range.min
    if least > 1:
        key = "hardware.use_all_gpus" if scenario.hardware.use_all_gpus else "hardware.gpus.min"
        yield limit(
            "gpus.minimum",
            f"at least {least} GPUs",
            key,
            "gpus_used",
            ">=",
            least,
            lambda x: f"{x:,.0f} GPUs",
        )
    wanted = scenario.requirements
    for name in ("ttft", "tpot", "request_latency"):
        value = getattr(wanted, name)
        if value is not None and not (name == "tpot" and not scenario.workload.decodes):
            words = {
                "ttft": "time to first token",
                "tpot": "time per output token",
                "request_latency": "request latency",
            }[name]
            yield limit(
                f"requirements.{name}",
                f"{words} ≤ {show_seconds(value)}",
                f"requirements.{name}",
                name,
                "<=",
                value,
                show_seconds,
            )
    if wanted.memory_per_gpu is not None:
        yield limit(
            "requirements.memory_per_gpu",
            f"memory per GPU ≤ {show_bytes(wanted.memory_per_gpu)}",
            "requirements.memory_per_gpu",
            "memory",
            "<=",
            wanted.memory_per_gpu,
            show_bytes,
        )
    for group, per_gpu in (("throughput", False), ("throughput_per_gpu", True)):
        rates = getattr(wanted, group)
        for name in ("tokens", "input", "output", "requests") if rates is not None else ():
            value = getattr(rates, name)
            if value is not None:
                yield _floor(scenario, group, name, value, per_gpu)


def _floor(scenario: Scenario, group: str, name: str, value: float, per_gpu: bool) -> Limit:
    counted = name if name != "tokens" else ("output" if scenario.workload.decodes else "input")
    thing = "requests" if counted == "requests" else f"{counted} tokens"
    per = " per GPU used" if per_gpu else ""

    def show(rate: float) -> str:
        return show_rate(rate, thing) + per

    return limit(
        f"requirements.{group}.{name}", f"{thing}{per} ≥ {show_rate(value, thing)}", f"requirements.{group}.{name}",
        f"{counted}_rate" + ("_per_gpu" if per_gpu else ""), ">=", value, show,
    )  # fmt: skip


def limit(
    id: str,
    statement: str,
    key: str,
    column: str,
    sense: Sense,
    bound: float,
    show: Callable[[float], str],
    allowed: tuple[int, ...] | None = None,
    kind: Kind = "requirement",
) -> Limit:
    """A limit on one priced column, posted on the integer that choice/scale.py makes of it."""

    asked = f"in {list(allowed)}" if allowed is not None else f"{'≤' if sense == '<=' else '≥'} {show(bound)}"

    def post(v: Variables) -> None:
        from ..choice import scale

        variable = v.values[column]
        if allowed is not None:
            restrict(v, variable, allowed)
        elif sense == "<=":
            v.model.add(variable <= scale.limit(column, sense, bound, v.units))
        else:
            v.model.add(variable >= scale.limit(column, sense, bound, v.units))

    def explain(f: Facts) -> tuple[str, str]:
        return asked, show(f[column])

    def keeps(f: Facts) -> Any:
        room = abs(bound) * SLACK
        if allowed is not None:
            return np.isin(f[column], allowed)
        return f[column] <= bound + room if sense == "<=" else f[column] >= bound - room

    return Limit(
        id,
        statement,
        key,
        post,
        explain,
        keeps,
        kind,
        column=column,
        sense=sense,
        bound=bound,
        allowed=allowed,
        asked=asked,
        show=show,
    )
