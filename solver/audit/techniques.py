"""Measures that do nothing in the plan's setting, by the rule file and what knowledge adds to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...models import Scenario
from ...models.audit import AuditFinding
from ...models.claimed import Claimed
from ...models.measures import MeasureRule, packaged_measures
from ...models.strategy import DEGREES


def idle_measures(scenario: Scenario, claimed: Claimed, more: Sequence[MeasureRule]) -> Iterator[AuditFinding]:
    """One finding for each measure and rule; the site's own rules come first and replace ours of the same id."""
    ids = {rule.id for rule in more}
    rules = [*more, *(rule for rule in packaged_measures() if rule.id not in ids)]
    strategy = claimed.engines[0].strategy
    degrees = {name: getattr(strategy, name) for name in DEGREES}
    setting = {"decodes": scenario.workload.decodes, "experts": scenario.model.experts is not None}
    for measure in claimed.measures:
        for rule in rules:
            if rule.means(measure.text) and rule.holds(degrees, **setting):
                yield AuditFinding(
                    severity=rule.severity,
                    topic="measures",
                    id=f"measures.{rule.id}",
                    statement=rule.statement,
                    stated=measure.text,
                    line=measure.line,
                    text=measure.text,
                    source=rule.source,
                )
                break
