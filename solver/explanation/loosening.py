"""How a demand can give way: how far a row is from it, the tightest limit that admits a row, the edit that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...models import Bound, GpuRange, Scenario
from ...models.edit import Edit
from ...models.units import DURATION, MEMORY, REQUEST_RATE, TOKEN_RATE, parse, show_bytes
from ..conditions import Limit
from ..conditions.limits import SLACK
from ..conditions.pins import within
from .demands import Demand

MOST_UTILIZATION = 0.95
"""Share of a card that a repair may fill; beyond, fragmentation ends servers, and a larger card is proposed."""
_DIGITS = 3
"""Significant digits of a proposed value: "the next smaller step still fails" counts in these."""
Facts = Mapping[str, Any]
"""Columns of rows, or the values of one, by name."""
Stated = Callable[[str], Any]
"""What stands in the scenario's file at a key; None where nothing does."""
Keys = NDArray[np.float64]
Category = Literal[0, 1, 2]


@dataclass(frozen=True)
class Loosening:
    """One demand giving way."""

    category: Category
    """Who must change something: 0 what the person set, 1 hardware, 2 knowledge and engines."""
    distance: Callable[[Facts], Keys]
    """How far rows are from it, as |ln(value / limit)|; 0 where they keep it."""
    reached: Callable[[Facts], str]
    """One row's value in words."""
    limit: Callable[[Facts], Any]
    """The tightest limit, in steps that people write, that admits one row."""
    admits: Callable[[Any, Facts], NDArray[np.bool_]]
    """Which rows a new limit admits."""
    edits: Callable[[Any, Stated], tuple[Edit, ...]]
    """The edits that set a new limit."""
    moves: bool = True
    """Whether the limit is a number that can be tightened."""


def loosening(demand: Demand, scenario: Scenario, stated: Stated = lambda _: None, margin: float = 0.0) -> Loosening:
    """The way a demand of this scenario can give way. Numbers are rounded in the units that are `stated`.

    `margin` is the share by which the scenario's requirements are tighter than those that stand in its file.
    """
    condition = demand.condition
    if condition.id == "gpus.available":
        return _machine(scenario)
    if condition.id == "gpus.minimum":
        return _minimum(scenario, condition)  # type: ignore[arg-type]
    if condition.id == "memory.fits":
        return _memory(scenario, condition)  # type: ignore[arg-type]
    if condition.kind == "pin":
        return _pin(condition.key, scenario)
    if isinstance(condition, Limit):
        return _requirement(condition, stated(condition.key), margin)
    return _waived(demand, scenario)


def _requirement(limit: Limit, stated: Any, margin: float) -> Loosening:
    up = limit.sense == "<="
    factor = 1.0 if limit.column == "memory" else 1 + margin if up else 1 / (1 + margin)  # of what the file says
    before = stated if isinstance(stated, str) else written(limit.bound * factor, unit_of(limit))
    unit = _unit_size(before) / factor

    def tightest(facts: Facts) -> float:
        return _rounded(float(facts[limit.column]) / unit, up) * unit

    def edits(value: float, _: Stated) -> tuple[Edit, ...]:
        return (Edit(key=limit.key, before=before, after=written(value * factor, before, up=up)),)

    return Loosening(
        0,
        lambda f: _beyond(f[limit.column], limit.bound, up),
        lambda f: limit.show(float(f[limit.column])),
        tightest,
        lambda value, f: f[limit.column] <= value * (1 + SLACK) if up else f[limit.column] >= value * (1 - SLACK),
        edits,
    )


def unit_of(limit: Limit) -> str:
    """A value in the unit to write a limit in, where its own is not known."""
    if limit.column == "memory":
        return "1 GB"
    if "rate" in limit.column:
        return "1 requests/s" if limit.column.startswith("requests") else "1 tokens/s"
    return "1 s" if limit.bound >= 1 else "1 ms"


def _beyond(values: Any, bound: float, ceiling: bool) -> Keys:
    """|ln(value / bound)| where a bound is broken, else 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(np.asarray(values, dtype=np.float64) / bound)
    found: Keys = np.nan_to_num(np.maximum(ratio if ceiling else -ratio, 0.0), nan=np.inf, posinf=1e9)
    return np.where(found <= SLACK, 0.0, found)


def _rounded(value: float, up: bool) -> float:
    """To _DIGITS significant digits, in the direction that admits the value up to the slack of limits."""
    exact = Decimal(value * (1 - SLACK if up else 1 + SLACK))
    step = Decimal(1).scaleb(exact.adjusted() - _DIGITS + 1)
    return float((exact / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step)


def written(value: float, like: str, *, up: bool = True) -> str:
    """An SI value in the unit of another quantity, as in "812 ms"."""
    return f"{_plain(value / _unit_size(like))} {_unit_name(like)}"


def _unit_name(quantity: str) -> str:
    return quantity.lstrip("0123456789.,_+-eE ").strip()


def _unit_size(quantity: str) -> float:
    """SI value of the unit of a quantity."""
    unit = _unit_name(quantity)
    for dimension in (DURATION, MEMORY, TOKEN_RATE, REQUEST_RATE):
        if unit.replace(" ", "") in dimension.units:
            return parse(f"1 {unit}", dimension, bare=False)
    raise ValueError(f"no unit in {quantity!r}")


def _plain(number: float) -> str:
    """A number without an exponent and without digits that rounding made."""
    text = f"{Decimal(f'{number:.12g}'):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _machine(scenario: Scenario) -> Loosening:
    gpus, whole = scenario.hardware.gpus, scenario.hardware.use_all_gpus
    most = scenario.hardware.gpu_range.max
    key = "hardware.gpus.max" if isinstance(gpus, GpuRange) else "hardware.gpus"

    def distance(f: Facts) -> Keys:
        far = _beyond(f["gpus_needed"], most, ceiling=True)
        # A machine that must be used whole has exactly the GPUs that the engines take.
        return np.where((far > 0) & whole & (f["gpus_used"] != f["gpus_needed"]), np.inf, far)

    def admits(value: int, f: Facts) -> NDArray[np.bool_]:
        if whole:
            return np.asarray((f["gpus_used"] == value) & (f["gpus_needed"] == value))
        return np.asarray(f["gpus_needed"] <= value)

    def edits(value: int, stated: Stated) -> tuple[Edit, ...]:
        return (Edit(key=key, before=stated(key) if gpus is None else most, after=value),)

    return Loosening(
        1,
        distance,
        lambda f: f"{int(f['gpus_needed']):,} GPUs",
        lambda f: int(f["gpus_needed"]),
        admits,
        edits,
    )


def _minimum(scenario: Scenario, limit: Limit) -> Loosening:
    if scenario.hardware.use_all_gpus:
        edit = Edit(key="hardware.use_all_gpus", before=True, after=False)
        return Loosening(
            0,
            lambda f: _beyond(f["gpus_used"], limit.bound, ceiling=False),
            lambda f: f"{int(f['gpus_used']):,} GPUs used",
            lambda f: False,
            lambda _, f: np.ones(np.shape(f["gpus_used"]), dtype=bool),
            lambda value, stated: (edit,),
            moves=False,
        )
    return Loosening(
        0,
        lambda f: _beyond(f["gpus_used"], limit.bound, ceiling=False),
        lambda f: f"{int(f['gpus_used']):,} GPUs",
        lambda f: int(f["gpus_used"]),
        lambda value, f: np.asarray(f["gpus_used"] >= value),
        lambda value, stated: (Edit(key="hardware.gpus.min", before=int(limit.bound), after=value),),
    )


def _memory(scenario: Scenario, limit: Limit) -> Loosening:
    card, share = scenario.hardware.accelerator.memory, scenario.hardware.memory_utilization

    def tightest(f: Facts) -> tuple[float, float]:
        """(card's bytes, share of it that may be filled)."""
        needed = float(f["memory"]) * (1 - SLACK)
        percent = -(-int(needed) * 100 // int(card)) / 100
        while int(card * percent) < needed:
            percent = round(percent + 0.01, 2)
        if percent <= max(share, MOST_UTILIZATION):
            return card, percent
        size = -(-int(needed / share) // 10**9) * 1e9
        return (size if int(size * share) >= needed else size + 1e9), share

    def edits(value: tuple[float, float], stated: Stated) -> tuple[Edit, ...]:
        if value[1] != share:
            key = "hardware.memory_utilization"
            return (Edit(key=key, before=_percent(stated(key), share), after=f"{value[1] * 100:.4g} %"),)
        key = "hardware.accelerator.memory"
        return (Edit(key=key, before=show_bytes(card), after=written(value[0], "1 GB")),)

    return Loosening(
        1,
        lambda f: _beyond(f["memory"], limit.bound, ceiling=True),
        lambda f: limit.show(float(f["memory"])),
        tightest,
        lambda value, f: np.asarray(f["memory"] <= int(value[0] * value[1]) * (1 + SLACK)),
        edits,
    )


def _percent(stated: Any, share: float) -> Any:
    return stated if stated is not None else f"{share * 100:.4g} %"


def _pin(key: str, scenario: Scenario) -> Loosening:
    name = key.removeprefix("strategy.")
    bound: Bound = getattr(scenario.strategy, name)
    fixed = bound.any_of is not None or bound.min == bound.max

    def distance(f: Facts) -> Keys:
        values = np.asarray(f[name], dtype=np.float64)
        if bound.any_of is not None:
            far = np.min([np.abs(np.log(values / allowed)) for allowed in bound.any_of], axis=0)
        else:
            low, high = bound.min or 1, bound.max or 2**40
            far = np.maximum(np.maximum(np.log(low / values), np.log(values / high)), 0.0)
        return np.where(within(f[name], bound), 0.0, np.maximum(far, SLACK))

    def limit(f: Facts) -> Bound:
        value = int(f[name])
        if bound.any_of is not None:
            return Bound(min=bound.min, max=bound.max, any_of=tuple(sorted({*bound.any_of, value})))
        if fixed:
            return Bound(min=value, max=value)
        if bound.max is not None and value > bound.max:
            return Bound(min=bound.min, max=value)
        return Bound(min=min(value, bound.min or value), max=bound.max)

    return Loosening(
        0,
        distance,
        lambda f: f"{name} {int(f[name]):,}",
        limit,
        lambda value, f: within(f[name], value),
        lambda value, stated: (Edit(key=key, before=_plain_bound(bound), after=_plain_bound(value)),),
        moves=not fixed,
    )


def _plain_bound(bound: Bound) -> Any:
    if bound.any_of is not None:
        return list(bound.any_of)
    if bound.min == bound.max:
        return bound.min
    return {side: value for side in ("min", "max") if (value := getattr(bound, side)) is not None}


def _waived(demand: Demand, scenario: Scenario) -> Loosening:
    """A rule is set aside. One rule of a serving engine cannot be: another engine is another scenario."""
    id = demand.id.removeprefix("rules.")
    own = demand.id.startswith("rules.") and demand.id not in scenario.knowledge

    def edits(_: Any, stated: Stated) -> tuple[Edit, ...]:
        if not demand.id.startswith("rules."):
            return ()
        before = list(scenario.waive) or None
        return (Edit(key="waive", before=before, after=[*scenario.waive, id]),)

    return Loosening(
        0 if own else 2,
        lambda f: np.where(demand.keeps(f), 0.0, 1.0),
        lambda f: demand.condition.explain(f)[1],
        lambda f: None,
        lambda _, f: np.ones(np.shape(f["engines"]), dtype=bool),
        edits,
        moves=False,
    )
