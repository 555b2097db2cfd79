"""Every used GPU of a deployment and what it holds. Nodes are numbered card by card, engines pool by pool."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import Scenario
from ...models.deployment import PoolEngine
from ...models.plan import Rank
from ..placement import held
from .engines import Card
from .packing import pack


def place_pools(scenario: Scenario, cards: Sequence[Card], entries: Sequence[PoolEngine]) -> tuple[Rank, ...]:
    """All ranks, engine by engine. Whole nodes first; then remainders, which share nodes."""
    numbered = [(entry, number) for number, entry in enumerate(e for e in entries for _ in range(e.count))]
    seats: dict[tuple[int, str], list[tuple[int, int]]] = {}
    first_node = 0
    for card in cards:
        here = [(number, entry.stands_on[card.name]) for entry, number in numbered if card.name in entry.stands_on]
        seats |= {(number, card.name): own for number, own in _seats(card, here, first_node).items()}
        first_node += card.full_nodes + (card.tail > 0)
    ranks: list[Rank] = []
    for entry, number in numbered:
        assert entry.strategy is not None
        own = [seat for name in entry.stands_on for seat in seats[number, name]]
        for rank, (node, gpu) in enumerate(own):
            holds = held(scenario, entry.strategy, rank)
            ranks.append(Rank.model_construct(engine=number, rank=rank, node=node, gpu=gpu, **holds))  # type: ignore[arg-type]
    return tuple(ranks)


def _seats(card: Card, engines: list[tuple[int, int]], first_node: int) -> dict[int, list[tuple[int, int]]]:
    """(node, GPU) of each rank of each engine, by its number."""
    rests = [(number, gpus % card.node) for number, gpus in engines if gpus % card.node]
    whole = sum(gpus // card.node for _, gpus in engines)
    shared = dict(zip((number for number, _ in rests), pack(card, [rest for _, rest in rests]), strict=True))
    used: dict[int, int] = {}
    places: dict[int, list[tuple[int, int]]] = {}
    next_node = 0
    for number, gpus in engines:
        own = [(first_node + next_node + node, gpu) for node in range(gpus // card.node) for gpu in range(card.node)]
        next_node += gpus // card.node
        if number in shared:
            node = card.full_nodes if shared[number] < 0 else whole + shared[number]
            begin = used.get(node, 0)
            used[node] = begin + gpus % card.node
            own += [(first_node + node, begin + gpu) for gpu in range(gpus % card.node)]
        places[number] = own
    if any(node >= card.full_nodes + (card.tail > 0) for node in used) or whole > card.full_nodes:
        raise ValueError("the engines do not fit the nodes")
    return places
