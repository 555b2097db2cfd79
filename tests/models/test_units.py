"""Quantities as people write them, into SI numbers and back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx
from shardwise.models import units
from shardwise.models.units import (
    BANDWIDTH,
    COMPUTE,
    COUNT,
    DURATION,
    MEMORY,
    REQUEST_RATE,
    SHARE,
    TOKEN_RATE,
    Dimension,
    parse,
)

DIMENSIONS = [MEMORY, BANDWIDTH, COMPUTE, DURATION, TOKEN_RATE, REQUEST_RATE, SHARE, COUNT]
many = settings(max_examples=300, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("80 GB", MEMORY, 80e9),
        ("80 GiB", MEMORY, 80 * 2**30),  # not the same as 80 GB
        ("74.5GiB", MEMORY, 74.5 * 2**30),
        ("85899345920 B", MEMORY, 85899345920),
        ("512 bytes", MEMORY, 512),
        ("1 byte", MEMORY, 1),
        ("2 TiB", MEMORY, 2**41),
        ("3 KiB", MEMORY, 3072),
        ("3.35 TB/s", BANDWIDTH, 3.35e12),
        ("400 Gb/s", BANDWIDTH, 50e9),  # bits
        ("400 Gbit/s", BANDWIDTH, 50e9),
        ("400 Gbps", BANDWIDTH, 50e9),
        ("400 GB/s", BANDWIDTH, 400e9),  # bytes
        ("400 GBps", BANDWIDTH, 400e9),
        ("1 GiB/s", BANDWIDTH, 2**30),
        ("8 b/s", BANDWIDTH, 1),
        ("989 TFLOPS", COMPUTE, 989e12),
        ("400 TFlops", COMPUTE, 400e12),
        ("1979 TOPS", COMPUTE, 1979e12),
        ("1.979 PFLOP/s", COMPUTE, 1.979e15),
        ("2 s", DURATION, 2),
        ("30 ms", DURATION, 0.03),
        ("5 us", DURATION, 5e-6),
        ("5 µs", DURATION, 5e-6),  # micro sign
        ("5 μs", DURATION, 5e-6),  # Greek mu
        ("20 ns", DURATION, 2e-8),
        ("1.5 min", DURATION, 90),
        ("2 h", DURATION, 7200),
        ("+2 s", DURATION, 2),
        ("1e3 ms", DURATION, 1),
        (".5 s", DURATION, 0.5),
        ("5. s", DURATION, 5),
        ("0 s", DURATION, 0),
        ("  7   s  ", DURATION, 7),
        ("100 tokens/s", TOKEN_RATE, 100),
        ("100 tokens/ms", TOKEN_RATE, 1e5),
        ("6k tok / min", TOKEN_RATE, 100),
        ("12,300 tokens/s", TOKEN_RATE, 12300),
        ("1_000 tokens/s", TOKEN_RATE, 1000),
        ("12 requests/s", REQUEST_RATE, 12),
        ("90 req/min", REQUEST_RATE, 1.5),
        ("60 %", SHARE, 0.6),
        ("60%", SHARE, 0.6),
        ("60 percent", SHARE, 0.6),
        ("0.6", SHARE, 0.6),
        (0.6, SHARE, 0.6),
        (1, SHARE, 1),
        ("70.6 B", COUNT, 70.6e9),
        ("10.0B", COUNT, 10e9),
        ("7 k", COUNT, 7000),
        (70_600_000_000, COUNT, 70.6e9),
    ],
)
def test_good_quantities(text: Any, dimension: Dimension, value: float) -> None:
    assert parse(text, dimension, bare=False) == approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "dimension", "reason"),
    [
        (500, DURATION, "no unit"),
        (1.5, MEMORY, "no unit"),
        ("500", DURATION, "no unit"),
        ("", DURATION, "not a duration"),
        ("s", DURATION, "not a duration"),
        ("two s", DURATION, "not a duration"),
        ("0x10 s", DURATION, "not a unit"),
        ("2 s 3", DURATION, "not a unit"),
        ("2 m", DURATION, "not a unit"),  # minutes or milli?
        ("2 S", DURATION, "not a unit"),
        ("2 GB", DURATION, "not a unit"),
        ("80 Gb", MEMORY, "not a unit"),  # memory is not counted in bits
        ("80 gb", MEMORY, "not a unit"),
        ("80 GB/s", MEMORY, "not a unit"),
        ("80 ZB", MEMORY, "not a unit"),
        ("3 TB", BANDWIDTH, "not a unit"),
        ("3 Tib/s", BANDWIDTH, "not a unit"),
        ("989 T", COMPUTE, "not a unit"),
        ("12 requests/s", TOKEN_RATE, "not a unit"),
        ("10 tokens/s", REQUEST_RATE, "not a unit"),
        ("60 %%", SHARE, "not a unit"),
        ("-1 s", DURATION, "negative"),
        (-0.5, SHARE, "negative"),
        (float("nan"), SHARE, "not a finite"),
        (float("inf"), SHARE, "not a finite"),
        (float("-inf"), COUNT, "not a finite"),
        ("nan s", DURATION, "not a duration"),
        ("inf s", DURATION, "not a duration"),
        ("1e400 s", DURATION, "not a finite"),
        ("1e308 PFLOPS", COMPUTE, "not a finite"),
        (10**400, COUNT, "not a usable number"),
        pytest.param(10**5000, COUNT, "digits", id="more digits than Python prints"),
        (True, SHARE, "not a share"),
        (None, DURATION, "not a duration"),
        ([1], SHARE, "not a share"),
        ({"a": 1}, MEMORY, "not an? amount"),
        ("1 s" + " " * 64, DURATION, "not a duration"),  # longer than any honest quantity
        ("9" * 70 + " s", DURATION, "not a duration"),
    ],
)
def test_bad_quantities(value: Any, dimension: Dimension, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(value, dimension, bare=False)


@pytest.mark.parametrize("text", ["1,5 s", "3,35 s", "1,2345 s", "1__0,, s"])
def test_a_comma_that_is_no_thousands_separator_is_not_dropped(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text, DURATION, bare=False)


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda d: d.name)
def test_a_refusal_shows_an_example_that_is_accepted(dimension: Dimension) -> None:
    with pytest.raises(ValueError, match=dimension.example.split(" or ")[0]):
        parse("nonsense", dimension, bare=False)
    for example in dimension.example.split(" or "):
        assert parse(example, dimension, bare=False) > 0


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda d: d.name)
def test_bare_numbers_are_si_where_they_are_allowed(dimension: Dimension) -> None:
    assert parse(0.25, dimension, bare=True) == 0.25
    if not dimension.bare:
        with pytest.raises(ValueError, match="no unit"):
            parse(0.25, dimension, bare=False)


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers())
NEARLY = st.from_regex(r"\s*[+-]?[0-9_,.]{0,9}(e[+-]?[0-9]{1,4})?\s*[kKMGTPi]{0,2}[a-zA-Z%/µ]{0,9}\s*", fullmatch=True)


@given(value=ANYTHING | NEARLY, dimension=st.sampled_from(DIMENSIONS), bare=st.booleans())
@many
def test_anything_is_a_number_or_a_value_error(value: Any, dimension: Dimension, bare: bool) -> None:
    try:
        number = parse(value, dimension, bare=bare)
    except ValueError as error:
        assert dimension.example in str(error)
    else:
        assert math.isfinite(number) and number >= 0


@given(number=st.floats(0, 1e12), dimension=st.sampled_from(DIMENSIONS), data=st.data())
@many
def test_every_unit_is_its_factor(number: float, dimension: Dimension, data: st.DataObject) -> None:
    unit = data.draw(st.sampled_from(sorted(dimension.units)).filter(lambda u: u or dimension.bare))
    assert parse(f"{number!r} {unit}", dimension, bare=False) == approx(number * dimension.units[unit])


sizes = st.floats(1e-9, 1e18) | st.just(0.0)


@given(value=sizes)
@many
def test_what_is_shown_can_be_read_again(value: float) -> None:
    # four digits are shown; rates of 100 and more as whole numbers, times below a microsecond with three digits
    assert parse(units.show_bytes(value), MEMORY, bare=False) == approx(value, rel=6e-4)
    assert parse(units.show_count(value), COUNT, bare=False) == approx(value, rel=6e-4)
    assert parse(units.show_seconds(value), DURATION, bare=False) == approx(value, rel=6e-3)
    assert parse(units.show_rate(value), TOKEN_RATE, bare=False) == approx(value, rel=6e-3)
    assert parse(units.show_rate(value, "requests"), REQUEST_RATE, bare=False) == approx(value, rel=6e-3)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (units.show_bytes(80e9), "80 GB"),
        (units.show_bytes(512), "512 B"),
        (units.show_seconds(2.1349), "2.135 s"),
        (units.show_seconds(0.0304), "30.4 ms"),
        (units.show_seconds(8.1e-6), "8.1 µs"),
        (units.show_seconds(1e-9), "0.001 µs"),
        (units.show_seconds(0), "0 s"),
        (units.show_rate(12300), "12,300 tokens/s"),
        (units.show_rate(0.1234567, "requests"), "0.1235 requests/s"),
        (units.show_count(70.553e9), "70.55 B"),
        (units.show_count(12), "12"),
    ],
)
def test_quantities_for_people(shown: str, text: str) -> None:
    assert shown == text
