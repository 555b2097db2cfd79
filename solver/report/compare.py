"""What changed between two plans, or two sweeps: what was asked, what is answered, by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ...models import InputError, Plan
from ...models.deployment import DeploymentPlan
from ...models.units import show_rate, show_seconds
from ..sweep.row import Row, changes_text
from .asked import arrow, differences
from .data import plan_of, row_of_plan

FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "ttft": ("ttft", show_seconds),
    "tpot": ("tpot", show_seconds),
    "request_latency": ("request latency", show_seconds),
    "requests_per_s": ("requests", lambda rate: show_rate(rate, "requests")),
    "tokens_per_s": ("tokens", show_rate),
    "tokens_per_s_per_gpu": ("tokens per GPU", show_rate),
    "gpus_used": ("gpus used", "{:,.0f}".format),
    "cost": ("cost per hour", "{:,.2f}".format),
}
"""Figure -> what it is called, and how it is shown."""
SAME = 1e-6
"""Relative difference below which a figure is the same."""


def compare_plans(first: Plan | DeploymentPlan, second: Plan | DeploymentPlan) -> str:
    """Conditions that differ, then the answers."""
    one, two = row_of_plan(first), row_of_plan(second)
    lines = ["What was asked"]
    asked = list(differences(first.scenario.model_dump(), second.scenario.model_dump()))
    lines += [f"  {line}" for line in asked] or ["  the same conditions"]
    lines.append("What is answered")
    lines += [f"  {line}" for line in _answers(one, two)] or ["  the same"]
    return "\n".join(lines)


def _answers(one: Row, two: Row) -> Iterator[str]:
    for name in ("status", "strategy", "engines", "binding", "reason"):
        before, after = getattr(one, name), getattr(two, name)
        if before != after:
            yield f"{name}: {before} → {after}"
    for name, (title, show) in FIGURES.items():
        before, after = _figure(one, name), _figure(two, name)
        if before is not None and after is not None and abs(after - before) > SAME * max(abs(before), abs(after)):
            change = f" ({after / before - 1:+.1%})" if before else ""
            yield f"{title}: {arrow(show(before), show(after), before, after)}{change}"


def _figure(row: Row, name: str) -> float | None:
    if name != "cost":
        value: float | None = getattr(row, name)
        return value
    if row.plan is None:
        return None
    plan = plan_of(row)
    cost: float | None = plan["predictions"].get("cost_per_hour")
    price = (plan["scenario"].get("hardware") or {}).get("price_per_hour")
    return cost if cost is not None or price is None else price * plan["gpus_used"]


def _named(row: Row) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.changes.items()) or "the base"


def compare_sweeps(first: Iterable[Row], second: Iterable[Row]) -> str:
    """Scenarios of the same changes, side by side. Raises InputError where there are none."""
    one, two = _by_changes(first), _by_changes(second)
    both = [(one[key], two[key]) for key in one if key in two]
    if not both:
        raise _nothing_in_common(one, two)
    alone = f"{len(one) - len(both):,} only in the first, {len(two) - len(both):,} only in the second"
    lines = [f"{len(both):,} scenarios in both, {alone}"]
    lines += _asked(both)
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


def _nothing_in_common(one: Mapping[str, Row], two: Mapping[str, Row]) -> InputError:
    keys = [sorted({key for row in rows.values() for key in row.changes}) for rows in (one, two)]
    varied = [", ".join(each) or "nothing" for each in keys]
    if not one or not two:
        help = "sweep first: the store of one of them holds no results yet"
    elif keys[0] == keys[1]:
        help = f"both vary {varied[0]}, at other values: sweep one of them at the values of the other"
    else:
        help = f"the first varies {varied[0]}, the second {varied[1]}: sweep both over the same keys and values"
    return InputError("the two sweeps have no scenario in common: nothing can be compared", help=help)


def _asked(both: Sequence[tuple[Row, Row]]) -> list[str]:
    """Conditions that differ although the changes are the same: of scenarios that have a plan in both sweeps."""
    told = [(plan_of(a), plan_of(b)) for a, b in both if a.plan is not None and b.plan is not None]
    found = Counter(line for a, b in told for line in differences(a["scenario"], b["scenario"]))
    which = [line if count == len(told) else f"{line} ({count:,} of {len(told):,})" for line, count in found.items()]
    return _some("what was asked", which, 20) if which or not told else ["  what was asked: the same conditions"]


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
    for name, (title, _) in FIGURES.items():
        pairs = [(_figure(a, name), _figure(b, name)) for a, b in solved]
        ratios = sorted(after / before - 1 for before, after in pairs if before and after is not None)
        if ratios and (abs(ratios[0]) > SAME or abs(ratios[-1]) > SAME):
            middle = ratios[len(ratios) // 2]
            yield f"  {title}: {middle:+.1%} median, {ratios[0]:+.1%} to {ratios[-1]:+.1%}"
