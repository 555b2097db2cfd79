"""Text (YAML, or JSON as its subset) into plain data that remembers where each value stood.

Built on the parser's events rather than on its loader: no recursion, no tags, no aliases, no duplicate keys, bounded
depth and size. So hostile input ends in an InputError with a line, in bounded time and memory. Scalars follow the
YAML 1.2 core schema (`yes`, `on` and 12:30 are text, 1e3 is a number).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError, Place

LARGEST_FILE = 1_000_000
"""Bytes of a scenario file; real ones have a few kilobytes."""
DEEPEST = 32
"""Levels of nesting; a scenario has five."""

Path_ = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_PAIR = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
"""How JSON escapes a character beyond the basic plane; YAML has no such pairs."""
_LONGEST_INT = 40
_TAGS = {None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


@dataclass
class Tree:
    """Plain data (dict, list, str, int, float, bool, None) and the place of every key and value."""

    data: Any
    file: Path | None
    lines: list[str]
    values: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    laid: dict[str | int, Tree] = field(default_factory=dict)
    """Top-level key -> the other file that it comes from."""

    def place(self, path: Path_, *, key: bool = False) -> Place:
        """Where the value (or key) at `path` stands; the nearest parent's place if it is absent."""
        if path and path[0] in self.laid:
            return self.laid[path[0]].place(path, key=key)
        table = self.keys if key else self.values
        while path and path not in table:
            path, table = path[:-1], self.values
        return self.at(*table.get(path, (1, 1)))

    def at(self, line: int, column: int) -> Place:
        """A position in the file, with its line."""
        return _place(self.file, self.lines, line, column)


def read_file_tree(path: Path) -> Tree:
    """Read a scenario file. Raises InputError for what cannot be one."""
    here = Place(path)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe would wait for ever
            raise InputError("this is no regular file", place=here)
        with path.open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
    except IsADirectoryError:
        raise InputError("this is a folder, not a scenario file", place=here) from None
    except FileNotFoundError:
        raise InputError("no such file", place=here, help="name a scenario file (.yaml, .json or .md)") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the file: {reason}", place=here) from None
    if len(raw) > LARGEST_FILE:
        raise InputError(f"the file is larger than {LARGEST_FILE:,} bytes; a scenario has a few thousand", place=here)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            "the file is not UTF-8 text",
            place=Place(path, line),
            help="save it as UTF-8; is it a scenario file?",
        ) from None
    if path.suffix.lower() in (".md", ".markdown"):
        from .markdown import read_markdown_tree

        return read_markdown_tree(text, path)
    if path.suffix == ".json":  # YAML forbids the tabs that JSON indents with; one space each keeps the columns
        text = re.sub(r"^[ \t]+", lambda indent: " " * len(indent[0]), text, flags=re.MULTILINE)
        text = _PAIR.sub(
            lambda pair: chr(0x10000 + (int(pair[1], 16) - 0xD800) * 0x400 + int(pair[2], 16) - 0xDC00), text
        )
    return read_text_tree(text, path)


def read_text_tree(text: str, file: Path | None = None) -> Tree:
    """Parse YAML or JSON text. Raises InputError with the line."""
    tree = Tree(None, file, text.splitlines())
    try:
        _build(tree, yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = " ".join(part for part in (error.context, error.problem) if part)
        # Newer parsers have a limit of their own, and reach it first where brackets open in one go.
        deep = "maximum nesting depth" in reason
        message = f"nested deeper than {DEEPEST} levels" if deep else f"not valid YAML: {reason}"
        raise InputError(message, place=_place(file, tree.lines, *where)) from None
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"not valid YAML: {reason}", place=Place(file, 1)) from None
    return tree


def _place(file: Path | None, lines: list[str], line: int, column: int) -> Place:
    text = lines[line - 1] if 0 < line <= len(lines) else None
    return Place(file, line, column, text if text is not None and len(text) <= 200 else None)


@dataclass
class _Open:
    """A mapping or sequence whose end has not been read."""

    node: dict[str, Any] | list[Any]
    path: Path_
    key: str | None = None

    def next_path(self) -> Path_:
        return (*self.path, self.key if isinstance(self.node, dict) else len(self.node))  # type: ignore[arg-type]

    def put(self, value: Any) -> None:
        if isinstance(self.node, dict):
            assert self.key is not None
            self.node[self.key], self.key = value, None
        else:
            self.node.append(value)


def _build(tree: Tree, events: Iterator[Any]) -> None:
    """Fill the tree from parser events, with a stack of our own instead of recursion."""
    stack: list[_Open] = []
    documents = 0

    def stop(message: str, mark: Any, help: str | None = None) -> InputError:
        return InputError(message, place=_place(tree.file, tree.lines, mark.line + 1, mark.column + 1), help=help)

    def add(value: Any, mark: Any) -> Path_:
        path = stack[-1].next_path() if stack else ()
        tree.values[path] = (mark.line + 1, mark.column + 1)
        if stack:
            stack[-1].put(value)
        else:
            tree.data = value
        return path

    for event in events:
        mark = event.start_mark
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise stop("a second document begins here; a file holds one", mark)
        elif isinstance(event, yaml.AliasEvent):
            raise stop("aliases (*name) are not read", mark, "write the value out")
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            stack.pop()
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            if event.tag not in _TAGS:
                raise stop(f"tags are not read: {str(event.tag)[:60]}", mark, "remove the tag")
            if len(stack) >= DEEPEST:
                raise stop(f"nested deeper than {DEEPEST} levels", mark)
            top = stack[-1] if stack else None
            if top is not None and isinstance(top.node, dict) and top.key is None:
                if not isinstance(event, yaml.ScalarEvent):
                    raise stop("a key must be plain text", mark)
                if event.value in top.node:
                    first = tree.keys[(*top.path, event.value)][0]
                    raise stop(f"key '{event.value[:60]}' stands twice", mark, f"it stands first in line {first}")
                top.key = event.value
                tree.keys[(*top.path, event.value)] = (mark.line + 1, mark.column + 1)
            elif isinstance(event, yaml.ScalarEvent):
                plain = event.style in (None, "") and event.tag is None
                try:
                    value = _scalar(event.value) if plain else event.value
                except ValueError as error:
                    raise stop(str(error), mark) from None
                add(value, mark)
            else:
                node: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
                path = add(node, mark)
                stack.append(_Open(node, path))


def _scalar(text: str) -> Any:
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INT.fullmatch(text):
        if len(text) > _LONGEST_INT:
            raise ValueError("a number of more than 40 digits")
        return int(text)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a usable number")
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError(f"{text[:40]} is not a usable number")
        return value
    return text
