"""Where the tables lie: package or folder, card, engine, newest version (docs/silicon.md, section 1)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ....models.errors import InputError, Place
from .tables import rows_of

Engine = Literal["vllm", "trtllm", "sglang"]
ENGINES: tuple[Engine, ...] = ("vllm", "trtllm", "sglang")
"""In order of preference where an engine is not stated or has no table of its own."""
VARIABLE = "SHARDWISE_SILICON"
PACKAGE = "aiconfigurator_core"
CARDS = {
    "a100-sxm-80gb": "a100_sxm",
    "arc-pro-b60": "b60",
    "b200-sxm": "b200_sxm",
    "b300-sxm": "b300_sxm",
    "gb200-nvl72": "gb200",
    "gb300-nvl72": "gb300",
    "h100-sxm": "h100_sxm",
    "h200-sxm": "h200_sxm",
    "l40s": "l40s",
    "rtx-pro-6000-server": "rtx_pro_6000_server",
}
"""Catalog id -> folder of the tables measured on that very card."""
RELATIVES = {
    "a100-sxm-40gb": ("a100-sxm-80gb", "a100-sxm-80gb"),
    "a100-pcie-80gb": ("a100-sxm-80gb", "l40s"),
    "a10": ("l40s", "l40s"),
    "a30": ("a100-sxm-80gb", "l40s"),
    "h20": ("h200-sxm", "h200-sxm"),
    "h100-pcie": ("h100-sxm", "l40s"),
    "h100-nvl": ("h100-sxm", "h100-sxm"),
    "h800-sxm": ("h100-sxm", "h100-sxm"),
    "gh200-96gb": ("h100-sxm", "h100-sxm"),
    "l4": ("l40s", "l40s"),
    "l20": ("l40s", "l40s"),
    "rtx-4090": ("l40s", "l40s"),
    "rtx-5090": ("rtx-pro-6000-server", "rtx-pro-6000-server"),
    "rtx-pro-6000-workstation": ("rtx-pro-6000-server", "rtx-pro-6000-server"),
}
"""Catalog id -> (card of the nearest build whose efficiencies stand in, the one for what goes over links)."""
PLAIN = re.compile(r"\w[\w.-]*")
"""Names of folders; an id is a scenario's and may be any text."""
LARGEST_SHARE = 0.5
"""A version counts if its table has at least this share of the rows of the largest; smaller ones are single models."""


@dataclass(frozen=True)
class TableFile:
    """One table as it was chosen."""

    path: Path
    engine: str
    version: str


def tables_folder(folder: Path | None = None) -> Path:
    """The folder that holds a folder for each card: the argument, $SHARDWISE_SILICON, or the installed package's."""
    stated = folder or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if stated is not None:
        if not stated.is_dir():
            raise InputError("no such folder of silicon tables", place=Place(stated), help=_LAYOUT)
        return stated
    spec = find_spec(PACKAGE)  # found, never imported: its program is not ours
    for place in (spec.submodule_search_locations if spec else None) or ():
        data = Path(place) / "systems" / "data"
        if data.is_dir():
            return data
    help = f"pip install 'shardwise[silicon]', or set {VARIABLE} to a folder of tables"
    raise InputError("measured operator times are asked for, and no silicon tables are installed", help=help)


def has_tables(card: Path) -> bool:
    """Whether a card's folder holds any table; the package has empty ones for cards that nobody measured."""
    return any(card.glob("*/*/*/*_perf.parquet"))


def card_folder(root: Path, card: str) -> Path:
    """The folder of a catalog card; a card that we do not know may have a folder under its own id."""
    for name in (CARDS.get(card, card), card):
        if PLAIN.fullmatch(name) and (root / name).is_dir():
            return root / name
    known = ", ".join(sorted({*CARDS, *RELATIVES}))
    raise InputError(
        f"no silicon tables for card '{card}'", place=Place(root), help=f"cards: {known}; or add {_LAYOUT}"
    )


def engines_in_order(engine: str | None) -> tuple[str, ...]:
    """The stated engine first, the others as in ENGINES."""
    if engine is not None and engine not in ENGINES:
        raise InputError(f"no silicon tables for engine '{engine}'", help=f"engines: {', '.join(ENGINES)}, or none")
    return ENGINES if engine is None else (engine, *(other for other in ENGINES if other != engine))


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


_LAYOUT = "<card>/<operator>/<engine>/<version>/<table>_perf.parquet (docs/silicon.md)"
