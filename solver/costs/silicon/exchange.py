"""Tokens on their way to experts and back, by DeepEP (docs/silicon.md, Communication)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..origins import EXTRAPOLATED
from .grids import Answer, Column, Grid
from .sheets import Sheet
from .store import Store

Phase = Literal["dispatch", "combine"]
PHASES: tuple[Phase, ...] = ("dispatch", "combine")
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
