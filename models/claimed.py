"""What a plan from elsewhere states: how it cuts the model, what it promises, what it says it does. Read, not believed.

A value that the plan does not state is None; `lines` and `line` are lines of the file, from 1.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Model, Positive
from .rules import Role
from .strategy import Strategy

Form = Literal["plan", "deployment", "markdown", "command", "manifest"]

What = Literal[
    "gpus",
    "gpu_product",
    "experts_per_gpu",
    "layers_per_stage",
    "memory_per_gpu",
    "memory_utilization",
    "ttft",
    "tpot",
    "request_latency",
    "requests",
    "throughput",
    "throughput_per_gpu",
    "expert_utilization",
    "balanced",
    "compatible",
]
"""`throughput` is tokens/s of all GPUs; `memory_utilization` a share of the card; `expert_utilization` the share of the
experts that a token uses; `balanced` and `compatible` are promises without a number."""


class Claim(Model):
    """One promise."""

    what: What
    value: float | None = Field(default=None, description="SI units; null: the promise has no number")
    half_step: float = Field(default=0.0, description="half of the last digit written, SI units: 1.15 GB means ± 5 MB")
    limit: float | None = Field(default=None, description="what the plan says it is held against, SI units")
    text: str = Field(description="as written")
    line: Positive


class Measure(Model):
    """One technique that the plan says it uses."""

    text: str
    line: Positive


class Unread(Model):
    """A part of the plan that is not understood: a flag that the engine does not know, a value that is no number."""

    text: str
    why: str
    line: Positive


class ClaimedEngine(Model):
    """Engines of one kind, as far as the plan describes them."""

    role: Role = "aggregated"
    name: str = Field(default="engine", description="what the plan calls it")
    strategy: Strategy = Field(description="degrees; those not stated are 1")
    count: Positive = Field(default=1, description="engines of this kind")
    sequences: Positive | None = Field(default=None, description="at once, on one attention rank")
    token_budget: Positive | None = Field(default=None, description="tokens of a pass on one attention rank")
    longest: Positive | None = Field(default=None, description="tokens of the longest sequence it accepts")
    memory_share: float | None = Field(default=None, description="as the engine's own knob means it")
    kv_format: str | None = Field(default=None, description="of the KV cache; null: the engine's choice")
    weight_format: str | None = Field(default=None, description="of the weights; null: the checkpoint's")
    layers_per_stage: tuple[Positive, ...] = Field(default=(), description="empty: the engine's own split")
    model: str | None = Field(default=None, description="what it loads")
    lines: dict[str, int] = Field(default_factory=dict, description="value -> line it stands in")

    @property
    def gpus(self) -> int:
        """Of all engines of this kind."""
        return self.strategy.gpus * self.count


class Claimed(Model):
    """A plan from elsewhere."""

    file: str = Field(description="where it was read")
    form: Form
    engine: str | None = Field(default=None, description="serving engine (vllm, sglang, trtllm), where one is named")
    engines: tuple[ClaimedEngine, ...]
    claims: tuple[Claim, ...] = ()
    measures: tuple[Measure, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def gpus(self) -> int:
        """GPUs that its engines take."""
        return sum(engine.gpus for engine in self.engines)
