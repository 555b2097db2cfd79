"""What a report shows, as plain data: a record per scenario and what is needed to draw its deployment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ...models import InputError, Plan, Scenario
from ...models.deployment import DeploymentPlan
from ..sweep.factors import factor_of
from ..sweep.row import Row
from .picture import picture_of

FIGURES = (
    "status", "strategy", "engines", "gpus_used", "gpus_idle", "ttft", "tpot", "request_latency", "requests_per_s",
    "tokens_per_s", "tokens_per_s_per_gpu", "operator_times", "binding", "why", "reason", "wall",
)  # fmt: skip
MEMORY = ("memory_weights", "memory_kv_cache", "memory_activations", "memory_reserve", "memory_usable")


def record_of(row: Row) -> dict[str, Any]:
    """One row, with the picture of its deployment. Raises InputError for a damaged plan."""
    found: dict[str, Any] = {"id": row.key, "changes": dict(row.changes)}
    found |= {name: getattr(row, name) for name in FIGURES}
    found["memory"] = [getattr(row, name) for name in MEMORY]
    if row.plan is not None:
        found["picture"] = picture_of(plan_of(row))
    return found


def plan_of(row: Row) -> dict[str, Any]:
    """plan.json of a row that has one. Raises InputError if it is damaged."""
    try:
        found: dict[str, Any] = json.loads(row.plan or "")
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the stored plan of {row.key} is damaged", help="sweep into a new folder") from None
    return found


def name_apart(records: Iterable[dict[str, Any]]) -> None:
    """An id of its own for each of several points that are the same scenario: each has its page."""
    seen = Counter[str]()
    for one in records:
        seen[one["id"]] += 1
        if (copies := seen[one["id"]]) > 1:
            one["id"] = f"{one['id']}-{copies}"


def axes_of(records: Iterable[dict[str, Any]]) -> list[str]:
    """Keys that are varied, in the order in which they appear."""
    return list(dict.fromkeys(key for record in records for key in record["changes"]))


def mark_flips(records: list[dict[str, Any]]) -> list[str]:
    """Note where an assumption that is off by a factor turns the plan: against the record with all factors at x1.

    `flips` of a record says what it was there, None if it is the same; other records have none.
    Returns the keys whose factors leave out x1, so that nothing can be marked against it.
    """
    plain = {_others(one): one for one in records if all(factor == 1 for factor in _factors(one).values())}
    blind = set[str]()
    for one in records:
        factors, base = _factors(one), plain.get(_others(one))
        if not factors or base is one:
            continue
        if base is None:
            blind |= factors.keys()
            continue
        one["flips"] = None
        if (one["status"], one["strategy"], one["engines"]) != (base["status"], base["strategy"], base["engines"]):
            was = f"{base['engines']} × {base['strategy']}" if base["strategy"] else base["status"]
            one["flips"] = f"{was} at x1"
    seen = {key for one in records for key, factor in _factors(one).items() if factor == 1}
    return [key for key in axes_of(records) if key in blind - seen]


def blind_words(keys: Iterable[str]) -> list[str]:
    """Why no flips are marked for some keys."""
    return [f"{key}: no factor is x1, so that no flips can be marked; add x1" for key in keys]


def flips_words(rows: Iterable[Row]) -> list[str]:
    """How many scenarios of a sweep flip; nothing where no factor was varied."""
    names = ("changes", "status", "strategy", "engines")
    records: list[dict[str, Any]] = [{name: getattr(row, name) for name in names} for row in rows]
    blind = mark_flips(records)
    compared = [one["flips"] for one in records if "flips" in one]
    flipped = sum(was is not None for was in compared)
    told = [f"{flipped:,} of {len(compared):,} scenarios flip against x1"] if compared else []
    return told + blind_words(blind)


def _factors(record: dict[str, Any]) -> dict[str, float]:
    found = {key: factor_of(value) for key, value in record["changes"].items()}
    return {key: factor for key, factor in found.items() if factor is not None}


def _others(record: dict[str, Any]) -> str:
    """What the factors multiply: the point without them."""
    factors = _factors(record)
    return json.dumps({key: None if key in factors else value for key, value in record["changes"].items()}, default=str)


def row_of_plan(plan: Plan | DeploymentPlan) -> Row:
    """A single plan as a row."""
    from ..sweep.row import row_of

    name = plan.scenario.name if isinstance(plan.scenario, Scenario) else "plan"
    return row_of(name, {}, plan, plan.proof.wall_s)
