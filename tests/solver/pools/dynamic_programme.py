"""The best deployment of a table's engines by plain loops over integers: no constraint solver, nothing of solver/.

`figures_of` lists what every legal deployment comes to (small tables); `best_by_gpus` is a dynamic programme over the
GPUs for larger ones. Rates are counted in millionths of a request/s, times in steps of 62.5 ms, prices in hundredths
of a cent per hour. Times are multiples of 1/16 s, which floats hold exactly, so that a limit is kept or broken and
nothing in between.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

TICK_MS = 62.5
TICK_S = 0.0625
HEADER = "engine,role,gpus,batch,ttft_ms,tpot_ms,requests_per_s,accelerator,memory_gb,cost_per_hour"
ROLES = ("prefill", "decode", "aggregated")


@dataclass(frozen=True)
class Row:
    """One engine of a table, in whole steps; None is a blank cell."""

    role: str
    gpus: int
    rate: int
    ttft: int | None = None
    tpot: int | None = None
    card: str = ""
    price: int | None = None

    def cells(self, name: str) -> str:
        """Its line of the file."""
        ttft, tpot = ("" if ticks is None else f"{ticks * TICK_MS!r}" for ticks in (self.ttft, self.tpot))
        price = "" if self.price is None else f"{self.price / 10**4:.4f}"
        rate = f"{self.rate // 10**6}.{self.rate % 10**6:06d}"
        return f"{name},{self.role},{self.gpus},,{ttft},{tpot},{rate},{self.card},,{price}"


@dataclass(frozen=True)
class Terms:
    """What a deployment must keep, and what is best."""

    gpus: int | tuple[int, int] | None = None
    """At most; or at least and at most."""
    all_gpus: bool = False
    inventory: tuple[tuple[str, int], ...] = ()
    prices: tuple[int, ...] = ()
    """Of one GPU of each card; empty: the rows say it."""
    modes: tuple[str, ...] = ("any",)
    distinct: int | None = None
    ttft: int | None = None
    tpot: int | None = None
    rate: int = 0
    """requirements.throughput.requests"""
    request_rate: int = 0
    rate_per_gpu: int = 0
    output_tokens: int | None = None
    objectives: tuple[str, ...] = ("balanced",)
    percent: int = 1
    """Of the first objective that `balanced` may give up."""

    def scenario(self, table: Path) -> dict[str, Any]:
        """As a person writes it, in SI units."""
        hardware: dict[str, Any] = {"use_all_gpus": True} if self.all_gpus else {}
        if self.inventory:
            stocks: list[dict[str, Any]] = [{"accelerator": card, "gpus": gpus} for card, gpus in self.inventory]
            for stock, price in zip(stocks, self.prices, strict=False):
                stock["price_per_hour"] = price / 10**4
            hardware["inventory"] = stocks
        else:
            hardware |= {"price_per_hour": self.prices[0] / 10**4} if self.prices else {}
            hardware["gpus"] = {"min": self.gpus[0], "max": self.gpus[1]} if isinstance(self.gpus, tuple) else self.gpus
        limits: dict[str, Any] = {}
        limits |= {} if self.ttft is None else {"ttft": self.ttft * TICK_S}
        limits |= {} if self.tpot is None else {"tpot": self.tpot * TICK_S}
        limits |= {"throughput": {"requests": self.rate / 10**6}} if self.rate else {}
        limits |= {"throughput_per_gpu": {"requests": self.rate_per_gpu / 10**6}} if self.rate_per_gpu else {}
        load: dict[str, Any] = {"request_rate": self.request_rate / 10**6} if self.request_rate else {}
        load |= {} if self.output_tokens is None else {"output_tokens": self.output_tokens}
        return {
            "engines": {"table": str(table)},
            "hardware": hardware,
            "workload": load,
            "requirements": limits,
            "modes": list(self.modes),
            "distinct_strategies": self.distinct,
            "objective": self.objectives[0] if len(self.objectives) == 1 else list(self.objectives),
            "balance": self.percent / 100,
        }

    @property
    def cards(self) -> tuple[tuple[str, int], ...]:
        """GPUs by card."""
        return self.inventory or (("", self.most),)

    @property
    def most(self) -> int:
        """GPUs there are."""
        if self.inventory:
            return sum(gpus for _, gpus in self.inventory)
        assert self.gpus is not None
        return self.gpus[1] if isinstance(self.gpus, tuple) else self.gpus

    @property
    def least(self) -> int:
        """GPUs that must be used."""
        if self.all_gpus:
            return self.most
        return self.gpus[0] if isinstance(self.gpus, tuple) else 1

    def roles(self) -> set[str]:
        """What may be used at all."""
        pair, whole = {"prefill", "decode"}, {"aggregated"}
        every = "any" in self.modes
        return (pair if every or "disaggregated" in self.modes else set()) | (
            whole if every or "aggregated" in self.modes else set()
        )

    @property
    def mixes(self) -> bool:
        """Whether aggregated engines may stand beside the others."""
        return "any" in self.modes

    def allows(self, row: Row) -> bool:
        """Whether an engine may be used, as far as it alone decides."""
        on = row.card in dict(self.inventory) if self.inventory else True
        slow = self.tpot is not None and (row.tpot or 0) > self.tpot
        late = self.ttft is not None and (row.ttft or 0) > self.ttft
        return row.role in self.roles() and on and not slow and not late

    def keeps_floors(self, rate: int, gpus: int) -> bool:
        """Whether a deployment is large and fast enough."""
        return gpus >= self.least and rate >= max(self.rate, self.request_rate) and rate >= self.rate_per_gpu * gpus

    def price(self, row: Row) -> int:
        """Of one engine; its own, else that of its GPUs."""
        if row.price is not None:
            return row.price
        card = [name for name, _ in self.cards].index(row.card if self.inventory else "")
        return row.gpus * self.prices[card] if self.prices else 0

    def latency(self, row: Row) -> int:
        """Of one engine, or its part of a pair's, in ticks."""
        return (row.ttft or 0) + ((self.output_tokens or 2) - 1) * (row.tpot or 0)


@dataclass(frozen=True)
class Figures:
    """What a deployment comes to."""

    rate: int
    gpus: int
    price: int
    latency: int


@dataclass(frozen=True)
class _Pool:
    """The engines of one role in a deployment that is being put together."""

    rate: int = 0
    kinds: int = 0
    ttft: int = 0
    latency: int = 0


@dataclass(frozen=True)
class _Partial:
    """A deployment of the rows looked at so far."""

    used: tuple[int, ...]
    price: int = 0
    prefill: _Pool = field(default=_Pool())
    decode: _Pool = field(default=_Pool())
    aggregated: _Pool = field(default=_Pool())


def write_table(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as a file; engine i is called e<i>."""
    path.write_text("\n".join([HEADER, *(row.cells(f"e{i}") for i, row in enumerate(rows))]) + "\n", encoding="utf-8")
    return path


def deployments(rows: Sequence[Row], room: int) -> int:
    """How many choices of counts there are on so many GPUs, whatever else is demanded."""
    ways = [1] * (room + 1)  # by GPUs, at most
    for row in rows:
        for gpus in range(row.gpus, room + 1):
            ways[gpus] += ways[gpus - row.gpus]
    return ways[room]


def figures_of(rows: Sequence[Row], terms: Terms) -> set[Figures]:
    """What every legal deployment comes to: all counts of all rows are tried."""
    found = {_Partial((0,) * len(terms.cards))}
    for row in rows:
        if terms.allows(row):
            found = {larger for partial in found for larger in _with(partial, row, terms)}
    return {figures for partial in found if (figures := _finished(partial, terms)) is not None}


def _with(partial: _Partial, row: Row, terms: Terms) -> Iterator[_Partial]:
    """The deployment with 0, 1, 2 … engines of one more row."""
    yield partial
    place = [name for name, _ in terms.cards].index(row.card if terms.inventory else "")
    pool: _Pool = getattr(partial, row.role)
    if terms.distinct is not None and pool.kinds == terms.distinct:
        return
    room = terms.cards[place][1] - partial.used[place]
    for count in range(1, room // row.gpus + 1):
        larger = _Pool(
            pool.rate + count * row.rate,
            pool.kinds + 1,
            max(pool.ttft, row.ttft or 0),
            max(pool.latency, terms.latency(row)),
        )
        used = tuple(u + count * row.gpus * (i == place) for i, u in enumerate(partial.used))
        pools = {role: getattr(partial, role) for role in ROLES} | {row.role: larger}
        yield _Partial(used, partial.price + count * terms.price(row), **pools)


def _finished(partial: _Partial, terms: Terms) -> Figures | None:
    """Its figures, if it is legal as a whole."""
    prefill, decode, whole = partial.prefill, partial.decode, partial.aggregated
    if bool(prefill.kinds) != bool(decode.kinds) or not (prefill.kinds or whole.kinds):
        return None  # nobody to take the requests, or nobody to send them
    if prefill.kinds and whole.kinds and not terms.mixes:
        return None
    if terms.ttft is not None and prefill.ttft + decode.ttft > terms.ttft:  # the slowest of each make a pair
        return None
    rate, gpus = whole.rate + min(prefill.rate, decode.rate), sum(partial.used)
    if not terms.keeps_floors(rate, gpus):
        return None
    return Figures(rate, gpus, partial.price, max(whole.latency, prefill.latency + decode.latency))


Measure = Callable[[Figures], Fraction]
MEASURES: dict[str, tuple[Measure, int]] = {
    "throughput": (lambda f: Fraction(f.rate, 10**6), 1),
    "latency": (lambda f: Fraction(f.latency, 16), -1),
    "per-gpu": (lambda f: Fraction(f.rate, f.gpus * 10**6), 1),
    "per-cost": (lambda f: Fraction(f.rate * 3600, f.price * 100), 1),  # requests per unit of money
    "gpus": (lambda f: Fraction(f.gpus), -1),
    "cost": (lambda f: Fraction(f.price, 10**4), -1),
}
"""Every figure in SI units, and whether more (1) or less (-1) of it is better."""


def stages_of(terms: Terms) -> list[tuple[str, int | None]]:
    """The figures optimised in turn, each with the percentage that later ones may give up if any; none stands twice."""
    first = "per-gpu" if isinstance(terms.gpus, tuple) else "throughput"
    parts: dict[str, list[tuple[str, int | None]]] = {
        "balanced": [(first, terms.percent), ("latency", None), (first, None)],
        "throughput-per-gpu": [("per-gpu", None)],
        "throughput-per-cost": [("per-cost", None)],
        "fewest-gpus": [("gpus", None)],
    }
    every = [stage for name in terms.objectives for stage in parts.get(name, [(name, None)])]
    return list(dict.fromkeys([*every, ("throughput", None), ("latency", None), ("gpus", None)]))


def optimum(rows: Sequence[Row], terms: Terms) -> list[Fraction] | None:
    """The value of every stage, in SI units; None: no deployment is legal."""
    left = figures_of(rows, terms)
    if not left:
        return None
    values = []
    for kind, percent in stages_of(terms):
        measure, sign = MEASURES[kind]
        best = max(sign * measure(one) for one in left)
        kept = best if percent is None else best * Fraction(100 - percent, 100)
        left = {one for one in left if sign * measure(one) >= kept}
        values.append(sign * best)
    return values


NOTHING = -1
"""A number of GPUs that cannot be used exactly."""


def best_by_gpus(rows: Sequence[Row], terms: Terms) -> list[int]:
    """The highest rate on exactly 0, 1, 2 … GPUs of one card, without the floors; `NOTHING` where none is possible."""
    kept = [row for row in rows if terms.allows(row)]
    of = {role: [row for row in kept if row.role == role] for role in ROLES}
    whole, pairs = _knapsack(of["aggregated"], terms.most), [NOTHING] * (terms.most + 1)
    for slowest in sorted({row.ttft or 0 for row in of["prefill"]}):
        room = math.inf if terms.ttft is None else terms.ttft - slowest
        sending = _knapsack([row for row in of["prefill"] if (row.ttft or 0) <= slowest], terms.most)
        taking = _knapsack([row for row in of["decode"] if (row.ttft or 0) <= room], terms.most)
        for a, b in itertools.product(range(1, terms.most), repeat=2):
            if a + b <= terms.most and NOTHING not in (sending[a], taking[b]):
                pairs[a + b] = max(pairs[a + b], min(sending[a], taking[b]))
    best = [max(a, b) for a, b in zip(whole, pairs, strict=True)]
    if terms.mixes:
        for a, b in itertools.product(range(1, terms.most), repeat=2):
            if a + b <= terms.most and NOTHING not in (whole[a], pairs[b]):
                best[a + b] = max(best[a + b], whole[a] + pairs[b])
    return best


def _knapsack(rows: Sequence[Row], gpus: int) -> list[int]:
    """The highest rate on exactly so many GPUs, any number of engines of every row."""
    best = [0] + [NOTHING] * gpus
    for size in range(1, gpus + 1):
        tails = [best[size - row.gpus] + row.rate for row in rows if row.gpus <= size and best[size - row.gpus] >= 0]
        best[size] = max(tails, default=NOTHING)
    return best


def best_of(rows: Sequence[Row], terms: Terms, objective: str) -> tuple[Fraction, ...] | None:
    """The values of an objective and of the ties after it, as far as rate and GPUs decide them; None: infeasible."""
    best = best_by_gpus(rows, terms)
    legal = [(rate, gpus) for gpus, rate in enumerate(best) if gpus and rate >= 0 and terms.keeps_floors(rate, gpus)]
    if not legal:
        return None
    rates = [Fraction(rate, 10**6) for rate, _ in legal]
    if objective == "throughput":
        return (max(rates),)
    if objective == "throughput-per-gpu":
        each = [rate / gpus for rate, (_, gpus) in zip(rates, legal, strict=True)]
        return max(each), max(rate for rate, one in zip(rates, each, strict=True) if one == max(each))
    fewest = min(gpus for _, gpus in legal)
    return Fraction(fewest), max(rate for rate, (_, gpus) in zip(rates, legal, strict=True) if gpus == fewest)
