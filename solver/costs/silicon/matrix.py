"""Matrix products: rows × inputs by inputs × outputs (docs/silicon.md, GEMM)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .files import TableFile
from .grids import ESTIMATED, INTERPOLATED, Answer, Column, Grid
from .sheets import FORMATS, Format, Sheet
from .store import Store

COLD = 0.92
"""Largest share of a data sheet's bandwidth that any large product of the tables reaches; more is the cache's."""
LAUNCHED_S = 30e-6
"""A floor above this was timed with the host's launches, which a CUDA graph does not have."""


@dataclass(frozen=True)
class Products:
    """The grid of one format."""

    grid: Grid
    floor: float
    format: str
    """Whose efficiencies these are."""
    exact: bool
    """Of the format asked for, and of the engine stated."""


def roof(sheet: Sheet, held: Format, rows: Column, outputs: Column, inputs: Column) -> Column:
    """Seconds by the data sheet: products, or weights and activations once."""
    moved = outputs * inputs * held.weight + rows * inputs * held.activation + 2 * rows * outputs
    return np.maximum(2 * rows * outputs * inputs / sheet.peaks[held.peak], moved / sheet.memory)


def matrix(store: Store, sheet: Sheet, name: str, rows: Column, inputs: Column, outputs: Column) -> Answer:
    """Seconds of one product; 0 for no rows."""
    held = FORMATS[name]
    products = store.once(("gemm", name), lambda: _products(store, name))
    grid = products.grid
    e, kind = grid.query([rows, outputs, inputs])
    m, n, k = (grid.raised(axis, x) for axis, x in enumerate((rows, outputs, inputs)))
    seconds = np.exp(e) * (products.floor + roof(sheet, held, m, n, k))
    least = outputs * inputs * held.weight / (COLD * sheet.memory)
    kind = np.where(seconds < least, np.maximum(kind, INTERPOLATED), kind)
    return np.maximum(seconds, least), kind if products.exact else np.full_like(kind, ESTIMATED)


def _products(store: Store, name: str) -> Products:
    for near in (name, *FORMATS[name].nearest):
        measured = (file for file in store.files("gemm", "gemm") if _has(store, file, near))
        file = next(measured, None)
        if file is None:
            continue
        products = _of(store, file, near, near == name)
        if products.floor > LAUNCHED_S:
            for other in measured:
                captured = _of(store, other, near, False)
                if captured.floor < products.floor / 3:
                    products, file = captured, other
                    break
        store.served(f"matrix {name}", file)
        return products
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
    return Products(Grid((m, n, k), e), floor, name, exact and store.own(file))
