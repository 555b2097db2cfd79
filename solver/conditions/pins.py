"""What a person pinned or bounded in `strategy:`; each is one condition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...models import Bound, Scenario
from ...models.strategy import DEGREES
from .base import Condition, Facts, Limit, Variables, restrict
from .limits import Sense, limit

STATED = ", as the scenario says"
"""How the statement of a pin ends."""


def conditions(scenario: Scenario) -> Iterator[Condition]:
    """Pins on the degrees."""
    for name in DEGREES:
        bound = getattr(scenario.strategy, name)
        if bound is not None:
            yield _pin(name, bound)


def value_conditions(scenario: Scenario) -> Iterator[Limit]:
    """Pins on what a priced row carries beside the degrees: engines, batch, token budget."""
    for name in ("engines", "batch", "token_budget"):
        bound = getattr(scenario.strategy, name)
        if bound is not None:
            yield from _value_pins(name, bound)


def post_bound(v: Variables, name: str, bound: Bound) -> None:
    """Post a bound on one degree."""
    variable = getattr(v, name)
    if bound.min is not None:
        v.model.add(variable >= bound.min)
    if bound.max is not None:
        v.model.add(variable <= bound.max)
    if bound.any_of is not None:
        restrict(v, variable, bound.any_of)


def _pin(name: str, bound: Bound) -> Condition:
    def post(v: Variables) -> None:
        post_bound(v, name, bound)

    def explain(f: Facts) -> tuple[str, str]:
        return str(bound), str(f[name])

    statement, key = f"{name} {bound}{STATED}", f"strategy.{name}"
    return Condition(key, statement, key, post, explain, lambda f: within(f[name], bound), "pin")


def within(values: Any, bound: Bound) -> Any:
    """Whether values lie in a bound; arrays elementwise."""
    inside = np.ones(np.shape(values), dtype=bool)
    if bound.min is not None:
        inside &= values >= bound.min
    if bound.max is not None:
        inside &= values <= bound.max
    if bound.any_of is not None:
        inside &= np.isin(values, bound.any_of)
    return inside


def _value_pins(name: str, bound: Bound) -> Iterator[Limit]:
    def pin(side: str, sense: Sense, value: int, allowed: tuple[int, ...] | None = None) -> Limit:
        statement = f"{name} {bound}{STATED}"
        key = f"strategy.{name}"
        return limit(f"{key}{side}", statement, key, name, sense, value, lambda x: f"{x:,.0f}", allowed, "pin")

    if bound.min is not None and bound.min == bound.max:
        yield pin("", "<=", bound.min, (bound.min,))
    else:
        if bound.max is not None:
            yield pin(".max", "<=", bound.max)
        if bound.min is not None:
            yield pin(".min", ">=", bound.min)
    if bound.any_of is not None:
        yield pin("", "<=", max(bound.any_of), tuple(sorted(set(bound.any_of))))
