"""What two scenarios ask differently: keys whose values differ, with the units that people write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...models.units import show_bytes, show_rate, show_seconds
from ..sweep.factors import unit_of

_QUIET = ("name", "knowledge", "sources", "assumed")
_LONGEST = 60


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """A line for each dotted key whose values differ, before → after."""
    for key, was, now in _changed(before, after, path):
        yield f"{key}: {arrow(_short(shown(key, was)), _short(shown(key, now)), was, now)}"


def arrow(was: str, now: str, before: Any, after: Any) -> str:
    """What was → what is; all digits where the rounded ones are the same."""
    return f"{was} → {now}" if was != now else f"{_short(str(before))} → {_short(str(after))}"


def _changed(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            if key not in _QUIET:
                yield from _changed(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
    elif _listed(before) and _listed(after) and len(before) == len(after):
        for number, (was, now) in enumerate(zip(before, after, strict=True)):
            yield from _changed(was, now, f"{path}[{number}]")
    elif before != after:
        yield path, before, after


def _listed(value: Any) -> bool:
    """Whether a value is a list of mappings, as an inventory is."""
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(one, Mapping) for one in value)


def shown(key: str, value: Any) -> str:
    """A value of a dotted key, with its unit."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        parts = (f"{name} {shown(f'{key}.{name}', one)}" for name, one in value.items() if name not in _QUIET)
        return ", ".join(part for part in parts if not part.endswith(" none"))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(shown(key, one) for one in value) or "none"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    match unit_of(key):
        case "B":
            return show_bytes(value)
        case "B/s":
            return f"{show_bytes(value)}/s"
        case "s":
            return show_seconds(value)
        case "FLOPS":
            return f"{value / 1e12:g} TFLOPS"
        case "requests/s" | "tokens/s" as unit:
            return show_rate(value, unit.removesuffix("/s"))
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
