"""The points of a sweep: changes to the base scenario, each with a key by which its result is known again."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from ...models import InputError, Scenario, ScenarioFile
from ...models.edit import Edit, edited
from ...models.knowledge import files_of
from .axes import Axis, resolved

MOST_POINTS = 1_000_000
Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """One scenario of a sweep."""

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
    excluded: tuple[Changes, ...] = ()
    """Points that are left out: all of the values named; a list names several."""
    digest: str = field(default="", compare=False)

    def __len__(self) -> int:
        """Points before any is left out."""
        grid = math.prod(len(axis.values) for axis in self.axes) if self.axes else 0
        return grid + len(self.listed) + (not self.axes and not self.listed)

    def points(self) -> Iterator[Point]:
        """All of them, the grid first, its last axis fastest. Raises InputError for too many."""
        if len(self) > MOST_POINTS:
            raise InputError(
                f"{len(self):,} scenarios are more than {MOST_POINTS:,}", help="vary fewer keys, or in larger steps"
            )
        keyed, number = _Keys(self.base), 0
        for changes in self._changes():
            if not any(_matches(changes, one) for one in self.excluded):
                yield Point(number, changes, keyed.of(changes))
                number += 1

    def _changes(self) -> Iterator[Changes]:
        if self.axes:
            names = [axis.key for axis in self.axes]
            for values in itertools.product(*(axis.values for axis in self.axes)):
                yield dict(zip(names, values, strict=True))
        elif not self.listed:
            yield {}
        yield from self.listed


def _matches(changes: Changes, excluded: Changes) -> bool:
    for key, value in excluded.items():
        here = changes.get(key)
        if here not in value if isinstance(value, list) else here != value:
            return False
    return True


class _Keys:
    """Hashes of points: the whole raw scenario, knowledge, this version of shardwise."""

    def __init__(self, base: ScenarioFile) -> None:
        self.base = base
        self.files: dict[str, bytes] = {}
        fixed = hashlib.sha256(version("shardwise").encode())
        for path in base.knowledge:
            for file in files_of(path):
                fixed.update(file.read_bytes())
        self.fixed = fixed.digest()

    def of(self, changes: Changes) -> str:
        """The key of one point."""
        data = edited(self.base.tree.data, edits_of(changes, self.base.scenario), self.base.scenario)
        data.pop("name", None)
        text = json.dumps(data, sort_keys=True, ensure_ascii=False, default=str)
        found = hashlib.sha256(self.fixed + text.encode("utf-8", "surrogatepass"))
        model = data.get("model")
        if isinstance(model, str) and ("/" in model or model.endswith(".json")):
            found.update(self._file(model))
        return found.hexdigest()[:32]

    def _file(self, model: str) -> bytes:
        """The content of a config.json that the scenario names."""
        if model not in self.files:
            path = self.base.path.parent / model
            path = path / "config.json" if path.is_dir() else path
            try:
                self.files[model] = path.read_bytes()
            except OSError:
                self.files[model] = b""  # solving says what is wrong with it
        return self.files[model]


def edits_of(changes: Changes, base: Scenario) -> list[Edit]:
    """What a point changes."""
    set_ = {key: value for name, given in changes.items() for key, value in resolved(name, given, base).items()}
    return [Edit(key=key, after=value) for key, value in set_.items()]


def known_keys(sweep: Sweep) -> None:
    """Raise InputError where the first value of an axis, or a listed point, makes no scenario."""
    first: Sequence[Changes] = [{axis.key: axis.values[0]} for axis in sweep.axes]
    for changes in (*first, *sweep.listed[:1]):
        try:
            sweep.base.edited(edits_of(changes, sweep.base.scenario))
        except InputError as error:
            what = ", ".join(f"{key}: {value}" for key, value in changes.items())
            raise InputError(f"with {what}: {error.message}", help=error.help) from None
