"""Conditions that no strategy keeps together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Model


class Source(Model):
    """Where a condition's limit was set."""

    file: str | None = Field(default=None, description="null for a scenario made in Python")
    line: int | None = Field(default=None, description="of the value, or of what would hold it")
    key: str = Field(description="scenario key, as in requirements.ttft")
    stated: bool = Field(default=True, description="false: nobody stated it, a default counts")


class Member(Model):
    """One condition of a conflict."""

    id: str = Field(description="id of the condition, as in memory.fits")
    statement: str = Field(description="what it demands, in words")
    asked: str = Field(description="the limit, with its unit")
    best_possible: str | None = Field(
        description="best value with the conflict's other members kept; null: not found in the time given"
    )
    reached_by: str | None = Field(description="a strategy that reaches it")
    breaks: tuple[str, ...] = Field(default=(), description="conditions outside the conflict that this strategy breaks")
    best_with_all: str | None = Field(
        default=None, description="best value with all other conditions kept too; null: no strategy keeps them all"
    )
    needed: Literal["proved", "possible"] = Field(
        description="proved: without it some strategy keeps the others; possible: not decided in the time given"
    )
    source: Source


class Conflict(Model):
    """No strategy keeps all members; without any one of them, some strategy keeps the others."""

    proved: bool = Field(description="that no strategy keeps them, and that every member is needed")
    members: tuple[Member, ...]
    because: str = Field(description="one sentence that derives the conflict from the numbers")

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the members."""
        return tuple(member.id for member in self.members)
