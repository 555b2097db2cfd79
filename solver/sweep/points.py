"""The points of a sweep: changes to the base scenario, each with a key by which its result is known again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...models import InputError, ScenarioFile
from .axes import Axis
from .exclusions import Exclusion
from .keys import Keys

MOST_POINTS = 1_000_000
Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """One scenario of a sweep. Two points may be the same scenario: then they share the key and the result."""

    number: int
    changes: Changes
    """Key -> value, as a scenario file would hold it."""
    key: str
    """Hash of everything that its result depends on."""


@dataclass(frozen=True)
class Sweep:
    """A base scenario and what is varied."""

    base: ScenarioFile
    axes: tuple[Axis, ...] = ()
    listed: tuple[Changes, ...] = ()
    """Points by themselves, each beside the grid."""
    excluded: tuple[Exclusion, ...] = ()
    """Points that are left out."""

    def __len__(self) -> int:
        """Points before any is left out."""
        grid = math.prod(len(axis.values) for axis in self.axes) if self.axes else 0
        return grid + len(self.listed) + (not self.axes and not self.listed)

    def points(self) -> Iterator[Point]:
        """All of them, the grid first, its last axis fastest. Raises InputError for too many, or if none is left."""
        if len(self) > MOST_POINTS:
            raise InputError(
                f"{len(self):,} scenarios are more than {MOST_POINTS:,}", help="vary fewer keys, or in larger steps"
            )
        keys, number = Keys(self.base), 0
        for changes in self._changes():
            if not any(one.matches(changes) for one in self.excluded):
                yield Point(number, changes, keys.of(changes))
                number += 1
        if not number:
            raise InputError(f"all {len(self):,} scenarios are excluded", help="exclude fewer")

    def _changes(self) -> Iterator[Changes]:
        if self.axes:
            names = [axis.key for axis in self.axes]
            for values in itertools.product(*(axis.values for axis in self.axes)):
                yield dict(zip(names, values, strict=True))
        elif not self.listed:
            yield {}
        yield from self.listed
