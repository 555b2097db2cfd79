"""Axes of a sweep: a key of the scenario and the values it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...models import InputError, Scenario
from ...models.reading.tree import read_text_tree

MOST_VALUES = 100_000
"""Of one axis."""
_RANGE = re.compile(r"(\d+):(\d+)(?::(x?)(\d+(?:\.\d+)?))?")
_FACTOR = re.compile(r"x(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Axis:
    """One key and its values, as a scenario file would hold them."""

    key: str
    values: tuple[Any, ...]


def axis_of(text: str, base: Scenario) -> Axis:
    """`key=8,16,32`, `key=8:64:8` (steps), `key=1:256:x2` (factors), `key=x0.8,x1,x1.2` (times the base's value)."""
    key, equals, rest = text.partition("=")
    if not equals or not key.strip() or not rest.strip():
        raise InputError(f"--vary {text[:80]!r} names no values", help="write such as hardware.gpus=8,16,32")
    return axis(key.strip(), split(rest), base)


def axis(key: str, values: Sequence[Any], base: Scenario) -> Axis:
    """An axis from texts or values. Raises InputError for none, too many, or one named twice."""
    found: list[Any] = []
    for value in values:
        found += _values(key, value, base) if isinstance(value, str) else [value]
        if len(found) > MOST_VALUES:
            raise InputError(f"the axis {key} has more than {MOST_VALUES:,} values", help="take fewer, or larger steps")
    if not found:
        raise InputError(f"the axis {key} has no values")
    seen: list[Any] = []
    for value in found:
        if value in seen if len(found) <= 1000 else False:
            raise InputError(f"the axis {key} names {value!r} twice")
        seen.append(value)
    return Axis(key, tuple(found))


def split(text: str) -> list[str]:
    """At commas outside braces, brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for i, c in enumerate(text):
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in "{[":
            depth += 1
        elif c in "}]":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [part.strip() for part in (*parts, text[start:])]


def _values(key: str, text: str, base: Scenario) -> list[Any]:
    if (found := _RANGE.fullmatch(text)) is not None:
        return list(_range(key, int(found[1]), int(found[2]), found[3] == "x", float(found[4] or 1)))
    if _FACTOR.fullmatch(text) is not None:
        return [_times(key, text, base)]
    if not text:
        raise InputError(f"the axis {key} has an empty value", help="a value that is to be absent is null")
    return [read_text_tree(f"value: {text}\n").data["value"]]


def _range(key: str, first: int, last: int, grows: bool, step: float) -> Sequence[int]:
    if last < first or (grows and step <= 1) or (not grows and (step < 1 or step != int(step))):
        raise InputError(
            f"the axis {key}: {first}:{last}:{'x' if grows else ''}{step:g} is no range",
            help="write first:last:step, such as 8:64:8, or first:last:xfactor, such as 1:256:x2",
        )
    count = math.floor(math.log(last / max(first, 1), step)) + 1 if grows else (last - first) // int(step) + 1
    if count > MOST_VALUES or (grows and first == 0):
        raise InputError(f"the axis {key} has {count:,} values; at most {MOST_VALUES:,}", help="take larger steps")
    if not grows:
        return range(first, last + 1, int(step))
    found, value = [], float(first)
    while value <= last + 1e-9:
        found.append(round(value))
        value *= step
    return list(dict.fromkeys(found))


def _times(key: str, text: str, base: Scenario) -> str:
    """A share of what the base scenario has, kept as text: to see what an error of an assumption would do."""
    if not isinstance(_at(key, base), (int, float)):
        raise InputError(f"the axis {key}: the scenario has no number there to multiply", help="write values instead")
    return text


def _at(key: str, base: Scenario) -> Any:
    node: Any = base
    for step in key.split("."):
        node = getattr(node, step, None)
    return None if isinstance(node, bool) else node


_FOLLOW = {
    "efficiency.mfu": ("efficiency.expert_mfu", "efficiency.attention_mfu"),
    "efficiency.bandwidth": ("efficiency.expert_bandwidth", "efficiency.kv_bandwidth"),
}
"""Stated alone, these two set others to the same value; a factor goes for each of them instead."""


def is_factor(value: Any) -> bool:
    """Whether a value multiplies the base's."""
    return isinstance(value, str) and _FACTOR.fullmatch(value) is not None


def resolved(key: str, value: Any, base: Scenario) -> dict[str, Any]:
    """What a value of an axis sets: a factor is the base's own value times it."""
    if not is_factor(value):
        return {key: value}
    factor = float(value[1:])
    return {one: _scaled(one, factor, base) for one in (key, *_FOLLOW.get(key, ()))}


def _scaled(key: str, factor: float, base: Scenario) -> Any:
    """Quantities are written in base units, which files need. A share stays at most 1."""
    value = float(_at(key, base)) * factor
    if key.startswith("efficiency.") and not key.endswith(("half_rows", "half_width")):
        return min(1.0, value)
    first, last = key.split(".")[0], key.split(".")[-1]
    unit = {"latencies": "s", "reserves": "B"}.get(first) or _UNITS.get(last)
    return f"{value!r} {unit}" if unit else value


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
