"""GPUs by card: how many exist, how many are used, how many must be (models/hardware.py, models/table_scenario.py)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from shardwise.models.deployment import DeploymentPlan, PoolEngine
from shardwise.models.hardware import GpuRange
from shardwise.models.plan import Finding
from shardwise.models.scenario import Scenario
from shardwise.models.table_scenario import ANY_CARD, TableScenario

from ..deployment import node_size
from ..structure import LARGEST_CLUSTER
from ..text import equal, nothing_wrong, rule, show


@dataclass(frozen=True)
class Card:
    """The GPUs of one type: how many exist, and the nodes that they fill, numbered card by card."""

    name: str
    gpus: int
    first_node: int
    nodes: int


def _stocks(scenario: Scenario | TableScenario) -> dict[str, int]:
    hardware = scenario.hardware
    if isinstance(scenario, Scenario):
        if scenario.hardware.inventory:
            return {stock.accelerator.id: stock.gpus for stock in scenario.hardware.inventory}
        name = scenario.hardware.accelerator.id
    else:
        if scenario.hardware.inventory:
            return {stock.accelerator: stock.gpus for stock in scenario.hardware.inventory}
        name = ANY_CARD
    if hardware.gpus is None:
        return {name: LARGEST_CLUSTER}
    return {name: hardware.gpus.max if isinstance(hardware.gpus, GpuRange) else hardware.gpus}


def cards_of(scenario: Scenario | TableScenario) -> list[Card]:
    """The cards of a cluster in order. Nodes are those of the scenario; a table has none."""
    sizes = [1] * len(scenario.hardware.inventory or (0,))
    if isinstance(scenario, Scenario):
        sizes = [node_size(scenario.hardware.on(stock)) for stock in scenario.hardware.stocks]
    cards, first = [], 0
    for (name, gpus), size in zip(_stocks(scenario).items(), sizes, strict=True):
        cards.append(Card(name, gpus, first, math.ceil(gpus / size)))
        first += cards[-1].nodes
    return cards


def card_of(scenario: Scenario | TableScenario, entry: PoolEngine) -> str:
    """The name of an engine's card among the cluster's; a table without inventory has one nameless type."""
    nameless = isinstance(scenario, TableScenario) and not scenario.hardware.inventory
    return ANY_CARD if nameless else entry.accelerator


def taken_by(scenario: Scenario | TableScenario, entry: PoolEngine) -> dict[str, int]:
    """GPUs of one engine, by card."""
    if not entry.parts or isinstance(scenario, TableScenario):
        return {card_of(scenario, entry): entry.gpus_per_engine}
    taken: dict[str, int] = {}
    for part in entry.parts:
        taken[part.accelerator] = taken.get(part.accelerator, 0) + part.gpus
    return taken


def check_gpus(plan: DeploymentPlan) -> list[Finding]:
    """GPUs used and idle: of every pool, of every card, of all."""
    scenario, cards = plan.scenario, cards_of(plan.scenario)
    taken = dict.fromkeys((card.name for card in cards), 0)
    for entry in plan.engines:
        for name, gpus in taken_by(scenario, entry).items():
            taken[name] = taken.get(name, 0) + entry.count * gpus
    used, exist = sum(taken.values()), sum(card.gpus for card in cards)
    findings = [
        equal(f"gpus.{pool.role}", pool.gpus, sum(one.count * one.gpus_per_engine for one in pool.engines), "GPUs")
        for pool in plan.pools
    ]
    findings += [
        equal("gpus.used", plan.gpus_used, used, "GPUs"),
        equal("gpus.idle", plan.gpus_idle, exist - used, "GPUs"),
        nothing_wrong("gpus.idle_by_card", _idle(plan, cards, taken), "every idle GPU under its card"),
        nothing_wrong("gpus.stock", _too_many(cards, taken), "no card has more GPUs in use than exist"),
    ]
    hardware = scenario.hardware
    least = hardware.gpus.min if isinstance(hardware.gpus, GpuRange) else 1
    findings.append(rule("gpus.range", least <= used <= exist, show(used, "GPUs"), f"{least:,} to {exist:,} GPUs"))
    if hardware.use_all_gpus:
        findings.append(equal("gpus.use_all", used, exist, "GPUs"))
    placed = used if isinstance(scenario, Scenario) else 0
    return [*findings, equal("gpus.placed", len(plan.placement), placed, "GPUs")]


def _idle(plan: DeploymentPlan, cards: list[Card], taken: dict[str, int]) -> Iterator[tuple[str, str]]:
    said = {idle.accelerator: idle.gpus for idle in plan.idle}
    if len(said) < len(plan.idle):
        yield "a card stands twice", "every card once"
    for name in said.keys() - {card.name for card in cards}:
        yield f"{said[name]:,} of '{name}'", "no such card"
    for card in cards:
        left = max(0, card.gpus - taken[card.name])
        if said.get(card.name, 0) != left:
            yield f"{said.get(card.name, 0):,} of '{card.name}'", f"{left:,}"


def _too_many(cards: list[Card], taken: dict[str, int]) -> Iterator[tuple[str, str]]:
    exist = {card.name: card.gpus for card in cards}
    for name, gpus in taken.items():
        if gpus > exist.get(name, 0):
            yield f"{gpus:,} GPUs of '{name}' in use", f"{exist.get(name, 0):,} exist"
