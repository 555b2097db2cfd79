"""How long a request waits where requests arrive at a rate (docs/costs.md, section 7: waiting, aggregated engine)."""

from __future__ import annotations

import math

from shardwise.models.requirements import Quantile

SHARES: dict[Quantile, float] = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
"""The quantiles that a plan states beside the mean."""
QUANTILES: tuple[Quantile, ...] = ("mean", *SHARES)
"""Which TTFTs an open loop states."""
SURE = 0.999
"""Share of the time in which the requests in flight must have room."""
MOST_IN_FLIGHT = 2**20
"""Requests whose Poisson probabilities are summed one by one."""


def spread_of_arrivals(burstiness: float) -> float:
    """c_a²: gamma gaps of this shape, dealt at random, are spread at least as widely as Poisson arrivals."""
    return max(1.0, 1 / burstiness)


def queue_mean(utilization: float, service: float, arrivals: float, services: float) -> float:
    """Mean wait in the queue; `arrivals` and `services` are squared coefficients of variation."""
    if not 0 <= utilization < 1:
        raise ValueError(f"a utilisation of {utilization:.6g} leaves no finite wait")
    return utilization / (1 - utilization) * (arrivals + services) / 2 * service


def share_within(time: float, utilization: float, mean: float, vacation: float) -> float:
    """The share of requests that wait at most so long.

    The wait is that of a queue, P(> t) = utilization·exp(−utilization·t/mean), plus a time uniform on 0 to vacation.
    """
    if time < 0:
        return 0.0
    if mean <= 0:  # nobody queues
        return 1.0 if vacation <= 0 else min(1.0, time / vacation)
    rate = utilization / mean
    if vacation <= 0:
        return 1 - utilization * math.exp(-rate * time)
    reach = min(time, vacation)
    # The mean over u in 0 to vacation of 1 − utilization·exp(−rate·(time − u)), as far as u ≤ time.
    late = mean * math.exp(-rate * (time - reach)) * -math.expm1(-rate * reach)
    return (reach - late) / vacation


def quantile(share: float, utilization: float, mean: float, vacation: float) -> float:
    """The wait that this share of the requests stays within, by bisection."""
    if share_within(0.0, utilization, mean, vacation) >= share:
        return 0.0
    low, high = 0.0, max(mean, vacation)
    while share_within(high, utilization, mean, vacation) < share:
        low, high = high, 2 * high
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return high
        if share_within(middle, utilization, mean, vacation) < share:
            low = middle
        else:
            high = middle


def waits(
    utilization: float, service: float, arrivals: float, services: float, vacation: float = 0.0
) -> dict[Quantile, float]:
    """The wait at the mean and at every quantile; the mean has what Kingman's form lacks for gamma gaps."""
    mean = queue_mean(utilization, service, arrivals, services)
    found: dict[Quantile, float] = {"mean": mean + vacation / 2 + service * (arrivals - 1) / 3}
    for name, share in SHARES.items():
        found[name] = quantile(share, utilization, mean, vacation)
    return found


def most_in_flight(mean: int, arrivals: float = 1.0) -> int:
    """Q⁺: how many the requests in flight stay within with probability 0.999, more above the mean under bursts."""
    return math.ceil(mean + (_poisson(mean) - mean) * math.sqrt(arrivals))


def _poisson(mean: int) -> int:
    """π: the least whole number that a Poisson variable of this mean stays within with probability 0.999."""
    if mean > MOST_IN_FLIGHT:
        raise ValueError(f"{mean:,} requests in flight are more than the {MOST_IN_FLIGHT:,} that can be summed")
    total, count = math.exp(-mean), 0
    while total < SURE:
        count += 1
        total += math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
    return count
