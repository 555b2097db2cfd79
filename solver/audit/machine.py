"""Load balance and idle hardware."""

from __future__ import annotations

from collections.abc import Iterator

from ...models import Scenario
from ...models.audit import AuditFinding
from ...models.plan import Balance, Plan
from ..assembling import proof_of
from ..placement import place
from ..verify.balance import balance_of
from ..verify.deployment import read_deployment
from ..watch import Watch
from .subject import Subject

UNEVEN = 1.1
"""Busiest over mean load from which it is said."""
LITTLE = 0.5
"""Share of the card below which memory is said to lie idle."""


def balance(subject: Subject) -> tuple[Balance, ...]:
    """Weights, flops and KV cache over the GPUs; empty where the engines cannot be placed."""
    found = subject.evaluation
    if found.engine is None or found.predictions is None:
        return ()
    try:
        placed = place(subject.scenario, (found.engine,))
        proof = proof_of(subject.scenario, "feasible", Watch())
        plan = Plan.model_construct(
            status="feasible", scenario=subject.scenario, engines=(found.engine,), gpus_used=found.gpus_used,
            gpus_idle=0, predictions=found.predictions, placement=placed, proof=proof,
        )  # fmt: skip
        return balance_of(plan, read_deployment(plan))
    except ValueError:
        return ()


def idle(scenario: Scenario, used: int) -> Iterator[AuditFinding]:
    """GPUs without a rank; to know only, where few GPUs are what is asked for."""
    there = scenario.hardware.gpu_range.max
    few = scenario.objectives[0] in ("fewest-gpus", "cost", "throughput-per-gpu", "throughput-per-cost")
    if used < there:
        yield AuditFinding(
            severity="note" if few else "warning", topic="hardware", id="hardware.idle", statement="GPUs have no rank",
            stated=f"{used:,} GPUs", found=f"{there:,} GPUs, {there - used:,} of them idle", source="the scenario",
        )  # fmt: skip


def wasted(subject: Subject, rows: tuple[Balance, ...]) -> Iterator[AuditFinding]:
    """GPUs without a rank, uneven load, memory that nothing uses."""
    yield from idle(subject.scenario, subject.claimed.gpus)
    for row in rows:
        if row.ratio >= UNEVEN:
            yield AuditFinding(
                severity="warning", topic="hardware", id=f"hardware.{row.resource}",
                statement=f"{row.resource.replace('_', ' ')}: the busiest GPU has {row.ratio:.2f} times the mean",
                stated=f"{row.ratio:.2f}", found="1.00 is even", source="counted GPU by GPU",
            )  # fmt: skip
    predicted = subject.evaluation.predictions
    if predicted is None:
        return
    m = predicted.memory_bytes_per_gpu
    share = m.total / m.usable
    if share < LITTLE:
        line = next(
            (c.line for c in subject.claimed.claims if c.what in ("memory_utilization", "memory_per_gpu")), None
        )
        yield AuditFinding(
            severity="warning", topic="hardware", id="hardware.memory",
            statement="most of the memory is unused: low use is no merit, it is room for fewer GPUs per engine, more "
            "engines or larger batches", stated=f"{share:.1%} of what may be used", line=line,
            source="docs/costs.md, section 5",
        )  # fmt: skip
