"""Quantities as people write them ("1.8 TB/s", "30 ms", "60 %") into plain SI numbers, and back.

Nowhere else in the project is a unit converted. Decimal prefixes are powers of 1000, the `i` prefixes
powers of 1024; a capital B is bytes, a small b bits. The result is a float in the dimension's base unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

_DECIMAL = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_TIME = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "min": 60.0,
    "h": 3600.0,
}
_NUMBER = re.compile(
    r"\s*([+-]?(?:(?:\d{1,3}(?:[,_]\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d,.].*?|)\s*", re.DOTALL
)
"""A comma or underscore only groups thousands: 1,5 is neither 15 nor 1.5."""
_LONGEST = 64  # no honest quantity is longer; keeps hostile input out of the pattern


@dataclass(frozen=True)
class Dimension:
    """What a quantity measures: its base unit, the factor of every accepted unit, and an example."""

    name: str
    base: str
    units: Mapping[str, float]
    example: str
    bare: bool = False
    """Whether a number without a unit is unambiguous in a file."""
    signed: bool = False


def _bytes() -> dict[str, float]:
    units = {f"{prefix}B": factor for prefix, factor in (_DECIMAL | _BINARY).items()}
    return units | {"bytes": 1.0, "byte": 1.0}


def _per_second(units: Mapping[str, float]) -> dict[str, float]:
    return {f"{unit}{per}": factor for unit, factor in units.items() for per in ("/s", "ps", "/sec")}


def _bandwidth() -> dict[str, float]:
    bits = {f"{prefix}{bit}": factor / 8 for prefix, factor in _DECIMAL.items() for bit in ("b", "bit")}
    return _per_second(_bytes()) | _per_second(bits)


def _flops() -> dict[str, float]:
    names = ("FLOPS", "FLOPs", "Flops", "FLOP/s", "Flop/s", "flop/s", "flops", "OPS", "OP/s")
    return {f"{prefix}{name}": factor for prefix, factor in _DECIMAL.items() for name in names}


def _rate(things: tuple[str, ...]) -> dict[str, float]:
    times = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}
    prefixes = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}
    return {
        f"{prefix}{thing}/{time}": factor / seconds
        for prefix, factor in prefixes.items()
        for thing in things
        for time, seconds in times.items()
    }


def _dimension(name: str, base: str, units: dict[str, float], example: str, **more: bool) -> Dimension:
    return Dimension(name, base, MappingProxyType(units), example, **more)


MEMORY = _dimension("amount of memory", "B", _bytes(), "80 GB or 74.5 GiB")
BANDWIDTH = _dimension("bandwidth", "B/s", _bandwidth(), "3.35 TB/s or 400 Gb/s")
COMPUTE = _dimension("compute rate", "FLOP/s", _flops(), "989 TFLOPS")
DURATION = _dimension("duration", "s", _TIME, "2 s or 30 ms")
TOKEN_RATE = _dimension("token rate", "tokens/s", _rate(("tokens", "token", "tok")), "100 tokens/s")
REQUEST_RATE = _dimension("request rate", "requests/s", _rate(("requests", "request", "req")), "12 requests/s")
SHARE = _dimension("share", "", {"%": 0.01, "percent": 0.01, "": 1.0}, "0.6 or 60 %", bare=True)
COUNT = _dimension(
    "count",
    "",
    {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12},
    "70.6 B or 70600000000",
    bare=True,
)


def parse(value: object, dimension: Dimension, *, bare: bool) -> float:
    """The SI value of what a person wrote.

    `bare` says whether a plain number is taken as base units; a file must name the unit (500 alone could be
    seconds or milliseconds, and that mistake costs a cluster). Raises ValueError with the value, the rule and
    an example.
    """
    article = "an" if dimension.name[0] in "aeiou" else "a"
    wanted = f"write {article} {dimension.name} such as {dimension.example}"
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{value!r} is not {article} {dimension.name}; {wanted}")
    if isinstance(value, (int, float)):
        if not (bare or dimension.bare):
            raise ValueError(f"{value!r} has no unit; {wanted}")
        number, unit = _as_float(value, wanted), ""
        factor = 1.0
    else:
        text = str(value)
        match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None:
            raise ValueError(f"{text[:_LONGEST]!r} is not {article} {dimension.name}; {wanted}")
        number, unit = (
            _as_float(match[1].replace(",", "").replace("_", ""), wanted),
            match[2].replace(" ", ""),
        )
        if not unit and not dimension.bare:
            raise ValueError(f"{text!r} has no unit; {wanted}")
        if unit not in dimension.units:
            raise ValueError(f"unit {match[2]!r} is not a unit of {dimension.name}; {wanted}")
        factor = dimension.units[unit]
    result = number * factor
    if not math.isfinite(result):
        raise ValueError(f"{value!r} is not a finite {dimension.name}; {wanted}")
    if result < 0 and not dimension.signed:
        raise ValueError(f"{value!r} is negative; {wanted}")
    return result


def _as_float(value: object, wanted: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        raise ValueError(f"{str(value)[:_LONGEST]} is not a usable number; {wanted}") from None


def quantity(dimension: Dimension) -> Any:
    """A pydantic validator for `Annotated[float, quantity(...)]`.

    With the validation context {"units": "required"} (a file), bare numbers are refused; without it (Python, or
    a plan that shardwise wrote) they are SI.
    """

    def validate(value: object, info: ValidationInfo) -> float:
        required = info.context is not None and info.context.get("units") == "required"
        try:
            return parse(value, dimension, bare=not required)
        except ValueError as error:
            raise PydanticCustomError("quantity", "{reason}", {"reason": str(error)}) from None

    return BeforeValidator(validate, json_schema_input_type=float | str)


Bytes = Annotated[float, quantity(MEMORY)]
BytesPerSecond = Annotated[float, quantity(BANDWIDTH)]
FlopPerSecond = Annotated[float, quantity(COMPUTE)]
Seconds = Annotated[float, quantity(DURATION)]
TokensPerSecond = Annotated[float, quantity(TOKEN_RATE)]
RequestsPerSecond = Annotated[float, quantity(REQUEST_RATE)]
Share = Annotated[float, quantity(SHARE)]
Count = Annotated[float, quantity(COUNT)]


def show_bytes(value: float) -> str:
    """Bytes for people, in decimal units: 80.0 GB."""
    return _scaled(value, "B", (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)))


def show_seconds(value: float) -> str:
    """Seconds for people: 2.13 s, 30.4 ms, 8.1 µs; never 0.00 for what is not zero."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value / 1e-6:.3g} µs" if value else "0 s"


def show_rate(value: float, thing: str = "tokens") -> str:
    """A rate for people: 12,300 tokens/s."""
    return f"{value:,.0f} {thing}/s" if value >= 100 else f"{value:.4g} {thing}/s"


def show_count(value: float) -> str:
    """A large count for people: 70.55 B."""
    return _scaled(value, "", (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)))


def _scaled(value: float, unit: str, scale: tuple[tuple[str, float], ...]) -> str:
    for prefix, factor in scale:
        if abs(value) >= factor:
            return f"{value / factor:.4g} {prefix}{unit}".rstrip()
    return f"{value:.4g} {unit}".rstrip()
