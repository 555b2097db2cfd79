"""Kubernetes and Dynamo manifests: every container that starts a serving engine, and how many copies there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..claimed import Claimed, Unread
from ..errors import InputError, Place
from .engine_command import Said, Word, find_command, read_arguments, read_settings
from .plan_command import claimed_of, commands_in, logical_lines
from .tree import LARGEST_FILE, Path_, Tree, read_text_tree

_ROLES = {"prefill": "prefill", "decode": "decode"}
_MOST = 1_000
"""Copies of one container that a manifest may ask for."""


@dataclass
class _Document:
    """One document of the file."""

    tree: Tree

    def line(self, path: Path_) -> int:
        return self.tree.values.get(path, (1, 1))[0]


def is_manifest(text: str) -> bool:
    """Whether a text looks like one."""
    before = r'[{,\s]\s*"' if text.lstrip().startswith("{") else "^"
    return all(re.search(rf'{before}{key}"?\s*:', text, re.MULTILINE) for key in ("apiVersion", "kind"))


def read_manifest(text: str, file: Path, experts: bool) -> Claimed:
    """What the engines of a manifest state. Raises InputError with the line."""
    if len(text) > LARGEST_FILE:
        raise InputError(f"more than {LARGEST_FILE:,} characters are no manifest", place=Place(file))
    documents = list(_documents(text, file))
    settings = {name: value for one in documents for name, value in _config_maps(one.tree.data)}
    found: list[Said] = []
    for document in documents:
        for path, container in _containers(document.tree.data, ()):
            said = _said(document, path, container, settings)
            if said is not None:
                said.copies = _copies(document, path, said)
                found.append(said)
    roles = {said.values["role"][0] for said in found if "role" in said.values}
    if len(roles & set(_ROLES)) == 1 and all(said.role_by_name for said in found if "role" in said.values):
        for said in found:  # half a pair is none: a name alone says nothing then
            said.values.pop("role", None)
    return claimed_of(found, str(file), "manifest", experts)


def _documents(text: str, file: Path) -> Iterator[_Document]:
    first, lines = 0, text.splitlines()
    ends = [i for i, line in enumerate(lines) if line.rstrip() == "---"] + [len(lines)]
    for end in ends:
        part = "\n".join(lines[first:end])
        if part.strip():
            tree = read_text_tree("\n" * first + part + "\n", file)  # every place is the file's own
            if isinstance(tree.data, dict):
                yield _Document(tree)
        first = end + 1


def _config_maps(data: Any) -> Iterator[tuple[str, str]]:
    if isinstance(data, dict) and data.get("kind") == "ConfigMap" and isinstance(data.get("data"), dict):
        yield from ((str(name), text) for name, text in data["data"].items() if isinstance(text, str))


def _containers(node: Any, path: Path_) -> Iterator[tuple[Path_, dict[str, Any]]]:
    """Mappings with a command or arguments, but those of workers that a leader starts."""
    if isinstance(node, dict):
        if isinstance(node.get("command"), (list, str)) or isinstance(node.get("args"), (list, str)):
            yield path, node
            return
        for key, value in node.items():
            if key == "workerTemplate" and "leaderTemplate" in node:
                continue
            yield from _containers(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _containers(value, (*path, index))


def _said(document: _Document, path: Path_, container: dict[str, Any], settings: dict[str, str]) -> Said | None:
    words: list[Word] = []
    for key in ("command", "args"):
        value = container.get(key)
        parts = value if isinstance(value, list) else [] if value is None else [value]
        for index, part in enumerate(parts):
            line = document.line((*path, key, index)) if isinstance(value, list) else document.line((*path, key))
            words += _pieces(str(part), line)
    image = container.get("image")
    if isinstance(image, str) and "command" not in container:  # the image's own entry point starts the engine
        words = [Word(image, document.line((*path, "image"))), *words]
    found = find_command(words)
    if found is None:
        return None
    engine, first = found
    said = read_arguments(engine, words[first:], document.line(path))
    given = container.get("env")
    for entry in given if isinstance(given, list) else ():
        if isinstance(entry, dict) and "name" in entry and "value" in entry:
            said.environment[str(entry["name"])] = (str(entry["value"]), document.line((*path, "env")))
    if "file" in said.values:
        _settings(said, settings)
    if "role" not in said.values and "transfer" not in said.values and (role := _role(document, path)) is not None:
        said.values["role"], said.role_by_name = (role, document.line(path)), True
    return said


def _pieces(text: str, line: int) -> list[Word]:
    """A single argument; a script for a shell is taken apart, and the command in it that starts an engine is meant."""
    if not re.search(r"\s", text):
        return [Word(text, line)]
    for _, logical in logical_lines(text):
        for part in commands_in(logical, line):
            if find_command(part) is not None:
                return part
    return [Word(text, line)]


def _settings(said: Said, settings: dict[str, str]) -> None:
    name, line = said.values["file"]
    text = settings.get(name.rsplit("/", 1)[-1])
    if text is None:
        why = "is in no ConfigMap of this manifest, so what it states is not known"
        said.unread.append(Unread(text=name[:120], why=why, line=line))
        return
    read_settings(said, text, Path(name), line)


def _role(document: _Document, path: Path_) -> str | None:
    """From the type or name of what the container belongs to."""
    for depth in range(len(path), -1, -1):
        node = _at(document.tree.data, path[:depth])
        names: list[Any] = [path[depth - 1]] if depth else []
        if isinstance(node, dict):
            meta = node.get("metadata")
            names += [node.get("type"), node.get("subComponentType"), node.get("name")]
            names += [meta.get("name")] if isinstance(meta, dict) else []
        for name in names:
            for word, role in _ROLES.items():
                if isinstance(name, str) and word in name.lower():
                    return role
    return None


def _copies(document: _Document, path: Path_, said: Said) -> int:
    """Replicas of everything around the container, multiplied: a set of pods has one number of them."""
    for depth in range(len(path), -1, -1):
        node = _at(document.tree.data, path[:depth])
        if isinstance(node, dict) and "replicas" in node:
            replicas = node["replicas"]
            if isinstance(replicas, int) and 0 <= replicas <= _MOST:
                return replicas
            why = f"is no number of copies between 0 and {_MOST:,}"
            said.unread.append(Unread(text=f"replicas: {replicas}"[:120], why=why, line=document.line(path[:depth])))
            return 1
    return 1


def _at(data: Any, path: Path_) -> Any:
    for step in path:
        data = data[step]
    return data
