"""Every condition a strategy must meet, each in one place.

`all_conditions(scenario)` is the table of contents. A condition knows its id, what it demands in words, how it is
posted to CP-SAT, which numbers explain it and which key of the scenario set it. The model's own facts (its heads, its
experts) are background; the others can be changed by a person.
"""

from __future__ import annotations

from ...models import Scenario
from . import engine, limits, pins, resources, rules, structure
from .base import Condition, Facts, Limit, Variables

__all__ = ["Condition", "Facts", "Limit", "Variables", "all_conditions", "limits_of", "structural_of"]


def structural_of(scenario: Scenario) -> list[Condition]:
    """Conditions on the degrees and the engine count."""
    sources = (structure, resources, pins, rules, engine)
    return [condition for source in sources for condition in source.conditions(scenario)]


def limits_of(scenario: Scenario) -> list[Limit]:
    """Conditions on priced values: memory, budget, latency, throughput, and pins on batch and budget."""
    return [*limits.conditions(scenario), *pins.value_conditions(scenario)]


def all_conditions(scenario: Scenario) -> list[Condition]:
    """All conditions of a scenario, in reading order."""
    return [*structural_of(scenario), *limits_of(scenario)]
