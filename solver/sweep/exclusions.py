"""Points that a sweep leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...models import InputError
from .axes import Axis, canonical, split, values_of


@dataclass(frozen=True)
class Exclusion:
    """Keys and, for each, the values (in canonical form) of which a point must have one."""

    values: Mapping[str, frozenset[str]]

    def matches(self, changes: Mapping[str, Any]) -> bool:
        """Whether it leaves a point out: all of its keys must fit."""
        return all(key in changes and canonical(changes[key]) in some for key, some in self.values.items())


def exclusions_of(
    given: Sequence[Mapping[str, Any]], axes: Sequence[Axis], listed: Sequence[Mapping[str, Any]]
) -> tuple[Exclusion, ...]:
    """Written as axes are: 8,16 or 8:64:8. Raises InputError for one that leaves nothing, or everything, out."""
    return tuple(_exclusion(number, one, axes, listed) for number, one in enumerate(given, 1))


def _exclusion(
    number: int, given: Mapping[str, Any], axes: Sequence[Axis], listed: Sequence[Mapping[str, Any]]
) -> Exclusion:
    if not given:
        raise InputError(f"exclusion {number} names no key, so it would leave out every point", help="remove it")
    varied = dict.fromkeys([*(axis.key for axis in axes), *(key for point in listed for key in point)])
    for key in given:
        if key not in varied:
            raise InputError(
                f"exclusion {number}: {key} is not varied, so it leaves nothing out",
                help=f"varied are: {', '.join(varied) or 'no keys'}",
            )
    found = Exclusion({key: frozenset(map(canonical, _values(key, value))) for key, value in given.items()})
    grid = {axis.key: axis.values for axis in axes}
    for key, some in found.values.items():  # told by the key where one alone is to blame
        there = [*grid.get(key, ()), *(point[key] for point in listed if key in point)]
        if not _any_of(there, some):
            shown = ", ".join(str(value) for value in there[:8]) + (", …" if len(there) > 8 else "")
            raise InputError(f"exclusion {number}: no point has {key} {given[key]}", help=f"it has: {shown}")
    in_grid = all(_any_of(grid.get(key, ()), some) for key, some in found.values.items())
    if not in_grid and not any(found.matches(point) for point in listed):
        raise InputError(f"exclusion {number} matches no point", help="no point has all of its values at once")
    return found


def _any_of(values: Iterable[Any], some: frozenset[str]) -> bool:
    return any(canonical(value) in some for value in values)


def _values(key: str, value: Any) -> list[Any]:
    given = value if isinstance(value, list) else split(value) if isinstance(value, str) else [value]
    return [one for text in given for one in values_of(key, text)]
