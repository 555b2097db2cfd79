"""Where the ranks of every engine are, card by card (docs/costs.md, sections 2 and 7)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from shardwise.models.deployment import DeploymentPlan, PoolEngine
from shardwise.models.plan import Finding, Rank
from shardwise.models.scenario import Scenario

from ..coverage import check_coverage
from ..deployment import read_cut
from ..placement import Kind as Placed
from ..placement import check_placement
from ..text import attempt, nothing_wrong
from .cards import Card, cards_of
from .kinds import about, plain
from .parts import Part, cards_under, on_card, own_pricing, part_of, parts_of, strategy_of


def entry_of(plan: DeploymentPlan, ends: list[int], rank: Rank) -> int | None:
    """The kind of engine that a rank belongs to, as an index; `ends`: one past the last engine of every kind."""
    index = bisect_right(ends, rank.engine)
    return index if rank.engine >= 0 and index < len(plan.engines) else None


def ends_of(plan: DeploymentPlan) -> list[int]:
    """One past the last engine of every kind; engines are numbered in the order of the plan."""
    return list(accumulate(entry.count for entry in plan.engines))


def check_placed(plan: DeploymentPlan) -> list[Finding]:
    """Every rank belongs to an engine and lies on a node of its card; on every card all is placed, once."""
    cards = cards_of(own_pricing(plan))
    findings = attempt("placement", _on_cards, plan, cards)
    for card in cards:
        if any(card.name in cards_under(entry) for entry in plan.engines):
            findings += attempt("placement", _placement, plan, card)
    return about(None, [*findings, *attempt("coverage", _coverage, plan)])


def _coverage(plan: DeploymentPlan) -> list[Finding]:
    return check_coverage(plain(plan, own_pricing(plan), plan.engines, plan.placement))


def _on_cards(plan: DeploymentPlan, cards: list[Card]) -> list[Finding]:
    wrong = _cards(plan, {card.name: card for card in cards})
    return [nothing_wrong("placement.cards", wrong, "every rank on a node of its engine's card")]


def _cards(plan: DeploymentPlan, cards: dict[str, Card]) -> Iterator[tuple[str, str]]:
    ends, parts = ends_of(plan), [parts_of(entry) for entry in plan.engines]
    for rank in plan.placement:
        index = entry_of(plan, ends, rank)
        if index is None:
            yield f"a rank of engine {rank.engine:,}", f"engines 0 to {ends[-1] - 1:,}"
            continue
        card = cards.get(_part(plan.engines[index], parts[index], rank).card)
        if card is None:
            yield f"engine {rank.engine:,} on a card that the cluster lacks", "one of its cards"
        elif not card.first_node <= rank.node < card.first_node + card.nodes:
            nodes = f"{card.first_node:,} to {card.first_node + card.nodes - 1:,}"
            yield f"engine {rank.engine:,} rank {rank.rank:,} on node {rank.node:,}", f"nodes {nodes} of '{card.name}'"


def _part(entry: PoolEngine, parts: list[Part], rank: Rank) -> Part:
    """The part of an engine that a rank belongs to, by its number."""
    return part_of(parts, rank.rank // _group(entry))


def _group(entry: PoolEngine) -> int:
    cut = strategy_of(entry)
    return cut.tensor * cut.context * cut.data


def _placement(plan: DeploymentPlan, card: Card) -> list[Finding]:
    """The engines, and parts of engines, of one card, each an engine of its own.

    Nodes, engines, and the ranks and stages of a part are numbered from 0; layers keep their numbers.
    """
    scenario, ends = on_card(own_pricing(plan), card.name), ends_of(plan)
    entries: list[PoolEngine] = []
    kinds: list[Placed] = []
    here: dict[int, tuple[Part, int]] = {}  # the part of a kind on this card, and by how much its engines move up
    every = [parts_of(entry) for entry in plan.engines]
    engines = 0
    for index, entry in enumerate(plan.engines):
        for part in every[index]:
            if part.card == card.name:
                here[index] = part, engines - (ends[index] - entry.count)
                entries.append(entry)
                kinds.append(_as_engine(scenario, entry, part, engines))
                engines += entry.count
    ranks = []
    for rank in plan.placement:
        kind = entry_of(plan, ends, rank)
        if kind is None or kind not in here:
            continue
        entry, (part, up) = plan.engines[kind], here[kind]
        if _part(entry, every[kind], rank) == part:
            first = part.stages.start
            place = {"engine": rank.engine + up, "node": rank.node - card.first_node, "stage": rank.stage - first}
            ranks.append(rank.model_copy(update=place | {"rank": rank.rank - first * _group(entry)}))
    return check_placement(plain(plan, scenario, entries, ranks), kinds)


def _as_engine(scenario: Scenario, entry: PoolEngine, part: Part, first: int) -> Placed:
    """The stages of a part as all stages of an engine that begins with a later layer."""
    strategy = strategy_of(entry)
    cut = replace(read_cut(strategy, scenario.hardware), pipeline=len(part.stages))
    begins = tuple(accumulate(strategy.layers_per_stage, initial=0))
    return Placed(first, first + entry.count, cut, begins[part.stages.start : part.stages.stop + 1])
