"""Why no plan exists and what would help, or what holds an existing plan back: `explanation.json` is this model."""

from __future__ import annotations

from pydantic import Field

from .base import Model, Natural
from .conflict import Conflict, Source
from .edit import Edit
from .plan import SCHEMA_VERSION, Proof, Reading, Status
from .scenario import Scenario


class Repair(Model):
    """A smallest set of edits after which a plan exists. Applied and solved."""

    edits: tuple[Edit, ...]
    headline: str = Field(description="the plan that the repaired scenario has")
    status: Status = Field(description="optimal, or feasible where the time ended before the proof")


class Effect(Model):
    """What one change of a condition buys. Solved."""

    change: str = Field(description="as in +1 GPU, or 10 % looser")
    edits: tuple[Edit, ...]
    buys: str = Field(description="differences in the plan's figures, or nothing")
    headline: str | None = Field(description="the plan after the change; null: the same plan")


class Binding(Model):
    """One condition of a scenario that has a plan: how far the plan is from it, and what loosening it buys."""

    id: str
    statement: str
    asked: str
    reached: str = Field(description="the plan's value")
    slack: float | None = Field(description="share of the limit that is left; null where it has no measure")
    binds: bool | None = Field(description="without it a better plan exists; null: not decided in the time given")
    source: Source
    effects: tuple[Effect, ...] = ()


class Explanation(Model):
    """The whole answer to "why"."""

    schema_version: str = SCHEMA_VERSION
    status: Status
    complete: bool = Field(description="false: the time ended before everything was found")
    searched: str = Field(description="over what the conflicts were proved")
    conflicts: tuple[Conflict, ...] = Field(default=(), description="all irreducible ones, smallest first")
    conflicts_left: Natural = Field(default=0, description="further conflicts that were not worked out")
    repairs: tuple[Repair, ...] = Field(default=(), description="cheapest first; each applied and solved")
    repairs_left: Natural = Field(default=0, description="further sets of conditions to loosen that were not solved")
    bindings: tuple[Binding, ...] = Field(default=(), description="if a plan exists: its conditions")
    headline: str | None = Field(default=None, description="if a plan exists: what it does")
    proof: Proof
    readings: tuple[Reading, ...] = ()
    warnings: tuple[str, ...] = ()
    scenario: Scenario
