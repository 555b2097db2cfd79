"""Prices for whole grids: rows in blocks, each through the serving program that its load calls for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models import Scenario
from .cut import OneCard
from .grid import Grid, Integers
from .programs import ClosedLoop, PrefillOnly, StaticBatch
from .rows import Column, Rows
from .setting import Setting, setting
from .source import OperatorTimes, operator_times

BLOCK = 32_768
"""Rows priced at once: bounds memory, keeps columns in cache."""


@dataclass
class Candidates:
    """Priced rows, SI units. Integer columns say what was chosen, float columns what it takes and gives."""

    strategies: Integers
    """Shape (rows, 6), columns as models.strategy.DEGREES."""
    engines: Integers
    batch: Integers
    micro_batches: Integers
    in_flight: Integers
    token_budget: Integers
    gpus_used: Integers
    ttft: Column
    ttft_mean: Column
    tpot: Column
    """NaN where nothing is decoded."""
    request_latency: Column
    requests_rate: Column
    output_rate: Column
    """NaN where nothing is decoded."""
    input_rate: Column
    budget_spare: Column
    """Tokens of the budget that the load leaves free; negative where it does not fit."""
    weights: Column
    kv_cache: Column
    activations: Column
    reserve: Column
    fullest_stage: Integers
    stage_of_layer: NDArray[np.int16]
    """Shape (rows, layers)."""

    def __len__(self) -> int:
        return len(self.engines)

    def take(self, index: NDArray[np.intp] | list[int]) -> Candidates:
        """Some of the rows."""
        return Candidates(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def column(self, name: str) -> Column:
        """A column by the name that limits and objectives use."""
        if name.endswith("_per_gpu"):
            return self.column(name.removesuffix("_per_gpu")) / self.gpus_used
        if name == "memory":
            return self.weights + self.kv_cache + self.activations + self.reserve
        values: Column = getattr(self, name)
        return values

    @property
    def tokens_rate(self) -> Column:
        """The throughput that a plain requirement and the objectives mean."""
        return np.where(np.isnan(self.output_rate), self.input_rate, self.output_rate)


def price(scenario: Scenario, grid: Grid, *, ideal: bool = False) -> Candidates:
    """Price every row of the grid.

    With `ideal` the stages are taken as equally long and full instead of split: every time and every byte is then a
    lower bound, every rate an upper bound, at a fraction of the cost.
    """
    s = setting(scenario)
    times = operator_times(s)
    if len(grid) <= BLOCK:
        return _price_block(s, grid, times, ideal)
    whole: dict[str, NDArray[Any]] = {}
    for start in range(0, len(grid), BLOCK):
        block = _price_block(s, grid.part(slice(start, start + BLOCK)), times, ideal)
        for field in fields(Candidates):
            part = getattr(block, field.name)
            if not start:  # filled in place: joining blocks at the end would hold everything twice
                whole[field.name] = np.empty((len(grid), *part.shape[1:]), dtype=part.dtype)
            whole[field.name][start : start + len(block)] = part
    return Candidates(**whole)


def _price_block(s: Setting, grid: Grid, times: OperatorTimes, ideal: bool) -> Candidates:
    rows = Rows.of(s, grid.strategies, grid.engines)
    program = ClosedLoop if s.scenario.workload.concurrency else StaticBatch
    chosen = (program if s.scenario.workload.decodes else PrefillOnly)(
        OneCard(rows, times, ideal), grid.choice.astype(np.float64)
    )
    weights, cache, fullest = chosen.stages.fullest(chosen.memory)
    columns = chosen.columns()
    return Candidates(
        strategies=grid.strategies,
        engines=grid.engines,
        gpus_used=rows.gpus_used.astype(np.int64),
        weights=weights,
        kv_cache=cache,
        activations=np.ceil(chosen.memory.activations),
        reserve=np.ceil(chosen.memory.reserve),
        fullest_stage=fullest,
        stage_of_layer=chosen.stage_of_layer,
        **{name: columns[name].astype(np.int64) for name in _INTEGER_COLUMNS},  # type: ignore[arg-type]
        **{name: columns[name] for name in _FLOAT_COLUMNS},  # type: ignore[arg-type]
    )


_INTEGER_COLUMNS = ("batch", "micro_batches", "in_flight", "token_budget")
_FLOAT_COLUMNS = (
    "ttft",
    "ttft_mean",
    "tpot",
    "request_latency",
    "requests_rate",
    "output_rate",
    "input_rate",
    "budget_spare",
)
