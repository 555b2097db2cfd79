"""What the count model chooses among: engines in integers, and the cluster they stand in.

Rates and prices are whole steps, small against what they are rounded to; times are whole nanoseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

PREFILL, DECODE, AGGREGATED = 0, 1, 2
ROLES = ("prefill", "decode", "aggregated")
TIME_STEP = 1e-9
"""Seconds. Times are compared here and never reach the solver."""
RATE_BITS, PRICE_BITS = 36, 40
"""Of a deployment's sums."""
RATIO_BITS = (33, 28)
"""The same where rates are divided by prices: their products stay inside the solver's 64 bits."""
LARGEST = 2**43
"""Steps that no figure of one engine passes."""
FASTER = 16
"""Closed loop: prefill engines may be so many times faster than all that decode, and asked for 4 times as much."""


@dataclass(frozen=True)
class Steps:
    """SI values of one step of the rates and prices: powers of ten."""

    rate: float
    price: float
    fastest: int = LARGEST
    """Rate of one engine, in steps, beyond which more is of no use."""

    @classmethod
    def within(cls, rate: float, price: float, *, ratio: bool, flows: bool) -> Steps:
        """For deployments that carry and cost at most so much.

        `ratio`: an objective divides the one by the other. `flows`: what a pool passes on is at most `rate`.
        """
        bits = RATIO_BITS if ratio else (RATE_BITS, PRICE_BITS)
        step = _power(rate, bits[0])
        return cls(step, _power(price, bits[1]), math.ceil(rate / step) * (1 if flows else FASTER) + 1)

    def rates(self, values: NDArray[np.float64]) -> Integers:
        """Rounded down; a hair below a whole step is that step, since 14.364 is no binary number."""
        return _bounded(np.floor(values / self.rate + 1e-3), self.fastest)

    def prices(self, values: NDArray[np.float64]) -> Integers:
        """Rounded up."""
        return _bounded(np.ceil(values / self.price - 1e-3), LARGEST)

    def least(self, rate: float, slack: float = 0.0) -> int:
        """A floor on rates, rounded up; `slack` is a share for the rounding of figures of our own."""
        steps = rate / self.rate
        spare = min(64.0, 100 * slack * steps)  # every engine's rate was rounded down
        return int(min(LARGEST, max(0, math.ceil(steps * (1 - slack) - spare - 1e-3))))


def most_carried(role: Integers, rate_per_gpu: NDArray[np.float64], gpus: int, *, decodes: bool, flows: bool) -> float:
    """A bound on the requests/s of a deployment on so many GPUs. `flows`: prefill engines limit decode engines."""
    prefill, decode, whole = (
        float(np.nan_to_num(rate_per_gpu[role == r]).max(initial=0.0)) for r in (PREFILL, DECODE, AGGREGATED)
    )
    if not decodes:
        return gpus * prefill
    return gpus * (whole + (min(prefill, decode) if flows else decode))


def _power(largest: float, bits: int) -> float:
    """The smallest power of ten of which `largest` holds at most 2^bits."""
    return 10.0 ** math.ceil(math.log10(max(largest, 1e-9) / 2**bits))


def time_steps(values: NDArray[np.float64]) -> Integers:
    """Times in steps, rounded to the nearest; what is beyond all limits stays so."""
    return _bounded(np.rint(values / TIME_STEP), 2**60)


def _bounded(values: NDArray[np.float64], largest: int) -> Integers:
    return np.nan_to_num(np.clip(values, 0, largest), nan=0.0, posinf=largest).astype(np.int64)


def on_card(card: Integers, gpus: Integers, cards: int) -> Integers:
    """GPUs by card, shape (engines, cards), of engines that stand on one card each."""
    on = np.zeros((len(gpus), cards), dtype=np.int64)
    on[np.arange(len(gpus)), card] = gpus
    return on


@dataclass
class Engines:
    """Engines as columns of equal length."""

    role: Integers
    on: Integers
    """GPUs of each card that one engine takes; shape (engines, cards)."""
    gpus: Integers
    """Of all cards."""
    load: Integers
    """Closed loop: requests held; 0 where no load is dealt."""
    rate: Integers
    asks: Integers
    """Closed loop: rate of prefill engines that a decode engine asks for; else 0."""
    ttft: Integers
    """The whole, or the part of a prefill or decode engine."""
    latency: Integers
    tpot: Integers
    price: Integers
    identity: Integers
    """Equal for engines that are launched alike, whatever their load."""
    exact: Flags
    """False: all figures are optimistic bounds."""
    usable: Flags
    """Keeps every limit that an engine can keep or break alone."""

    def __len__(self) -> int:
        return len(self.role)

    def take(self, index: NDArray[np.intp]) -> Engines:
        """Some of the engines."""
        return Engines(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


class Source(Protocol):
    """Where engines come from: prices of our own, or a table."""

    engines: Engines
    steps: Steps

    def sharpen(self, index: NDArray[np.intp]) -> None:
        """Replace bounds by exact figures, in place."""


@dataclass(frozen=True)
class Card:
    """GPUs of one type: how many, and how they stand together."""

    name: str
    gpus: int
    node: int
    """GPUs per node; 1 where nodes do not matter (a table says nothing of them)."""

    @property
    def full_nodes(self) -> int:
        """Whole nodes."""
        return self.gpus // self.node

    @property
    def tail(self) -> int:
        """GPUs of the last, partial node."""
        return self.gpus % self.node


@dataclass(frozen=True)
class Demands:
    """What the whole deployment must keep, in steps."""

    cards: tuple[Card, ...]
    decodes: bool = True
    """False: prefill engines do all the work there is."""
    clients: int | None = None
    """Closed loop: requests in flight, all of them dealt to engines."""
    least_gpus: int = 0
    least_rate: int = 1
    """A deployment that finishes nothing is none."""
    least_rate_per_gpu: int = 0
    ttft: int | None = None
    latency: int | None = None
    engines: Callable[[int], bool] | None = None
    """Which numbers of engines are allowed."""
    mixes: bool = True
    """Aggregated engines may stand beside prefill and decode engines."""
    distinct: int | None = None
    """At most so many identities in each role."""
    exactly: Mapping[int, int] = field(default_factory=dict)
    """Identity -> how many engines of it there must be."""

    @property
    def gpus(self) -> int:
        """All GPUs."""
        return sum(card.gpus for card in self.cards)
