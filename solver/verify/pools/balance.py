"""Weights and KV cache of every GPU in use, rank by rank."""

from __future__ import annotations

from shardwise.models.deployment import DeploymentPlan
from shardwise.models.plan import Balance

from ..balance import Loads, spread
from .kinds import read_kind
from .placed import ends_of, entry_of


def pools_balance(plan: DeploymentPlan) -> tuple[Balance, ...]:
    """Mean, busiest and their ratio over the GPUs used. Raises ValueError where nothing is placed."""
    if not plan.placement:
        raise ValueError("the plan places no rank")
    loads = [Loads(read_kind(plan, entry).deployment) for entry in plan.engines]
    ends = ends_of(plan)
    alike: dict[tuple[object, ...], tuple[float, float]] = {}
    weights, caches = [], []
    for rank in plan.placement:
        kind = entry_of(plan, ends, rank)
        if kind is None:
            raise ValueError(f"a rank of engine {rank.engine:,}, which does not exist")
        key = (kind, rank.layers, rank.experts, rank.expert_columns, rank.data)
        if key not in alike:
            alike[key] = loads[kind].weights(rank), loads[kind].kv_cache(rank)
        weights.append(alike[key][0])
        caches.append(alike[key][1])
    return spread("weights", "bytes per GPU", weights), spread("kv_cache", "bytes per GPU", caches)
