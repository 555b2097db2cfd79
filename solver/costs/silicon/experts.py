"""Routed experts of one rank, without router and exchange (docs/silicon.md, Experts)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..origins import ESTIMATED, INTERPOLATED
from .files import TableFile
from .grids import Answer, Column, Grid
from .sheets import FORMATS, Format, Sheet
from .store import Store

FEATURES = (1.0, 1.0, 0.5, 1.0, 1.0)
"""Weights of hidden, width of a shard, experts per token, experts, expert ranks in the distance of two shapes."""
NOT_GATED = {(2688, 1856), (1024, 2688), (2048, 5120), (4096, 2688)}
"""(hidden, width) of models with two matrices per expert; the tables do not say so."""
ELSEWHERE = {(8192, 5120)}
"""Works in a latent space narrower than its hidden size."""
FAILED = {("h100-sxm", "vllm", "fp8"), ("h200-sxm", "vllm", "fp8")}
"""(card, engine, format) five times slower than the same engine's block-wise format: a kernel nobody serves with."""
FASTEST = 0.9
"""Of the roof: rows faster than this did other work than their columns say."""
SLOW = 2.0
"""A slice so much slower than its neighbours, in the middle of its points, is a failed measurement."""
BALANCED, SKEWED = "balanced", "power_law_1.01"
"""How tokens fell on experts. Served traffic is skewed: TPOT of the published measurements is predicted within 9.1 %
(median) with the skewed rows, within 10.9 % with the balanced ones (docs/accuracy.md)."""
LOCAL = ("vllm", "sglang")
"""Engines whose tables have every rank permute all tokens of the group, also those of other ranks' experts."""


@dataclass(frozen=True)
class Mixtures:
    """The slices (hidden, width / tensor ranks, per token, experts, expert ranks) of one format."""

    grid: Grid
    floor: float
    exact: bool
    one_rank: bool
    """Only slices of one expert rank, for an engine whose others hold work that an exchange saves."""


def roof(
    s: Sheet,
    held: Format,
    tokens: Column,
    hidden: Column | float,
    width: Column,
    per_token: Column | float,
    experts: Column | float,
    ranks: Column,
    matrices: float = 3.0,
) -> Column:
    """Seconds by the data sheet: products of the rank's copies, or the weights of the experts hit and activations."""
    share = np.minimum(per_token / experts, 1 - 1e-9)
    hit = experts / ranks * -np.expm1(tokens * np.log1p(-share))
    copies = tokens * per_token / ranks
    moved = matrices * hidden * width * hit * held.weight + copies * (2 * hidden + 3 * width) * 2
    return np.maximum(2 * matrices * hidden * width * copies / s.peaks[held.peak], moved / s.memory)


def experts(
    store: Store,
    sheet: Sheet,
    name: str,
    tokens: Column,
    hidden: float,
    width: float,
    per_token: float,
    count: float,
    ranks: Column,
    slices: Column,
    exchanged: bool,
    gated: bool,
) -> Answer:
    """Seconds of one rank's experts for `tokens` of the whole group."""
    key = ("moe", name, str(exchanged))
    mixtures = store.once(key, lambda: _mixtures(store, name, exchanged))
    grid, shard = mixtures.grid, width / slices
    full = np.ones(len(tokens))
    measured_ranks = full if mixtures.one_rank else ranks
    shapes = [hidden * full, shard, per_token * full, count * full, measured_ranks]
    e, kind = grid.query([tokens], shapes, per_token / count * full)
    matrices = 3.0 if gated else 2.0
    held = FORMATS[name]
    work = roof(sheet, held, grid.raised(0, tokens), hidden, shard, per_token, count, ranks, matrices)
    kind = np.where(measured_ranks != ranks, np.maximum(kind, INTERPOLATED), kind)
    exact = mixtures.exact and gated
    return np.exp(e) * (mixtures.floor + work), kind if exact else np.full_like(kind, ESTIMATED)


def _mixtures(store: Store, name: str, exchanged: bool) -> Mixtures:
    for near in (name, *FORMATS[name].nearest):
        for file in store.files("moe", "moe"):
            if (store.card, file.engine, near) in FAILED:
                continue
            found = _of(store, file, near, near == name, exchanged and file.engine in LOCAL)
            if found:
                store.served(f"experts {name}", file)
                return found
    raise store.missing("moe", "moe")


def _of(store: Store, file: TableFile, name: str, exact: bool, one_rank: bool) -> Mixtures | None:
    table = store.read(file, "moe")
    columns = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size")
    of = table.where("moe_dtype", FORMATS[name].table)
    of &= ~np.isin(
        table.codes["kernel_source"], [i for i, s in enumerate(table.texts["kernel_source"]) if "nongated" in s]
    )
    hidden, width = table.numbers["hidden_size"], table.numbers["inter_size"]
    for h, f in NOT_GATED | ELSEWHERE:
        of &= (hidden != h) | (width != f)
    if one_rank:
        of &= table.numbers["moe_ep_size"] == 1
    skewed = bool((of & table.where("distribution", SKEWED)).any())
    chosen = of & table.where("distribution", SKEWED if skewed else BALANCED)
    tokens, hidden, width, per_token, count, slices, ranks = (table.numbers[column][chosen] for column in columns)
    seconds, shard = table.times["latency"][chosen], width / slices
    work = roof(store.sheet, FORMATS[name], tokens, hidden, shard, per_token, count, ranks)
    kept = seconds > FASTEST * work
    if not kept.any():
        return None
    floor = float(seconds[kept].min())
    e = np.log(seconds / (floor + work))[kept]
    shapes = np.stack([hidden, shard, per_token, count, ranks], axis=1)[kept]
    density = (per_token / count)[kept]
    grid = Grid((tokens[kept],), e, shapes, FEATURES, density)
    slow = _slow(grid)
    if slow.any():
        _, slice_of = np.unique(shapes, axis=0, return_inverse=True)
        good = ~slow[slice_of.ravel()]
        grid = Grid((tokens[kept][good],), e[good], shapes[good], FEATURES, density[good])
    return Mixtures(grid, floor, exact and skewed and store.own(file), one_rank)


def _slow(grid: Grid) -> np.ndarray:
    """Slices whose median is far above the median of their six nearest slices' medians."""
    middles = np.nanmedian(np.where(grid.known, grid.values, np.nan), axis=1)
    others = grid.nearest_others(6)
    if others.shape[1] < 6:
        return np.zeros(len(middles), bool)
    slow: np.ndarray = middles - np.median(middles[others], axis=1) > np.log(SLOW)
    return slow if slow.sum() < len(slow) / 2 else np.zeros(len(middles), bool)
