"""The engines of a plan, one by one, with the GPUs that each stands on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...models import InputError, Scenario
from ...models.deployment import DeploymentPlan
from ...models.engine import EngineStrategy, Memory
from ...models.hardware import Stock
from ...models.plan import Plan, Rank
from ...models.rules import Role


@dataclass(frozen=True)
class Kind:
    """Engines that are launched alike."""

    role: Role
    strategy: EngineStrategy
    memory: Memory
    stock: Stock
    """The cards it stands on."""
    scenario: Scenario

    @property
    def sequences(self) -> int:
        """Sequences on one attention data rank at most."""
        return math.ceil(self.strategy.in_flight / self.strategy.data)

    @property
    def token_budget(self) -> int:
        """Tokens of a pass on one attention data rank; engines want room for one of each sequence."""
        return max(self.strategy.token_budget, self.sequences)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence, with room for what a tokenizer adds to a random prompt."""
        work = self.scenario.workload
        return -(-(work.input_tokens.max + work.output_tokens.max + 16) // 64) * 64


@dataclass(frozen=True)
class Copy:
    """One engine."""

    kind: Kind
    number: int
    """Among all engines, from 0."""
    seats: tuple[tuple[int, tuple[int, ...]], ...]
    """(node, its GPUs) in the order of the ranks."""

    @property
    def head(self) -> int:
        """The node of the first rank."""
        return self.seats[0][0]


def copies_of(plan: Plan | DeploymentPlan) -> list[Copy]:
    """Every engine of a plan. Raises InputError where there is nothing to launch."""
    if plan.status not in ("optimal", "feasible"):
        raise InputError(f"the plan is {plan.status}: there is nothing to launch")
    if not isinstance(plan.scenario, Scenario):
        raise InputError(
            "engines of a table have no degrees to launch",
            help="plan with a model instead: shardwise then prices and launches its own engines",
        )
    if sum(entry.count for entry in plan.engines) > len(plan.placement):
        raise InputError("the plan's placement does not show every engine", help="solve the scenario again")
    kinds = list(_kinds(plan, plan.scenario))
    if len(kinds) != len({rank.engine for rank in plan.placement}):
        raise InputError("the plan's placement does not show every engine", help="solve the scenario again")
    seats = _seats(plan.placement)
    return [Copy(kind, number, seats[number]) for number, kind in enumerate(kinds)]


def _kinds(plan: Plan | DeploymentPlan, scenario: Scenario) -> Iterator[Kind]:
    """The kind of every engine, in the order of the placement."""
    stocks = {stock.accelerator.id: stock for stock in scenario.hardware.stocks}
    if isinstance(plan, Plan):
        assert plan.predictions is not None
        for entry in plan.engines:
            memory, stock = plan.predictions.memory_bytes_per_gpu, _stock(stocks, entry.accelerator)
            yield from [Kind("aggregated", entry.strategy, memory, stock, scenario)] * entry.count
        return
    for one in plan.engines:
        if one.parts:
            raise InputError(
                f"{one.name} runs one pipeline over two types of card ({one.accelerator}), which no engine here does",
                help="name the engine in the scenario (engine: vllm) and solve again: pipelines then keep to one card",
            )
        assert one.strategy is not None and one.memory_bytes_per_gpu is not None
        role: Role = one.role if scenario.workload.decodes else "aggregated"  # with nothing to send on, it does all
        kind = Kind(role, one.strategy, one.memory_bytes_per_gpu, _stock(stocks, one.accelerator), scenario)
        yield from [kind] * one.count


def _stock(stocks: dict[str, Stock], name: str) -> Stock:
    if name not in stocks:
        raise InputError(f"the plan's engines stand on {name[:60]!r}, which its hardware does not have")
    return stocks[name]


def _seats(placement: Sequence[Rank]) -> dict[int, tuple[tuple[int, tuple[int, ...]], ...]]:
    found: dict[int, dict[int, list[int]]] = {}
    for rank in sorted(placement, key=lambda one: (one.engine, one.rank)):
        found.setdefault(rank.engine, {}).setdefault(rank.node, []).append(rank.gpu)
    return {engine: tuple((node, tuple(gpus)) for node, gpus in by.items()) for engine, by in found.items()}
