"""Engines of a table as the count model sees them, and what the deployment must keep."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...models.engine_table import EngineTable
from ...models.errors import InputError, Place
from ...models.table_scenario import TableScenario
from .engines import ROLES, TIME_STEP, Card, Demands, Engines, Steps, most_carried, on_card, time_steps
from .loads import allowed_engines


class TableSource:
    """The rows of a table; all of them are exact."""

    def __init__(self, scenario: TableScenario, table: EngineTable) -> None:
        self.table = table
        number = {role: i for i, role in enumerate(ROLES)}
        role = np.array([number[name] for name in table.roles], dtype=np.int64)
        gpus = np.array(table.gpus, dtype=np.int64)
        card, belongs = _cards(scenario, table)
        ttft, tpot = _column(table.ttft_s), _column(table.tpot_s)
        more = scenario.workload.output_tokens - 1
        rate = _column(table.requests_per_s)
        self.price = _prices(scenario, table, gpus, card)
        kept = belongs & np.isin(role, [number[name] for name in scenario.roles])
        kept &= _within(scenario, table, ttft, tpot)
        _priced(scenario, table, self.price, kept)
        there = scenario.hardware.gpu_range.max
        carried = most_carried(role[kept], (rate / gpus)[kept], there, decodes=True, flows=True)
        paid = there * float(np.nan_to_num(self.price / gpus)[kept].max(initial=0.0))
        self.steps = Steps.within(carried, paid, ratio="throughput-per-cost" in scenario.objectives, flows=True)
        self.engines = Engines(
            role=role,
            on=on_card(card, gpus, len(scenario.hardware.counts)),
            gpus=gpus,
            load=np.zeros(len(table), dtype=np.int64),
            rate=self.steps.rates(rate),
            asks=np.zeros(len(table), dtype=np.int64),
            ttft=time_steps(ttft),
            latency=time_steps(ttft + more * tpot),
            tpot=time_steps(tpot),
            price=self.steps.prices(np.nan_to_num(self.price, nan=0.0)),
            identity=np.arange(len(table), dtype=np.int64),
            exact=np.ones(len(table), dtype=bool),
            usable=kept,
        )

    def sharpen(self, index: NDArray[np.intp]) -> None:
        """Nothing to do: a table has no bounds."""


def _column(values: object) -> NDArray[np.float64]:
    """Blanks are 0."""
    column = np.array(values, dtype=np.float64)
    return np.nan_to_num(column, nan=0.0)


def _cards(scenario: TableScenario, table: EngineTable) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(index of the card, whether the cluster has it). A row that names no card belongs to a cluster of one type."""
    names, hardware = list(scenario.hardware.counts), scenario.hardware
    if not hardware.inventory:
        wanted = hardware.accelerator
        belongs = np.array([wanted is None or name in (None, wanted) for name in table.accelerators], dtype=bool)
        return np.zeros(len(table), dtype=np.int64), belongs
    place = {name: i for i, name in enumerate(names)}
    card = np.array([place.get(name or "", -1) for name in table.accelerators], dtype=np.int64)
    return np.maximum(card, 0), card >= 0


def _prices(
    scenario: TableScenario, table: EngineTable, gpus: NDArray[np.int64], card: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Price of each engine per hour: the row's own, else that of its GPUs; NaN where neither is known."""
    hardware = scenario.hardware
    each = [stock.price_per_hour for stock in hardware.inventory] or [hardware.price_per_hour]
    of_gpus = np.array([np.nan if price is None else price for price in each], dtype=np.float64)[card] * gpus
    own = np.array([np.nan if cost is None else cost for cost in table.cost_per_hour], dtype=np.float64)
    return np.where(np.isnan(own), of_gpus, own)


def _priced(scenario: TableScenario, table: EngineTable, price: NDArray[np.float64], kept: NDArray[np.bool_]) -> None:
    """Raise InputError if an objective needs a price that an engine lacks, or divides by one that is 0."""
    for name in ("cost", "throughput-per-cost"):
        if name not in scenario.objectives:
            continue
        for i in np.flatnonzero(kept & (np.isnan(price) | ((price == 0) & (name != "cost")))):
            what = "costs nothing" if price[i] == 0 else "has no price"
            raise InputError(
                f"objective '{name}': engine '{table.names[i]}' {what}",
                place=Place(Path(table.file), table.lines[i]),
                help="give cost_per_hour in the table, or hardware.price_per_hour per GPU",
            )


def _within(
    scenario: TableScenario, table: EngineTable, ttft: NDArray[np.float64], tpot: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Rows that keep the limits on single engines; values are compared as the table gives them."""
    wanted, kept = scenario.requirements, np.ones(len(table), dtype=bool)
    if wanted.ttft is not None:
        kept &= ttft <= wanted.ttft
    if wanted.tpot is not None:
        kept &= tpot <= wanted.tpot
    if wanted.memory_per_gpu is not None:
        known = np.array(table.memory_bytes, dtype=np.float64)  # a blank is unknown, and unknown does not fit
        kept &= known <= wanted.memory_per_gpu
    return kept


def demands_of_table(scenario: TableScenario, steps: Steps) -> Demands:
    """What the whole deployment must keep."""
    hardware, wanted = scenario.hardware, scenario.requirements
    least = [scenario.workload.request_rate, wanted.throughput.requests if wanted.throughput else None]
    per_gpu = wanted.throughput_per_gpu.requests if wanted.throughput_per_gpu else 0.0
    return Demands(
        cards=tuple(Card(name, gpus, node=1) for name, gpus in hardware.counts.items()),
        least_gpus=hardware.gpu_range.min,
        least_rate=max(1, steps.least(max((x for x in least if x is not None), default=0.0))),
        least_rate_per_gpu=steps.least(per_gpu),
        ttft=None if wanted.ttft is None else math.floor(wanted.ttft / TIME_STEP + 1e-3),
        engines=allowed_engines(None),
        mixes="any" in scenario.modes or len(scenario.modes) == 1,
        distinct=scenario.distinct_strategies,
    )
