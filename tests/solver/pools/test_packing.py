"""Engines onto nodes against bin packing by trying every node for every remainder."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model
from shardwise.solver.pools.engines import Card
from shardwise.solver.pools.packing import pack, post

AWKWARD = (3, 5, 6, 7)
"""Remainders on nodes of 8 that do not divide each other."""


@cache
def fits(rests: tuple[int, ...], free: tuple[int, ...]) -> bool:
    """Whether remainders (largest first) fit nodes with so many free GPUs (sorted)."""
    if not rests:
        return True
    for place, room in enumerate(free):
        if room >= rests[0] and room not in free[:place]:
            left = tuple(sorted((*free[:place], room - rests[0], *free[place + 1 :])))
            if fits(rests[1:], left):
                return True
    return False


def fit(card: Card, engines: Sequence[int]) -> bool:
    """Whether engines of so many GPUs each fit the nodes of a card."""
    nodes = card.gpus // card.node - sum(size // card.node for size in engines)
    rests = tuple(sorted((size % card.node for size in engines if size % card.node), reverse=True))
    return nodes >= 0 and fits(rests, tuple(sorted([card.node] * nodes + [card.gpus % card.node])))


def fewest_nodes(card: Card, rests: Sequence[int]) -> int:
    """Whole nodes that remainders take at least, beside the partial one."""
    tail, order = card.gpus % card.node, tuple(sorted(rests, reverse=True))
    return next(k for k in itertools.count() if fits(order, tuple(sorted([card.node] * k + [tail]))))


def allows(card: Card, counts: dict[int, int]) -> bool:
    """Whether the model takes so many engines of each size."""
    model = cp_model.CpModel()
    post(model, card, [(size, model.new_int_var(count, count, f"of_{size}")) for size, count in counts.items()])
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    assert status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.INFEASIBLE)
    return status != cp_model.INFEASIBLE


@st.composite
def cards(draw: st.DrawFn) -> Card:
    """Nodes of 8, or of an unusual size; the last one may be partial."""
    node = draw(st.sampled_from([8, 8, 8, 4, 6, 9, 16]))
    return Card("x", draw(st.integers(1, 4)) * node + draw(st.integers(0, node - 1)), node)


sizes = st.sampled_from([*AWKWARD, *AWKWARD, 1, 2, 4, 8, 9, 11, 13, 16, 24])


@settings(max_examples=250)
@given(cards(), st.lists(sizes, min_size=1, max_size=9))
def test_counts_fit(card: Card, engines: list[int]) -> None:
    assert allows(card, dict(Counter(engines))) == fit(card, engines)


@settings(max_examples=100)
@given(st.integers(0, 7), st.lists(st.sampled_from(AWKWARD), min_size=2, max_size=8))
def test_awkward_sizes_that_fit_by_volume(tail: int, rests: list[int]) -> None:
    """As many nodes as the GPUs need, and one more."""
    nodes = -(-sum(rests) // 8)
    for more in (0, 1):
        card = Card("x", 8 * (nodes + more) + tail, 8)
        assert allows(card, dict(Counter(rests))) == fit(card, rests)


@pytest.mark.parametrize(
    ("gpus", "counts", "possible"),
    [
        (16, {5: 2, 3: 2}, True),
        (16, {6: 2, 3: 1}, False),  # 15 GPUs, but 6 + 6 + 3 needs a third node
        (24, {6: 2, 3: 2}, True),
        (19, {6: 2, 3: 1}, True),  # the partial node of 3 takes it
        (18, {6: 2, 3: 1}, False),
        (13, {5: 2, 3: 1}, True),
        (12, {5: 2}, False),
        (16, {13: 1, 3: 1}, True),
        (16, {13: 1, 3: 2}, False),
        (24, {8: 3}, True),
        (31, {8: 4}, False),
    ],
)
def test_by_hand(gpus: int, counts: dict[int, int], possible: bool) -> None:
    assert allows(Card("x", gpus, 8), counts) is possible


@settings(max_examples=60)
@given(cards(), st.lists(sizes, min_size=1, max_size=4, unique=True))
def test_most_engines(card: Card, kinds: list[int]) -> None:
    """The largest number of GPUs that a free choice of counts takes."""
    model = cp_model.CpModel()
    counts = [model.new_int_var(0, card.gpus // size, f"of_{size}") for size in kinds]
    post(model, card, list(zip(kinds, counts, strict=True)))
    model.maximize(sum(size * count for size, count in zip(kinds, counts, strict=True)))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    chosen = [size for size, count in zip(kinds, counts, strict=True) for _ in range(solver.value(count))]
    assert fit(card, chosen)
    best = max(
        sum(size * count for size, count in zip(kinds, tried, strict=True))
        for tried in itertools.product(*(range(min(card.gpus // size, 6) + 1) for size in kinds))
        if sum(size * count for size, count in zip(kinds, tried, strict=True)) <= card.gpus
        and fit(card, [size for size, count in zip(kinds, tried, strict=True) for _ in range(count)])
    )
    assert sum(chosen) >= best


def assert_packed(card: Card, rests: list[int]) -> None:
    """Every remainder has a seat, no node holds too much, and no packing takes fewer whole nodes."""
    seats, used = pack(card, rests), Counter[int]()
    assert len(seats) == len(rests)
    for node, rest in zip(seats, rests, strict=True):
        used[node] += rest
    assert used.pop(-1, 0) <= card.tail
    assert all(held <= card.node for held in used.values())
    assert set(used) == set(range(fewest_nodes(card, rests)))


@settings(max_examples=250)
@given(cards(), st.data())
def test_seats(card: Card, data: st.DataObject) -> None:
    some = st.sampled_from([size for size in (*AWKWARD, 1, 2, 4) if size < card.node])
    assert_packed(card, data.draw(st.lists(some, max_size=10)))


@pytest.mark.parametrize("tail", range(8))
@pytest.mark.parametrize("rests", [[4, 4, 3, 3, 2, 2, 2, 2, 2], [3, 3, 2, 2, 2, 2, 2], [5, 3, 3, 5, 6, 2], [3] * 8, []])
def test_seats_where_the_largest_first_may_waste(rests: list[int], tail: int) -> None:
    assert_packed(Card("x", 80 + tail, 8), rests)
