"""Tables and data sheets of one card, for the operators to work from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ....models import catalog
from ....models.hardware import Accelerator
from .tables import STAND_INS, Shelf, root_of

Answer = tuple[float, int]
"""Seconds, and 0 measured, 1 interpolated, 2 extrapolated, 3 estimated."""


class Desk:
    """One card's tables, the data sheet it was measured by and the one asked about."""

    def __init__(self, card: Accelerator, engine: str | None = None, folder: Path | None = None) -> None:
        root = root_of(folder)
        card = card.model_copy(update={"id": card.measured_as or card.id})
        relative = card.id in STAND_INS and not list((root / card.id).rglob("*_perf.parquet"))
        names = STAND_INS[card.id] if relative else (card.id, card.id)
        self._card, self._relative = card, relative
        self._shelves = [Shelf(root, name, engine) for name in names]
        """Of what computes, of what goes over links."""
        self._measured = [card if name == card.id else _catalogued(name) for name in names]
        self._made: dict[tuple[object, ...], Any] = {}

    def _answer(self, seconds: float, kind: int, exact: bool = True) -> Answer:
        return seconds, 3 if self._relative or not exact else kind

    def _once(self, make: Callable[..., Any], *key: object) -> Any:
        place = (make.__name__, *key)
        if place not in self._made:
            self._made[place] = make(*key)
        return self._made[place]


def _catalogued(name: str) -> Accelerator:
    return Accelerator.model_validate({**catalog.accelerator(name), "id": name})
