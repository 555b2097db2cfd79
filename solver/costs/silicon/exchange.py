"""What ranks exchange: all-reduce inside a node, expert dispatch and combine (docs/silicon.md, Communication)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .grids import ESTIMATED, EXTRAPOLATED, Answer, Column, Grid
from .sheets import Sheet
from .store import Store

ELEMENT = 2.0
"""Bytes of an element of the all-reduce tables."""
Phase = Literal["dispatch", "combine"]
Kernel = Literal["low_latency", "normal"]
TABLES = {
    ("low_latency", "dispatch"): ("wideep_deepep_ll", "dispatch_avg_t_us"),
    ("low_latency", "combine"): ("wideep_deepep_ll", "combine_avg_t_us"),
    ("normal", "dispatch"): ("wideep_deepep_normal", "dispatch_transmit_us"),
    ("normal", "combine"): ("wideep_deepep_normal", "combine_transmit_us"),
}
SENT = {"dispatch": 1.0, "combine": 2.0}
"""Bytes per element: 8 bit out, 16 bit back."""
MEASURED_NODE = {"gb200-nvl72": 4, "gb300-nvl72": 4}
"""GPUs of a node where the tables were measured, if not 8."""
FEATURES = (4.0, 1.0, 1.0, 0.5)
"""Weights of nodes, hidden, experts per token and experts in the distance of two shapes."""


@dataclass(frozen=True)
class Exchange:
    """One grid and the fastest time in it."""

    grid: Grid
    floor: float
    exact: bool = True


def reduce_roof(s: Sheet, ranks: Column, size: Column) -> Column:
    """Seconds by the data sheet: a ring."""
    return 2 * (ranks - 1) / ranks * size / s.link


def all_reduce(store: Store, sheet: Sheet, ranks: Column, size: Column) -> Answer:
    """Seconds to sum `size` bytes over `ranks` GPUs of a node, from a CUDA graph."""
    reduces = store.once(("custom_allreduce",), lambda: _reduces(store))
    grid = reduces.grid
    held = np.maximum(ranks, 2.0)
    e, kind = grid.query([held, size])
    largest = grid.axes[0][-1]
    floor = reduces.floor * np.sqrt(np.maximum(held / largest, 1.0))
    seconds = np.exp(e) * (floor + reduce_roof(sheet, held, grid.raised(1, size)))
    return seconds, kind if reduces.exact else np.full_like(kind, ESTIMATED)


def _reduces(store: Store) -> Exchange:
    file = store.first("comm", "custom_allreduce")
    table = store.read(file, "custom_allreduce")
    eager = [i for i, source in enumerate(table.texts["kernel_source"]) if source.endswith("eager")]
    chosen = ~np.isin(table.codes["kernel_source"], eager)
    chosen |= not chosen.any()  # an engine that never captures graphs
    ranks, size = table.numbers["num_gpus"][chosen], table.numbers["message_size"][chosen] * ELEMENT
    seconds = table.times["latency"][chosen].copy()
    for n in np.unique(ranks):  # a larger message is never faster: spikes go
        rows = np.flatnonzero(ranks == n)
        rows = rows[np.lexsort((seconds[rows], size[rows]))]
        seconds[rows] = np.minimum.accumulate(seconds[rows][::-1])[::-1]
    floor = float(seconds.min())
    e = np.log(seconds / (floor + reduce_roof(store.sheet, ranks, size)))
    store.served("all_reduce", file)
    return Exchange(Grid((ranks, size), e), floor, store.own(file))


def exchange_roof(
    s: Sheet, tokens: Column, hidden: Column, per_token: Column, ranks: Column, nodes: Column, sent: float
) -> Column:
    """Seconds by the data sheet: copies over the node's link, or one copy per other node over the network."""
    inside = tokens * per_token * hidden * sent * (1 - 1 / ranks) / s.link
    reached = nodes * (1 - (1 - 1 / nodes) ** per_token) * (nodes - 1) / nodes
    return np.maximum(inside, tokens * hidden * sent * reached / s.network)


def exchange(
    store: Store,
    sheet: Sheet,
    tokens: Column,
    hidden: float,
    per_token: float,
    experts: float,
    ranks: Column,
    phase: Phase,
    kernel: Kernel,
) -> Answer:
    """Seconds to send `tokens` of each rank to their experts (dispatch) or back (combine)."""
    made = store.once(("exchange", kernel, phase), lambda: _exchange(store, kernel, phase))
    grid, full = made.grid, np.ones(len(tokens))
    nodes = np.maximum(1.0, np.ceil(ranks / sheet.node))
    e, kind = grid.query([tokens], [nodes, hidden * full, per_token * full, experts * full])
    several = np.maximum(ranks, 2.0)
    work = exchange_roof(sheet, grid.raised(0, tokens), hidden * full, per_token * full, several, nodes, SENT[phase])
    measured = nodes * MEASURED_NODE.get(store.card, 8)
    kind = np.where(ranks != measured, np.maximum(kind, EXTRAPOLATED), kind)
    return np.exp(e) * (made.floor + work), kind


def _exchange(store: Store, kernel: Kernel, phase: Phase) -> Exchange:
    name, column = TABLES[kernel, phase]
    files = store.versions("comm", "sglang", name)
    if not files:
        raise store.missing("comm", name)
    shapes, tokens, seconds = np.zeros((0, 4)), np.zeros(0), np.zeros(0)
    for file in files:  # newest first; older ones add shapes, such as those of several nodes
        table = store.read(file, name)
        keys = ("node_num", "hidden_size", "num_topk", "num_experts")
        shape = np.stack([table.numbers[key] for key in keys], axis=1)
        new = ~(shape[:, None, :] == np.unique(shapes, axis=0)[None]).all(axis=2).any(axis=1)
        shapes = np.concatenate([shapes, shape[new]])
        tokens = np.concatenate([tokens, table.numbers["num_token"][new]])
        seconds = np.concatenate([seconds, table.times[column][new]])
    nodes, hidden, per_token, _ = shapes.T
    floor = float(seconds.min())
    ranks = nodes * MEASURED_NODE.get(store.card, 8)
    e = np.log(seconds / (floor + exchange_roof(store.sheet, tokens, hidden, per_token, ranks, nodes, SENT[phase])))
    store.served(f"exchange {kernel}", files[0])
    return Exchange(Grid((tokens,), e, shapes, FEATURES), floor)
