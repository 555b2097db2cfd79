"""What the placement holds, counted from the placement alone: every part of the model exactly once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate

from shardwise.models.plan import Finding, Plan, Rank

from .shapes import layer_kinds
from .text import nothing_wrong

Interval = tuple[int, int]
Difference = tuple[str, str]


def tiles(intervals: Iterable[Interval], begin: int, end: int, what: str) -> Iterator[Difference]:
    """Differences between sorted intervals and one gapless, overlap-free cover of begin to end."""
    place = begin
    for first, last in sorted(intervals):
        if last <= first:
            yield f"{what} {first:,} to {last:,}", "a range that holds something"
        elif first < place:
            yield f"{what} {first:,} held again", f"{what} {first:,} held once"
        elif first > place:
            yield f"no {what} {place:,}", f"{what} {place:,} held once"
        place = max(place, last)
    if place != end:
        yield f"{what} up to {place:,}", f"{what} up to {end:,}"


def check_coverage(plan: Plan) -> list[Finding]:
    """Query heads per attention replica, experts per engine: every one in every layer, exactly once."""
    return [
        nothing_wrong("coverage.attention", _attention(plan), "every layer and query head once per replica"),
        nothing_wrong("coverage.experts", _experts(plan), "every layer, expert and column once per engine"),
    ]


def _engines(plan: Plan) -> dict[int, list[Rank]]:
    """The ranks of every engine; engines that have none are there too."""
    count = sum(engine.count for engine in plan.engines)
    if count > len(plan.placement):
        raise ValueError(f"{count:,} engines have only {len(plan.placement):,} ranks")
    ranks: dict[int, list[Rank]] = {index: [] for index in range(count)}
    for rank in plan.placement:
        ranks.setdefault(rank.engine, []).append(rank)
    return ranks


def _attention(plan: Plan) -> Iterator[Difference]:
    model = plan.scenario.model
    engines = _engines(plan)
    replicas_of = [
        engine.strategy.data * engine.strategy.context for engine in plan.engines for _ in range(engine.count)
    ]
    for engine, ranks in engines.items():
        replicas: dict[Interval, dict[Interval, list[Interval]]] = defaultdict(lambda: defaultdict(list))
        for rank in ranks:
            replicas[rank.data, rank.context][rank.layers].append(rank.heads)
        expected = replicas_of[engine] if engine < len(replicas_of) else 0
        if len(replicas) != expected:
            yield f"engine {engine:,}: {len(replicas):,} attention replicas", f"{expected:,}"
        for (data, context), stages in replicas.items():
            where = f"engine {engine:,} data {data:,} context {context:,}"
            yield from tiles(stages, 0, model.layers, f"{where}: layer")
            for layers, heads in stages.items():
                yield from tiles(heads, 0, model.attention.heads, f"{where} layers from {layers[0]:,}: head")


def _experts(plan: Plan) -> Iterator[Difference]:
    model = plan.scenario.model
    kinds = layer_kinds(model)
    before = [0, *accumulate(int(layer.expert) for layer in kinds)]  # expert layers ahead of each layer
    for engine, ranks in _engines(plan).items():
        stages: dict[Interval, dict[Interval, list[Interval]]] = defaultdict(lambda: defaultdict(list))
        for rank in ranks:
            held = (before[rank.layers[0]], before[rank.layers[1]])
            if held[0] < held[1]:
                stages[held][rank.experts].append(rank.expert_columns)
            elif rank.experts != (0, 0) or rank.expert_columns != (0, 0):
                yield f"engine {engine:,} rank {rank.rank:,}: experts", "none: its layers are dense"
        if model.experts is None:
            continue
        where = f"engine {engine:,}"
        yield from tiles(stages, 0, before[-1], f"{where}: expert layer")
        for layers, experts in stages.items():
            within = f"{where} layers from {layers[0]:,}"
            yield from tiles(experts, 0, model.experts.count, f"{within}: expert")
            for some, columns in experts.items():
                what = f"{within} experts from {some[0]:,}: column"
                yield from tiles(columns, 0, model.experts.width, what)
