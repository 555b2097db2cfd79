"""Values of a deployment document into plain data; a quantity stays text, which units.py reads later.

Every reader gets at most LONGEST_VALUE characters and raises ValueError with what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

LONGEST_VALUE = 200
Read = Callable[[str], Any]

_WHOLE = r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_FORMATS = {"fp16": "bf16", "float16": "bf16", "half": "bf16", "bfloat16": "bf16", "float32": "fp32"}


def as_written(value: str) -> str:
    """A quantity or a name."""
    return value


def whole(units: str = "") -> Read:
    """A reader of whole numbers, with or without one of the `units` behind them."""
    pattern = re.compile(rf"{_WHOLE}(?:\s*(?:{units}))?", re.IGNORECASE)

    def read(value: str) -> int:
        if (found := pattern.fullmatch(value)) is None:
            raise ValueError("is not a whole number; write it like 4096")
        return int(found[1].replace(",", ""))

    return read


def span(units: str) -> Read:
    """A whole number, or two with a dash, `~` or `to` between them."""
    pattern = re.compile(rf"{_WHOLE}(?:\s*(?:-|–|—|~|to)\s*{_WHOLE})?(?:\s*(?:{units}))?", re.IGNORECASE)

    def read(value: str) -> int | dict[str, int]:
        if (found := pattern.fullmatch(value)) is None:
            raise ValueError("is not a whole number or a range; write it like 4096 or 128 - 10240")
        first, last = found[1].replace(",", ""), found[2]
        return int(first) if last is None else {"min": int(first), "max": int(last.replace(",", ""))}

    return read


def head_counts(value: str) -> dict[str, int]:
    """`64`, or `16 x 32`: heads times elements per head."""
    if (found := re.fullmatch(rf"{_WHOLE}(?:\s*[xX×*]\s*{_WHOLE})?(?:\s*heads)?", value)) is None:
        raise ValueError("is not a number of heads; write it like 16 x 32 (heads times head dimension) or 16")
    pair = [int(number.replace(",", "")) for number in found.groups() if number]
    return dict(zip(("heads", "head_dim"), pair, strict=False))


def top_k(value: str) -> int:
    """`2` or `top-2`."""
    number: int = whole("experts?")(re.sub(r"^top[- ]?", "", value, flags=re.IGNORECASE))
    return number


def gated(value: str) -> bool:
    """Whether there are three matrices."""
    if value not in ("2", "3"):
        raise ValueError("is not a number of matrices; write 3 (gate, up, down) or 2 (up, down)")
    return value == "3"


def yes_or_no(value: str) -> bool:
    """A switch."""
    if value.casefold() not in ("yes", "no", "true", "false"):
        raise ValueError("is neither yes nor no")
    return value.casefold() in ("yes", "true")


def number_format(value: str) -> str:
    """Both 16-bit formats take two bytes; the scenario calls them bf16."""
    name = value.casefold().replace(" ", "")
    return _FORMATS.get(name, name)


def number_formats(value: str) -> dict[str, str]:
    """One format for the whole model. A shorter one than 16 bit speaks of the weights, as engines mean it."""
    name = number_format(value)
    return dict.fromkeys(("weights", "activations", "kv_cache") if name in ("bf16", "fp32") else ("weights",), name)


def choice(value: str) -> str:
    """One of the schema's words: `from shapes` is from-shapes."""
    return "-".join(value.casefold().split())


def objective(value: str) -> str | list[str]:
    """One objective, or several with commas between them, first one first."""
    names = [choice(part) for part in value.split(",")]
    return names if len(names) > 1 else names[0]


def at_most(value: str) -> str:
    """A ceiling: `10s`, `< 10 s`, `at most 10 s`."""
    return re.sub(r"^(?:<=?|≤|at most)\s*", "", value)


def rate(value: str) -> str | dict[str, str]:
    """A floor: `100 tokens/ms`, `100 output tokens/s`, `12 requests/s`."""
    value = re.sub(r"^(?:>=?|≥|at least)\s*", "", value)
    if found := re.fullmatch(r"(\S+)\s+(input|prompt|output|generated)\s+(\S+)", value):
        return {"input" if found[2] in ("input", "prompt") else "output": f"{found[1]} {found[3]}"}
    return {"requests": value} if "req" in value else value
