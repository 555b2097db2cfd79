"""Prices of single engines in a role, at a load: what the count model of a deployment chooses among."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...models import Scenario
from ...models.rules import Role
from . import queueing
from .cut import Cut, OneCard
from .grid import Integers
from .programs import ClosedLoop, Program
from .roles import Decode, OpenLoop, Prefill
from .rows import Column, Rows
from .serving import BLOCK
from .setting import setting
from .source import operator_times

QUANTILES: dict[str, float | None] = {"mean": None, "p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass
class EngineGrid:
    """Engines before pricing."""

    strategies: Integers
    """Shape (rows, 6)."""
    load: Integers
    """Q: requests in flight; 1 for prefill engines."""
    choice: Integers
    """Token budget (aggregated), prompts per pass (prefill), unused (decode)."""
    utilization: Column
    """Rho of a prefill engine in an open loop; u of a decode engine in a closed loop; else 0."""

    def __len__(self) -> int:
        return len(self.load)

    @property
    def cuts(self) -> Integers:
        """What tells ways to cut a model apart, shape (rows, columns)."""
        return self.strategies

    def take(self, index: NDArray[np.intp] | slice) -> Self:
        """Some of the rows."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass
class EnginePrices:
    """Priced engines, SI units; the columns of docs/costs.md, section 7."""

    batch: Integers
    micro_batches: Integers
    in_flight: Integers
    token_budget: Integers
    rate: Column
    utilization: Column
    ttft: Column
    """The whole, or the engine's part of it."""
    wait: Column
    transfer: Column
    tpot: Column
    """0 where nothing is decoded."""
    request_latency: Column
    budget_spare: Column
    weights: Column
    kv_cache: Column
    activations: Column
    reserve: Column
    fullest_stage: Integers

    @property
    def memory(self) -> Column:
        """Bytes on the fullest GPU."""
        return self.weights + self.kv_cache + self.activations + self.reserve


_WHOLE = ("batch", "micro_batches", "in_flight", "token_budget")
_REAL = ("rate", "utilization", "ttft", "wait", "transfer", "tpot", "request_latency", "budget_spare")


def price_engines(
    part: Scenario, role: Role, grid: EngineGrid, *, sends: bool, ideal: bool, at: str | None = None
) -> tuple[EnginePrices, NDArray[np.int16]]:
    """Price every engine of the grid, and the stage of each layer (rows, layers; no layers where `ideal`).

    `part` holds the conditions of one role on one card (solver/pools/parts.py). `at` says which TTFT of an open
    loop is meant (default: as the scenario's limit). With `ideal` all figures are optimistic bounds.
    """
    s = setting(part)
    times, share = operator_times(s), QUANTILES[at or part.requirements.ttft_at]

    def cut(engines: EngineGrid) -> OneCard:
        rows = Rows.of(s, engines.strategies, np.ones(len(engines), dtype=np.int64), engines.load)
        return OneCard(rows, times, ideal)

    blocks = list(priced_blocks(role, grid, cut, sends=sends, share=share, size=BLOCK))
    stages = np.concatenate([program.stage_of_layer[back] for program, _, back in blocks])
    return joined([prices for _, prices, _ in blocks]), stages


def joined(blocks: list[EnginePrices]) -> EnginePrices:
    """One after the other."""
    return EnginePrices(**{f.name: np.concatenate([getattr(b, f.name) for b in blocks]) for f in fields(EnginePrices)})


Engines = TypeVar("Engines", bound=EngineGrid)
Back = NDArray[np.intp] | slice
"""The program's row of each engine of the grid."""
Columns = dict[str, Column]
_Priced = tuple[Any, Columns, Back]
"""The program, its columns per engine of the grid, and the program's row of each engine."""


def priced_blocks(
    role: Role, grid: Engines, cut: Callable[[Engines], Cut], *, sends: bool, share: float | None, size: int
) -> Iterator[tuple[Program, EnginePrices, Back]]:
    """`size` engines at a time: their program, prices, and the program's row of each; at least one block."""
    price = _PROGRAMS[role]
    for start in range(0, max(len(grid), 1), size):
        program, columns, back = price(grid.take(slice(start, start + size)), cut, sends, share)
        weights, cache, fullest = program.stages.fullest(program.memory)
        prices = EnginePrices(
            **{name: columns[name].astype(np.int64) for name in _WHOLE},  # type: ignore[arg-type]
            **{name: columns[name] for name in _REAL},  # type: ignore[arg-type]
            weights=weights[back],
            kv_cache=cache[back],
            activations=np.ceil(program.memory.activations)[back],
            reserve=np.ceil(program.memory.reserve)[back],
            fullest_stage=fullest[back],
        )
        yield program, prices, back


def _peak(rows: Rows) -> Column:
    """Requests that an engine must have memory for: all of a closed loop, nearly always enough in an open one."""
    if not rows.setting.scenario.workload.open_loop:
        return rows.engine_sequences
    mean = rows.engine_sequences
    wider = np.sqrt(queueing.arrival_scv(rows.setting.scenario.workload.burstiness))
    peak: Column = np.ceil(mean + (queueing.poisson_peak(mean) - mean) * wider)
    return peak


def _prefill(grid: Engines, cut: Callable[[Engines], Cut], sends: bool, share: float | None) -> _Priced:
    """Passes, stages and memory do not depend on the load: they are worked out once per strategy and batch."""
    once, back = _once(grid, grid.choice)
    program = Prefill(cut(once), once.choice.astype(np.float64), sends)
    return program, program.columns(back, grid.utilization, share), back


def _decode(grid: Engines, cut: Callable[[Engines], Cut], sends: bool, share: float | None) -> _Priced:
    """Passes, stages and memory depend on strategy and load only."""
    once, back = _once(grid, grid.load)
    whole = cut(once)
    program = Decode(whole, _peak(whole.rows))
    return program, program.columns(back, grid.utilization), back


def _once(grid: Engines, column: Integers) -> tuple[Engines, NDArray[np.intp]]:
    """(engines that differ in cut or column, the place of each engine among them)."""
    key = np.column_stack([grid.cuts, column])
    _, first, back = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return grid.take(first), back


def _aggregated(grid: Engines, cut: Callable[[Engines], Cut], sends: bool, share: float | None) -> _Priced:
    whole, budget = cut(grid), grid.choice.astype(np.float64)
    rows = whole.rows
    if rows.setting.scenario.workload.open_loop:
        program = OpenLoop(whole, budget, _peak(rows))
        return program, program.open_columns(share), slice(None)
    closed = ClosedLoop(whole, budget)
    columns = closed.columns()
    none = np.zeros(len(rows))
    more = {"rate": columns["requests_rate"], "utilization": none + np.nan, "wait": closed.wait, "transfer": none}
    return closed, columns | more, slice(None)


_PROGRAMS: dict[Role, Callable[..., _Priced]] = {"prefill": _prefill, "decode": _decode, "aggregated": _aggregated}
