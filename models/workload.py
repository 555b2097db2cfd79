"""What the deployment must serve: how many sequences at once, and how long they are."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .base import Model
from .units import RequestsPerSecond

MOST_SEQUENCES = 10_000_000
Sequences = Annotated[int, Field(strict=True, ge=1, le=MOST_SEQUENCES)]
Tokens = Annotated[int, Field(strict=True, ge=1, le=100_000_000)]
"""Ceilings that no deployment reaches; they keep every quantity inside the solver's integers."""


class Lengths(Model):
    """Token counts of a sequence: one number, or a range. A range with no distribution is uniform."""

    min: Tokens = Field(description="shortest")
    max: Tokens = Field(description="longest")

    @model_validator(mode="before")
    @classmethod
    def _one_number(cls, data: Any) -> Any:
        if isinstance(data, int) and not isinstance(data, bool):
            return {"min": data, "max": data}
        if not isinstance(data, (dict, Lengths)):
            raise ValueError(f"{str(data)[:40]!r} is not a length; write whole tokens such as 4000, or {{min, max}}")
        return data

    @model_validator(mode="after")
    def _ordered(self) -> Lengths:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    @property
    def mean(self) -> float:
        """E[S] of the uniform distribution."""
        return (self.min + self.max) / 2

    @property
    def mean_square(self) -> float:
        """E[S²] of the uniform distribution: variance (max − min)²/12 plus the squared mean."""
        return (self.max - self.min) ** 2 / 12 + self.mean**2


class Routing(Model):
    """How evenly tokens fall on experts."""

    imbalance: Annotated[float, Field(ge=1, le=1e6)] | None = Field(
        default=None, description="load of the busiest expert rank over the mean, as measured"
    )
    zipf: Annotated[float, Field(ge=0, le=10)] | None = Field(
        default=None,
        description="exponent of the experts' popularity, dealt to the ranks in order of popularity",
    )

    @model_validator(mode="after")
    def _one(self) -> Routing:
        if self.imbalance is not None and self.zipf is not None:
            raise ValueError("give imbalance or zipf, not both")
        return self

    def factor(self, experts: int, ranks: int) -> float:
        """Busiest over mean load of the expert ranks (gamma)."""
        if ranks == 1:
            return 1.0
        if self.zipf:
            loads = [i**-self.zipf for i in range(1, experts + 1)]
            return ranks * math.fsum(loads[::ranks]) / math.fsum(loads)
        return self.imbalance or 1.0


class Workload(Model):
    """The load on the whole deployment."""

    concurrency: Sequences | None = Field(default=None, description="requests in flight at all times (closed loop)")
    batch: Sequences | None = Field(default=None, description="sequences that arrive at once, split over the engines")
    request_rate: RequestsPerSecond | Literal["max"] | None = Field(
        default=None, description="requests that arrive per second (open loop); max: as many as can be carried"
    )
    burstiness: float = Field(
        default=1.0,
        gt=0,
        le=1e3,
        description="shape of the gamma-distributed gaps between arrivals: 1 is Poisson, less comes in bursts",
    )
    input_tokens: Lengths = Field(description="prompt length; a number or {min, max}")
    output_tokens: Lengths = Field(
        default=Lengths(min=1, max=1), description="answer length; 1: prefill only (the first token ends it)"
    )
    requests_per_client: float = Field(
        default=6.3,
        ge=1,
        description="requests each closed-loop client sends; the opening burst is averaged over them",
    )
    routing: Routing = Field(default=Routing(), description="how evenly tokens fall on experts")

    @model_validator(mode="after")
    def _one_load(self) -> Workload:
        loads = (self.concurrency, self.batch, self.request_rate)
        if sum(load is not None for load in loads) != 1:
            raise ValueError(
                "give concurrency (requests in flight), batch (sequences at once) or request_rate (arrivals per "
                "second, or max), one of them"
            )
        if self.request_rate is not None and self.request_rate == 0:
            raise ValueError("a request_rate of 0 asks for nothing; write such as 12 requests/s, or max")
        if self.burstiness != 1 and self.request_rate is None:
            raise ValueError("burstiness belongs to request_rate; a closed loop has no arrivals of its own")
        if self.output_tokens.min == 1 < self.output_tokens.max:
            raise ValueError("output_tokens must start at 2 or be exactly 1 (prefill only)")
        return self

    @property
    def sequences(self) -> int:
        """Sequences that the whole deployment holds at once; without end where requests arrive at a rate."""
        return self.concurrency or self.batch or MOST_SEQUENCES

    @property
    def open_loop(self) -> bool:
        """Whether requests arrive at a rate, whatever is in flight."""
        return self.request_rate is not None

    @property
    def decodes(self) -> bool:
        """Whether tokens are generated after the first one."""
        return self.output_tokens.max > 1
