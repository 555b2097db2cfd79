"""Chosen engines in full: exact prices, layers per stage, TTFT at every quantile; or the row of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...models import Memory, Scenario
from ...models.deployment import EnginePart, PoolEngine
from ...models.engine import EngineStrategy
from ...models.strategy import DEGREES
from ...models.table_scenario import TableScenario
from ..costs.engines import QUANTILES, EngineGrid, EnginePrices
from .engines import ROLES
from .parts import Part
from .pricing import Priced, PricedSource
from .table import TableSource


def priced_entries(source: PricedSource, counts: Mapping[int, int]) -> list[tuple[Priced, PoolEngine]]:
    """The engines of our own pricing, pool by pool, most of a pool first."""
    found = []
    for index, count in counts.items():
        priced, place = source.place(index)
        found.append((priced, _entry(source.scenario, priced, place, count)))
    return sorted(found, key=lambda one: _order(one[1]))


def table_entries(source: TableSource, counts: Mapping[int, int], scenario: TableScenario) -> list[PoolEngine]:
    """The engines of a table, pool by pool, most of a pool first."""
    table, entries = source.table, []
    for i, count in counts.items():
        tpot, ttft = table.tpot_s[i], table.ttft_s[i] or 0.0
        entries.append(
            PoolEngine(
                role=table.roles[i],
                name=table.names[i],
                count=count,
                gpus_per_engine=table.gpus[i],
                accelerator=table.accelerators[i] or "",
                batch=table.batch[i],
                requests_per_s=table.requests_per_s[i],
                ttft_s=ttft,
                tpot_s=tpot,
                request_latency_s=ttft + (scenario.workload.output_tokens - 1) * (tpot or 0.0),
                cost_per_hour=None if math.isnan(source.price[i]) else float(source.price[i]),
            )
        )
    return sorted(entries, key=_order)


def _order(entry: PoolEngine) -> tuple[Any, ...]:
    degrees = () if entry.strategy is None else tuple(getattr(entry.strategy, name) for name in DEGREES)
    return ROLES.index(entry.role), -entry.count * entry.gpus_per_engine, entry.name, degrees, entry.load or 0


def _entry(scenario: Scenario, priced: Priced, place: int, count: int) -> PoolEngine:
    part, grid = priced.part, priced.grid.take(slice(place, place + 1))
    prices, stages, _ = part.price(grid, ideal=False)
    open_loop, decodes = scenario.workload.open_loop, part.role != "prefill"
    strategy = EngineStrategy(
        **dict(zip(DEGREES, grid.strategies[0].tolist(), strict=True)),
        batch=int(prices.batch[0]),
        micro_batches=int(prices.micro_batches[0]),
        in_flight=int(prices.in_flight[0]),
        token_budget=int(prices.token_budget[0]),
        layers_per_stage=tuple(np.bincount(stages[0]).tolist()),
    )
    by_card = [
        EnginePart(accelerator=scene.hardware.accelerator.id, stages=int(n[0]), gpus=strategy.stage_group * int(n[0]))
        for scene, n in zip(part.scenes, part.stages_on_cards(grid), strict=True)
    ]
    busy = float(prices.utilization[0])
    queued = part.role == "prefill" if open_loop else part.role == "decode"
    return PoolEngine(
        role=part.role,
        name=strategy.describe(),
        count=count,
        gpus_per_engine=strategy.gpus,
        accelerator="+".join(one.accelerator for one in by_card),
        parts=tuple(by_card) if len(by_card) > 1 else (),
        strategy=strategy,
        load=int(grid.load[0]) if decodes else None,
        utilization=busy if queued or (open_loop and part.role == "aggregated") else None,
        requests_per_s=float(prices.rate[0]),
        ttft_s=float(prices.ttft[0]),
        wait_s=float(prices.wait[0]),
        transfer_s=float(prices.transfer[0]),
        ttft_quantiles_s=_quantiles(priced, grid, open_loop),
        tpot_s=float(prices.tpot[0]) if decodes else None,
        request_latency_s=float(prices.request_latency[0]),
        memory_bytes_per_gpu=_memory(part, by_card, prices),
        cost_per_hour=_cost(part, by_card),
    )


def _cost(part: Part, by_card: list[EnginePart]) -> float | None:
    prices = [scene.hardware.price_per_hour for scene in part.scenes]
    if None in prices:
        return None
    return math.fsum((price or 0.0) * one.gpus for price, one in zip(prices, by_card, strict=True))


def _quantiles(priced: Priced, grid: EngineGrid, open_loop: bool) -> dict[Any, float]:
    if not open_loop:
        return {}
    part = priced.part
    return {at: float(part.price(grid, ideal=False, at=at)[0].ttft[0]) for at in QUANTILES}


def _memory(part: Part, by_card: list[EnginePart], prices: EnginePrices) -> Memory:
    """Of the stage that counts, against its own card."""
    stage = int(prices.fullest_stage[0])
    scene = part.scenes[0] if stage < by_card[0].stages else part.scenes[-1]
    return Memory(
        weights=int(prices.weights[0]),
        kv_cache=int(prices.kv_cache[0]),
        activations=int(prices.activations[0]),
        reserve=int(prices.reserve[0]),
        total=int(prices.memory[0]),
        usable=scene.hardware.usable_memory,
        stage=stage,
    )
