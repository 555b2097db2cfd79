"""Figures of a plan in Markdown, as people write them: `~640 tokens/ms total`, `1.2 GB ≤ 64 GB`, `0.0s (target: 10s)`.

Texts are at most a line's LONGEST_LINE characters; every number of digits in a pattern has a bound.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import units
from ..claimed import What
from ..units import Dimension

WHOLE_OR_DECIMAL = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,5}|[0-9]{1,15})(?:\.[0-9]{1,15})?(?![0-9]|[.,][0-9])"

_COUNT, _RATE = units.COUNT, units.TOKEN_RATE
DIMENSIONS: dict[What, Dimension] = {
    "gpus": _COUNT,
    "experts_per_gpu": _COUNT,
    "layers_per_stage": _COUNT,
    "memory_per_gpu": units.MEMORY,
    "memory_utilization": units.SHARE,
    "ttft": units.DURATION,
    "tpot": units.DURATION,
    "request_latency": units.DURATION,
    "requests": units.REQUEST_RATE,
    "throughput": _RATE,
    "throughput_per_gpu": _RATE,
    "expert_utilization": units.SHARE,
}
"""What each claim with a number is measured in."""

_QUANTITY = re.compile(
    r"(?P<number>(?:(?:[0-9]{1,3}(?:,[0-9]{3}){1,5}|[0-9]{1,15})(?:\.[0-9]{1,15})?|\.[0-9]{1,15})"
    r"(?:e[+-]?[0-9]{1,2})?)(?![0-9]|[.,][0-9])"
    r"\s{0,3}(?:(?P<percent>%|percent\b)"
    r"|(?:(?:input|prompt|output|generated|total|decode|prefill)\s)?"
    r"(?P<thing>[kM]?\s?(?:tokens?|tok|requests?|req))\s{0,2}(?:/|per\s)\s{0,2}(?P<time>[a-zµμ]{1,12})"
    r"|(?P<word>[a-zµμ]{1,12})(?![a-z0-9]))?",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"(?:[~≈∼]|about\b|approx(?:\.|\b)|approximately\b|around\b|circa\b|=)\s{0,3}", re.IGNORECASE)
_BOUND = re.compile(
    r"(?:<=?|>=?|[≤≥]|(?:up to|at most|at least|less than|more than|under|below|within)\b)\s{0,3}", re.IGNORECASE
)
_AGAINST = re.compile(
    r"(?:<=?|>=?|=<|[≤≥]|^\s*/|\b(?:target|limit|requirement|required|max(?:imum)?|min(?:imum)?|budget|sla|slo|goal"
    r"|capacity|of|vs|under|below|within)\b\.?)[\s:=<>≤≥]{0,4}(?:of\s)?(?=[0-9.])",
    re.IGNORECASE,
)
_MORE_NUMBERS = re.compile(r"\s{0,3}(?:[-–—~+*×/x]|to\b|or\b|and\b)?\s{0,3}[0-9.]", re.IGNORECASE)
_PER_GPU = re.compile(r"\s{0,3}(?:/|per\b)\s{0,3}(?:gpu|card|device)\b", re.IGNORECASE)
_TIMES = {
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
    **dict.fromkeys(("millisecond", "milliseconds", "msec"), "ms"),
    **dict.fromkeys(("microsecond", "microseconds"), "us"),
    **dict.fromkeys(("minute", "minutes"), "min"),
    **dict.fromkeys(("hour", "hours"), "h"),
    "tps": "tokens/s",
}
_OTHER_THINGS = ("node", "server", "host", "rack", "k", "m", "b", "t")


@dataclass(frozen=True)
class Figure:
    """A claim's number: SI value, half of its last digit, what it is held against. None: only a bound is stated."""

    what: What
    value: float | None
    half_step: float
    limit: float | None


def figure(text: str, kinds: tuple[What, ...]) -> Figure:
    """The figure at the beginning of `text`; its unit decides between `kinds`, of which the first is the usual one.

    Raises ValueError with what is wrong.
    """
    text = text.replace("**", "").replace("`", "").strip()
    if kinds[0] == "gpus" and "=" in text and not re.match(rf"{WHOLE_OR_DECIMAL}\s{{0,3}}(?:\(|gpus)", text, re.I):
        text = text.rpartition("=")[2].strip()  # 16 × 4 × 1 = 64
    bound = _BOUND.match(text)
    if (about := _ABOUT.match(text)) is not None:
        text = text[about.end() :]
    found = _QUANTITY.match(text, bound.end() if bound else 0)
    if found is None:
        raise ValueError("does not begin with a number")
    rest = text[found.end() :]
    if _PER_GPU.match(rest):
        kinds = tuple("throughput_per_gpu" if what == "throughput" else what for what in kinds if what != "requests")
    against = _AGAINST.search(rest)
    if (against is None or against.start()) and _MORE_NUMBERS.match(rest):
        raise ValueError("is more than one number")
    what, value = _first(found, kinds)
    if bound is not None:
        return Figure(what, None, 0.0, value)
    limit = _QUANTITY.match(rest, against.end()) if against else None
    return Figure(what, value, _half_step(found, what), _limit(limit, what) if limit else None)


def half_of_last_digit(number: str) -> float:
    """0.5 for `64`, 0.05 for `1.5`."""
    return float(f"5e{-1 - len(number.partition('.')[2])}")


def _first(found: re.Match[str], kinds: tuple[What, ...]) -> tuple[What, float]:
    """The first kind that the unit suits, and the SI value."""
    error: ValueError | None = None
    for what in kinds:
        try:
            value = units.parse(_with_unit(found["number"], found, what), DIMENSIONS[what], bare=False)
        except ValueError as reason:
            error = error or reason
            continue
        if DIMENSIONS[what] is not units.SHARE or found["percent"]:
            return what, value
        if what == kinds[0] and value <= 1:
            return what, value
        error = error or ValueError("is a share without a percent sign")
    raise error or ValueError("has a unit that does not suit")


def _with_unit(number: str, found: re.Match[str], what: What) -> str:
    """A number with the unit found, in units.py's spelling."""
    dimension, word = DIMENSIONS[what], found["word"] or ""
    if found["percent"]:
        return f"{number} %"
    if found["thing"]:
        unit = f"{''.join(found['thing'].split())}/{_TIMES.get(found['time'].casefold(), found['time'])}"
    elif dimension is _COUNT:  # the word names what is counted
        if word.casefold().rstrip("s") in _OTHER_THINGS:
            raise ValueError(f"counts '{word}'")
        return number
    elif dimension is units.SHARE:  # "0.9 of the card"
        return number
    else:
        unit = _TIMES.get(word.casefold(), word)
    if unit not in dimension.units and dimension is not units.MEMORY:  # there, b is a bit
        unit = unit.casefold()
    return f"{number} {unit}"


def _half_step(found: re.Match[str], what: What) -> float:
    digits, _, power = found["number"].casefold().partition("e")
    last = f"5e{-1 - len(digits.partition('.')[2]) + int(power or 0)}"
    return units.parse(_with_unit(last, found, what), DIMENSIONS[what], bare=False)


def _limit(found: re.Match[str], what: What) -> float | None:
    """What a claim is held against; None if it is of another kind: 1.8% of 64 GB."""
    try:
        return _first(found, (what,))[1]
    except ValueError:
        return None
