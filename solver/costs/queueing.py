"""Requests that arrive at random and wait their turn at an engine: mean and quantiles of the wait, requests in flight.

One engine is one server: a prompt is served while later ones wait. Its utilization is the share of time that serving
takes, at most `MOST_UTILIZATION`. Every function works on columns of equal length or on single numbers.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from ...models import Lengths
from .rows import Column

MOST_UTILIZATION = 0.95
"""Beyond this a waiting time is not a prediction: here one percent more load is already a quarter more wait.
Rows above are refused."""

_HALVINGS = 60
"""Steps of a bisection: its last interval is 2⁻⁶⁰ of the first, less than a float can tell."""
_NOTHING = 1e-16
"""A chance, or a share of a time, that a float beside 1 cannot tell."""


def arrival_scv(burstiness: float) -> float:
    """Squared coefficient of variation of the gaps between the requests that reach one engine.

    The source has gamma gaps of shape `burstiness`, as in vLLM's benchmark (1 is Poisson, less is burstier), thus
    1/burstiness. An engine that is dealt a share p of them at random sees 1 + p·(1/burstiness − 1) (thinning of a
    renewal process; Whitt, The Queueing Network Analyzer, 1983). This is the most that any share gives.
    """
    return max(1.0, 1 / burstiness)


def length_scv(lengths: Lengths) -> float:
    """Squared coefficient of variation of a service time in proportion to the prompt length: E[S²]/E[S]² − 1."""
    return lengths.mean_square / lengths.mean**2 - 1


def waiting(
    utilization: Column | float, service: Column | float, arrival_scv: Column | float, service_scv: Column | float
) -> Column:
    """Mean seconds before service begins, first come first served; infinite from utilization 1 on.

    Exact for Poisson arrivals (Pollaczek and Khinchine). For others Kingman's limit for heavy traffic (1961) in the
    form of Allen and Cunneen. For gamma gaps of shape below 1 it is too short, by up to a third of (scv − 1) service
    times at any load: for shape 1/2 by 15 to 19 % at utilization 0.5, by 5 to 7 % at 0.8, by 2 to 3 % at 0.9.
    """
    load = np.asarray(utilization, dtype=np.float64)
    stable = load < 1
    load = np.where(stable, load, 0.0)
    return np.where(stable, load / (1 - load) * (arrival_scv + service_scv) / 2 * service, np.inf)


def waiting_with_vacations(mean_wait: Column | float, vacation: Column | float) -> Column:
    """Mean seconds before service begins at a server that leaves for `vacation` seconds whenever nobody waits.

    Here decode iterations, between which prompts are admitted. What is left of the one that runs adds to the wait:
    E[V²]/(2·E[V]), half of a fixed V, whatever the load. Exact for Poisson arrivals (Fuhrmann and Cooper, Stochastic
    decompositions in the M/G/1 queue with generalized vacations, 1985).
    """
    return np.asarray(mean_wait + np.asarray(vacation, dtype=np.float64) / 2)


def quantile(share: float, utilization: Column | float, mean_wait: Column | float, vacation: Column | float) -> Column:
    """Seconds that a `share` of the waits (0 < share < 1) do not exceed; `mean_wait` is that without vacations.

    Queue: P(W > t) = ρ·exp(−ρ·t/E[W]), exact for M/M/1, for others the usual exponential with the right mean (Tijms,
    A First Course in Stochastic Models, 2003, chapter 9; Abate, Choudhury and Whitt, Exponential approximations for
    tail probabilities in queues, 1995). Vacation: independent, uniform on [0, V]. With τ = E[W]/ρ their sum has
    P(> t) = ρ·τ/V·(1 − exp(−V/τ))·exp(−(t − V)/τ) for t ≥ V, which is inverted (and is the queue alone at V = 0), and
    P(≤ t) = (t − E[W]·(1 − exp(−t/τ)))/V for t ≤ V, which is bisected.
    Meant for shares of 0.9 and above: constant service, utilization 0.5 to 0.95, 0.95 and 0.99: 1 to 17 % too long.
    """
    numbers = (np.asarray(x, dtype=np.float64) for x in (utilization, mean_wait, vacation))
    load, wait, away = np.broadcast_arrays(*numbers)
    endless = (load >= 1) | np.isinf(wait) | np.isinf(away)
    away = np.where(endless, 0.0, away)
    waits = (load > _NOTHING) & (wait > _NOTHING * away) & ~endless
    load, wait = np.where(waits, load, 0.0), np.where(waits, wait, 0.0)
    scale = np.where(waits, wait, 1.0) / np.where(waits, load, 1.0)
    turns = away / scale
    spread = np.where(turns > 0, -np.expm1(-turns) / np.where(turns > 0, turns, 1.0), 1.0)
    excess = load * spread / (1 - share)
    result = np.asarray(away + scale * np.log(np.maximum(excess, 1.0)))
    early = excess < 1
    result[early] = _within_vacation(share, scale[early], wait[early], away[early])
    result[endless] = np.inf
    return result


def _within_vacation(share: float, scale: Column, wait: Column, away: Column) -> Column:
    """The t of [share·V, V] with t − E[W]·(1 − exp(−t/τ)) = share·V, by bisection."""
    low, high = share * away, away
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = middle + wait * np.expm1(-middle / scale) < share * away
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return high


def poisson_peak(mean: Column | float, share: float = 0.999) -> NDArray[np.int64]:
    """Smallest k with P(Poisson(mean) ≤ k) ≥ share: the requests in flight that an engine must have memory for.

    Where requests arrive as a Poisson process and none waits, the number in flight is Poisson whatever the distribution
    of their lengths (M/G/∞: Takács, Introduction to the Theory of Queues, 1962). Burstier arrivals need more:
    with gamma gaps of shape 1/2 the 0.999 peak is exceeded 0.5 to 1.3 % of the time, not 0.1 %.
    """
    means = np.asarray(mean, dtype=np.float64)
    distinct, index = np.unique(means, return_inverse=True)
    peaks = np.array([_peak(float(one), 1 - share) for one in distinct], dtype=np.int64)
    return peaks[index.reshape(-1)].reshape(means.shape)


def _peak(mean: float, rest: float) -> int:
    """Smallest k with P(Poisson(mean) > k) ≤ rest, from the ratios of neighbours around the mode.

    What the window leaves out is below 10⁻¹⁷ (Chernoff), so the sum within it stands for 1.
    """
    mode = int(mean)
    width = isqrt(mode) + 1
    down = np.arange(mode, max(0, mode - 9 * width), -1) / mean
    up = mean / np.arange(mode + 1, mode + 10 * width + 40)
    chances = np.concatenate([np.cumprod(down)[::-1], [1.0], np.cumprod(up)])
    more = np.cumsum(chances[::-1])[::-1]
    first = mode - len(down)
    return first + int(np.argmax(more[1:] <= rest * more[0]))


def burst_correction(service: Column | float, arrival_scv: Column | float) -> Column:
    """By how much `waiting` is too short in the mean for bursty gamma gaps: service·(c_a² − 1)/3.

    The difference in heavy traffic between Kingman's form and GI/M/1 with gamma gaps, nearly the same at any load
    (measured 0.19 to 0.33 times service·(c_a² − 1)). Quantiles need none of it: it cancels with the exponential tail.
    """
    longer: Column = np.asarray(service, dtype=np.float64) * np.maximum(np.asarray(arrival_scv) - 1, 0.0) / 3
    return longer
