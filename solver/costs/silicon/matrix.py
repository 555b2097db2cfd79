"""Matrix products: rows × inputs by inputs × outputs (docs/silicon.md, GEMM)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..origins import ESTIMATED, INTERPOLATED
from .files import TableFile
from .grids import Answer, Column, Grid
from .sheets import FORMATS, Format, Sheet
from .store import Store

COLD = 0.92
"""Largest share of a data sheet's bandwidth that any large product of the tables reaches; more is the cache's."""


@dataclass(frozen=True)
class Products:
    """One engine's grid of one format."""

    grid: Grid
    floor: float
    exact: bool
    """Of the format asked for."""


def roof(sheet: Sheet, held: Format, rows: Column, outputs: Column, inputs: Column) -> Column:
    """Seconds by the data sheet: products, or weights and activations once."""
    moved = outputs * inputs * held.weight + rows * inputs * held.activation + 2 * rows * outputs
    return np.maximum(2 * rows * outputs * inputs / sheet.peaks[held.peak], moved / sheet.memory)


def matrix(store: Store, sheet: Sheet, name: str, rows: Column, inputs: Column, outputs: Column) -> Answer:
    """Seconds of one product, by the quickest of the engines' tables.

    All engines call the same few libraries; a table that is slower than another's at some shape was timed with the
    host's launches or with an older kernel (docs/accuracy.md has what the choice is worth).
    """
    found = [
        _by(one, sheet, name, rows, inputs, outputs)
        for one in store.once(("gemm", name), lambda: _products(store, name))
    ]
    seconds, kind = found[0]
    for other, where in found[1:]:
        seconds, kind = np.minimum(seconds, other), np.where(other < seconds, where, kind)
    return seconds, kind


def _by(products: Products, sheet: Sheet, name: str, rows: Column, inputs: Column, outputs: Column) -> Answer:
    held, grid = FORMATS[name], products.grid
    e, kind = grid.query([rows, outputs, inputs])
    m, n, k = (grid.raised(axis, x) for axis, x in enumerate((rows, outputs, inputs)))
    seconds = np.exp(e) * (products.floor + roof(sheet, held, m, n, k))
    least = outputs * inputs * held.weight / (COLD * sheet.memory)
    kind = np.where(seconds < least, np.maximum(kind, INTERPOLATED), kind)
    return np.maximum(seconds, least), kind if products.exact else np.full_like(kind, ESTIMATED)


def _products(store: Store, name: str) -> list[Products]:
    """Those of each engine that has the format, or else the nearest format that any has."""
    for near in (name, *FORMATS[name].nearest):
        measured = [file for file in store.files("gemm", "gemm") if _has(store, file, near)]
        for file in measured:
            store.served(f"matrix {name} ({file.engine})", file)
        if measured:
            return [_of(store, file, near, near == name) for file in measured]
    raise store.missing("gemm", "gemm")


def _has(store: Store, file: TableFile, name: str) -> bool:
    return FORMATS[name].table in store.read(file, "gemm").values("gemm_dtype")


def _of(store: Store, file: TableFile, name: str, exact: bool) -> Products:
    table = store.read(file, "gemm")
    chosen = table.where("gemm_dtype", FORMATS[name].table)
    m, n, k = (table.numbers[column][chosen] for column in ("m", "n", "k"))
    seconds = table.times["latency"][chosen]
    floor = float(seconds.min())
    e = np.log(seconds / (floor + roof(store.sheet, FORMATS[name], m, n, k)))
    return Products(Grid((m, n, k), e), floor, exact)
