"""A sweep as a file: the base scenario, axes, a list of points, exclusions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from ...models import InputError, ScenarioFile
from ...models.base import Model
from ...models.reading import load
from ...models.reading.tree import read_file_tree
from .axes import axis, axis_of
from .points import Sweep, known_keys


class SweepFile(Model):
    """What the file holds."""

    base: str = Field(description="the scenario that is changed; a relative path starts at this file")
    vary: dict[str, Any] = Field(
        default_factory=dict, description="key -> its values, as a list or as text: 8,16,32 or 8:64:8 or 1:256:x2"
    )
    list: tuple[dict[str, Any], ...] = Field(default=(), description="points by themselves: key -> value")
    exclude: tuple[dict[str, Any], ...] = Field(
        default=(), description="points to leave out: key -> value, or a list of values"
    )
    save: str | None = Field(default=None, description="folder of the store, unless --save says; relative to this file")
    knowledge: tuple[str, ...] = Field(default=(), description="knowledge files laid under the base scenario")


def is_sweep_file(path: Path) -> bool:
    """Whether a file describes a sweep: it names a base."""
    if path.suffix.lower() in (".md", ".markdown"):
        return False
    data = read_file_tree(path).data
    return isinstance(data, dict) and "base" in data


def read_sweep(path: Path, vary: Sequence[str], knowledge: Sequence[Path]) -> tuple[Sweep, Path | None]:
    """A sweep from its file, or from a scenario and axes; and the folder that the file names. Raises InputError."""
    if not is_sweep_file(path):
        base = ScenarioFile.read(path, knowledge)
        sweep = Sweep(base, tuple(axis_of(text, base.scenario) for text in vary))
        return _checked(sweep), None
    given = load(path, SweepFile)
    files = [path.parent / one for one in given.knowledge]
    base = ScenarioFile.read(path.parent / given.base, [*files, *knowledge])
    axes = [axis(key, _listed(values), base.scenario) for key, values in given.vary.items()]
    axes += [axis_of(text, base.scenario) for text in vary]
    folder = None if given.save is None else path.parent / given.save
    return _checked(Sweep(base, tuple(axes), given.list, given.exclude)), folder


def _listed(values: Any) -> list[Any]:
    if isinstance(values, str):
        from .axes import split

        return list(split(values))
    return values if isinstance(values, list) else [values]


def _checked(sweep: Sweep) -> Sweep:
    names = [axis.key for axis in sweep.axes]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the key {name} is varied twice")
    known_keys(sweep)
    return sweep
