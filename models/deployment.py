"""The answer where a deployment has pools: how many engines of which kind in which role. `plan.json` is this model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .bands import Uncertainty
from .base import Model, Natural, Positive
from .conflict import Conflict
from .engine import EngineStrategy, Memory
from .pass_time import PassTime
from .plan import SCHEMA_VERSION, Balance, Check, Figure, Proof, Rank, Status, Verification
from .rules import Role
from .scenario import Scenario
from .table_scenario import TableScenario


class EnginePart(Model):
    """The stages of one engine that stand on one card, where its pipeline crosses from one card type to another."""

    accelerator: str = Field(description="id of the card")
    stages: Positive
    gpus: Positive = Field(description="of one engine on this card")


class PoolEngine(Model):
    """Engines of one kind: the same role, card, strategy and load. Figures are of one engine at its rating."""

    role: Role
    name: str = Field(description="degrees in short; or the name in the engine table")
    count: Positive = Field(description="engines of this kind")
    gpus_per_engine: Positive
    accelerator: str = Field(
        description="id of the card; two joined by + where the pipeline crosses cards; empty where a table names none"
    )
    parts: tuple[EnginePart, ...] = Field(
        default=(), description="first to last stages by card; empty: all on one card"
    )
    strategy: EngineStrategy | None = Field(default=None, description="null: an engine of a table")
    batch: Positive | None = Field(default=None, description="of a table's engine, where it states one")
    load: Positive | None = Field(
        default=None,
        description="requests in flight (a mean in an open loop); null for prefill engines and tables",
    )
    utilization: float | None = Field(
        default=None,
        description="share of the time it works on prompts at its rating (open loop); of a decode engine in a closed "
        "loop: how busy its share of the prefill engines may be; else null",
    )
    requests_per_s: float = Field(description="rating: requests/s that it finishes under its load")
    ttft_s: float = Field(description="time to first token, or the engine's part of it; longest prompts")
    wait_s: float = Field(default=0.0, description="waiting in it; of the mean, or of the TTFT that the limit means")
    transfer_s: float = Field(default=0.0, description="moving the KV cache out of it (prefill) or into it (decode)")
    ttft_quantiles_s: dict[Literal["mean", "p50", "p95", "p99"], float] = Field(
        default_factory=dict, description="open loop: ttft_s at each; else empty"
    )
    tpot_s: float | None = Field(default=None, description="seconds per output token; null for prefill engines")
    request_latency_s: float = Field(description="its part of TTFT + (output − 1)·TPOT")
    memory_bytes_per_gpu: Memory | None = Field(default=None, description="null: an engine of a table")
    cost_per_hour: float | None = Field(default=None, description="of one engine; null: no price known")

    @property
    def stands_on(self) -> dict[str, int]:
        """GPUs of one engine by card, first stages first."""
        return {part.accelerator: part.gpus for part in self.parts} or {self.accelerator: self.gpus_per_engine}


class Pool(Model):
    """The engines of one role."""

    role: Role
    engines: tuple[PoolEngine, ...]
    gpus: Positive
    rating_requests_per_s: float = Field(description="what its engines finish together under their loads")
    requests_per_s: float = Field(description="what passes through it in this deployment")
    utilization: float = Field(description="requests_per_s / rating_requests_per_s")


class Feed(Model):
    """Requests that go from one kind of prefill engine to one kind of decode engine, in proportion to the ratings."""

    prefill: Natural = Field(description="index into the prefill pool's engines")
    decode: Natural = Field(description="index into the decode pool's engines")
    requests_per_s: float
    transfer_s: float = Field(description="moving one prompt's KV cache out of the one and into the other")


class DeploymentPredictions(Model):
    """What the deployment is expected to do. Unknown or meaningless figures are null, never 0."""

    requests_per_s: float = Field(description="finished requests per second; open loop: the most it can carry")
    ttft_s: float = Field(description="of the slowest engine or pair; open loop: at requirements.ttft_at")
    ttft_quantiles_s: dict[Literal["mean", "p50", "p95", "p99"], float] = Field(
        default_factory=dict, description="open loop: TTFT of the slowest engine or pair at each"
    )
    tpot_s: float | None = Field(description="of the slowest engine; null if prefill-only")
    request_latency_s: float = Field(description="of the slowest engine or pair")
    output_tokens_per_s: float | None = Field(description="null if prefill-only, or for a table")
    input_tokens_per_s: float | None = Field(description="null for a table")
    requests_per_s_per_gpu: float
    tokens_per_s_per_gpu: float | None = Field(description="input tokens if prefill-only, else output; null: a table")
    cost_per_hour: float | None = Field(description="of the GPUs used; null: no price known")
    offered_requests_per_s: float | None = Field(default=None, description="request_rate, where one is stated")
    utilization: float | None = Field(default=None, description="offered / carried, where a rate is stated")


class Restriction(Model):
    """What one restriction of the deployment costs: the same conditions solved without it."""

    name: str = Field(description="modes or distinct_strategies")
    stated: str = Field(description="as the scenario has it")
    first_objective: float | None = Field(
        description="value of the first objective without it; null: not proved in time"
    )
    unit: str
    costs: str = Field(description="what the restriction costs, in words")


class Idle(Model):
    """GPUs of one card that no engine uses."""

    accelerator: str
    gpus: Positive


class DeploymentPlan(Model):
    """A deployment of pools, its predictions, the proof and the checks."""

    schema_version: str = SCHEMA_VERSION
    kind: Literal["deployment"] = "deployment"
    status: Status
    scenario: Scenario | TableScenario = Field(description="the conditions, resolved")
    pools: tuple[Pool, ...] = ()
    feeds: tuple[Feed, ...] = Field(default=(), description="who feeds whom")
    gpus_used: Natural = 0
    gpus_idle: Natural = 0
    idle: tuple[Idle, ...] = Field(default=(), description="idle GPUs by card")
    idle_reason: str | None = Field(default=None, description="why idle GPUs cannot help, by the proof")
    predictions: DeploymentPredictions | None = None
    uncertainty: Uncertainty | None = Field(
        default=None, description="bands in which eight of ten measurements lie; null: engines of a table"
    )
    checks: tuple[Check, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    proof: Proof
    placement: tuple[Rank, ...] = Field(default=(), description="every used GPU; nodes are numbered card by card")
    verification: Verification | None = None
    conflicts: tuple[Conflict, ...] = Field(default=(), description="if infeasible: conditions that collide")
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    passes: tuple[PassTime, ...] = Field(default=(), description="where the time of forward passes comes from")
    provenance: tuple[Figure, ...] = ()

    @property
    def engines(self) -> tuple[PoolEngine, ...]:
        """All kinds of engines, pool by pool."""
        return tuple(entry for pool in self.pools for entry in pool.engines)

    @property
    def balance(self) -> tuple[Balance, ...]:
        """Load balance, as the verifier counted it."""
        return self.verification.balance if self.verification else ()
