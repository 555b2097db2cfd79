"""How one engine (one copy of the model) is cut over its GPUs, and how a person may bound the cut."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from .base import Model, Positive

DEGREES = ("tensor", "context", "data", "pipeline", "expert", "expert_tensor")
"""The six degrees, in the order of the canonical tie-break."""


Degree = Annotated[int, Field(strict=True, ge=1, le=8_192)]


class Strategy(Model):
    """The degrees of one engine. Stage group = tensor·context·data (= expert·expert_tensor with experts)."""

    tensor: Degree = Field(default=1, description="ranks that share attention heads and the dense feed-forward")
    context: Degree = Field(default=1, description="ranks that share a prompt's sequence")
    data: Degree = Field(default=1, description="attention replicas inside the engine (attention data parallel)")
    pipeline: Degree = Field(default=1, description="stages of consecutive layers")
    expert: Degree = Field(default=1, description="rank groups over which the experts are dealt")
    expert_tensor: Degree = Field(default=1, description="ranks that share each expert's matrices")

    @property
    def stage_group(self) -> int:
        """GPUs of one pipeline stage."""
        return self.tensor * self.context * self.data

    @property
    def gpus(self) -> int:
        """GPUs of one engine."""
        return self.stage_group * self.pipeline

    def describe(self) -> str:
        """Compact notation: TP8·DP2·PP1·EP16, degrees of 1 left out."""
        short = {
            "tensor": "TP",
            "context": "CP",
            "data": "DP",
            "pipeline": "PP",
            "expert": "EP",
            "expert_tensor": "ETP",
        }
        parts = [f"{short[name]}{getattr(self, name)}" for name in DEGREES if getattr(self, name) > 1]
        return "·".join(parts) or "TP1"


class Bound(Model):
    """A pinned value, a range, or a list of allowed values."""

    min: Positive | None = Field(default=None, description="at least")
    max: Positive | None = Field(default=None, description="at most")
    any_of: tuple[Positive, ...] | None = Field(default=None, min_length=1, description="one of these")

    @model_validator(mode="before")
    @classmethod
    def _pinned(cls, data: Any) -> Any:
        if isinstance(data, int) and not isinstance(data, bool):
            return {"min": data, "max": data}
        return {"any_of": data} if isinstance(data, list) else data

    @model_validator(mode="after")
    def _ordered(self) -> Bound:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    def allows(self, value: int) -> bool:
        """Whether a value is inside the bound."""
        return (
            (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
            and (self.any_of is None or value in self.any_of)
        )

    def __str__(self) -> str:
        if self.any_of is not None:
            return f"in {list(self.any_of)}"
        if self.min is not None and self.min == self.max:
            return f"= {self.min}"
        parts = [
            f"≥ {self.min}" if self.min is not None else "",
            f"≤ {self.max}" if self.max is not None else "",
        ]
        return " and ".join(part for part in parts if part) or "free"


class StrategyBounds(Model):
    """Optional limits on what the solver may choose; each is one named condition."""

    tensor: Bound | None = Field(default=None, description="tensor degree")
    context: Bound | None = Field(default=None, description="context degree")
    data: Bound | None = Field(default=None, description="attention data degree")
    pipeline: Bound | None = Field(default=None, description="pipeline degree")
    expert: Bound | None = Field(default=None, description="expert degree")
    expert_tensor: Bound | None = Field(default=None, description="expert tensor degree")
    engines: Bound | None = Field(default=None, description="number of engines")
    batch: Bound | None = Field(default=None, description="sequences per attention rank and micro-batch")
    token_budget: Bound | None = Field(default=None, description="tokens of the largest forward pass per rank")
