"""The conditions of a plan in words: kept, by how much, and whether a measurement may break one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...models import Plan, Scenario
from ...models.bands import Bands
from ...models.deployment import DeploymentPlan
from ...models.plan import Check
from .text import table

MEASURE = "inside the band: measure it"
_BANDS = {"requirements.ttft": "ttft", "requirements.tpot": "tpot", "load.request_rate": "throughput"}


def check_lines(plan: Plan | DeploymentPlan, kinds: tuple[str, ...]) -> Iterator[str]:
    """For a terminal: the conditions whose names begin so."""
    for check in plan.checks:
        if check.name.startswith(kinds):
            margin = f", {check.margin:+.1%} margin" if check.margin is not None else ""
            verdict = "ok  " if check.ok else "FAIL"
            yield f"{verdict} {check.statement}: {check.predicted}{margin}{_measure(plan, check)}"


def checks_table(plan: Plan | DeploymentPlan) -> str:
    """For plan.md: all conditions."""
    return table(("", "condition", "demands", "required", "plan"), _rows(plan, plan.checks))


def _rows(plan: Plan | DeploymentPlan, checks: Iterable[Check]) -> list[tuple[str, ...]]:
    return [
        ("✓" if c.ok else "✗", f"`{c.name}`", c.statement, c.required, f"{c.predicted}{_measure(plan, c)}")
        for c in checks
    ]


def _measure(plan: Plan | DeploymentPlan, check: Check) -> str:
    scenario = plan.scenario
    if plan.uncertainty is None or not isinstance(scenario, Scenario):
        return ""
    return f", {MEASURE}" if in_band(check, scenario.bands, scenario.requirements.tightened_by) else ""


def in_band(check: Check, bands: Bands, tightened_by: float = 0.0) -> bool:
    """Whether a limit that is kept lies between the prediction and the pessimistic end of its band.

    The limit is the stated one: what `--margin` put before it is room already.
    """
    quantity = "throughput" if check.name.startswith("requirements.throughput") else _BANDS.get(check.name)
    if quantity is None or check.margin is None or not check.ok:
        return False
    low, high = getattr(bands, quantity)
    room = 1.0 if check.name.startswith("load.") else 1 + tightened_by
    if quantity == "throughput":
        return bool((1 + check.margin) * room * low < 1)
    return bool((1 - check.margin) * high > room)
