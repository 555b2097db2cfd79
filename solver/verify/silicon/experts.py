"""Routed experts (docs/silicon.md, Experts)."""

from __future__ import annotations

import math
import statistics

from . import roofs
from .desk import Answer, Desk
from .points import Points, Shape
from .roofs import FORMATS
from .tables import File, Row

TWO_MATRICES = [(2688, 1856), (1024, 2688), (2048, 5120), (4096, 2688)]
NARROWER = [(8192, 5120)]
BROKEN = [("h100-sxm", "vllm", "fp8"), ("h200-sxm", "vllm", "fp8")]
STRETCH = (1, 1, 0.5, 1, 1)
Mixture = tuple[Points, float, bool, bool]
"""Points, floor, whether exactly what was asked for, whether of one rank only."""


class Experts(Desk):
    """Routed experts of one card."""

    def experts(
        self,
        tokens: float,
        hidden: float,
        width: float,
        per_token: float,
        count: float,
        expert_ranks: float,
        tensor_ranks: float,
        format: str,
        *,
        exchanged: bool = True,
        gated: bool = True,
    ) -> Answer:
        """One rank's experts for the tokens of the group."""
        if tokens <= 0:
            return 0.0, 0
        points, floor, exact, one_rank = self._once(self._mixture, format, exchanged)
        shard, ranks = width / tensor_ranks, 1.0 if one_rank else expert_ranks
        e, kind = points.query((tokens,), (hidden, shard, per_token, count, ranks), lambda s: s[2] / s[3])
        kind = max(kind, 1 if ranks != expert_ranks else 0)
        tokens, matrices = points.raised(0, tokens), 3 if gated else 2
        work = roofs.experts(self._card, format, tokens, hidden, shard, per_token, count, expert_ranks, matrices)
        return self._answer(math.exp(e) * (floor + work), kind, exact and gated)

    def _mixture(self, format: str, exchanged: bool) -> Mixture:
        shelf = self._shelves[0]
        for near in (format, *FORMATS[format][4]):
            for file in shelf.each("moe", "moe"):
                made = self._mixture_of(file, near, exchanged and file.engine != "trtllm")
                if made is not None and (shelf.card, file.engine, near) not in BROKEN:
                    points, floor, skewed = made
                    own = near == format and skewed and shelf.own(file)
                    return points, floor, own, exchanged and file.engine != "trtllm"
        raise LookupError(format)

    def _mixture_of(self, file: File, format: str, one_rank: bool) -> tuple[Points, float, bool] | None:
        left_out = TWO_MATRICES + NARROWER
        rows = [row for row in self._shelves[0].rows(file) if row["moe_dtype"] == FORMATS[format][0]]
        rows = [row for row in rows if (row["hidden_size"], row["inter_size"]) not in left_out]
        rows = [row for row in rows if "nongated" not in row["kernel_source"]]
        rows = [row for row in rows if not one_rank or row["moe_ep_size"] == 1]
        skewed = any(row["distribution"] == "power_law_1.01" for row in rows)
        kept: list[tuple[Shape, Shape, float, float]] = []
        for row in rows:
            if row["distribution"] != ("power_law_1.01" if skewed else "balanced"):
                continue
            shape, tokens = _shape(row), row["num_tokens"]
            work = roofs.experts(self._measured[0], format, tokens, *shape, 3.0)
            if row["latency"] / 1e3 > 0.9 * work:
                kept.append((shape, (tokens,), row["latency"] / 1e3, work))
        if not kept:
            return None
        floor = min(seconds for _, _, seconds, _ in kept)
        entries = [(shape, place, math.log(seconds / (floor + work))) for shape, place, seconds, work in kept]
        slow = _slow(Points(entries, STRETCH))
        return Points([entry for entry in entries if entry[0] not in slow], STRETCH), floor, skewed


def _shape(row: Row) -> tuple[float, float, float, float, float]:
    shard = row["inter_size"] / row["moe_tp_size"]
    return row["hidden_size"], shard, row["topk"], row["num_experts"], row["moe_ep_size"]


def _slow(points: Points) -> set[Shape]:
    """Shapes whose median is twice that of their six neighbours'."""
    middle = {shape: statistics.median(tree.values()) for shape, tree in points.trees.items()}
    if len(middle) < 7:
        return set()
    slow = set()
    for shape in middle:
        near = points.nearest(shape, [other for other in middle if other != shape])[:6]
        if middle[shape] - statistics.median(middle[other] for _, other in near) > math.log(2):
            slow.add(shape)
    return slow if 2 * len(slow) < len(middle) else set()
