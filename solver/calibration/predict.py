"""What the cost model says of measured setups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...models.measurement import Quantity
from ...models.strategy import DEGREES
from ..costs import price
from ..costs.engines import EngineGrid, EnginePrices, price_engines
from ..costs.grid import make_grid
from ..costs.setting import setting
from .cases import Case, Unpriced

MOST_IN_FLIGHT = 2048
"""Sequences that an engine takes at once where all requests are queued: the largest batch the sources set."""
_STEPS = 24


@dataclass(frozen=True)
class Prediction:
    """Seconds, and rates of the whole deployment; None where the load has no such figure."""

    ttft: float | None
    tpot: float | None
    requests_rate: float

    def figure(self, quantity: Quantity, counts: str, case: Case) -> float | None:
        """What a measurement of this kind should show."""
        if quantity == "throughput":
            return self._throughput(case, counts)
        return self.ttft if quantity == "ttft" else self.tpot

    def _throughput(self, case: Case, counts: str) -> float:
        """Output tokens, all tokens or requests per second."""
        work = case.scenario.workload
        if counts == "requests":
            return self.requests_rate
        tokens = work.output_tokens.mean + (work.input_tokens.mean if counts == "all" else 0)
        return self.requests_rate * tokens


def predict(case: Case, *, saturated: bool = False) -> Prediction:
    """Price the given strategy under its load.

    Where a rate of requests cannot be carried, `saturated` asks for the figures at the most that can be; else that
    raises Unpriced.
    """
    work = case.scenario.workload
    if work.open_loop and not work.decodes:
        raise Unpriced("prompts without answers that arrive at a rate")
    if not work.decodes or work.batch:
        return _batch(case)
    if case.setup.load == "offline_max":
        return _queued(case)
    if work.open_loop:
        return _open(case, saturated)
    per_engine = -(-work.sequences // case.engines)
    prices = _engines(case, np.array([max(per_engine, case.strategy.data)]))
    return Prediction(float(prices.ttft[0]), float(prices.tpot[0]), float(prices.rate[0]) * case.engines)


def _degrees(case: Case, count: int = 1) -> NDArray[np.int64]:
    return np.tile([getattr(case.strategy, name) for name in DEGREES], (count, 1)).astype(np.int64)


def _engines(case: Case, loads: NDArray[np.int64]) -> EnginePrices:
    """Single engines at these loads."""
    batch = np.ceil(loads / case.strategy.data / case.strategy.pipeline).astype(np.int64)
    budget = np.maximum(case.token_budget, batch + 64)  # decoding comes first; prompts get what is left
    grid = EngineGrid(_degrees(case, len(loads)), loads, budget, np.zeros(len(loads)))
    return price_engines(case.scenario, "aggregated", grid, sends=False, ideal=False, at="mean")[0]


def _batch(case: Case) -> Prediction:
    """All sequences at once: prompts in as few passes as fit the budget, or one by one."""
    grid = make_grid(case.scenario, _degrees(case), engines=case.engines)
    rows = price(case.scenario, grid)
    fits = rows.token_budget <= max(case.token_budget, int(rows.token_budget.min()))
    row = int(np.flatnonzero(fits)[rows.token_budget[fits].argmax()])
    tpot = float(rows.tpot[row])
    return Prediction(float(rows.ttft_mean[row]), None if np.isnan(tpot) else tpot, float(rows.requests_rate[row]))


def _queued(case: Case) -> Prediction:
    """All requests wait in a queue: engines hold as many as memory and the engine's own limit let them."""
    steps = np.unique(np.geomspace(case.strategy.data, MOST_IN_FLIGHT, _STEPS).astype(np.int64))
    prices = _engines(case, steps)
    fits = np.flatnonzero(prices.memory <= setting(case.scenario).room)
    if not len(fits):
        raise Unpriced("does not fit the memory")
    return Prediction(None, None, float(prices.rate[fits[-1]]) * case.engines)


def _open(case: Case, saturated: bool) -> Prediction:
    """Requests arrive at a rate: the load at which an engine finishes as many."""
    steps = np.unique(np.geomspace(case.strategy.data, MOST_IN_FLIGHT, _STEPS).astype(np.int64))
    prices = _engines(case, steps)
    wanted = float(case.scenario.workload.request_rate or 0) / case.engines
    enough = np.flatnonzero((prices.rate >= wanted) & (prices.utilization < 1))
    if not len(enough):
        if not saturated:
            raise Unpriced("beyond saturation")
        most = int(np.where(prices.utilization < 1, prices.rate, 0.0).argmax())
        return Prediction(float(prices.ttft[most]), float(prices.tpot[most]), float(prices.rate[most]) * case.engines)
    at = int(enough[0])
    weight = 1.0
    if at and prices.rate[at] > prices.rate[at - 1]:
        weight = float((wanted - prices.rate[at - 1]) / (prices.rate[at] - prices.rate[at - 1]))

    def between(column: NDArray[np.float64]) -> float:
        return float(column[at] if not at else column[at - 1] + weight * (column[at] - column[at - 1]))

    return Prediction(between(prices.ttft), between(prices.tpot), wanted * case.engines)
