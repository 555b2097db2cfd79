"""Where a scenario's operator times come from: tables measured on its cards, or the cards' data sheets."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from .base import Model
from .errors import InputError
from .silicon_folder import RELATIVES, card_folder, is_estimated, measured, tables_folder

Source = Literal["measured", "datasheet"]
Operator = Literal["matrices", "experts", "attention", "all_reduce", "exchange"]
STATED: dict[str, tuple[Operator, ...]] = {
    "efficiency.mfu": ("matrices", "experts", "attention"),
    "efficiency.bandwidth": ("matrices", "experts", "attention"),
    "efficiency.half_rows": ("matrices",),
    "efficiency.half_width": ("matrices", "experts"),
    "efficiency.fp4": ("matrices", "experts"),
    "efficiency.expert_mfu": ("experts",),
    "efficiency.expert_bandwidth": ("experts",),
    "efficiency.expert_half_rows": ("experts",),
    "efficiency.attention_mfu": ("attention",),
    "efficiency.kv_bandwidth": ("attention",),
    "efficiency.link": ("all_reduce",),
    "latencies.all_reduce": ("all_reduce",),
    "latencies.all_reduce_growth": ("all_reduce",),
    "efficiency.exchange_link": ("exchange",),
    "latencies.exchange": ("exchange",),
    "latencies.exchange_growth": ("exchange",),
}
"""Constant -> operators whose time it makes. Who states it means it: tables do not speak over it."""
COMPUTING: set[Operator] = {"matrices", "experts", "attention"}
"""Operators that compute: their shares of the peaks are fitted together with the fixed times beside them."""


class OperatorTimes(Model):
    """`measured` or `datasheet`, a choice that holds for all cards of a scenario."""

    source: Source = Field(
        default="datasheet", description="tables measured on the card, or its data sheet and fitted efficiencies"
    )
    tables: Path | None = Field(default=None, description="folder of tables; absent: those that are installed")
    by_constants: tuple[Operator, ...] = Field(
        default=(), description="operators that stay with the data sheet, because the scenario states their constants"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_word(cls, data: Any) -> Any:
        return {"source": data} if isinstance(data, str) else data


def resolved(data: dict[str, Any], folder: str | Path | None) -> Any:
    """The raw `operator_times` of a raw scenario: as stated, else measured where every card has tables here.

    A scenario that states shares of the peaks (`efficiency.mfu`, …) and no `operator_times` means the data sheet.

    A relative folder of tables starts at `folder`, and is written in full: plans are read again elsewhere. Raises
    InputError where measured times are stated and are not here.
    """
    stated, cards = data.get("operator_times"), list(_cards(data.get("hardware")))
    if isinstance(stated, OperatorTimes):
        return stated
    if stated is None:
        # Shares of the peaks are fitted together with the fixed times beside them: one of them stated, all count.
        shared = set(_by_constants(data)) & COMPUTING
        found: Any = {"source": "datasheet" if shared else automatic(data.get("hardware"))}
    else:
        found = {"source": stated} if isinstance(stated, str) else stated
        if not isinstance(found, dict):
            return stated  # reported by the model's own validator
        if found.get("tables") is not None:
            found = {"source": "measured", **found, "tables": str(Path(folder or "").absolute() / str(found["tables"]))}
        if found.get("source") == "measured" and "by_constants" not in found:  # a plan is read without being priced
            _must_be_here(cards, found.get("tables"))
    if found.get("source") == "measured":
        found = {"by_constants": _by_constants(data), **found}
    return found


def automatic(hardware: Any) -> Source:
    """Where times come from if nobody says: tables, where every card of the hardware has its own here."""
    cards = list(_cards(hardware))
    return "measured" if cards and all(measured(card) for card in cards) else "datasheet"


def _by_constants(data: dict[str, Any]) -> list[Operator]:
    groups = {name: data.get(name) for name in ("efficiency", "latencies")}
    stated = {f"{group}.{key}" for group, own in groups.items() if isinstance(own, dict) for key in own}
    return sorted({operator for key in stated for operator in STATED.get(key, ())})


def _must_be_here(cards: list[str], tables: str | None) -> None:
    if find_spec("pyarrow") is None:
        raise InputError(
            "measured operator times need pyarrow", path=("operator_times",), help="pip install 'shardwise[silicon]'"
        )
    try:
        root = tables_folder(Path(tables) if tables else None)
        for card in cards:
            for needed in RELATIVES[card] if is_estimated(card, root) else (card,):
                card_folder(root, needed)
    except InputError as error:
        raise InputError(error.message, path=("operator_times",), help=error.help) from None


def _cards(hardware: Any) -> Iterator[str]:
    """Ids of the cards of a scenario's raw hardware; what is malformed is reported elsewhere."""
    given = getattr(hardware, "__dict__", hardware)
    if not isinstance(given, dict):
        return
    entries = given.get("inventory") or [given]
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        fields = getattr(entry, "__dict__", entry)
        card = fields.get("accelerator") if isinstance(fields, dict) else None
        fields = card if isinstance(card, dict) else getattr(card, "__dict__", {"id": card})
        name = fields.get("measured_as") or fields.get("id", "inline")
        if isinstance(name, str):
            yield name
