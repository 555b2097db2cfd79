"""Waiting times against published values, exact distributions and simulations; the errors found are stated here."""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import ceil, erfc, exp, expm1, fsum, inf, lgamma, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from shardwise.models import Lengths
from shardwise.solver.costs.queueing import (
    MOST_UTILIZATION,
    arrival_scv,
    length_scv,
    poisson_peak,
    quantile,
    waiting,
    waiting_with_vacations,
)

pytestmark = pytest.mark.filterwarnings("error")

Array = NDArray[np.float64]

CUSTOMERS = 4_000_000
SERVICES = {"exponential": 1.0, "uniform": 1 / 12, "constant": 0.0}
"""Squared coefficient of variation by name; all of mean 1, uniform on [0.5, 1.5]."""

loads = st.floats(0.01, MOST_UTILIZATION)
shares = st.floats(0.01, 0.9999)
times = st.floats(1e-4, 1e4)
scvs = st.floats(0, 10)


def services(kind: str, count: int, rng: np.random.Generator) -> Array:
    if kind == "exponential":
        return rng.exponential(1.0, count)
    return rng.uniform(0.5, 1.5, count) if kind == "uniform" else np.ones(count)


def queued(gaps: Array, service: Array) -> Array:
    """Waits of a single server: Lindley's recursion, W' = max(0, W + S − A)."""
    walk: Array = np.concatenate([[0.0], np.cumsum(service[:-1] - gaps[1:])])
    lowest: Array = np.minimum.accumulate(walk)
    return walk - lowest


def queued_with_vacations(gaps: Array, service: Array, vacation: float) -> Array:
    """Waits where a server that finds nobody leaves for `vacation`, again and again."""
    waits, now, free = [], 0.0, 0.0
    for gap, needed in zip(gaps.tolist(), service.tolist(), strict=True):
        now += gap
        begins = free if now <= free else free + ceil((now - free) / vacation) * vacation
        waits.append(begins - now)
        free = begins + needed
    return np.array(waits)


def found(burstiness: float, load: float, kind: str, vacation: float, waits: Array) -> Array:
    """Relative error of the formulas against simulated waits: mean, 0.95 and 0.99 quantile."""
    wait = waiting(load, 1.0, arrival_scv(burstiness), SERVICES[kind])
    said = [waiting_with_vacations(wait, vacation), *(quantile(share, load, wait, vacation) for share in (0.95, 0.99))]
    return np.array(said, dtype=float) / np.array([waits.mean(), *np.quantile(waits, [0.95, 0.99])]) - 1


# Published values


@pytest.mark.parametrize(
    ("load", "service", "scv", "wait"),
    [
        (0.9, 1.0, 1.0, 9.0),  # M/M/1: ρ/(1 − ρ)·s
        (0.9, 1.0, 0.0, 4.5),  # M/D/1: half of it, in every table
        (2 / 3, 2.0, 1.0, 4.0),  # minutes, 20 arrivals and 30 services an hour: the textbook's 0.0667 h
        (2 / 3, 2.0, 0.0, 2.0),  # constant service: 0.0333 h
        (0.5, 10.0, 1.0, 10.0),
        (0.5, 10.0, 0.25, 6.25),  # Erlang-4 service
    ],
)
def test_mean_wait_for_poisson_arrivals_is_the_published_one(
    load: float, service: float, scv: float, wait: float
) -> None:
    assert float(waiting(load, service, 1.0, scv)) == pytest.approx(wait, rel=1e-12)


def test_percentiles_of_m_m_1_are_its_closed_form() -> None:
    """P(W > t) = ρ·exp(−(1 − ρ)·t/s): at ρ = 0.9, s = 1 the 95th percentile is 10·ln 18 = 28.90."""
    assert float(quantile(0.95, 0.9, 9.0, 0.0)) == pytest.approx(28.9037, abs=1e-4)
    assert float(quantile(0.99, 0.5, 1.0, 0.0)) == pytest.approx(2 * log(50), rel=1e-12)
    assert float(quantile(0.95, 0.04, 0.04 / 0.96, 0.0)) == 0.0  # 96 % do not wait


def test_vacations_add_half_of_one() -> None:
    assert float(waiting_with_vacations(4.5, 0.02)) == pytest.approx(4.51)
    assert float(quantile(0.95, 0.0, 0.0, 0.02)) == pytest.approx(0.019)  # only what is left of a vacation


@pytest.mark.parametrize(
    ("mean", "share", "peak"),
    [
        # Cumulative Poisson table, four digits: mean 1: P(≤ 4) = .9963, P(≤ 5) = .9994
        (1, 0.999, 5),
        (2, 0.999, 8),  # P(≤ 7) = .9989, P(≤ 8) = .9998
        (2.5, 0.95, 5),  # P(≤ 4) = .8912, P(≤ 5) = .9580
        (3.5, 0.999, 11),  # P(≤ 10) = .9990 is .99898 in full
        (4.5, 0.999, 12),  # P(≤ 11) = .9976, P(≤ 12) = .9992
        (5, 0.999, 13),  # P(≤ 12) = .9980, P(≤ 13) = .9993
        (5, 0.95, 9),  # P(≤ 8) = .9319, P(≤ 9) = .9682
        (0.5, 0.95, 2),  # P(≤ 1) = .9098, P(≤ 2) = .9856
    ],
)
def test_poisson_peaks_are_those_of_the_table(mean: float, share: float, peak: int) -> None:
    assert poisson_peak(np.array([mean]), share).tolist() == [peak]


def test_scv_of_lengths_and_of_gaps() -> None:
    assert length_scv(Lengths(min=4000, max=4000)) == 0
    assert length_scv(Lengths(min=1000, max=3000)) == pytest.approx(1 / 12)
    assert [arrival_scv(b) for b in (0.25, 1.0, 2.0)] == [4.0, 1.0, 1.0]


def test_requests_dealt_at_random_come_at_gaps_nearer_to_poisson() -> None:
    """A quarter of gamma gaps of shape 1/2: 1 + (2 − 1)/4, less than `arrival_scv`, which holds for any share."""
    rng = np.random.default_rng(5)
    arrivals = np.cumsum(rng.gamma(0.5, 2.0, CUSTOMERS))
    gaps = np.diff(arrivals[rng.random(CUSTOMERS) < 0.25])
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(1.25, abs=0.02)
    assert arrival_scv(0.5) == 2


# Errors of the approximations


def erlang(load: float, wait: float) -> float:
    """P(W ≤ t) of M/D/1 with service time 1 (Erlang, 1909): (1 − ρ)·Σ (−x)^k/k!·e^x with x = ρ·(t − k)."""
    with localcontext() as context:
        context.prec = 60  # the terms alternate
        rho, time, total, factorial = Decimal(load), Decimal(wait), Decimal(0), 1
        for k in range(int(wait) + 1):
            factorial *= max(k, 1)
            x = rho * (time - k)
            total += (-x) ** k * x.exp() / factorial if k else x.exp()
        return float((1 - rho) * total)


@pytest.mark.parametrize(
    ("load", "error_95", "error_99"),
    [
        (0.1, -0.288, 0.342),  # few wait at all, and for the rest of one service
        (0.3, 0.195, 0.285),
        (0.5, 0.123, 0.173),
        (0.7, 0.072, 0.092),
        (0.8, 0.047, 0.058),
        (0.9, 0.023, 0.027),
        (0.95, 0.011, 0.013),
    ],
)
def test_exponential_tail_against_the_exact_m_d_1(load: float, error_95: float, error_99: float) -> None:
    """The mean is exact; the quantile is too long by the stated share, too short where the load is near 1 − share."""
    for share, error in ((0.95, error_95), (0.99, error_99)):
        said = float(quantile(share, load, waiting(load, 1.0, 1.0, 0.0), 0.0))
        assert erlang(load, said / (1 + error + 0.001)) < share < erlang(load, said / (1 + error - 0.001))


@pytest.mark.parametrize(
    ("burstiness", "load", "error", "error_95", "error_99"),
    [
        (0.5, 0.3, -0.274, -0.091, 0.004),
        (0.5, 0.5, -0.158, -0.026, 0.015),
        (0.5, 0.8, -0.050, -0.002, 0.008),
        (0.5, 0.95, -0.011, 0.000, 0.002),
        (0.25, 0.5, -0.256, -0.035, 0.032),
        (0.25, 0.8, -0.087, -0.003, 0.014),
        (2.0, 0.8, 0.407, 0.339, 0.324),  # `arrival_scv` takes smooth arrivals for Poisson
    ],
)
def test_mean_and_quantiles_for_gamma_gaps_against_the_exact_gi_m_1(
    burstiness: float, load: float, error: float, error_95: float, error_99: float
) -> None:
    """Exact: P(W > t) = σ·exp(−(1 − σ)·t), σ the root of σ = A*(1 − σ) (Kleinrock, Queueing Systems I, 1975).

    Bursts: the mean is too short, as more than ρ wait (σ > ρ); in the tail the longer τ makes up for it.
    """
    sigma = 0.0
    for _ in range(2000):
        sigma = (1 + (1 - sigma) / (burstiness * load)) ** -burstiness
    wait = waiting(load, 1.0, arrival_scv(burstiness), 1.0)
    assert float(wait) / (sigma / (1 - sigma)) - 1 == pytest.approx(error, abs=0.001)
    for share, off in ((0.95, error_95), (0.99, error_99)):
        exact = log(sigma / (1 - share)) / (1 - sigma)
        assert float(quantile(share, load, wait, 0.0)) / exact - 1 == pytest.approx(off, abs=0.001)


@pytest.mark.parametrize(
    ("kind", "burstiness", "load", "errors"),
    [
        ("exponential", 1.0, 0.5, (0.0, 0.0, 0.0)),
        ("exponential", 1.0, 0.8, (0.0, 0.0, 0.0)),
        ("constant", 1.0, 0.5, (0.0, 0.12, 0.17)),
        ("constant", 1.0, 0.8, (0.0, 0.05, 0.06)),
        ("uniform", 1.0, 0.5, (0.0, 0.10, 0.15)),
        ("uniform", 1.0, 0.8, (0.0, 0.04, 0.05)),
        ("constant", 0.5, 0.3, (-0.31, 0.01, 0.19)),
        ("constant", 0.5, 0.5, (-0.19, 0.05, 0.13)),
        ("constant", 0.5, 0.8, (-0.06, 0.02, 0.04)),
        ("uniform", 0.5, 0.5, (-0.18, 0.04, 0.11)),
        ("uniform", 0.5, 0.8, (-0.06, 0.03, 0.05)),
    ],
)
def test_against_simulated_queues(
    kind: str, burstiness: float, load: float, errors: tuple[float, float, float]
) -> None:
    """Errors of mean, 0.95 and 0.99 quantile, from 2·10⁷ customers, rounded; 4·10⁶ scatter by about 0.01."""
    rng = np.random.default_rng(11)
    gaps = rng.gamma(burstiness, 1 / (burstiness * load), CUSTOMERS)
    waits = queued(gaps, services(kind, CUSTOMERS, rng))
    assert found(burstiness, load, kind, 0.0, waits) == pytest.approx(errors, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "burstiness", "load", "vacation", "errors"),
    [
        ("exponential", 1.0, 0.5, 1.0, (0.0, 0.0, 0.0)),  # the decomposition is exact, the queue too
        ("exponential", 1.0, 0.3, 4.0, (0.0, 0.0, 0.0)),  # the quantile is within a vacation
        ("constant", 1.0, 0.3, 1.0, (0.0, 0.07, 0.20)),
        ("constant", 1.0, 0.5, 1.0, (0.0, 0.09, 0.15)),
        ("constant", 1.0, 0.7, 0.5, (0.0, 0.07, 0.09)),
        ("constant", 1.0, 0.7, 3.0, (0.0, 0.05, 0.07)),
        ("constant", 0.5, 0.5, 1.0, (-0.13, 0.04, 0.11)),  # bursts: neither part is exact
    ],
)
def test_against_simulated_vacations(
    kind: str, burstiness: float, load: float, vacation: float, errors: tuple[float, float, float]
) -> None:
    """Errors of mean, 0.95 and 0.99 quantile, from 4·10⁶ customers, rounded; 3·10⁵ scatter by up to 0.02."""
    rng, count = np.random.default_rng(12), 300_000
    gaps = rng.gamma(burstiness, 1 / (burstiness * load), count)
    waits = queued_with_vacations(gaps, services(kind, count, rng), vacation)
    assert found(burstiness, load, kind, vacation, waits) == pytest.approx(errors, abs=0.03)


# Properties


@given(loads, loads, times, scvs, scvs, times, shares)
def test_more_load_is_more_wait(
    a: float, b: float, service: float, gaps: float, lengths: float, vacation: float, share: float
) -> None:
    load = np.sort([a, b])
    wait = waiting(load, service, gaps, lengths)
    late = quantile(share, load, wait, vacation)
    assert 0 <= wait[0] <= wait[1]
    assert 0 <= late[0] <= late[1] * (1 + 1e-12)


@given(loads, times, times, shares, shares)
def test_larger_share_is_later(load: float, wait: float, vacation: float, a: float, b: float) -> None:
    early, late = (float(quantile(share, load, wait, vacation)) for share in sorted((a, b)))
    assert 0 <= early <= late * (1 + 1e-12)


@given(loads, times, times, shares)
def test_quantile_solves_the_distribution(load: float, wait: float, vacation: float, share: float) -> None:
    """P(W + U ≤ t) in plain floats is below `share` just before the quantile and not below it just after."""

    def chance(t: float) -> float:
        after, scale = max(0.0, t - vacation), wait / load
        return (t - after + wait * exp(-after / scale) * expm1(-(t - after) / scale)) / vacation

    t, rounding = float(quantile(share, load, wait, vacation)), 1e-15 * (1 + wait / vacation)
    assert chance(t * (1 - 1e-9)) <= share + rounding
    assert chance(t * (1 + 1e-9)) >= share - rounding


@given(loads, times, shares)
def test_short_vacations_end_in_none_and_long_ones_hide_the_queue(load: float, wait: float, share: float) -> None:
    alone = float(quantile(share, load, wait, 0.0))
    assert float(quantile(share, load, wait, 1e-9 * wait)) == pytest.approx(alone, abs=1e-6 * wait)
    long = float(quantile(share, load, wait, 1e9 * wait))
    assert long == pytest.approx(share * 1e9 * wait, rel=1e-6)


@given(times, scvs, scvs, shares)
def test_no_load_no_wait_and_none_ends_at_full_load(service: float, gaps: float, lengths: float, share: float) -> None:
    wait = waiting(np.array([0.0, 1.0, 1.5, inf]), service, gaps, lengths)
    assert wait.tolist() == [0.0, inf, inf, inf]
    assert quantile(share, np.array([0.0, 1.0, 1.5, inf]), wait, 0.0).tolist() == [0.0, inf, inf, inf]
    assert waiting_with_vacations(wait, 2.0).tolist() == [1.0, inf, inf, inf]


def test_columns_give_what_their_numbers_give() -> None:
    rng = np.random.default_rng(3)
    load, service, vacation = rng.random(50), rng.random(50), rng.random(50) * (rng.random(50) < 0.7)
    wait = waiting(load, service, 2.0, 0.1)
    column = quantile(0.95, load, wait, vacation)
    one = [float(quantile(0.95, *row)) for row in zip(load, wait, vacation, strict=True)]
    assert column.shape == (50,) and column.tolist() == one
    assert quantile(0.95, load, wait, 0.01).shape == (50,)


@given(st.lists(st.one_of(st.floats(0, 50), st.sampled_from([999.5, 1e4, 1e5])), min_size=1, max_size=5), shares)
def test_poisson_peak_is_the_smallest(means: list[float], share: float) -> None:
    """By a plain sum of exp(k·ln m − m − ln k!), each term good to 10⁻⁹ at m = 10⁵."""

    def chance(mean: float, most: int) -> float:
        lowest = max(0, int(mean - 12 * sqrt(mean)) - 1)
        return fsum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(lowest, most + 1)) if mean else 1.0

    for mean, peak in zip(means, poisson_peak(np.array(means), share).tolist(), strict=True):
        assert chance(mean, peak) >= share - 1e-9
        assert peak == 0 or chance(mean, peak - 1) < share + 1e-9


def test_poisson_peak_of_many_rows() -> None:
    means = np.random.default_rng(4).choice(np.geomspace(1e-3, 1e5, 500), (1000, 100))
    peaks = poisson_peak(means)
    assert peaks.shape == means.shape and peaks.dtype == np.int64
    z = 3.0902  # of the normal distribution; Cornish and Fisher's next term is (z² + 2)/6
    assert erfc(z / sqrt(2)) / 2 == pytest.approx(0.001, rel=1e-3)
    assert int(poisson_peak(1e5)) == pytest.approx(1e5 + z * sqrt(1e5) + (z**2 - 1) / 6, abs=1)
    assert poisson_peak(0.0).shape == () and int(poisson_peak(0.0)) == 0
