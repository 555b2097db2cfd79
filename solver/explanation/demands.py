"""What a person can change of a scenario: its conditions without the facts, each with what stands and falls with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...models import InputError, Scenario
from ..conditions import Condition, Limit, Variables, all_conditions
from ..conditions.pins import STATED

MOST = 62
"""Demands that a mask of 64 bits can hold."""


@dataclass(frozen=True)
class Demand:
    """A condition that somebody can change."""

    condition: Condition
    parts: tuple[Condition, ...] = ()
    """Facts that fall with it: the nodes come with the GPUs."""

    @property
    def id(self) -> str:
        """Of the condition."""
        return self.condition.id

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Itself and its parts."""
        return (self.condition, *self.parts)

    @property
    def asked(self) -> str:
        """The limit in words."""
        if self.condition.kind == "pin":
            return self.condition.statement.removesuffix(STATED)
        return self.condition.asked if isinstance(self.condition, Limit) else self.condition.statement

    def keeps(self, facts: Mapping[str, Any]) -> Any:
        """Which rows keep it."""
        kept = self.condition.keeps(facts)
        for part in self.parts:
            kept = kept & part.keeps(facts)
        return kept

    def post(self, variables: Variables) -> None:
        """Post it to CP-SAT, with its parts."""
        for condition in self.conditions:
            condition.post(variables)


def demands_of(scenario: Scenario) -> tuple[Demand, ...]:
    """The demands of a scenario in reading order. Raises InputError for more than a mask holds."""
    conditions = all_conditions(scenario)
    found = tuple(
        Demand(condition, tuple(part for part in conditions if part.part_of == condition.id))
        for condition in conditions
        if not condition.background
    )
    if len(found) > MOST:
        raise InputError(
            f"an explanation takes {MOST} conditions apart, this scenario has {len(found)}",
            help="leave out knowledge files whose rules do not matter here, or set rules aside with `waive`",
        )
    return found


def facts_of(scenario: Scenario) -> list[Condition]:
    """The conditions that nobody can change and that fall with nothing."""
    return [condition for condition in all_conditions(scenario) if condition.background and not condition.part_of]
