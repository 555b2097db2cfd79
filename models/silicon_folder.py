"""Where tables measured on silicon lie: an installed package or a folder, and the cards in it (docs/silicon.md)."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from .errors import InputError, Place

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
NOWHERE = "none"
"""Value of the variable under which no table is found, whatever is installed."""
LAYOUT = "<card>/<operator>/<engine>/<version>/<table>_perf.parquet (docs/silicon.md)"


def tables_folder(folder: Path | None = None) -> Path:
    """The folder that holds a folder for each card: the argument, $SHARDWISE_SILICON, or the installed package's."""
    named = os.environ.get(VARIABLE)
    stated = folder or (Path(named) if named and named != NOWHERE else None)
    if stated is not None:
        if not stated.is_dir():
            raise InputError("no such folder of silicon tables", place=Place(stated), help=LAYOUT)
        return stated
    spec = None if named == NOWHERE else find_spec(PACKAGE)  # found, never imported: its program is not ours
    for place in (spec.submodule_search_locations if spec else None) or ():
        data = Path(place) / "systems" / "data"
        if data.is_dir():
            return data
    help = f"pip install 'shardwise[silicon]', or set {VARIABLE} to a folder of tables"
    raise InputError("measured operator times are asked for, and no silicon tables are installed", help=help)


def tables_name(folder: Path | None = None) -> str:
    """What to call the tables in a plan."""
    if folder is not None or os.environ.get(VARIABLE):
        return f"folder {tables_folder(folder)}"
    return f"{PACKAGE.replace('_', '-')} {version(PACKAGE)}"


def tables_state(folder: Path | None = None) -> str:
    """What tells whether the tables are still the same; empty where there are none."""
    try:
        root = tables_folder(folder)
    except InputError:
        return ""
    if folder is None and not os.environ.get(VARIABLE):
        return tables_name()
    files = sorted(root.glob("*/*/*/*/*_perf.parquet"))
    return " ".join(f"{file.relative_to(root)} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)


def has_tables(card: Path) -> bool:
    """Whether a card's folder holds any table; the package has empty ones for cards that nobody measured."""
    return any(card.glob("*/*/*/*_perf.parquet"))


def card_folder(root: Path, card: str) -> Path:
    """The folder of a catalog card; a card that we do not know may have a folder under its own id."""
    for name in (CARDS.get(card, card), card):
        if PLAIN.fullmatch(name) and (root / name).is_dir():
            return root / name
    known = ", ".join(sorted({*CARDS, *RELATIVES}))
    raise InputError(f"no silicon tables for card '{card}'", place=Place(root), help=f"cards: {known}; or add {LAYOUT}")


def is_estimated(card: str, folder: Path | None = None) -> bool:
    """Whether a related card's efficiencies stand in for a card's. Raises InputError where there are no tables."""
    return card in RELATIVES and not has_tables(tables_folder(folder) / card)


def measured(card: str, folder: Path | None = None) -> bool:
    """Whether a card has tables of its own that can be read here. Raises InputError if the variable names no folder."""
    named = os.environ.get(VARIABLE)
    if named and named != NOWHERE and not Path(named).is_dir():
        raise InputError(f"{VARIABLE} names no folder: {named[:200]}", help=f"a folder of {LAYOUT}, or {NOWHERE}")
    return _measured(card, folder, os.environ.get(VARIABLE))


@cache
def _measured(card: str, folder: Path | None, variable: str | None) -> bool:
    if find_spec("pyarrow") is None:
        return False
    try:
        root = tables_folder(folder)
        return has_tables(card_folder(root, card))
    except InputError:
        return False
