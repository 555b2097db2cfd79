"""Grouped attention of prompts and of decoding, full or in a sliding window (docs/silicon.md, Attention)."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np

from ..origins import ESTIMATED, EXTRAPOLATED, INTERPOLATED
from .grids import Answer, Column, Grid
from .matrix import COLD
from .sheets import KV_FORMATS, Sheet
from .store import Store
from .tables import Table

Phase = Literal["context_attention", "generation_attention"]


@dataclass(frozen=True)
class Category:
    """What one set of slices was measured with, as the tables name it."""

    compute: str
    kv: str
    head_dim: float
    window: float

    def distance(self, wanted: Category) -> float:
        """How unlike it is to what is wanted; the constants only rank."""
        gap = 2.0 * (self.compute != wanted.compute) + 3.0 * (self.kv != wanted.kv)
        gap += 2 * abs(math.log(self.head_dim / wanted.head_dim))
        if (self.window > 0) != (wanted.window > 0):
            return gap + 5.0
        return gap + (0.5 * abs(math.log(self.window / wanted.window)) if wanted.window > 0 else 0.0)


@dataclass(frozen=True)
class Cores:
    """The slices (heads, KV heads) of the category nearest to what is wanted."""

    grid: Grid
    floor: float
    peak: str
    windowed: bool
    exact: bool


def pairs(new: Column, prefix: Column, window: float) -> Column:
    """Query-key pairs of `new` tokens behind `prefix` tokens, each seeing itself and at most a window."""
    seen: Column = _triangle(new + prefix, window) - _triangle(prefix, window)
    return seen


def _triangle(length: Column, window: float) -> Column:
    if not window:
        return length * (length + 1) / 2
    short = np.minimum(length, window)
    seen: Column = short * (short + 1) / 2 + (length - short) * window
    return seen


def prompt_roof(
    s: Sheet,
    peak: str,
    n: Column,
    new: Column,
    prefix: Column,
    heads: Column,
    kv: Column,
    dim: float,
    e: float,
    w: float,
) -> Column:
    """Seconds by the data sheet: `n` prompts, `e` bytes per element of the cache, window `w`."""
    seen = np.minimum(new + prefix, new + w) if w else new + prefix
    moved = n * (4 * new * heads * dim + 2 * seen * kv * dim * e)
    return np.maximum(4 * n * heads * dim * pairs(new, prefix, w) / s.peaks[peak], moved / s.memory)


def decode_roof(
    s: Sheet, n: Column, context: Column, heads: Column, kv: Column, dim: float, e: float, w: float
) -> Column:
    """Seconds by the data sheet: `n` sequences of `context` tokens, the new one included."""
    seen = np.minimum(context, w) if w else context
    moved = n * (2 * seen * kv * dim * e + 4 * heads * dim)
    return np.maximum(4 * n * heads * dim * seen / s.peaks["bf16"], moved / s.memory)


def prompt_attention(
    store: Store,
    sheet: Sheet,
    n: Column,
    new: Column,
    prefix: Column,
    heads: Column,
    kv: Column,
    dim: float,
    kv_format: str,
    window: float,
) -> Answer:
    """Seconds of the causal core of `n` prompts with `new` tokens behind `prefix`."""
    wanted = Category("bfloat16", KV_FORMATS[kv_format][0], dim, window)
    cores = _cores(store, "context_attention", wanted)
    grid = cores.grid
    several, total = np.maximum(n, 1.0), new + prefix
    batch = np.where(prefix > 0, several * new / total, several)
    e, kind = grid.query([batch, total], [heads, kv, _own_head(heads, kv)], heads)
    element, whole = KV_FORMATS[kv_format][1], grid.raised(0, several)
    new = grid.raised(1, total) - prefix  # a prompt shorter than the table's costs as much as its shortest
    work = prompt_roof(sheet, cores.peak, whole, new, prefix, heads, kv, dim, element, window)
    seconds = np.exp(e) * (cores.floor + work) * np.minimum(n, 1.0)
    kind = np.where(n < 1, np.maximum(kind, INTERPOLATED), kind)
    kind = np.where(prefix > 0, np.maximum(kind, EXTRAPOLATED), kind)
    return seconds, kind if cores.exact else np.full_like(kind, ESTIMATED)


def decode_attention(
    store: Store,
    sheet: Sheet,
    n: Column,
    context: Column,
    heads: Column,
    kv: Column,
    dim: float,
    kv_format: str,
    window: float,
) -> Answer:
    """Seconds of the core of `n` sequences that decode one token each, `context` tokens with it."""
    wanted = Category("bfloat16", KV_FORMATS[kv_format][0], dim, window)
    cores = _cores(store, "generation_attention", wanted)
    grid = cores.grid
    several = np.maximum(n, 1.0)
    place = np.minimum(context, window) if window and not cores.windowed else context
    e, kind = grid.query([several, place], [heads, kv, _own_head(heads, kv)], kv)
    element, whole, length = KV_FORMATS[kv_format][1], grid.raised(0, several), grid.raised(1, context)
    seconds = np.exp(e) * (cores.floor + decode_roof(sheet, whole, length, heads, kv, dim, element, window))
    seen = np.minimum(length, window) if window else length
    least = 2 * whole * seen * kv * dim * element / (COLD * sheet.memory)
    kind = np.where((seconds < least) | (n < 1), np.maximum(kind, INTERPOLATED), kind)
    seconds = np.maximum(seconds, least) * np.minimum(n, 1.0)
    return seconds, kind if cores.exact else np.full_like(kind, ESTIMATED)


def _own_head(heads: Column, kv: Column) -> Column:
    """Feature that keeps kernels for one KV head per query head apart from grouped ones."""
    return np.where((heads == kv) & (heads > 1), 10.0, 1.0)


def _cores(store: Store, phase: Phase, wanted: Category) -> Cores:
    return store.once((phase, str(wanted)), lambda: _find(store, phase, wanted))


def _find(store: Store, phase: Phase, wanted: Category) -> Cores:
    file = store.first("attention", phase)
    table = store.read(file, phase)
    rows = store.once((phase, "categories"), lambda: _categories(table))
    best = min(rows, key=lambda category: category.distance(wanted))
    store.served(f"{phase} {wanted.kv} {wanted.head_dim:g} {wanted.window:g}", file)
    grid, floor = store.once((phase, "grid", str(best)), lambda: _grid(store.sheet, table, phase, best, rows[best]))
    peak = "fp8" if best.compute == "fp8" else "bf16"
    same = (best.kv, best.head_dim, best.window) == (wanted.kv, wanted.head_dim, wanted.window)
    return Cores(grid, floor, peak, best.window > 0, same and store.own(file))


def _categories(table: Table) -> dict[Category, np.ndarray]:
    """Category -> its rows; sorted, so that the first of equally near ones is always the same."""
    dims, windows = table.numbers["head_dim"], table.numbers["window_size"]
    code = np.zeros(len(table), np.int64)
    for column in (table.codes["attn_dtype"], table.codes["kv_cache_dtype"], dims, windows):
        distinct, index = np.unique(column, return_inverse=True)
        code = code * len(distinct) + index
    found = {}
    for value in np.unique(code):
        rows = np.flatnonzero(code == value)
        i = rows[0]
        compute = table.texts["attn_dtype"][table.codes["attn_dtype"][i]]
        kv = table.texts["kv_cache_dtype"][table.codes["kv_cache_dtype"][i]]
        found[Category(compute, kv, float(dims[i]), float(windows[i]))] = rows
    return {category: found[category] for category in sorted(found, key=astuple)}


def _grid(sheet: Sheet, table: Table, phase: Phase, of: Category, rows: np.ndarray) -> tuple[Grid, float]:
    names = ("batch_size", "isl", "step", "num_heads", "num_key_value_heads")
    n, new, step, heads, kv = (table.numbers[column][rows] for column in names)
    kv = np.where(kv > 0, kv, heads)
    seconds = table.times["latency"][rows]
    floor = float(seconds.min())
    element = 1.0 if of.kv == "fp8" else 2.0
    peak = "fp8" if of.compute == "fp8" else "bf16"
    if phase == "context_attention":
        work = prompt_roof(sheet, peak, n, new, step, heads, kv, of.head_dim, element, of.window)
    else:
        work = decode_roof(sheet, n, new + step, heads, kv, of.head_dim, element, of.window)
    shapes = np.stack([heads, kv, _own_head(heads, kv)], axis=1)
    density = heads if phase == "context_attention" else kv
    e = np.log(seconds / (floor + work))
    return Grid((n, new + step), e, shapes, (1.0, 1.0, 1.0), density), floor
