"""From a file to a Scenario: parse with places, validate, and say where it is wrong."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..errors import InputError
from ..scenario import Scenario
from .locate import located
from .tree import Tree, read_file_tree

__all__ = ["load_scenario", "scenario_from_tree"]


def load_scenario(path: Path) -> Scenario:
    """Read a YAML or JSON scenario. Raises InputError with file, line and what would be right."""
    return scenario_from_tree(read_file_tree(path))


def scenario_from_tree(tree: Tree) -> Scenario:
    """Validate parsed conditions; numbers with a dimension must name their unit."""
    if tree.data is None:
        raise InputError("the file is empty", place=tree.place(()), help="`shardwise schema` describes a scenario")
    if not isinstance(tree.data, dict):
        raise InputError("a scenario is a mapping of keys to values", place=tree.place(()))
    data = dict(tree.data)
    if "name" not in data and tree.file is not None:
        data["name"] = tree.file.stem
    try:
        return Scenario.model_validate(data, context={"units": "required"})
    except ValidationError as error:
        raise located(error, tree, Scenario) from None
    except InputError as error:
        raise _placed(error, tree) from None


def _placed(error: InputError, tree: Tree) -> InputError:
    """An unknown catalog id was met before validation could attach its place."""
    return InputError(error.message, place=error.place or tree.place(("model",)), help=error.help)
