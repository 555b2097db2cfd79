"""The ladder of solver/pools against a dynamic programme in plain loops, and the deployments that it names."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.solver.pools.engines import AGGREGATED, DECODE, PREFILL, Engines
from shardwise.solver.pools.ladder import Ladder, with_item
from shardwise.solver.pools.linear import INFINITE

from . import tables_at_random as at_random
from .dynamic_programme import Row, Terms, best_by_gpus

ROLE = {"prefill": PREFILL, "decode": DECODE, "aggregated": AGGREGATED}
Problem = tuple[list[Row], Terms]


def engines_of(rows: Sequence[Row]) -> Engines:
    """Rows as columns; times in ticks."""

    def column(values: Sequence[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    gpus, nothing = column([row.gpus for row in rows]), np.zeros(len(rows), dtype=np.int64)
    return Engines(
        role=column([ROLE[row.role] for row in rows]),
        on=gpus[:, None],
        gpus=gpus,
        load=nothing,
        rate=column([row.rate for row in rows]),
        asks=nothing,
        ttft=column([row.ttft or 0 for row in rows]),
        latency=nothing,
        tpot=nothing,
        price=nothing,
        identity=np.arange(len(rows)),
        exact=np.ones(len(rows), dtype=bool),
        usable=np.ones(len(rows), dtype=bool),
    )


def ladder_of(rows: Sequence[Row], terms: Terms) -> tuple[list[Row], Ladder]:
    """The ladder over the rows that may be used."""
    kept = [row for row in rows if terms.allows(row)]
    e = engines_of(kept)
    far = np.full(len(kept), INFINITE) if terms.ttft is None else terms.ttft - e.ttft
    return kept, Ladder.of(e, terms.most, far, mixes=terms.mixes, decodes=True)


def assert_reached(rows: Sequence[Row], terms: Terms, ladder: Ladder, gpus: int) -> None:
    """The deployment of a rung is legal, stands on so many GPUs, and carries what the rung says."""
    used = [(rows[i], count) for i, count in ladder.deployment(gpus).items()]
    assert all(count > 0 for _, count in used)
    assert sum(row.gpus * count for row, count in used) <= gpus
    of = {role: [(row, count) for row, count in used if row.role == role] for role in ROLE}
    rates = {role: sum(row.rate * count for row, count in some) for role, some in of.items()}
    assert rates["aggregated"] + min(rates["prefill"], rates["decode"]) == ladder.best[gpus]
    for (sender, _), (taker, _) in itertools.product(of["prefill"], of["decode"]):
        assert terms.ttft is None or (sender.ttft or 0) + (taker.ttft or 0) <= terms.ttft
    assert bool(of["prefill"]) == bool(of["decode"])
    assert terms.mixes or not (of["aggregated"] and of["prefill"])


@settings(max_examples=50)
@given(at_random.large_problems())
def test_every_rung(problem: Problem) -> None:
    rows, ladder = ladder_of(*problem)
    exactly = best_by_gpus(*problem)
    assert ladder.best.tolist() == list(itertools.accumulate(exactly, max))
    for gpus in {0, 1, problem[1].most // 2, problem[1].most - 1, problem[1].most}:
        assert_reached(rows, problem[1], ladder, gpus)


@settings(max_examples=100)
@given(st.lists(at_random.engines(), max_size=6), st.integers(1, 20), st.none() | st.integers(1, 5), st.booleans())
def test_few_rows(rows: list[Row], gpus: int, ttft: int | None, mixes: bool) -> None:
    terms = Terms(gpus=gpus, ttft=ttft, modes=("any",) if mixes else ("aggregated", "disaggregated"))
    kept, ladder = ladder_of(rows, terms)
    assert ladder.best.tolist() == list(itertools.accumulate(best_by_gpus(rows, terms), max))
    for rung in range(gpus + 1):
        assert_reached(kept, terms, ladder, rung)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2**42)), max_size=6), st.integers(0, 30))
def test_with_item(items: list[tuple[int, int]], gpus: int) -> None:
    """Any number of every item, in any order, by one loop."""
    best, plain = np.zeros(gpus + 1, dtype=np.int64), [0] * (gpus + 1)
    for size, rate in items:
        before = best.copy()
        larger = with_item(best, size, rate)
        assert best.tolist() == before.tolist()
        best = larger
    for room in range(gpus + 1):
        plain[room] = max((plain[room - size] + rate for size, rate in items if size <= room), default=0)
    assert best.tolist() == plain


@pytest.mark.parametrize("size", [1, 4, 5, 6, 100])
def test_an_item_as_large_as_the_room(size: int) -> None:
    best = with_item(np.zeros(6, dtype=np.int64), size, 7)
    assert best.tolist() == [7 * (gpus // size) for gpus in range(6)]


def test_only_prefill() -> None:
    """Where nothing is decoded, prefill engines do the work."""
    e = engines_of([Row("prefill", 3, 5, 1), Row("prefill", 2, 3, 1)])
    ladder = Ladder.of(e, 7, np.full(2, INFINITE), mixes=True, decodes=False)
    assert ladder.best.tolist() == [0, 0, 3, 5, 6, 8, 10, 11]
    assert ladder.deployment(7) == {0: 1, 1: 2}
