"""The deployment's sums as linear constraints over the engines' counts and the flow between prefill and decode."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .engines import AGGREGATED, DECODE, PREFILL, Card, Demands, Engines, Integers

INFINITE = 2**60


@dataclass
class Linear:
    """least ≤ Σ count·coefficient + flow·`flow` ≤ most."""

    name: str
    coefficients: Integers
    least: int = -INFINITE
    most: int = INFINITE
    flow: int = 0


@dataclass
class Sums:
    """What a deployment adds up to: each a row of coefficients."""

    rate: Linear
    gpus: Linear
    price: Linear

    def weighted(self, w: Weights) -> Linear:
        """Their sum with weights."""
        coefficients = w.rate * self.rate.coefficients + w.gpus * self.gpus.coefficients
        return Linear("weighted", coefficients + w.price * self.price.coefficients, flow=w.rate * self.rate.flow)


@dataclass(frozen=True)
class Weights:
    """A figure of a deployment: rate·requests/s + gpus·GPUs + price·price, in steps."""

    rate: int = 0
    gpus: int = 0
    price: int = 0

    def of(self, rate: int, gpus: int, price: int) -> int:
        """The figure."""
        return self.rate * rate + self.gpus * gpus + self.price * price


@dataclass(frozen=True)
class Goal:
    """Maximise a figure, under what earlier objectives reached."""

    objective: Weights
    kept: tuple[tuple[Weights, int], ...] = ()
    """Figures, each with the least value it must have."""
    latency: int | None = None
    """Slowest engine or pair, at most."""


def sums_of(e: Engines, demands: Demands) -> Sums:
    """Requests/s, GPUs and price. In an open loop the disaggregated part is the flow between the pools."""
    finishing = (e.role == AGGREGATED) | ((e.role == DECODE) if demands.clients is not None else False)
    if not demands.decodes:
        finishing = e.role == PREFILL
    flow = 1 if demands.decodes and demands.clients is None else 0
    return Sums(
        Linear("rate", np.where(finishing, e.rate, 0), flow=flow),
        Linear("gpus", e.gpus),
        Linear("price", e.price),
    )


def constraints_of(e: Engines, demands: Demands, sums: Sums) -> list[Linear]:
    """GPUs of each card, loads dealt, what prefill engines pass on, and the floors of the demands."""
    found = [Linear(f"GPUs of card {i}", e.on[:, i], most=card.gpus) for i, card in enumerate(demands.cards)]
    for i, card in enumerate(demands.cards):
        found += _node_cuts(f"nodes of card {i}", e.on[:, i], card)
    if demands.decodes:
        found += _pools(e, demands)
    for identity, count in demands.exactly.items():
        alike = (e.identity == identity).astype(np.int64)
        found.append(Linear(f"engines of kind {identity}", alike, least=count, most=count))
    if demands.least_gpus > 1:
        found.append(Linear("at least GPUs", sums.gpus.coefficients, least=demands.least_gpus))
    found.append(replace(sums.rate, name="at least rate", least=demands.least_rate))
    if demands.least_rate_per_gpu:
        floor = sums.weighted(Weights(rate=1, gpus=-demands.least_rate_per_gpu))
        found.append(replace(floor, name="at least rate per GPU", least=0))
    return found


def _node_cuts(name: str, gpus: Integers, card: Card) -> list[Linear]:
    """What node packing implies for sums: dual feasible functions weigh remainders so that a node holds at most 1.

    u(x) = x where (k + 1)·x is whole, else ⌊(k + 1)·x⌋/k, for k = 1 … 7 (Fekete and Schepers 2001); u(1) = 1, so whole
    nodes count 1 each. The partial node counts as a whole one. The relaxation knows of nodes only through these.
    """
    whole, rest = np.divmod(gpus, card.node)
    nodes = card.full_nodes + (card.tail > 0)
    cuts = []
    for k in range(1, min(card.node, 8)):
        turns = (k + 1) * rest
        weight = np.where(turns % card.node == 0, k * rest, card.node * (turns // card.node))
        if (weight > k * rest).any():  # else it says no more than the GPUs do
            scale = k * card.node
            cuts.append(Linear(f"{name}, {k}", whole * scale + weight, most=scale * nodes))
    return cuts


def _pools(e: Engines, demands: Demands) -> list[Linear]:
    prefill = np.where(e.role == PREFILL, e.rate, 0)
    if demands.clients is None:
        decode = np.where(e.role == DECODE, e.rate, 0)
        return [
            Linear("flow out of prefill", prefill, least=0, flow=-1),
            Linear("flow into decode", decode, least=0, flow=-1),
        ]
    return [
        Linear("every request is held", e.load, least=demands.clients, most=demands.clients),
        Linear("prefill keeps up", prefill - e.asks, least=0),
    ]


def most_of(e: Engines, demands: Demands) -> Integers:
    """How many of each engine there can be at most."""
    there = np.array([card.gpus for card in demands.cards], dtype=np.int64)
    most: Integers = np.where(e.on > 0, there // np.maximum(e.on, 1), np.iinfo(np.int64).max).min(axis=1)
    if demands.clients is not None:
        most = np.where(e.load > 0, np.minimum(most, demands.clients // np.maximum(e.load, 1)), most)
    return most
