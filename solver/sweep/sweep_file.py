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
from .axes import axis, axis_of, split
from .checks import checked
from .exclusions import exclusions_of
from .points import Sweep


class SweepFile(Model):
    """What the file holds."""

    base: str = Field(description="the scenario that is changed; a relative path starts at this file")
    vary: dict[str, Any] = Field(
        default_factory=dict, description="key -> its values, as a list or as text: 8,16,32 or 8:64:8 or 1:256:x2"
    )
    list: tuple[dict[str, Any], ...] = Field(default=(), description="points by themselves: key -> value")
    exclude: tuple[dict[str, Any], ...] = Field(
        default=(), description="points to leave out: key -> its values, written as in vary"
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
        base = _base(path, knowledge)
        return checked(Sweep(base, tuple(axis_of(text, base.scenario) for text in vary))), None
    given = load(path, SweepFile)
    files = [path.parent / one for one in given.knowledge]
    base = _base(path.parent / given.base, [*files, *knowledge])
    axes = [axis(key, _listed(values), base.scenario) for key, values in given.vary.items()]
    axes += [axis_of(text, base.scenario) for text in vary]
    folder = None if given.save is None else path.parent / given.save
    excluded = exclusions_of(given.exclude, axes, given.list)
    return checked(Sweep(base, tuple(axes), given.list, excluded)), folder


def _base(path: Path, knowledge: Sequence[Path]) -> ScenarioFile:
    tree = read_file_tree(path)
    if isinstance(tree.data, dict) and "engines" in tree.data:
        raise InputError(
            "a scenario over an engine table cannot be swept yet",
            place=tree.place(("engines",), key=True),
            help="`shardwise solve` plans it; a sweep needs a scenario with a model",
        )
    return ScenarioFile.read(path, knowledge)


def _listed(values: Any) -> list[Any]:
    if isinstance(values, str):
        return list(split(values))
    return values if isinstance(values, list) else [values]
