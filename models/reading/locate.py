"""Validation errors into errors a person can act on: the value, the rule, the line, the way out."""

from __future__ import annotations

import difflib
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import InputError, InputErrors
from .tree import Path_, Tree

_MOST_ERRORS = 10
_MOST_READ = 200
"""Errors looked at; hostile files have thousands."""


def located(error: ValidationError, tree: Tree, model: type[BaseModel]) -> InputError:
    """The errors of one validation, each with its place in the file."""
    found: dict[Path_, tuple[Any, bool]] = {}
    for item in error.errors(include_url=False)[:_MOST_READ]:
        path, missing = _real_path(item, tree.data)
        # Of a union's branches at one place, the one that is not about the mere type says more.
        if path not in found or (found[path][0]["type"].endswith("_type") and not item["type"].endswith("_type")):
            found[path] = (item, missing)
    # Of a union's branches keep the one that got furthest into the data.
    inner = [path for path in found if not any(len(o) > len(path) and o[: len(path)] == path for o in found)]
    meant = {(*path[:-1], _meant(path, model)) for path in inner if found[path][0]["type"] == "extra_forbidden"}
    inner = [path for path in inner if not (found[path][1] and path in meant)]  # missing because misspelt
    errors = [_describe(path, *found[path], tree, model) for path in inner[:_MOST_ERRORS]]
    return errors[0] if len(errors) == 1 else InputErrors(errors)


def _real_path(item: Any, data: Any) -> tuple[Path_, bool]:
    """The part of pydantic's location that exists in the data (it also names union branches)."""
    path: Path_ = ()
    location = item["loc"]
    for position, step in enumerate(location):
        try:
            data = data[step] if isinstance(data, (dict, list)) else {}[step]
        except (KeyError, IndexError, TypeError):
            if item["type"] == "missing" and position == len(location) - 1:
                return (*path, step), True
            continue
        path = (*path, step)
    return path, False


def _describe(path: Path_, item: Any, missing: bool, tree: Tree, model: type[BaseModel]) -> InputError:
    name = ".".join(str(step) for step in path) or "the scenario"
    kind = item["type"]
    if missing:
        return InputError(f"missing key '{name}'", place=tree.place(path[:-1]), help=_about(model, path))
    if kind == "extra_forbidden":
        meant = _meant(path, model)
        help = f"did you mean '{meant}'?" if meant else f"known keys here: {', '.join(_known_keys(model, path[:-1]))}"
        return InputError(f"unknown key '{str(path[-1])[:60]}'", place=tree.place(path, key=True), help=help)
    original = item.get("ctx", {}).get("error")
    if isinstance(original, InputError):
        return InputError(
            original.message, place=original.place or tree.place(original.path or path), help=original.help
        )
    message = str(original) if original is not None else item["msg"]
    if kind not in ("quantity", "value_error"):
        message = f"{_shown(item['input'])}: {message[0].lower()}{message[1:]}"
    return InputError(f"{name}: {message}", place=tree.place(path), help=_about(model, path))


def _meant(path: Path_, model: type[BaseModel]) -> str | None:
    """The known key that an unknown one resembles."""
    near = difflib.get_close_matches(str(path[-1]), _known_keys(model, path[:-1]), n=1, cutoff=0.6)
    return near[0] if near else None


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else repr(value)[:60]


def _about(model: type[BaseModel], path: Path_) -> str | None:
    """The documented meaning of a key."""
    owner = _model_at(model, path[:-1])
    if owner is None or not path:
        return None
    info = owner.model_fields.get(str(path[-1]))
    return f"'{path[-1]}' is: {info.description}" if info is not None and info.description else None


def _known_keys(model: type[BaseModel], path: Path_) -> list[str]:
    owner = _model_at(model, path)
    return list(owner.model_fields) if owner is not None else []


def _model_at(model: type[BaseModel], path: Path_) -> type[BaseModel] | None:
    """The model class whose keys stand at `path`."""
    annotation: Any = model
    for step in path:
        if typing.get_origin(annotation) is dict:
            annotation = typing.get_args(annotation)[1]
        elif isinstance(step, str):
            owner = _model_in(annotation)
            info = owner.model_fields.get(step) if owner is not None else None
            if info is None:
                return None
            annotation = info.annotation
        # A step into a list keeps the annotation: the model inside is found below.
    return _model_in(annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in typing.get_args(annotation):
        if (found := _model_in(part)) is not None:
            return found
    return None
