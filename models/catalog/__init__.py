"""Accelerators, language models and serving engines as data: one YAML file each, named by its id.

`accelerator(id)` and `language_model(id)` read one file, so that a run pays for what it uses.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from typing import Any

from ..errors import InputError


@cache
def ids(kind: str) -> tuple[str, ...]:
    """All ids of a kind ("accelerators", "language_models", "engines" or "commands"), sorted."""
    folder = files(__name__) / kind
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


@cache
def _read(kind: str, name: str) -> dict[str, Any]:
    if name not in ids(kind):
        near = difflib.get_close_matches(name.lower(), ids(kind), n=3, cutoff=0.5)
        what = kind.replace("_", " ").removesuffix("s")
        help = f"did you mean {' or '.join(near)}? " if near else ""
        raise InputError(f"unknown {what} '{name[:60]}'", help=f"{help}`shardwise catalog list` shows all ids")
    from ..reading.tree import read_text_tree

    text = (files(__name__) / kind / f"{name}.yaml").read_text(encoding="utf-8")
    data = read_text_tree(text).data
    assert isinstance(data, dict)
    return {"id": name, **data}


def accelerator(name: str) -> dict[str, Any]:
    """The raw entry of an accelerator. Raises InputError for an unknown id."""
    return _read("accelerators", name)


def engine(name: str) -> dict[str, Any]:
    """The raw entry of a serving engine. Raises InputError for an unknown id."""
    return _read("engines", name)


def command(name: str) -> dict[str, Any]:
    """The raw entry of a serving engine's command line. Raises InputError for an unknown id."""
    return _read("commands", name)


def measures() -> dict[str, Any]:
    """The raw file of techniques that do nothing in their setting."""
    from ..reading.tree import read_text_tree

    data = read_text_tree((files(__name__) / "measures.yaml").read_text(encoding="utf-8")).data
    assert isinstance(data, dict)
    return data


@cache
def published_names(kind: str) -> dict[str, str]:
    """Name in publications, in small letters -> id, for "accelerators" or "models"; ids stand for themselves."""
    from ..reading.tree import read_text_tree

    data = read_text_tree((files(__name__) / "published_names.yaml").read_text(encoding="utf-8")).data
    assert isinstance(data, dict)
    own = ids("language_models" if kind == "models" else kind)
    return {**{name: name for name in own}, **{name.lower(): id for name, id in data[kind].items()}}


def language_model(name: str) -> dict[str, Any]:
    """The raw entry of a language model. Raises InputError for an unknown id."""
    return _read("language_models", name)
