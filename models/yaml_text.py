"""The text of a YAML file with keys changed; comments, order and quotes stay.

ruamel.yaml hangs the comment below an entry on that entry. So it would go with an entry that is replaced or removed,
and an entry added at the end would stand below it; here such comments are moved. It also joins the lines of a mapping
in braces; so sections in which nothing was changed are taken from the source. What stands above the mark of a
document's begin, or below that of its end, it drops; it is not shown that. What is lost: comments between braces of a
changed section.
"""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import Any

from .reading.tree import read_text_tree

_SHORT = 100
"""Characters of a new mapping or list that are written on one line."""
_HEAD = re.compile(r"(?:[^\n]*\n)*?---[ \t]*(?:#[^\n]*)?\n")
_TAIL = re.compile(r"^\.\.\.(?:\s.*)?\Z", re.MULTILINE | re.DOTALL)


class YamlText:
    """A YAML text that is being changed. `data` is what it holds. Raises YAMLError for tabs between key and value."""

    def __init__(self, source: str) -> None:
        head, tail = _HEAD.match(source), _TAIL.search(source)
        self._head, self._tail = head[0] if head else "", tail[0] if tail else ""
        source = source[len(self._head) : len(source) - len(self._tail)]
        self._yaml = _yaml()
        self._yaml.preserve_quotes = True
        self._yaml.explicit_start = bool(re.search(r"^---", source, re.MULTILINE)) or None
        step = re.search(r"^[^\s#][^\n]*:[ ]*(?:#[^\n]*)?\n(?:[ ]*(?:#[^\n]*)?\n)*([ ]+)[^\s#-]", source, re.MULTILINE)
        item = re.search(r"^[^\s#][^\n]*:[ ]*(?:#[^\n]*)?\n(?:[ ]*(?:#[^\n]*)?\n)*([ ]*)- ", source, re.MULTILINE)
        dash = len(item[1]) if item else 2
        self._yaml.indent(mapping=len(step[1]) if step else 2, sequence=dash + 2, offset=dash)
        self.data: Any = self._yaml.load(source)
        self._source = source
        self._changed: set[str] = set()

    def change(self, path: tuple[str, ...], value: Any) -> None:
        """Set a key whose parents exist, or remove it (None)."""
        self._changed.add(path[0])
        node, above, value = self.data, None, _laid_out(value)
        for step in path[:-1]:
            node, above = node[step], (node, step)
        if value is None:
            _remove(node, path[-1], above)
        elif path[-1] in node:
            below = _cut(node, path[-1], 0)
            node[path[-1]] = value
            _append(node, path[-1], below)
        else:
            last = next(reversed(node), None)
            below = "" if last is None else _cut(node, last, node.lc.col)
            node[path[-1]] = value
            _append(node, path[-1], below)

    def __str__(self) -> str:
        stream = io.StringIO()
        self._yaml.dump(self.data, stream)
        return self._head + _restored(self._source, stream.getvalue(), self._changed) + self._tail


def written(data: dict[str, Any]) -> str:
    """Plain data as YAML."""
    stream = io.StringIO()
    _yaml().dump({key: _laid_out(value) for key, value in data.items()}, stream)
    return stream.getvalue()


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    return yaml


def _restored(source: str, text: str, changed: set[str]) -> str:
    """The text with all sections but the changed ones, and their neighbours' comments, as in the source."""
    old, new = _sections(source), _sections(text)
    lines = text.splitlines(keepends=True)
    following = dict(pairwise([*old, ""]))
    for key, after in reversed(list(pairwise([*new, ""]))):
        if key in old and key not in changed and following[key] == after:
            lines[new[key]] = source.splitlines(keepends=True)[old[key]]
    return "".join(lines)


def _sections(text: str) -> dict[str, slice]:
    """The lines of every top-level key and of what stands below it; none for a mapping in braces."""
    starts = {str(path[0]): at for path, at in read_text_tree(text).keys.items() if len(path) == 1}
    if any(column != 1 for _, column in starts.values()):
        return {}
    ends = [line - 1 for line, _ in list(starts.values())[1:]]
    return {key: slice(line - 1, end) for (key, (line, _)), end in zip(starts.items(), [*ends, None], strict=True)}


def _laid_out(value: Any) -> Any:
    """Plain data as ruamel.yaml writes it: what is short in braces, on one line."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if not isinstance(value, (dict, list)):
        return value
    if isinstance(value, dict):
        node: Any = CommentedMap({key: _laid_out(inner) for key, inner in value.items()})
    else:
        node = CommentedSeq(_laid_out(inner) for inner in value)
    if len(str(value)) <= _SHORT:
        node.fa.set_flow_style()
    else:
        node.fa.set_block_style()
    return node


def _remove(node: Any, key: str, above: tuple[Any, str] | None) -> None:
    below, keys = _cut(node, key, 0), list(node)
    place = keys.index(key)
    del node[key]
    node.ca.items.pop(key, None)
    if not below:
        return
    if place:
        _append(node, keys[place - 1], below)
    elif above is None:
        before = (node.ca.comment or [None, []])[1] or []
        node.ca.comment = [None, [*before, _token(below)]]
    else:
        entry = above[0].ca.items.setdefault(above[1], [None, None, None, None])
        entry[2] = _token((entry[2].value if entry[2] else "\n") + below)
        node.ca.comment = [entry[2], None]


def _cut(node: Any, key: Any, indent: int) -> str:
    """Take off the blank lines and comments below an entry, from the first that is indented by less than `indent`.

    0: all of them.
    """
    node, key = _tail(node, key)
    token = _comment(node, key)
    if token is None:
        return ""
    own, _, below = token.value.partition("\n")
    lines = below.splitlines(keepends=True)
    kept = 0
    if indent:
        deep = [n for n, line in enumerate(lines, 1) if len(line) - len(line.lstrip(" ")) >= indent and line.strip()]
        kept = deep[-1] if deep else 0
    token.value = own + "\n" + "".join(lines[:kept])
    return "".join(lines[kept:])


def _append(node: Any, key: Any, below: str) -> None:
    if not below:
        return
    node, key = _tail(node, key)
    token = _comment(node, key)
    if token is not None:
        token.value += below
    else:
        entry = node.ca.items.setdefault(key, [None, None, None, None])
        entry[_slot(node)] = _token("\n" + below)


def _tail(node: Any, key: Any) -> tuple[Any, Any]:
    """The collection and key on which the comment below an entry hangs: its deepest last entry."""
    inner: Any = node[key]
    while isinstance(inner, (dict, list)) and inner and not inner.fa.flow_style():  # type: ignore[union-attr]
        node, key = inner, len(inner) - 1 if isinstance(inner, list) else next(reversed(inner))
        inner = node[key]
    return node, key


def _comment(node: Any, key: Any) -> Any:
    entry = node.ca.items.get(key)
    return entry[_slot(node)] if entry else None


def _slot(node: Any) -> int:
    return 0 if isinstance(node, list) else 2


def _token(text: str) -> Any:
    from ruamel.yaml.error import CommentMark
    from ruamel.yaml.tokens import CommentToken

    return CommentToken(text, CommentMark(0))
