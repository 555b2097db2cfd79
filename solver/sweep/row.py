"""What is kept of one scenario: figures for tables and plots, and the whole answer."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ...models import InputError, Plan, Scenario
from ...models.conflict import Conflict
from ...models.deployment import DeploymentPlan

FAILED = "failed"
"""Its worker died or its scenario could not be read; `reason` says why."""


@dataclass(frozen=True)
class Row:
    """One scenario's result. Times in seconds, memory in bytes, rates per second; None where there is none."""

    key: str
    status: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    strategy: str | None = None
    engines: int | None = None
    gpus_used: int | None = None
    gpus_idle: int | None = None
    ttft: float | None = None
    tpot: float | None = None
    request_latency: float | None = None
    requests_per_s: float | None = None
    tokens_per_s: float | None = None
    tokens_per_s_per_gpu: float | None = None
    memory_weights: int | None = None
    memory_kv_cache: int | None = None
    memory_activations: int | None = None
    memory_reserve: int | None = None
    memory_usable: int | None = None
    operator_times: str | None = None
    """Measured or datasheet: rows of two sources stand side by side where cards or shares are varied."""
    binding: str | None = None
    """Infeasible: ids of the conditions that collide, conflict by conflict."""
    why: str | None = None
    """Infeasible: each conflict in words, a line each."""
    reason: str | None = None
    """Failed: why."""
    wall: float = 0.0
    time_limit: float | None = None
    """Seconds that solving might take; None: as long as it takes."""
    answer: bytes | None = None
    """plan.json, compressed; None where there is no plan."""

    @property
    def plan(self) -> str | None:
        """plan.json. Raises InputError if it is damaged."""
        try:
            return None if self.answer is None else zlib.decompress(self.answer).decode()
        except (zlib.error, ValueError, TypeError):
            raise InputError(f"the stored plan of {self.key} is damaged", help="sweep into a new folder") from None

    def figures(self) -> dict[str, Any]:
        """Everything but the changes and the whole answer."""
        return {name: getattr(self, name) for name in COLUMNS if name not in ("changes", "answer")}


COLUMNS = tuple(one.name for one in fields(Row))


def row_of(
    key: str, changes: Mapping[str, Any], plan: Plan | DeploymentPlan, wall: float, time_limit: float | None = None
) -> Row:
    """The row of an answer."""
    if plan.predictions is None:
        binding = "; ".join(" + ".join(conflict.ids) for conflict in plan.conflicts) or None
        why = "\n".join(map(_words, plan.conflicts)) or None
        return Row(key, plan.status, dict(changes), binding=binding, why=why, wall=wall, time_limit=time_limit)
    p = plan.predictions
    tokens = p.output_tokens_per_s or p.input_tokens_per_s
    if isinstance(plan, Plan):
        strategy = plan.engines[0].strategy.describe()
        memory = plan.predictions.memory_bytes_per_gpu if plan.predictions else None
    else:
        strategy = "; ".join(
            f"{pool.role} {', '.join(f'{one.count} × {one.name}' for one in pool.engines)}" for pool in plan.pools
        )
        held = [one.memory_bytes_per_gpu for one in plan.engines if one.memory_bytes_per_gpu is not None]
        memory = max(held, key=lambda one: one.total / one.usable, default=None)
    return Row(
        key=key,
        status=plan.status,
        changes=dict(changes),
        strategy=strategy,
        engines=sum(entry.count for entry in plan.engines),
        gpus_used=plan.gpus_used,
        gpus_idle=plan.gpus_idle,
        ttft=p.ttft_s,
        tpot=p.tpot_s,
        request_latency=p.request_latency_s,
        requests_per_s=p.requests_per_s,
        tokens_per_s=tokens,
        tokens_per_s_per_gpu=p.tokens_per_s_per_gpu,
        memory_weights=None if memory is None else memory.weights,
        memory_kv_cache=None if memory is None else memory.kv_cache,
        memory_activations=None if memory is None else memory.activations,
        memory_reserve=None if memory is None else memory.reserve,
        memory_usable=None if memory is None else memory.usable,
        operator_times=plan.scenario.operator_times.source if isinstance(plan.scenario, Scenario) else None,
        wall=wall,
        time_limit=time_limit,
        answer=zlib.compress(plan.model_dump_json().encode(), 3),
    )


def _words(conflict: Conflict) -> str:
    """What the conditions of a conflict demand, what could be had, and why not."""
    members = [
        member.statement + (f" (best possible {member.best_possible})" if member.best_possible else "")
        for member in conflict.members
    ]
    return f"{'; and '.join(members) or 'nothing can be placed'}: {conflict.because}"


def changes_text(changes: Mapping[str, Any]) -> str:
    """As it is stored."""
    return json.dumps(changes, ensure_ascii=False, default=str)
