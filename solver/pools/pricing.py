"""Engines of our own pricing: every legal strategy in every role on every card, at every load of the grid.

All engines get optimistic prices first (stages taken as even); what an answer rests on is priced exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models import Scenario, Strategy
from ...models.strategy import DEGREES
from ..conditions import limits_of
from ..costs import queueing
from ..costs.engines import EngineGrid, EnginePrices
from ..costs.grid import budgets_for
from ..watch import Watch
from . import loads
from .engines import ROLES, Engines, Flags, Integers, Steps, most_carried, time_steps
from .parts import Part, parts_of, room
from .standing import leaders, standing

ROUNDS, FEW = 4, 64
"""How often, and down to how many, the best bounds are made exact at once; the rest follow as answers need them."""


@dataclass
class Priced:
    """The engines of one part: what they are, and their prices."""

    part: Part
    grid: EngineGrid
    prices: EnginePrices
    fits: Flags
    """Every stage fits its card."""
    strategies: int
    """Legal strategies of the part."""
    candidates: int
    """Engines before pruning."""

    def take(self, index: NDArray[np.intp]) -> Priced:
        """Some of the engines."""
        prices = EnginePrices(**{f.name: getattr(self.prices, f.name)[index] for f in fields(EnginePrices)})
        return Priced(self.part, self.grid.take(index), prices, self.fits[index], self.strategies, self.candidates)

    def describe(self, place: int) -> str:
        """Role, card and degrees of one engine in short."""
        degrees = dict(zip(DEGREES, self.grid.strategies[place].tolist(), strict=True))
        load = f" with {self.grid.load[place]:,} in flight" if self.part.role != "prefill" else ""
        return f"{self.part.role} {Strategy(**degrees).describe()}{load}"


class PricedSource:
    """Engines of all parts, one after the other."""

    def __init__(self, scenario: Scenario, watch: Watch, say: Callable[[str], None]) -> None:
        self.scenario = scenario
        self.parts: list[Priced] = []
        self.strategies = self.candidates = 0
        for part in parts_of(scenario):
            watch.check()
            priced = _priced(part, scenario, watch)
            if priced is None:
                continue
            self.strategies, self.candidates = self.strategies + priced.strategies, self.candidates + priced.candidates
            say(f"priced {priced.candidates:,} {part.role} engines of {priced.strategies:,} strategies")
            self.parts.append(priced)
        self.steps = _steps(scenario, self.parts)
        distinct = scenario.distinct_strategies is not None
        found: list[Engines] = []
        for number, priced in enumerate(self.parts):
            engines = _engines(scenario, priced, self.steps)
            for _ in range(ROUNDS):  # once the best of each kind are exact, they rule most others out for good
                rough = leaders(engines, distinct=distinct)
                if len(rough) < FEW:
                    break
                watch.check()
                _sharpen(scenario, priced, engines, rough, self.steps)
                kept = standing(engines, distinct=distinct)
                priced, engines = priced.take(kept), engines.take(kept)
            self.parts[number] = priced
            found.append(engines)
        self.starts = np.cumsum([0, *(len(each) for each in found)])
        self.engines = _joined(found, len(scenario.hardware.stocks))

    def sharpen(self, index: NDArray[np.intp]) -> None:
        """Price engines exactly."""
        for number, priced in enumerate(self.parts):
            first, past = self.starts[number], self.starts[number + 1]
            here = index[(index >= first) & (index < past)]
            here = here[~self.engines.exact[here]]
            if not len(here):
                continue
            part = self.engines.take(np.arange(first, past))
            _sharpen(self.scenario, priced, part, here - first, self.steps)
            for f in fields(Engines):
                getattr(self.engines, f.name)[first:past] = getattr(part, f.name)

    def place(self, index: int) -> tuple[Priced, int]:
        """The part that an engine belongs to, and its place there."""
        number = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.parts[number], int(index - self.starts[number])


def _steps(scenario: Scenario, found: list[Priced]) -> Steps:
    """Fine enough for what the whole inventory can carry and costs; bounds are optimistic, so nothing is beyond it."""
    stocks, work = scenario.hardware.stocks, scenario.workload
    role = np.concatenate([np.full(len(one.grid), ROLES.index(one.part.role)) for one in found] or [np.empty(0)])
    each = [one.prices.rate / one.grid.strategies[:, :4].prod(axis=1) for one in found]
    gpus = sum(stock.gpus for stock in stocks)
    carried = most_carried(
        role, np.concatenate(each or [np.empty(0)]), gpus, decodes=work.decodes, flows=work.open_loop
    )
    paid = sum(stock.gpus * (stock.price_per_hour or 0.0) for stock in stocks)
    return Steps.within(carried, paid, ratio="throughput-per-cost" in scenario.objectives, flows=work.open_loop)


def _sharpen(scenario: Scenario, priced: Priced, engines: Engines, index: NDArray[np.intp], steps: Steps) -> None:
    """Price some engines of a part exactly, in place."""
    grid, part = priced.grid.take(index), priced.part
    exact, _, fits = part.price(grid, ideal=False)
    for f in fields(EnginePrices):
        getattr(priced.prices, f.name)[index] = getattr(exact, f.name)
    priced.fits[index] = fits
    new = _engines(scenario, Priced(part, grid, exact, fits, 0, 0), steps)
    for name in ("rate", "asks", "ttft", "latency", "tpot", "usable"):
        getattr(engines, name)[index] = getattr(new, name)
    engines.exact[index] = True


def _priced(part: Part, scenario: Scenario, watch: Watch) -> Priced | None:
    strategies, first = part.strategies(watch)
    legal = len(strategies)
    if not legal:
        return None
    most = _most_sequences(part, strategies, first)
    kept = most > 0
    if not kept.any():
        return None
    grid = _grid(part, scenario, strategies[kept], first[kept], most[kept])
    prices, _, fits = part.price(grid, ideal=True)
    priced = Priced(part, grid, prices, fits, legal, len(grid))
    return priced.take(np.flatnonzero(_keeps(scenario, part, prices) & fits))


def _most_sequences(part: Part, strategies: Integers, first: Integers) -> Integers:
    """Sequences per attention group that each strategy has memory for at most; 0 where its weights do not fit.

    From the optimistic memory of the smallest load: more sequences take their share of KV cache more, and no less of
    anything else. Over two cards only whether the smallest load fits.
    """
    data = strategies[:, 2]
    budget = np.ones(len(strategies), dtype=np.int64)
    if part.role == "aggregated":
        budget += 1
    least = part.grid(strategies, first, data, budget, np.zeros(len(strategies)))
    prices, _, fits = part.price(least, ideal=True)
    if len(part.cards) > 1:
        return np.where(fits, np.iinfo(np.int64).max, 0)
    held = 3 if part.role == "decode" else 1  # one decoding, one that takes over, one in transfer
    spare = room(part.scenario) - prices.memory
    more = np.floor(spare / np.maximum(prices.kv_cache / held, 1.0))
    most: Integers = np.where(spare >= 0, 1 + more, 0).astype(np.int64)
    return most


def _grid(part: Part, scenario: Scenario, strategies: Integers, first: Integers, most: Integers) -> EngineGrid:
    """Every strategy with every load, and every batch or budget."""
    work, data = scenario.workload, strategies[:, 2]
    each = _loads(part, scenario, strategies, first)
    index = np.repeat(np.arange(len(data)), [len(found) for found in each])
    load = np.concatenate(each)
    if part.role != "prefill":
        enough = (load >= data[index]) & (-(-load // data[index]) <= most[index])
        index, load = index[enough], load[enough]
    choices, busy = np.ones(1, dtype=np.int64), np.zeros(1)
    if part.role == "prefill":
        choices = np.array(loads.prompts_per_pass(work.input_tokens.max), dtype=np.int64)
        busy = loads.UTILIZATIONS if work.open_loop else busy
    elif part.role == "decode":
        busy = busy if work.open_loop else loads.BUSY
    else:
        at, budget = budgets_for(part.scenario, strategies[index], load)
        return part.grid(strategies[index][at], first[index][at], load[at], budget, np.zeros(len(at)))
    row = np.repeat(np.arange(len(load)), len(choices) * len(busy))
    choice, share = np.tile(np.repeat(choices, len(busy)), len(load)), np.tile(busy, len(load) * len(choices))
    return part.grid(strategies[index][row], first[index][row], load[row], choice, share)


def _loads(part: Part, scenario: Scenario, strategies: Integers, first: Integers) -> list[Integers]:
    """Loads of each strategy."""
    work, gpus = scenario.workload, strategies[:, :4].prod(axis=1)
    if part.role == "prefill":
        return [np.ones(1, dtype=np.int64)] * len(gpus)
    if work.open_loop:
        return [np.array(loads.open_loads())] * len(gpus)
    mixed = len(scenario.roles) > 1 or len(scenario.hardware.stocks) > 1
    everything = sum(stock.gpus for stock in scenario.hardware.stocks)
    grid = part.grid(strategies, first, gpus, gpus, np.zeros(len(gpus)))
    group = strategies[:, :3].prod(axis=1)
    engines = np.min(
        [
            scene.hardware.gpu_range.max // (group * stages)
            for scene, stages in zip(part.scenes, part.stages_on_cards(grid), strict=True)
        ],
        axis=0,
    )
    return [
        np.array(loads.closed_loads(work.sequences, int(z), int(n), everything, mixed))
        for z, n in zip(gpus, engines, strict=True)
    ]


def _engines(scenario: Scenario, priced: Priced, steps: Steps) -> Engines:
    """The engines in integers, and which of them keep what an engine can keep alone."""
    part, grid, prices = priced.part, priced.grid, priced.prices
    count, closed, stocks = len(grid), not scenario.workload.open_loop, scenario.hardware.stocks
    group = grid.strategies[:, :3].prod(axis=1)
    on, price = np.zeros((count, len(stocks)), dtype=np.int64), np.zeros(count)
    for card, stages in zip(part.cards, part.stages_on_cards(grid), strict=True):
        on[:, card] = group * stages
        price += on[:, card] * (stocks[card].price_per_hour or 0.0)
    zero = np.zeros(count, dtype=np.int64)
    return Engines(
        role=np.full(count, ROLES.index(part.role), dtype=np.int64),
        on=on,
        gpus=on.sum(axis=1),
        load=grid.load if closed and part.role != "prefill" else zero,
        rate=steps.rates(prices.rate),
        asks=_asks(part, closed, prices, steps),
        ttft=time_steps(prices.ttft),
        latency=time_steps(prices.request_latency),
        tpot=time_steps(prices.tpot),
        price=steps.prices(price),
        identity=_identity(part, grid, prices) if scenario.distinct_strategies else zero,
        exact=(grid.strategies[:, 3] == 1),
        usable=_keeps(scenario, part, prices) & priced.fits,
    )


def _identity(part: Part, grid: EngineGrid, prices: EnginePrices) -> Integers:
    """Equal for engines that are launched alike, whatever their load: cards, degrees, and the budget for prompts."""
    budget = np.ones(len(grid), dtype=np.int64) if part.role == "decode" else prices.token_budget
    key = np.unique(np.column_stack([grid.cuts, budget]), axis=0, return_inverse=True)[1].astype(np.int64)
    first, last = part.cards[0], part.cards[-1]
    return key * 64 + first * 8 + last


def _asks(part: Part, closed: bool, prices: EnginePrices, steps: Steps) -> Integers:
    """Rounded up, so that prefill engines keep up in fact; one step is lost at most."""
    if part.role != "decode" or not closed:
        return np.zeros(len(prices.rate), dtype=np.int64)
    asked: Integers = steps.rates(prices.rate / prices.utilization) + 1
    return asked


def _keeps(scenario: Scenario, part: Part, prices: EnginePrices) -> Flags:
    """Token budget, pins on batch and budget, utilisation, and limits on the engine's own times."""
    columns = {
        "budget_spare": prices.budget_spare,
        "batch": prices.batch.astype(np.float64),
        "token_budget": prices.token_budget.astype(np.float64),
        "ttft": prices.ttft,
        "request_latency": prices.request_latency,
        "tpot": prices.tpot,
    }
    kept: Flags = ~(prices.utilization > queueing.MOST_UTILIZATION * (1 + 1e-9))
    own = part.scenario.model_copy(update={"requirements": scenario.requirements})
    for limit in limits_of(own):
        reads = part.role != "decode"
        decodes = part.role != "prefill"
        if (
            limit.column in columns
            and (reads or limit.column != "token_budget")
            and (decodes or limit.column != "tpot")
        ):
            kept = kept & limit.keeps(columns)
    return kept


def _joined(found: list[Engines], cards: int) -> Engines:
    """One after the other; none at all is a table without rows."""
    if found:
        return Engines(**{f.name: np.concatenate([getattr(each, f.name) for each in found]) for f in fields(Engines)})
    nothing, flags = np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
    whole: dict[str, Any] = {f.name: flags if f.name in ("exact", "usable") else nothing for f in fields(Engines)}
    return Engines(**whole | {"on": np.empty((0, cards), dtype=np.int64)})
