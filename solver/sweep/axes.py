"""Axes of a sweep: a key of the scenario and the values it takes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ...models import InputError, Scenario
from ...models.reading.tree import read_text_tree
from .factors import factor_of, resolved

MOST_VALUES = 100_000
"""Of one axis."""
_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(?::(x?)({_NUMBER}))?")


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
        found += values_of(key, value)
        if len(found) > MOST_VALUES:
            raise InputError(f"the axis {key} has more than {MOST_VALUES:,} values", help="take fewer, or larger steps")
    if not found:
        raise InputError(f"the axis {key} has no values")
    seen = set[str]()
    for value in found:
        if (same := canonical(value)) in seen:
            raise InputError(f"the axis {key} names {value!r} twice")
        if factor_of(value) is not None:
            resolved(key, value, base)  # raises where there is nothing to multiply
        seen.add(same)
    return Axis(key, tuple(found))


def canonical(value: Any) -> str:
    """The same text for the same value: 8 and 8.0, x1 and x1.0."""
    if (factor := factor_of(value)) is not None:
        return f"x{factor!r}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, default=str)


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


def values_of(key: str, value: Any) -> list[Any]:
    """The values that one text stands for; what is no text stands for itself."""
    if not isinstance(value, str):
        return [value]
    if (found := _RANGE.fullmatch(value)) is not None:
        return _range(key, value, Decimal(found[1]), Decimal(found[2]), found[3] == "x", found[4])
    if factor_of(value) is not None:
        return [value]
    if not value:
        raise InputError(f"the axis {key} has an empty value", help="a value that is to be absent is null")
    return [read_text_tree(f"value: {value}\n").data["value"]]


def _range(key: str, text: str, first: Decimal, last: Decimal, grows: bool, given: str | None) -> list[int | float]:
    """From first to last, up or down. Decimals, so that 0.1:0.5:0.1 ends at 0.5."""
    whole = all(one == one.to_integral_value() for one in (first, last))
    step = abs(Decimal(given)) if given is not None else Decimal(1)
    backwards = given is not None and given.startswith("-") and (grows or last > first)
    if backwards or (given is None and not whole) or (step <= 1 if grows else step <= 0):
        raise InputError(
            f"the axis {key}: {text} is no range",
            help="write first:last:step, such as 8:64:8 or 0.1:0.5:0.1, or first:last:xfactor, such as 1:256:x2",
        )
    if grows and min(first, last) <= 0:
        raise InputError(f"the axis {key}: {text} is no range", help="factors start above 0")
    low, high = min(first, last), max(first, last)
    count = math.floor(math.log(high / low, step) + 1e-9) + 1 if grows else int((high - low) / step) + 1
    if count > MOST_VALUES:
        raise InputError(f"the axis {key} has {count:,} values; at most {MOST_VALUES:,}", help="take larger steps")
    found, sign = [], 1 if last >= first else -1
    for i in range(count):
        value = first * step ** (sign * i) if grows else first + sign * i * step
        found.append(round(value) if whole and (grows or step == step.to_integral_value()) else float(value))
    return list(dict.fromkeys(found))
