"""From a file to a model: parse with places, validate, and say where it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import InputError
from .locate import located
from .tree import Tree, read_file_tree

__all__ = ["load", "named", "validated"]

Loaded = TypeVar("Loaded", bound=BaseModel)
Prepare = Callable[[dict[str, Any]], dict[str, Any]]


def load(path: Path, model: type[Loaded], prepare: Prepare | None = None) -> Loaded:
    """Read a YAML, JSON or Markdown file as `model`. Raises InputError with file, line and what would be right.

    The file's name becomes the `name` of what has none. `prepare` may change the raw data before it is validated.
    """
    tree = read_file_tree(path)
    if "name" in model.model_fields:
        tree = named(tree)
    if isinstance(tree.data, dict) and prepare is not None:
        tree.data = prepare(tree.data)
    return validated(tree, model)


def named(tree: Tree) -> Tree:
    """The file's name becomes the `name` of what has none."""
    if isinstance(tree.data, dict) and tree.file is not None:
        tree.data.setdefault("name", tree.file.stem.encode("utf-8", "replace").decode())
    return tree


def validated(tree: Tree, model: type[Loaded]) -> Loaded:
    """Validate parsed data; numbers with a dimension must name their unit."""
    if tree.data is None:
        raise InputError("the file is empty", place=tree.place(()), help="`shardwise schema` describes a scenario")
    if not isinstance(tree.data, dict):
        raise InputError("the file must be a mapping of keys to values", place=tree.place(()))
    try:
        folder = tree.file.parent if tree.file else None
        return model.model_validate(tree.data, context={"units": "required", "folder": folder})
    except ValidationError as error:
        raise located(error, tree, model) from None
