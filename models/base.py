"""What every model of this package shares: frozen, and no key goes unread."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(strict=True, ge=1, le=2**40)]
"""A whole number of at least 1; the ceiling keeps products inside the solver's 64 bits.

A tighter ceiling needs a type of its own: pydantic drops a second `le` on this one."""
Width = Annotated[int, Field(strict=True, ge=1, le=2**24)]
"""A dimension of a model; none comes near."""
Natural = Annotated[int, Field(strict=True, ge=0, le=2**40)]
"""A whole number of at least 0."""
Amount = Annotated[int, Field(ge=0)]
"""A computed whole number, as large as it comes."""


class Model(BaseModel):
    """Base of all models: immutable; an unknown key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())
