"""Latent attention in DeepSeek's sizes: prompts, absorbed decoding, the absorb products (docs/silicon.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..origins import ESTIMATED, EXTRAPOLATED, INTERPOLATED
from .attention import pairs
from .grids import Answer, Column, Grid
from .matrix import COLD
from .sheets import FORMATS, KV_FORMATS, Format, Sheet
from .store import Store

PROMPT_WIDTH = 320
"""Elements of one head's key (192) and value (128)."""
DECODE_WIDTH = 1088
"""Elements of one head's compressed query (576) and output (512)."""
CACHED = 576
"""Elements of the compressed KV vector."""
NOPE, RANK = 128, 512
ABSORBED = ("mla_gen_pre", "mla_gen_post")


@dataclass(frozen=True)
class Cores:
    """A grid over (heads, sequences, tokens) or (heads, tokens)."""

    grid: Grid
    floor: float
    exact: bool


def prompt_roof(s: Sheet, n: Column, new: Column, prefix: Column, heads: Column) -> Column:
    """Seconds by the data sheet: keys and values are expanded to 16 bit, whatever the cache holds."""
    moved = n * heads * PROMPT_WIDTH * 2 * (new + (new + prefix))
    return np.maximum(2 * n * heads * PROMPT_WIDTH * pairs(new, prefix, 0.0) / s.peaks["bf16"], moved / s.memory)


def decode_roof(s: Sheet, n: Column, context: Column, heads: Column, element: float) -> Column:
    """Seconds by the data sheet; the compressed vectors are read once for all heads."""
    moved = n * (context * CACHED * element + heads * DECODE_WIDTH * 2)
    return np.maximum(2 * n * heads * DECODE_WIDTH * context / s.peaks["bf16"], moved / s.memory)


def absorb_roof(s: Sheet, held: Format, tokens: Column, heads: Column) -> Column:
    """Seconds by the data sheet of one of the two products."""
    moved = heads * NOPE * RANK * held.weight + tokens * heads * (NOPE + RANK) * 2
    return np.maximum(2 * tokens * heads * NOPE * RANK / s.peaks[held.peak], moved / s.memory)


def latent_prompt(
    store: Store, sheet: Sheet, n: Column, new: Column, prefix: Column, heads: Column, kv_format: str
) -> Answer:
    """Seconds of the causal core of `n` prompts with `new` tokens behind `prefix`."""
    cores = store.once(("context_mla", kv_format), lambda: _cores(store, "context_mla", kv_format))
    grid = cores.grid
    several, total = np.maximum(n, 1.0), new + prefix
    batch = np.where(prefix > 0, several * new / total, several)
    e, kind = grid.query([heads, batch, total])
    head, whole, new = grid.raised(0, heads), grid.raised(1, several), grid.raised(2, total) - prefix
    seconds = np.exp(e) * (cores.floor + prompt_roof(sheet, whole, new, prefix, head)) * np.minimum(n, 1.0)
    kind = np.where(n < 1, np.maximum(kind, INTERPOLATED), kind)
    kind = np.where(prefix > 0, np.maximum(kind, EXTRAPOLATED), kind)
    return seconds, kind if cores.exact else np.full_like(kind, ESTIMATED)


def latent_decode(store: Store, sheet: Sheet, n: Column, context: Column, heads: Column, kv_format: str) -> Answer:
    """Seconds of the absorbed core of `n` sequences, `context` tokens with the new one."""
    cores = store.once(("generation_mla", kv_format), lambda: _cores(store, "generation_mla", kv_format))
    grid, element = cores.grid, KV_FORMATS[kv_format][1]
    several = np.maximum(n, 1.0)
    e, kind = grid.query([heads, several, context])
    head, whole, length = grid.raised(0, heads), grid.raised(1, several), grid.raised(2, context)
    seconds = np.exp(e) * (cores.floor + decode_roof(sheet, whole, length, head, element))
    least = whole * length * CACHED * element / (COLD * sheet.memory)
    kind = np.where((seconds < least) | (n < 1), np.maximum(kind, INTERPOLATED), kind)
    seconds = np.maximum(seconds, least) * np.minimum(n, 1.0)
    return seconds, kind if cores.exact else np.full_like(kind, ESTIMATED)


def latent_absorb(store: Store, sheet: Sheet, name: str, tokens: Column, heads: Column) -> Answer:
    """Seconds of both products of a decode step: queries into the compressed space, values out of it."""
    seconds, kind = np.zeros(len(tokens)), np.zeros(len(tokens), np.int8)
    for cores in store.once(("mla_bmm", name), lambda: _absorb(store, name)):
        grid = cores.grid
        e, where = grid.query([heads, tokens])
        work = absorb_roof(sheet, FORMATS[name], grid.raised(1, tokens), grid.raised(0, heads))
        seconds += np.exp(e) * (cores.floor + work)
        kind = np.maximum(kind, where if cores.exact else ESTIMATED)
    return seconds, kind.astype(np.int8)


def _cores(store: Store, name: str, kv_format: str) -> Cores:
    file = store.first("mla", name)
    table = store.read(file, name)
    have = table.values("kv_cache_dtype")
    wanted = KV_FORMATS[kv_format][0]
    held = wanted if wanted in have else min(have)
    chosen = table.where("kv_cache_dtype", held)
    columns = ("batch_size", "isl", "step", "num_heads")
    n, new, step, heads = (table.numbers[column][chosen] for column in columns)
    seconds = table.times["latency"][chosen]
    floor = float(seconds.min())
    if name == "context_mla":
        work = prompt_roof(store.sheet, n, new, step, heads)
    else:
        work = decode_roof(store.sheet, n, new + step, heads, 1.0 if held == "fp8" else 2.0)
    store.served(f"{name} {kv_format}", file)
    grid = Grid((heads, n, new + step), np.log(seconds / (floor + work)))
    return Cores(grid, floor, held == wanted and store.own(file))


def _absorb(store: Store, name: str) -> list[Cores]:
    file = store.first("mla_bmm", "mla_bmm")
    table = store.read(file, "mla_bmm")
    built = []
    for product in ABSORBED:
        of = table.where("op_name", product)
        near = next((f for f in (name, "bf16") if (of & table.where("bmm_dtype", FORMATS[f].table)).any()), None)
        if near is None:
            raise store.missing("mla_bmm", "mla_bmm")
        chosen = of & table.where("bmm_dtype", FORMATS[near].table)
        tokens, heads = table.numbers["num_tokens"][chosen], table.numbers["num_heads"][chosen]
        seconds = table.times["latency"][chosen]
        floor = float(seconds.min())
        e = np.log(seconds / (floor + absorb_roof(store.sheet, FORMATS[near], tokens, heads)))
        built.append(Cores(Grid((heads, tokens), e), floor, near == name and store.own(file)))
    store.served(f"mla_bmm {name}", file)
    return built
