"""Techniques that do nothing, or other than they seem, in some settings: data that knowledge files can extend."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import Field

from . import catalog
from .base import Model
from .strategy import DEGREES, Bound

Severity = Literal["error", "warning", "note"]


class MeasureRule(Model):
    """One technique and the setting in which something is to be said of it."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$", description="stable name, as in activation-checkpointing")
    says: tuple[tuple[str, ...], ...] = Field(
        min_length=1, description="words, any case: a text is meant if it has one of every group"
    )
    not_says: tuple[str, ...] = Field(default=(), description="words with which something else is meant")
    decodes: bool | None = Field(default=None, description="only where tokens are, or are not, generated")
    experts: bool | None = Field(default=None, description="only for models with, or without, experts")
    tensor: Bound | None = Field(default=None, description="only at these tensor degrees")
    context: Bound | None = Field(default=None, description="only at these context degrees")
    data: Bound | None = Field(default=None, description="only at these attention data degrees")
    pipeline: Bound | None = Field(default=None, description="only at these pipeline degrees")
    expert: Bound | None = Field(default=None, description="only at these expert degrees")
    expert_tensor: Bound | None = Field(default=None, description="only at these expert tensor degrees")
    severity: Severity = "warning"
    statement: str = Field(min_length=1, max_length=300, description="what is wrong with it, in words")
    source: str = Field(min_length=1, description="where that is known from")

    def means(self, text: str) -> bool:
        """Whether a text speaks of this technique."""
        low = text.casefold()
        if any(word.casefold() in low for word in self.not_says):
            return False
        return all(any(word.casefold() in low for word in group) for group in self.says)

    def holds(self, degrees: dict[str, int], *, decodes: bool, experts: bool) -> bool:
        """Whether the setting is the one that it is about."""
        bounds = {name: bound for name in DEGREES if (bound := getattr(self, name)) is not None}
        return (
            self.decodes in (None, decodes)
            and self.experts in (None, experts)
            and all(bound.allows(degrees[name]) for name, bound in bounds.items())
        )


class Measures(Model):
    """A file of them."""

    measures: tuple[MeasureRule, ...]


@cache
def packaged_measures() -> tuple[MeasureRule, ...]:
    """Those that shardwise ships."""
    return Measures.model_validate(catalog.measures()).measures
