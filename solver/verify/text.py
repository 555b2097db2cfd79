"""Findings: how two figures are compared, and how they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ParamSpec

from shardwise.models.plan import Finding

TOLERANCE = 1e-6
"""Largest accepted relative difference of a recomputed figure."""

COUNTED = ("GPUs", "sequences", "tokens")
"""Units that lose their plural at 1."""

Arguments = ParamSpec("Arguments")


def close(left: float, right: float) -> bool:
    """Whether two figures agree within the tolerance."""
    return abs(left - right) <= TOLERANCE * max(abs(left), abs(right))


def at_most(value: float, limit: float) -> bool:
    """Whether a recomputed figure keeps a ceiling, up to the tolerance."""
    return value <= limit or close(value, limit)


def show(value: float | None, unit: str = "") -> str:
    """A figure with its unit, with digits enough to see a difference that the tolerance does not accept."""
    if value is None:
        return "none"
    if unit == "s":
        for name, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
            if abs(value) >= factor:
                return f"{value / factor:.9g} {name}"
        return f"{value / 1e-6:.9g} µs"
    number = f"{value:,}" if isinstance(value, int) else f"{value:.9g}"
    if value == 1 and unit in COUNTED:
        unit = unit[:-1]
    return f"{number} {unit}".rstrip()


def equal(name: str, said: int | None, found: int, unit: str = "") -> Finding:
    """A whole number that must agree exactly."""
    return Finding(name=name, plan=show(said, unit), recomputed=show(found, unit), ok=said == found)


def agree(name: str, said: float | None, found: float | None, unit: str = "") -> Finding:
    """A figure that must agree within the tolerance; null agrees only with null."""
    ok = said is None and found is None
    if said is not None and found is not None:
        ok = close(said, found)
    return Finding(name=name, plan=show(said, unit), recomputed=show(found, unit), ok=ok)


def rule(name: str, ok: bool, said: str, demanded: str) -> Finding:
    """A condition in words: what the plan says, and what must hold."""
    return Finding(name=name, plan=said, recomputed=demanded, ok=ok)


def nothing_wrong(name: str, wrong: Iterable[tuple[str, str]], good: str) -> Finding:
    """One finding for many comparisons: the first that failed (plan, recomputed), or all is well."""
    for said, found in wrong:
        return Finding(name=name, plan=said, recomputed=found, ok=False)
    return Finding(name=name, plan=good, recomputed=good, ok=True)


def attempt(
    name: str, check: Callable[Arguments, list[Finding]], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> list[Finding]:
    """The findings of a check; a plan so wrong that the check cannot be carried out is a failing finding."""
    try:
        return check(*args, **kwargs)
    except Exception as error:  # whatever a malformed plan provokes must be reported, not raised
        reason = f"cannot be recomputed: {type(error).__name__}: {str(error)[:200]}"
        return [Finding(name=name, plan="contradictory or incomplete", recomputed=reason, ok=False)]
