"""A scenario as engines of one role on one card, or over two cards, see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from ...models import Bound, Lengths, Requirements, Scenario
from ...models.hardware import Stock
from ...models.rules import Role, Rule
from ..costs.engines import EngineGrid, EnginePrices, price_engines
from ..costs.mixed import MixedGrid, price_mixed
from ..degrees import legal_strategies
from ..watch import Watch

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

TRANSFER = "engine-transfer-stages"
"""Id of the rule that a serving engine's KV transfer makes."""
MOST_MIXED_STAGES = 8
"""Of a pipeline that crosses cards."""


@dataclass(frozen=True)
class Part:
    """One role on one card: the conditions that its engines must keep, and the units they are priced in."""

    role: Role
    card: int
    """Index into the scenario's stocks."""
    scenario: Scenario
    sends: bool
    """Whether its prompts go on to other engines."""

    @property
    def cards(self) -> tuple[int, ...]:
        """All cards that its engines stand on."""
        return (self.card,)

    @property
    def scenes(self) -> tuple[Scenario, ...]:
        """The conditions as seen on each of them."""
        return (self.scenario,)

    def strategies(self, watch: Watch) -> tuple[Integers, Integers]:
        """(legal strategies, stages on the first card)."""
        found = legal_strategies(self.scenario, watch=watch)
        return found, found[:, 3]

    def grid(
        self, strategies: Integers, first: Integers, load: Integers, choice: Integers, busy: NDArray[np.float64]
    ) -> EngineGrid:
        """Engines to price."""
        return EngineGrid(strategies, load, choice, busy)

    def price(
        self, grid: EngineGrid, *, ideal: bool, at: str | None = None
    ) -> tuple[EnginePrices, NDArray[np.int16], Flags]:
        """(prices, stage of each layer, whether every stage fits its card)."""
        prices, stages = price_engines(self.scenario, self.role, grid, sends=self.sends, ideal=ideal, at=at)
        return prices, stages, prices.memory <= room(self.scenario)

    def stages_on_cards(self, grid: EngineGrid) -> list[Integers]:
        """Stages on each card."""
        return [grid.strategies[:, 3]]


@dataclass(frozen=True)
class MixedPart(Part):
    """One role over two cards: the first stages on one, the others on another."""

    second: int
    other: Scenario
    """The conditions as seen on the second card."""
    pipeline: tuple[Bound, ...]
    """What pins and rules allow for the whole pipeline."""

    @property
    def cards(self) -> tuple[int, ...]:
        """See Part."""
        return self.card, self.second

    @property
    def scenes(self) -> tuple[Scenario, ...]:
        """See Part."""
        return self.scenario, self.other

    def strategies(self, watch: Watch) -> tuple[Integers, Integers]:
        """Strategies that are legal on both cards but for their stages, put together."""
        ends = [legal_strategies(scene, watch=watch) for scene in self.scenes]
        stages: dict[tuple[int, ...], list[int]] = {}
        for row in ends[1].tolist():
            stages.setdefault((*row[:3], *row[4:]), []).append(row[3])
        most = min(MOST_MIXED_STAGES, self.scenario.model.layers)
        found = [
            (*row[:3], row[3] + second, *row[4:], row[3])
            for row in ends[0].tolist()
            for second in stages.get((*row[:3], *row[4:]), ())
            if row[3] + second <= most and all(bound.allows(row[3] + second) for bound in self.pipeline)
        ]
        table = np.array(found, dtype=np.int64).reshape(-1, 7)
        return table[:, :6], table[:, 6]

    def grid(
        self, strategies: Integers, first: Integers, load: Integers, choice: Integers, busy: NDArray[np.float64]
    ) -> EngineGrid:
        """See Part."""
        return MixedGrid(strategies, load, choice, busy, first)

    def price(
        self, grid: EngineGrid, *, ideal: bool, at: str | None = None
    ) -> tuple[EnginePrices, NDArray[np.int16], Flags]:
        """See Part."""
        assert isinstance(grid, MixedGrid)
        found = price_mixed((self.scenario, self.other), self.role, grid, sends=self.sends, ideal=ideal, at=at)
        return found.prices, found.stage_of_layer, found.fits

    def stages_on_cards(self, grid: EngineGrid) -> list[Integers]:
        """See Part."""
        assert isinstance(grid, MixedGrid)
        return [grid.first, grid.strategies[:, 3] - grid.first]


def room(scenario: Scenario) -> float:
    """Bytes that a GPU may hold."""
    usable, required = scenario.hardware.usable_memory, scenario.requirements.memory_per_gpu
    return usable if required is None else min(usable, required)


def parts_of(scenario: Scenario) -> Iterator[Part]:
    """Every role on every card, then over every two of them, in both orders."""
    stocks, sends = scenario.hardware.stocks, scenario.workload.decodes
    for card, stock in enumerate(stocks):
        for role in scenario.roles:
            yield Part(role, card, seen_by(scenario, role, stock), sends and role == "prefill")
    if scenario.engine is not None and not scenario.engine.crosses_cards:
        return
    for first, second in permutations(range(len(stocks)), 2):
        for role in scenario.roles:
            rules = [rule for rule in scenario.rules_in_force if rule.holds_for(role)]
            if any("engine" in rule.inside_node for rule in rules):
                continue  # such an engine is never inside a node
            bounds = (scenario.strategy.pipeline, *(rule.pipeline for rule in rules))
            one, two = (_half(seen_by(scenario, role, stocks[card])) for card in (first, second))
            pipeline = tuple(bound for bound in bounds if bound is not None)
            yield MixedPart(role, first, one, sends and role == "prefill", second, two, pipeline)


def _half(scenario: Scenario) -> Scenario:
    """Without what binds the whole pipeline."""
    pins = scenario.strategy.model_copy(update={"pipeline": Bound(max=MOST_MIXED_STAGES - 1)})
    rules = tuple(half for rule in scenario.rules if (half := _without_pipeline(rule)) is not None)
    return scenario.model_copy(update={"strategy": pins, "rules": rules})


def _without_pipeline(rule: Rule) -> Rule | None:
    """A rule less its bound on the pipeline; None where nothing is left."""
    rest = rule.model_copy(update={"pipeline": None})
    return rest if rest.bounds or rest.inside_node else None


def _transfer(scenario: Scenario, role: Role) -> list[Rule]:
    """The serving engine's own: where the KV cache is moved it may want engines of one stage."""
    engine = scenario.engine
    if engine is None or role not in engine.transfer_stages or not scenario.workload.decodes:
        return []
    text = f"{engine.name} {engine.version}: the KV cache moves between engines of one stage only"
    return [Rule(id=TRANSFER, statement=text, roles=(role,), pipeline=Bound(max=1))]


def seen_by(scenario: Scenario, role: Role, stock: Stock) -> Scenario:
    """The card, the rules of the role, prompts only for a prefill engine; demands on the whole deployment left out."""
    wanted = scenario.requirements
    changes: dict[str, object] = {
        "hardware": scenario.hardware.on(stock),
        "rules": (*_transfer(scenario, role), *(rule for rule in scenario.rules_in_force if rule.holds_for(role))),
        "waive": (),
        "requirements": Requirements(memory_per_gpu=wanted.memory_per_gpu, ttft_at=wanted.ttft_at),
        "strategy": scenario.strategy.model_copy(update={"engines": None}),
    }
    if role == "prefill":
        changes["workload"] = scenario.workload.model_copy(update={"output_tokens": Lengths(min=1, max=1)})
        changes["modes"], changes["distinct_strategies"] = None, None
    return scenario.model_copy(update=changes)
