"""The ladder of solver/pools against a dynamic programme in plain loops, and the deployments that it names."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.solver.pools import ladder as ladder_module
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
    return kept, Ladder.of(e, (terms.most,), far, mixes=terms.mixes, decodes=True)


def assert_reached(rows: Sequence[Row], terms: Terms, ladder: Ladder, gpus: int) -> None:
    """The deployment of a rung is legal, stands on so many GPUs, and carries what the rung says."""
    used = [(rows[i], count) for i, count in ladder.deployment((gpus,)).items()]
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
        larger = with_item(best, (size,), rate)
        assert best.tolist() == before.tolist()
        best = larger
    for room in range(gpus + 1):
        plain[room] = max((plain[room - size] + rate for size, rate in items if size <= room), default=0)
    assert best.tolist() == plain


@pytest.mark.parametrize("size", [1, 4, 5, 6, 100])
def test_an_item_as_large_as_the_room(size: int) -> None:
    best = with_item(np.zeros(6, dtype=np.int64), (size,), 7)
    assert best.tolist() == [7 * (gpus // size) for gpus in range(6)]


def test_only_prefill() -> None:
    """Where nothing is decoded, prefill engines do the work."""
    e = engines_of([Row("prefill", 3, 5, 1), Row("prefill", 2, 3, 1)])
    ladder = Ladder.of(e, (7,), np.full(2, INFINITE), mixes=True, decodes=False)
    assert ladder.best.tolist() == [0, 0, 3, 5, 6, 8, 10, 11]
    assert ladder.deployment((7,)) == {0: 1, 1: 2}


# --- several cards ----------------------------------------------------------------------------------------------------

Kind = tuple[int, tuple[int, int], int, int]
"""Role, GPUs of two cards, rate, prefill part or (of a decode engine) the longest it can wait for."""
KINDS = st.tuples(
    st.sampled_from([PREFILL, DECODE, AGGREGATED]),
    st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(any),
    st.integers(1, 30),
    st.integers(1, 3),
)


def plainly(kinds: Sequence[Kind], there: tuple[int, int], mixes: bool) -> int:
    """The highest rate by trying all counts."""
    most = [min(n // s for n, s in zip(there, size, strict=True) if s) for _, size, _, _ in kinds]
    best = 0
    for counts in itertools.product(*(range(n + 1) for n in most)):
        used = [(kind, count) for kind, count in zip(kinds, counts, strict=True) if count]
        if any(sum(kind[1][card] * count for kind, count in used) > there[card] for card in (0, 1)):
            continue
        rates = [sum(rate * count for (role, _, rate, _), count in used if role == which) for which in range(3)]
        sent = max((part for (role, _, _, part), _ in used if role == PREFILL), default=0)
        waited = min((part for (role, _, _, part), _ in used if role == DECODE), default=3)
        if (sent <= waited) and bool(rates[PREFILL]) == bool(rates[DECODE]) and (mixes or not all(rates)):
            best = max(best, rates[AGGREGATED] + min(rates[PREFILL], rates[DECODE]))
    return best


@settings(max_examples=60)
@given(st.lists(KINDS, max_size=5), st.tuples(st.integers(0, 4), st.integers(0, 3)), st.booleans())
def test_two_cards(kinds: list[Kind], there: tuple[int, int], mixes: bool) -> None:
    e = engines_of([Row("aggregated", sum(size), rate, 0) for _, size, rate, _ in kinds])
    role, parts = np.array([kind[0] for kind in kinds], dtype=np.int64), np.array([kind[3] for kind in kinds])
    e.role, e.on = role, np.array([kind[1] for kind in kinds], dtype=np.int64).reshape(-1, 2)
    e.ttft = np.where(role == PREFILL, parts, 0).astype(np.int64)
    ladder = Ladder.of(e, there, np.where(role == DECODE, parts, 9).astype(np.int64), mixes=mixes, decodes=True)
    for rung in np.ndindex(*ladder.best.shape):
        fits = [kind for kind in kinds if all(s <= n for s, n in zip(kind[1], rung, strict=True))]
        assert ladder.best[rung] == plainly(fits, rung, mixes)  # type: ignore[arg-type]
    counts = ladder.deployment(there)
    used = [(kinds[i], count) for i, count in counts.items()]
    assert all(sum(kind[1][card] * count for kind, count in used) <= there[card] for card in (0, 1))
    assert plainly([kind for kind, _ in used], there, mixes) == ladder.best[there]


@settings(max_examples=60)
@given(st.data(), st.tuples(st.integers(1, 5), st.integers(1, 4)), st.sampled_from([np.add, np.minimum]))
def test_two_ways_to_combine(data: st.DataObject, shape: tuple[int, int], how: np.ufunc) -> None:
    """All ways at once, and rung by rung where these are too many."""
    drawn = st.lists(st.integers(0, 9), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
    first, second = (
        np.maximum.accumulate(np.maximum.accumulate(np.reshape(data.draw(drawn), shape), axis=0), axis=1)
        for _ in range(2)
    )
    with pytest.MonkeyPatch.context() as patch:
        at_once = ladder_module.combined(first, second, how)
        patch.setattr(ladder_module, "_AT_ONCE", 0)
        assert ladder_module.combined(first, second, how).tolist() == at_once.tolist()
    for i, j in np.ndindex(*shape):
        ways = [how(first[a, b], second[i - a, j - b]) for a in range(i + 1) for b in range(j + 1)]
        assert at_once[i, j] == max(ways)
