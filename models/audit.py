"""What an audit found: `audit --json` is this model, written out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Model, Natural
from .claimed import Form
from .measures import Severity
from .plan import SCHEMA_VERSION, Balance
from .strategy import Strategy

Topic = Literal["runs", "requirements", "claims", "measures", "optimum", "hardware", "reading"]


class AuditFinding(Model):
    """One thing that is wrong with a plan, or worth knowing."""

    severity: Severity = Field(
        description="error: it does not do what it must or says; warning: it loses; note: to know"
    )
    topic: Topic
    id: str = Field(description="stable name, as in claims.ttft or memory.fits")
    statement: str = Field(description="what is wrong, in words")
    stated: str | None = Field(default=None, description="the plan's own value")
    found: str | None = Field(default=None, description="what shardwise works out, or what is asked")
    line: Natural | None = Field(default=None, description="of the plan's file; null: of no line")
    text: str | None = Field(default=None, description="the line's words")
    source: str = Field(description="where the other side comes from")


class Room(Model):
    """KV cache of the fullest rank under the plan's own memory share."""

    role: str
    bytes: Natural
    tokens: Natural = Field(description="on one attention rank, at the longest sequences")
    sequences: Natural = Field(description="of the longest ones, on all attention ranks of all its engines")
    needed: Natural = Field(description="that the load holds at once")


class Gap(Model):
    """How far the plan is from the proved optimum of the same conditions."""

    objective: str
    unit: str
    plan: float | None = Field(description="null: the plan does not run")
    optimum: float
    strategy: str = Field(description="of the optimum, in short")
    latency_s: float | None = Field(default=None, description="request latency of the plan")
    optimum_latency_s: float | None = Field(default=None, description="of the optimum")
    nearest: str | None = Field(
        default=None, description="the strategy with fewest changed degrees that closes most of it"
    )
    changes: tuple[str, ...] = Field(default=(), description="what is changed for it, as in data 16 → 8")
    closes: float | None = Field(default=None, description="share of the gap that it closes")


class Audit(Model):
    """The verdict on a plan from elsewhere."""

    schema_version: str = SCHEMA_VERSION
    sound: bool = Field(description="no finding is an error")
    scenario: str
    file: str
    form: Form
    engine: str | None
    strategies: tuple[Strategy, ...] = Field(description="of each kind of engine, as read")
    engines: tuple[Natural, ...] = Field(description="how many of each kind")
    gpus_used: Natural
    gpus_idle: Natural
    reached: str | None = Field(default=None, description="what it does by the cost model, in words")
    findings: tuple[AuditFinding, ...]
    room: tuple[Room, ...] = ()
    gap: Gap | None = None
    balance: tuple[Balance, ...] = ()
