"""The answer: `plan.json` is this model, written out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .bands import Uncertainty
from .base import Model, Natural, Positive
from .conflict import Conflict
from .constants import Provenance
from .engine import Engine, EngineStrategy, Predictions
from .scenario import Scenario
from .strategy import Strategy

SCHEMA_VERSION = "1"

Status = Literal["optimal", "feasible", "infeasible", "unknown"]


class Check(Model):
    """One condition, and how far the plan is from its limit."""

    name: str = Field(description="id of the condition, as in memory.fits")
    statement: str = Field(description="what it demands, in words")
    required: str = Field(description="the limit, with its unit")
    predicted: str = Field(description="the plan's value, with its unit")
    margin: float | None = Field(
        description="(limit − value) / limit for a ceiling, (value − limit) / limit for a floor"
    )
    ok: bool = Field(description="whether the plan keeps it")


class Stage(Model):
    """One objective of the list, solved after the ones before it."""

    objective: str = Field(description="what was optimised, and in which direction")
    status: Status = Field(description="optimal: no better value exists under the stages before")
    value: float | None = Field(description="of the plan, in the unit below")
    bound: float | None = Field(description="proved by the solver: no legal plan is better than this")
    unit: str
    wall_s: float = Field(description="seconds")


class Proof(Model):
    """Why nothing better exists, and over what that was proved."""

    status: Status
    stages: tuple[Stage, ...] = Field(description="objectives in order")
    bound: float | None = Field(description="the solver's bound on the first objective, in its unit")
    wall_s: float = Field(description="seconds for enumeration, pricing and all solves")
    strategies: Natural = Field(description="legal combinations of the six degrees, all enumerated")
    candidates: Natural = Field(description="priced rows: strategy, engine count and batch or budget")
    rows: Natural = Field(description="rows left after safe pruning, handed to the solver")
    grid: dict[str, str] = Field(description="what the free quantities ranged over: the proof is over this grid")
    pruned_by: tuple[str, ...] = Field(description="the rules that removed rows, each of them safe")
    second_route: str = Field(description="the independent exhaustive check of the optimum, and its verdict")


class Rank(Model):
    """One GPU and what it holds. Ranges are [first, one past last]."""

    engine: Natural
    rank: Natural = Field(description="inside the engine; tensor fastest, then context, data, pipeline")
    node: Natural
    gpu: Natural = Field(description="inside the node")
    stage: Natural
    data: Natural
    context: Natural
    tensor: Natural
    expert: Natural
    expert_tensor: Natural
    layers: tuple[int, int]
    heads: tuple[int, int] = Field(description="query heads")
    experts: tuple[int, int] = Field(description="routed experts; [0, 0] for a dense model or stage")
    expert_columns: tuple[int, int] = Field(description="slice of each expert's width; [0, 0] where there is none")


class Balance(Model):
    """Load of one resource over the GPUs used, counted by the verifier."""

    resource: Literal["weights", "flops", "kv_cache"]
    unit: str
    mean: float
    busiest: float
    ratio: float = Field(description="busiest / mean; 1 is perfect balance")


class Finding(Model):
    """One comparison of the second route."""

    name: str
    plan: str = Field(description="what the plan says")
    recomputed: str = Field(description="what the second route found")
    ok: bool


class Verification(Model):
    """The second route: recomputed from this file alone, sharing no formula code with the pricing."""

    ok: bool
    tolerance: float = Field(description="largest accepted relative difference of a recomputed figure")
    findings: tuple[Finding, ...]
    balance: tuple[Balance, ...] = ()


class Figure(Model):
    """A number the prediction rests on, and where it comes from."""

    name: str
    value: str
    provenance: Provenance
    source: str


class Alternative(Model):
    """A legal plan that was not chosen."""

    strategy: EngineStrategy
    engines: Positive
    gpus_used: Positive
    ttft_s: float
    tpot_s: float | None
    tokens_per_s: float
    tokens_per_s_per_gpu: float
    why_not: str
    inside_band: bool = Field(
        default=False,
        description="its throughput per GPU lies within the band of the plan's: a measurement may turn them",
    )


class Reading(Model):
    """The same conditions read otherwise, where they contradict themselves or leave something open."""

    reading: str = Field(description="what is read otherwise")
    status: Status = Field(description="the answer under that reading")
    changes: Literal["verdict", "strategy", "nothing"] = Field(description="what differs from this plan")
    strategy: str | None = Field(description="degrees under that reading, in short")
    engines: Natural
    ttft_s: float | None
    tokens_per_s_per_gpu: float | None
    conflicts: tuple[str, ...] = Field(default=(), description="conditions that collide under that reading")


class Evaluation(Model):
    """One given strategy, priced, and the conditions it breaks."""

    schema_version: str = SCHEMA_VERSION
    ok: bool = Field(description="it keeps every condition")
    broken: tuple[str, ...] = Field(description="ids of the conditions it breaks")
    strategy: Strategy = Field(description="as given; with batch and stages where it could be priced")
    engine: Engine | None = Field(default=None, description="null where the degrees are impossible for the model")
    engines: Positive
    gpus_used: Positive
    predictions: Predictions | None = Field(default=None, description="null where the degrees are impossible")
    checks: tuple[Check, ...]
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Plan(Model):
    """A deployment, its predictions, the proof and the checks. Schema version in `schema_version`."""

    schema_version: str = SCHEMA_VERSION
    status: Status
    scenario: Scenario = Field(description="the conditions, resolved: every figure the plan rests on")
    engines: tuple[Engine, ...] = ()
    gpus_used: Natural = 0
    gpus_idle: Natural = 0
    idle_reason: str | None = Field(default=None, description="why idle GPUs cannot help, by the proof")
    predictions: Predictions | None = None
    uncertainty: Uncertainty | None = Field(default=None, description="bands in which eight of ten measurements lie")
    checks: tuple[Check, ...] = ()
    proof: Proof
    alternatives: tuple[Alternative, ...] = Field(default=(), description="runners-up that differ in their degrees")
    placement: tuple[Rank, ...] = Field(default=(), description="every used GPU and what it holds")
    verification: Verification | None = None
    conflicts: tuple[Conflict, ...] = Field(default=(), description="if infeasible: conditions that collide")
    readings: tuple[Reading, ...] = Field(default=(), description="other readings of the conditions, each solved")
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    provenance: tuple[Figure, ...] = ()
