"""Which file serves an engine: its own first, the newest version that is whole (docs/silicon.md, section 1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .tables import rows_of

Engine = Literal["vllm", "trtllm", "sglang"]
ENGINES: tuple[Engine, ...] = ("vllm", "trtllm", "sglang")
"""In order of preference where an engine is not stated or has no table of its own."""
LARGEST_SHARE = 0.5
"""A version counts if its table has at least this share of the rows of the largest; smaller ones are single models."""


@dataclass(frozen=True)
class TableFile:
    """One table as it was chosen."""

    path: Path
    engine: str
    version: str


def engines_in_order(engine: str | None) -> tuple[str, ...]:
    """The stated engine first, the others as in ENGINES; one that nobody measured has only those."""
    return tuple(sorted(ENGINES, key=lambda known: known != engine))


def versions(card: Path, operator: str, engine: str, name: str) -> list[TableFile]:
    """Every version of a table, newest first."""
    base = card / operator / engine
    if not base.is_dir():
        return []
    found = [TableFile(file, engine, file.parent.name) for file in base.glob(f"*/{name}_perf.parquet")]
    return sorted(found, key=lambda file: version_key(file.version), reverse=True)


def newest(card: Path, operator: str, engine: str, name: str) -> TableFile | None:
    """The newest version that is not a small addition to an older one."""
    found = versions(card, operator, engine, name)
    if len(found) < 2:
        return found[0] if found else None
    rows = [rows_of(file.path) for file in found]
    return next(file for file, n in zip(found, rows, strict=True) if n >= LARGEST_SHARE * max(rows))


def version_key(version: str) -> tuple[tuple[int, int], ...]:
    """Order of versions: numbers by value, rc and the like before the release, post after it."""
    parts: list[tuple[int, int]] = []
    for part in re.findall(r"\d+|[a-z]+", version.lower()):
        if part.isdigit():
            parts.append((1, int(part)))
        else:
            parts.append((2 if part == "post" else -1, 0))
    return (*parts, (0, 0))
