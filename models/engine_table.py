"""Serving engines that were priced elsewhere, by a benchmark or another tool: one engine a row.

What a file's columns hold stands here too, so that the reader, its messages and the documents cannot differ.
"""

from __future__ import annotations

import difflib
import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import InputError
from .rules import Role
from .units import DURATION, MEMORY

MOST_GPUS = 8192
"""Of one engine."""
LARGEST = 1e9
"""Of any number in a cell, in the unit of its column."""
SMALLEST = 1e-9
LONGEST_TEXT = 200
"""Characters of a name or id."""
MOST_CELLS = 50
"""Of a header that are looked at."""
ROLES: tuple[Role, ...] = typing.get_args(Role)


@dataclass(frozen=True)
class EngineTable:
    """The table as columns of equal length, in SI units (seconds, bytes); None is a blank cell."""

    file: str
    """The path, as it was given."""
    names: tuple[str, ...]
    roles: tuple[Role, ...]
    gpus: tuple[int, ...]
    batch: tuple[int | None, ...]
    ttft_s: tuple[float | None, ...]
    """Time to first token. A decode engine's is the time from the arrival of the KV cache to the first token: it adds
    to the prefill engine's."""
    tpot_s: tuple[float | None, ...]
    requests_per_s: tuple[float, ...]
    accelerators: tuple[str | None, ...]
    memory_bytes: tuple[float | None, ...]
    """On the fullest GPU."""
    cost_per_hour: tuple[float | None, ...]
    """Of one engine, in one currency throughout."""
    lines: tuple[int, ...]
    """Where each engine's row begins: line of a .csv, whose header is line 1 as a rule; row of a .parquet, from 1."""

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in vars(self).items() if name != "file"}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"the columns differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Column:
    """A column of the file: what its cells hold, in words and as the function that reads them."""

    about: str
    blank: bool = False
    """Whether a cell may be blank, whatever the role."""
    optional: bool = False
    """Whether a file may leave the column out."""

    def cell(self, text: str) -> Any:
        """The value of a cell; the spaces around it do not count. Raises InputError without a place."""
        if text := text.strip():
            return self._value(text)
        if self.blank:
            return None
        raise InputError("the cell is blank")

    def cells(self, texts: Sequence[str]) -> list[Any]:
        """Many cells; the same as each by itself, in a third of the time where none is unusual."""
        values = self._quickly(texts) if self.blank or all(texts) else None
        return [self.cell(text) for text in texts] if values is None else values

    def _value(self, text: str) -> Any:
        raise NotImplementedError

    def _quickly(self, texts: Sequence[str]) -> list[Any] | None:
        """The values, or None if a cell needs a closer look."""
        raise NotImplementedError


class _Name(Column):
    def _value(self, text: str) -> str:
        if len(text) > LONGEST_TEXT:
            raise InputError(f"{_shown(text)} is longer than {LONGEST_TEXT} characters")
        if not text.isprintable():  # a line break or control character would break the reports that name it
            raise InputError(f"{_shown(text)} has characters that cannot be printed")
        return text

    def _quickly(self, texts: Sequence[str]) -> list[str | None] | None:
        names = [text.strip() or None for text in texts]
        usual = "".join(texts).isprintable() and max(map(len, texts), default=0) <= LONGEST_TEXT
        return names if usual and (self.blank or None not in names) else None


class _Role(Column):
    def _value(self, text: str) -> Role:
        for role in ROLES:
            if text == role:
                return role
        near = difflib.get_close_matches(text[:LONGEST_TEXT].lower(), ROLES, n=1)
        help = f"did you mean '{near[0]}'?" if near else f"known roles: {', '.join(ROLES)}"
        raise InputError(f"unknown role {_shown(text)}", help=help)

    def _quickly(self, texts: Sequence[str]) -> list[Role] | None:
        roles: dict[str, Role] = {role: role for role in ROLES}  # whose values are shared
        return [roles[text] for text in texts] if roles.keys() >= set(texts) else None


@dataclass(frozen=True)
class _Number(Column):
    factor: float = 1.0
    """Into SI units."""
    most: float = LARGEST
    whole: bool = False

    @property
    def least(self) -> float:
        """In the unit of the column, as `most` is."""
        return 1 if self.whole else SMALLEST

    def _value(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value) or not _plain(text):
            raise InputError(f"{_shown(text)} is not a plain number")
        if value <= 0:
            raise InputError(f"{_shown(text)} is not above 0")
        if self.whole and value % 1 and value < self.most:  # 8.0 passes: so many tools write a column with blanks
            raise InputError(f"{_shown(text)} is not a whole number")
        if not self.least <= value <= self.most:
            bound = f"below {self.least:g}" if value < self.least else f"above {self.most:,.0f}"
            raise InputError(f"{_shown(text)} is {bound}")
        return int(value) if self.whole else value * self.factor

    def _quickly(self, texts: Sequence[str]) -> list[float | None] | None:
        if not _plain("".join(texts)):
            return None
        read: type[float] = int if self.whole else float
        try:
            numbers = [read(text) for text in texts if text]
        except ValueError:
            return None
        if numbers and not (self.least <= min(numbers) and max(numbers) <= self.most):
            return None
        if self.factor != 1:
            numbers = [number * self.factor for number in numbers]
        if len(numbers) == len(texts):
            return [*numbers]
        number = iter(numbers)
        return [next(number) if text else None for text in texts]


def _plain(text: str) -> bool:
    """Whether it has none of the digits and words (1_000, nan, inf) that Python takes for numbers besides the usual."""
    return text.isascii() and "_" not in text and "n" not in text and "N" not in text


def _shown(text: str) -> str:
    return repr(text[:60]) + ("…" if len(text) > 60 else "")


_TTFT = "time to first token in milliseconds; of a decode engine, from the arrival of the KV cache to the first token"
_MS, _GB = DURATION.units["ms"], MEMORY.units["GB"]
COLUMNS: dict[str, Column] = {
    "engine": _Name("name of the engine, unique in the table"),
    "role": _Role("prefill, decode, or aggregated for an engine that does both"),
    "gpus": _Number(f"GPUs of one engine, a whole number from 1 to {MOST_GPUS:,}", most=MOST_GPUS, whole=True),
    "batch": _Number("sequences in a batch, a whole number of at least 1, or blank", blank=True, whole=True),
    "ttft_ms": _Number(_TTFT, blank=True, factor=_MS),
    "tpot_ms": _Number("time per output token in milliseconds", blank=True, factor=_MS),
    "requests_per_s": _Number("requests per second that one engine completes"),
    "accelerator": _Name("id of the accelerator, or blank", blank=True, optional=True),
    "memory_gb": _Number(
        "memory on the fullest GPU in GB (1e9 bytes), or blank", blank=True, optional=True, factor=_GB
    ),
    "cost_per_hour": _Number(
        "cost of one engine in an hour, in one currency throughout, or blank", blank=True, optional=True
    ),
}
"""The columns of a file, in the order of EngineTable's."""
FIRST_LINE = "the first line names the columns: " + ",".join(n for n, column in COLUMNS.items() if not column.optional)
_NEEDED: dict[Role, set[str]] = {"prefill": {"ttft_ms"}, "decode": {"tpot_ms"}, "aggregated": {"ttft_ms", "tpot_ms"}}
_FOREIGN: dict[Role, set[str]] = {"prefill": {"tpot_ms"}, "decode": set(), "aggregated": set()}
"""Times that a role must state and cannot have. A decode engine may have a TTFT, see EngineTable."""


def header_mistakes(names: list[str]) -> list[tuple[int, InputError]]:
    """What is wrong with a header, without a place, each with the position of its cell."""
    absent = [name for name in COLUMNS if name not in names]
    known = f"known columns: {', '.join(COLUMNS)}"
    found = []
    for cell, name in enumerate(names[:MOST_CELLS]):
        if name in COLUMNS:
            if names.index(name) < cell:
                found.append((cell, InputError(f"column '{name}' stands twice", help="remove one of the two")))
        elif near := difflib.get_close_matches(name[:LONGEST_TEXT].lower(), absent, n=1):
            absent.remove(near[0])  # missing because misspelt
            found.append((cell, InputError(f"unknown column {_shown(name)}", help=f"did you mean '{near[0]}'?")))
        else:
            fact = f"unknown column {_shown(name)}" if name else f"column {cell + 1} has no name"
            found.append((cell, InputError(fact, help=known)))
    if len(absent) > len(COLUMNS) / 2 and not COLUMNS.keys() & names:  # this is no header
        absent, found = list(COLUMNS), []
    if missing := [name for name in absent if not COLUMNS[name].optional]:
        help = ("separate cells by commas; " if len(names) == 1 else "") + FIRST_LINE
        error = InputError(f"missing column{'s' * (len(missing) > 1)}: {', '.join(missing)}", help=help)
        found.insert(0, (0, error))
    return found


def row_mistakes(texts: dict[str, str]) -> list[tuple[str, InputError]]:
    """What is wrong with a row, given as the cells of its columns; without a place, each with its column."""
    values: dict[str, Any] = {}
    found: list[tuple[str, InputError]] = []
    for name, text in texts.items():
        try:
            values[name] = COLUMNS[name].cell(text)
        except InputError as error:
            found.append((name, error))
    if not found:
        found = _time_mistakes(values["role"], {name for name, value in values.items() if value is not None})
    return [
        (name, InputError(f"{name}: {error.message}", help=error.help or f"'{name}' is: {COLUMNS[name].about}"))
        for name, error in found
    ]


def _time_mistakes(role: Role, stated: set[str]) -> list[tuple[str, InputError]]:
    needed = [(name, InputError(f"the cell is blank, and role {role} needs it")) for name in _NEEDED[role] - stated]
    foreign = [(name, InputError(f"role {role} has none", help="leave it blank")) for name in _FOREIGN[role] & stated]
    return sorted(needed + foreign, key=lambda item: item[0])


LEGAL_TIMES = {
    (role, ttft, tpot)
    for role in ROLES
    for ttft in (False, True)
    for tpot in (False, True)
    if not _time_mistakes(role, {name for name, stated in (("ttft_ms", ttft), ("tpot_ms", tpot)) if stated})
}
"""Roles, with whether a row states a TTFT and a TPOT."""
