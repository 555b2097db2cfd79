"""What changed between two plans, or two sweeps: what was asked, what is answered, by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...models import Plan
from ...models.deployment import DeploymentPlan
from ..sweep.row import Row, changes_text
from .data import row_of_plan

FIGURES = ("ttft", "tpot", "request_latency", "requests_per_s", "tokens_per_s", "tokens_per_s_per_gpu", "gpus_used")
SAME = 1e-6
"""Relative difference below which a figure is the same."""
_QUIET = ("name", "knowledge", "sources", "assumed")


def compare_plans(first: Plan | DeploymentPlan, second: Plan | DeploymentPlan) -> str:
    """Conditions that differ, then the answers."""
    one, two = row_of_plan(first), row_of_plan(second)
    lines = ["What was asked"]
    asked = list(_differences(first.scenario.model_dump(), second.scenario.model_dump()))
    lines += [f"  {key}: {_short(before)} → {_short(after)}" for key, before, after in asked] or [
        "  the same conditions"
    ]
    lines.append("What is answered")
    lines += [f"  {line}" for line in _answers(one, two)] or ["  the same"]
    return "\n".join(lines)


def _answers(one: Row, two: Row) -> Iterator[str]:
    for name in ("status", "strategy", "engines", "binding", "reason"):
        before, after = getattr(one, name), getattr(two, name)
        if before != after:
            yield f"{name}: {before} → {after}"
    for name in FIGURES:
        before, after = getattr(one, name), getattr(two, name)
        if before is not None and after is not None and abs(after - before) > SAME * max(abs(before), abs(after)):
            change = f" ({after / before - 1:+.1%})" if before else ""
            yield f"{name.replace('_', ' ')}: {before:.5g} → {after:.5g}{change}"


def _differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted keys whose values differ."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            if key not in _QUIET:
                yield from _differences(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
    elif before != after:
        yield path, before, after


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _named(row: Row) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.changes.items()) or "the base"


def compare_sweeps(first: Iterable[Row], second: Iterable[Row]) -> str:
    """Scenarios of the same changes, side by side."""
    one, two = _by_changes(first), _by_changes(second)
    both = [(one[key], two[key]) for key in one if key in two]
    alone = f"{len(one) - len(both):,} only in the first, {len(two) - len(both):,} only in the second"
    lines = [f"{len(both):,} scenarios in both, {alone}"]
    verdicts = Counter((a.status, b.status) for a, b in both if a.status != b.status)
    for (before, after), count in verdicts.most_common():
        which = [(a, b) for a, b in both if (a.status, b.status) == (before, after)]
        lines += _some(f"{before} → {after}: {count:,}", [f"{_named(a)}{_because(a, b)}" for a, b in which], 10)
    still = [(a, b) for a, b in both if a.status == b.status and _why(a) != _why(b)]
    lines += _some(f"for another reason: {len(still):,}", [f"{_named(a)}{_because(a, b)}" for a, b in still], 10)
    solved = [(a, b) for a, b in both if a.strategy is not None and b.strategy is not None]
    turned = [(a, b) for a, b in solved if (a.strategy, a.engines) != (b.strategy, b.engines)]
    lines.append(f"  another strategy: {len(turned):,} of {len(solved):,}")
    lines += _ratios(solved)
    told = [f"{_named(a)}: {a.engines} × {a.strategy} → {b.engines} × {b.strategy}" for a, b in turned]
    return "\n".join(lines + _some("", told, 20))


def _by_changes(rows: Iterable[Row]) -> dict[str, Row]:
    """Whatever the order of the axes."""
    return {changes_text(dict(sorted(row.changes.items()))): row for row in rows}


def _why(row: Row) -> str | None:
    """The conditions that collide, or the reason of a failure."""
    return row.binding or row.reason


def _because(before: Row, after: Row) -> str:
    told = [f"{word} {_why(row)}" for word, row in (("was", before), ("now", after)) if _why(row)]
    return f" ({'; '.join(told)})" if told else ""


def _some(title: str, which: list[str], most: int) -> list[str]:
    """The first of a list under its title; nothing for an empty one."""
    if not which:
        return []
    rest = [f"    and {len(which) - most:,} more"] if len(which) > most else []
    return [f"  {title}"] * bool(title) + [f"    {one}" for one in which[:most]] + rest


def _ratios(solved: list[tuple[Row, Row]]) -> Iterator[str]:
    for name in FIGURES:
        ratios = sorted(
            getattr(b, name) / getattr(a, name) - 1
            for a, b in solved
            if getattr(a, name) and getattr(b, name) is not None
        )
        if ratios and (abs(ratios[0]) > SAME or abs(ratios[-1]) > SAME):
            middle = ratios[len(ratios) // 2]
            yield f"  {name.replace('_', ' ')}: {middle:+.1%} median, {ratios[0]:+.1%} to {ratios[-1]:+.1%}"
