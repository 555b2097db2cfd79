"""Values such as x1.2: the base scenario's own value times something."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BeforeValidator

from ...models import InputError, Scenario
from ...models.constants import Latencies
from ...models.edit import Edit
from ...models.hardware import GpuRange
from ...models.workload import Lengths

_FACTOR = re.compile(r"x(\d+(?:\.\d+)?)")
_LARGEST = 1e9
FOLLOW = {
    "efficiency.mfu": ("efficiency.expert_mfu", "efficiency.attention_mfu"),
    "efficiency.bandwidth": ("efficiency.expert_bandwidth", "efficiency.kv_bandwidth"),
}
"""Stated alone, these two set others to the same value; a factor goes for each of them instead."""
_UNITS = {
    "memory": "B",
    "memory_per_gpu": "B",
    "memory_bandwidth": "B/s",
    "bandwidth": "B/s",
    **dict.fromkeys(("latency", "ttft", "tpot", "request_latency"), "s"),
    **dict.fromkeys(("bf16", "fp8", "int8", "fp4"), "FLOPS"),
    **dict.fromkeys(("request_rate", "requests"), "requests/s"),
    **dict.fromkeys(("tokens", "input", "output"), "tokens/s"),
}
"""Base units of quantities, which a file must name."""


def factor_of(value: Any) -> float | None:
    """What a value multiplies the base's by; None if it stands for itself."""
    found = _FACTOR.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else float(found[1])


def edits_of(changes: Mapping[str, Any], base: Scenario) -> list[Edit]:
    """What a point changes. Raises InputError for a factor of what is no number."""
    set_ = {key: value for name, given in changes.items() for key, value in resolved(name, given, base).items()}
    return [Edit(key=key, after=value) for key, value in set_.items()]


def resolved(key: str, value: Any, base: Scenario) -> dict[str, Any]:
    """What a value of an axis sets: a factor is the base's own value times it. Raises InputError if there is none."""
    factor = factor_of(value)
    if factor is None:
        return {key: value}
    return {one: _scaled(one, factor, base) for one in (key, *FOLLOW.get(key, ()))}


def _scaled(key: str, factor: float, base: Scenario) -> Any:
    """Quantities are written in base units, which files need. A share stays at most 1, a count is whole."""
    if factor > _LARGEST:
        raise InputError(f"{key}: a factor of {factor:g} is more than {_LARGEST:g}", help="take smaller factors")
    found = _at(key, base)
    if isinstance(found, (Lengths, GpuRange)):
        return {name: _whole(key, getattr(found, name), factor) for name in ("min", "max")}
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise InputError(f"{key}: the scenario has no number there to multiply", help="write values instead of factors")
    unit = unit_of(key)
    if isinstance(found, int) and unit is None:
        return _whole(key, found, factor)
    value = float(found) * factor
    if key.startswith("efficiency.") and not key.endswith(("half_rows", "half_width")):
        return min(1.0, value)
    return f"{value!r} {unit}" if unit else value


def _whole(key: str, value: int, factor: float) -> int:
    """The nearest whole number: there is no half GPU."""
    found = round(value * factor)
    if value and not found:
        raise InputError(f"{key}: {value:,} times {factor:g} is less than one", help="take larger factors")
    return found


def unit_of(key: str) -> str | None:
    """The base unit of a key's quantity; None for plain numbers."""
    first, last = key.split(".")[0], key.split(".")[-1]
    if first == "latencies":  # a few of them are exponents and counts
        known = Latencies.model_fields.get(last)
        return "s" if known and any(isinstance(one, BeforeValidator) for one in known.metadata) else None
    return "B" if first == "reserves" else _UNITS.get(last)


def _at(key: str, base: Scenario) -> Any:
    node: Any = base
    for step in key.split("."):
        node = getattr(node, step, None)
    return node
