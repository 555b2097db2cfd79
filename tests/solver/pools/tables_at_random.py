"""Random engine tables and terms. Few different times, sizes and rates, so that ties and limits on pairs matter."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from .dynamic_programme import ROLES, Row, Terms, deployments

OBJECTIVES = ("balanced", "latency", "throughput", "throughput-per-gpu", "fewest-gpus", "cost", "throughput-per-cost")
MODES = (("any",), ("aggregated",), ("disaggregated",), ("aggregated", "disaggregated"), ("any", "aggregated"))
MOST_DEPLOYMENTS = 3_000
"""Choices of counts that are tried one by one."""


@st.composite
def engines(draw: st.DrawFn, *, sizes: int = 6, cards: tuple[str, ...] = ("",), fine: bool = True) -> Row:
    """One engine. `fine`: rates may have six digits, so that sums hardly ever tie."""
    role = draw(st.sampled_from(ROLES))
    ticks = st.integers(1, 4)
    rate = draw(st.integers(1, 12)) * 250_000
    if fine and draw(st.booleans()):
        rate += draw(st.integers(0, 249_999))
    return Row(
        role,
        draw(st.integers(1, sizes) | st.integers(1, 2)),
        rate,
        draw(st.none() | st.integers(1, 3)) if role == "decode" else draw(ticks),
        None if role == "prefill" else draw(ticks),
        draw(st.sampled_from(cards)),
        draw(st.none() | st.integers(1, 12).map(lambda steps: 5_000 * steps)),
    )


def seldom(values: st.SearchStrategy[int], otherwise: int | None = 0) -> st.SearchStrategy[int | None]:
    """A limit in one of four cases, so that several at once do not leave every problem without an answer."""
    return st.integers(1, 4).flatmap(lambda one: values if one == 4 else st.just(otherwise))


@st.composite
def problems(
    draw: st.DrawFn, objectives: st.SearchStrategy[tuple[str, ...]], *, cards: int = 1, least: bool = True
) -> tuple[list[Row], Terms]:
    """A small table and terms. `least`: more GPUs may have to be used than a deployment needs."""
    names = ("",) if cards == 1 else tuple("xy"[:cards])
    chosen = draw(objectives)
    one = engines(cards=(*names * 4, ""), fine="throughput-per-cost" not in chosen)
    number = draw(st.sampled_from([12, 10, 8, 7, 6, 5, 4, 3, 2, 1]))
    rows = draw(st.lists(one, min_size=number, max_size=number))
    quarters = st.integers(1, 8).map(lambda steps: 250_000 * steps)
    terms = Terms(
        modes=draw(st.sampled_from([MODES[0], *MODES])),
        distinct=draw(st.sampled_from([None, None, None, 1, 2])),
        ttft=draw(st.sampled_from([None, 5, 4, 4, 3])),
        tpot=draw(seldom(st.integers(1, 4), None)),
        rate=draw(seldom(quarters)),
        request_rate=draw(seldom(quarters)),
        rate_per_gpu=draw(seldom(st.integers(1, 4).map(lambda steps: 125_000 * steps))),
        output_tokens=draw(st.sampled_from([None, 1, 2, 5])),
        objectives=chosen,
        percent=draw(st.sampled_from([1, 1, 0, 10, 25])),
        prices=tuple(draw(st.integers(1, 6)) * 5_000 for _ in names),
    )
    every = least and draw(st.sampled_from([False, False, False, True]))
    if cards > 1:
        stock = tuple((name, draw(st.integers(2, 7))) for name in names)
        return few(rows, replace(terms, inventory=stock, all_gpus=every))
    most = draw(st.sampled_from([14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]))
    if draw(st.booleans()):
        return few(rows, replace(terms, gpus=(draw(st.integers(1, most)) if every else 1, most)))
    return few(rows, replace(terms, gpus=most, all_gpus=every))


def few(rows: list[Row], terms: Terms) -> tuple[list[Row], Terms]:
    """As many of the rows as can be tried in all numbers."""
    kept = [row for row in rows if terms.allows(row)]
    while deployments(kept, terms.most) > MOST_DEPLOYMENTS:
        rows = [row for row in rows if row is not kept[-1]]
        kept.pop()
    return rows, terms


@st.composite
def large_problems(draw: st.DrawFn) -> tuple[list[Row], Terms]:
    """Many rows and GPUs of one card, with limits on pairs."""
    number, sizes = draw(st.integers(12, 60)), draw(st.sampled_from([8, 16]))
    rows = draw(st.lists(engines(sizes=sizes), min_size=number, max_size=number))
    most = draw(st.integers(8, 64))
    return rows, Terms(
        gpus=draw(st.sampled_from([most, (draw(st.integers(1, most)), most)])),
        modes=draw(st.sampled_from(MODES)),
        ttft=draw(st.none() | st.integers(2, 5)),
        tpot=draw(st.none() | st.integers(2, 4)),
        rate=draw(seldom(st.integers(1, 40).map(lambda steps: 500_000 * steps))),
        rate_per_gpu=draw(seldom(st.integers(1, 5).map(lambda steps: 125_000 * steps))),
        prices=(10_000,),
    )
