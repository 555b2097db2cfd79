"""What the time of a forward pass is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Model

Origin = Literal["measured", "interpolated", "extrapolated", "estimated", "fitted"]


class PassTime(Model):
    """One forward pass of one kind of engine, all stages in turn, without what ranks hand from stage to stage."""

    engine: str = Field(description="role and degrees, and the card")
    carries: Literal["decode", "prompt"] = Field(
        description="decode: one token of every sequence of the batch; prompt: as many whole prompts as the budget has"
    )
    seconds: float
    shares: dict[Origin, float] = Field(
        description="of the seconds: operators by where their time comes from (a point of a table, between points, "
        "beyond them, the data sheet or a related card), and fitted: launches and the host"
    )
