"""Counts of engines into a whole deployment: pools, who feeds whom, predictions, checks, placement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from ...models import Scenario
from ...models.deployment import DeploymentPlan, DeploymentPredictions, Feed, Idle, Pool, PoolEngine
from ...models.plan import Proof
from ...models.table_scenario import TableScenario
from .engines import Demands

_ROLES = ("prefill", "decode", "aggregated")


def deployment_of(
    conditions: Scenario | TableScenario,
    entries: Sequence[PoolEngine],
    demands: Demands,
    proof: Proof,
) -> DeploymentPlan:
    """The plan without placement, checks and texts."""
    pools, flow = _pools(conditions, entries)
    used = {
        card.name: sum(e.count * e.stands_on.get(card.name, 0) for e in entries)
        if len(demands.cards) > 1
        else sum(e.count * e.gpus_per_engine for e in entries)  # a table may name cards where the cluster does not
        for card in demands.cards
    }
    idle = tuple(
        Idle(accelerator=card.name, gpus=card.gpus - used[card.name])
        for card in demands.cards
        if card.gpus > used[card.name]
    )
    return DeploymentPlan(
        status=proof.status,
        scenario=conditions,
        pools=pools,
        feeds=_feeds(pools, flow),
        gpus_used=sum(used.values()),
        gpus_idle=sum(one.gpus for one in idle),
        idle=idle,
        predictions=_predictions(conditions, pools, sum(used.values())),
        proof=proof,
    )


def _pools(conditions: Scenario | TableScenario, entries: Sequence[PoolEngine]) -> tuple[tuple[Pool, ...], float]:
    """The pools, and what passes from prefill to decode engines."""
    of = {role: tuple(e for e in entries if e.role == role) for role in _ROLES}
    rating = {role: math.fsum(e.count * e.requests_per_s for e in of[role]) for role in _ROLES}
    closed = isinstance(conditions, Scenario) and not conditions.workload.open_loop
    flow = rating["prefill"]
    if of["decode"]:
        flow = rating["decode"] if closed else min(rating["prefill"], rating["decode"])
    through = {"prefill": flow, "decode": flow, "aggregated": rating["aggregated"]}
    pools = tuple(
        Pool(
            role=role,
            engines=of[role],
            gpus=sum(e.count * e.gpus_per_engine for e in of[role]),
            rating_requests_per_s=rating[role],
            requests_per_s=through[role],
            utilization=through[role] / rating[role],
        )
        for role in _ROLES
        if of[role]
    )
    return pools, flow


def _feeds(pools: Sequence[Pool], flow: float) -> tuple[Feed, ...]:
    """In proportion to the ratings on both sides."""
    by_role = {pool.role: pool for pool in pools}
    if "decode" not in by_role:
        return ()
    prefill, decode = by_role["prefill"], by_role["decode"]
    return tuple(
        Feed(
            prefill=i,
            decode=j,
            requests_per_s=flow * _share(prefill, i) * _share(decode, j),
            transfer_s=source.transfer_s + sink.transfer_s,
        )
        for i, source in enumerate(prefill.engines)
        for j, sink in enumerate(decode.engines)
    )


def _share(pool: Pool, index: int) -> float:
    entry = pool.engines[index]
    return entry.count * entry.requests_per_s / pool.rating_requests_per_s


Quantiles = Mapping[Literal["mean", "p50", "p95", "p99"], float]


def chains(pools: Sequence[Pool]) -> list[tuple[PoolEngine, ...]]:
    """What a request may run through: one engine, or any pair of prefill and decode."""
    of = {pool.role: pool.engines for pool in pools}
    found: list[tuple[PoolEngine, ...]] = [(e,) for e in of.get("aggregated", ())]
    if "decode" in of:
        return found + [(source, sink) for source in of["prefill"] for sink in of["decode"]]
    return found + [(e,) for e in of.get("prefill", ())]


def _predictions(conditions: Scenario | TableScenario, pools: Sequence[Pool], gpus: int) -> DeploymentPredictions:
    """Of the slowest engine or pair, and the sums."""
    every, entries = chains(pools), [entry for pool in pools for entry in pool.engines]
    # Where something is decoded, prefill engines finish no request of their own.
    finishing = [pool for pool in pools if pool.role != "prefill"] or pools
    requests = math.fsum(pool.requests_per_s for pool in finishing)
    tpots = [e.tpot_s for e in entries if e.tpot_s is not None]
    names = every[0][0].ttft_quantiles_s
    costs = [e.cost_per_hour for e in entries]
    output = prompts = tokens = None
    if isinstance(conditions, Scenario):
        work = conditions.workload
        prompts = requests * work.input_tokens.mean
        output = requests * work.output_tokens.mean if work.decodes else None
        tokens = (prompts if output is None else output) / gpus
    rate = conditions.workload.request_rate
    offered = rate if isinstance(rate, float) else None
    return DeploymentPredictions(
        requests_per_s=requests,
        ttft_s=max(math.fsum(e.ttft_s for e in chain) for chain in every),
        ttft_quantiles_s={n: max(math.fsum(e.ttft_quantiles_s[n] for e in chain) for chain in every) for n in names},
        tpot_s=max(tpots, default=None),
        request_latency_s=max(math.fsum(e.request_latency_s for e in chain) for chain in every),
        output_tokens_per_s=output,
        input_tokens_per_s=prompts,
        requests_per_s_per_gpu=requests / gpus,
        tokens_per_s_per_gpu=tokens,
        cost_per_hour=None if None in costs else math.fsum(e.count * (e.cost_per_hour or 0.0) for e in entries),
        offered_requests_per_s=offered,
        utilization=None if offered is None else offered / requests,
    )
