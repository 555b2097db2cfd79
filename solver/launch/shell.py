"""Commands as shell text: one option a line, variables left for the shell, everything else quoted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

_VARIABLES = re.compile(r"\$[A-Z][A-Z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def quoted(word: str) -> str:
    """A word for the shell, in which $NAMES keep their meaning."""
    if not _VARIABLES.search(word):
        return shlex.quote(word)
    rest = _VARIABLES.sub("", word)
    if rest and not _PLAIN.fullmatch(rest):
        raise ValueError(f"no variable belongs beside these characters: {word!r}")
    return f'"{word}"'


def script_line(command: Sequence[str], environment: Mapping[str, str] | None = None, indent: str = "") -> str:
    """A command over several lines."""
    first = [f"{name}={quoted(value)}" for name, value in (environment or {}).items()]
    head, options = _head(command)
    groups = [" ".join(quoted(word) for word in group) for group in options]
    lines = [*first, " ".join(quoted(word) for word in head), *(f"  {group}" for group in groups)]
    return f" \\\n{indent}".join(lines)


def _head(command: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The program with what comes before its first long option, and the options with their values."""
    start = next((i for i, word in enumerate(command) if word.startswith("--")), len(command))
    groups: list[list[str]] = []
    for word in command[start:]:
        if word.startswith("--") or not groups:
            groups.append([word])
        else:
            groups[-1].append(word)
    return list(command[:start]), groups


def header(title: str) -> str:
    """The first lines of every script."""
    return f'#!/usr/bin/env bash\n# {title}\nset -euo pipefail\ncd "$(dirname "$0")"\nsource ./hosts.sh\n'
