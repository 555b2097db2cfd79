"""Routed experts (docs/silicon.md, Experts)."""

from __future__ import annotations

import math
import statistics

from . import roofs
from .desk import Answer, Desk
from .points import Points, Shape
from .roofs import FORMATS
from .tables import File

COLUMNS = (
    *("hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size", "num_tokens"),
    *("latency", "kernel_source"),
)
LEFT_OUT = [*((2688, 1856), (1024, 2688), (2048, 5120), (4096, 2688)), (8192, 5120)]
"""(hidden, width) of models with two matrices per expert, and of one that is narrower inside."""
BROKEN = [("h100-sxm", "vllm", "fp8"), ("h200-sxm", "vllm", "fp8")]
STRETCH = (1, 1, 0.5, 1, 1)
Mixture = tuple[Points, bool, bool]
"""Points, whether exactly what was asked for, whether of one rank only."""


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
        points, exact, one_rank = self._once(self._mixture, format, exchanged)
        shard, ranks = width / tensor_ranks, 1.0 if one_rank else expert_ranks
        e, kind = points.query((tokens,), (hidden, shard, per_token, count, ranks), lambda s: s[2] / s[3])
        kind = max(kind, 1 if ranks != expert_ranks else 0)
        tokens, matrices = points.raised(0, tokens), 3 if gated else 2
        work = roofs.experts(self._card, format, tokens, hidden, shard, per_token, count, expert_ranks, matrices)
        return self._answer(math.exp(e) * (points.floor + work), kind, exact and gated)

    def _mixture(self, format: str, exchanged: bool) -> Mixture:
        shelf = self._shelves[0]
        for near in (format, *FORMATS[format][4]):
            for file in shelf.each("moe", "moe"):
                made = self._mixture_of(file, near, exchanged and file.engine != "trtllm")
                if made is not None and (shelf.card, file.engine, near) not in BROKEN:
                    points, skewed = made
                    own = near == format and skewed and shelf.own(file)
                    return points, own, exchanged and file.engine != "trtllm"
        raise LookupError(format)

    def _mixture_of(self, file: File, format: str, one_rank: bool) -> tuple[Points, bool] | None:
        held: dict[str, object] = {"moe_dtype": FORMATS[format][0]} | ({"moe_ep_size": 1} if one_rank else {})
        for spread in ("power_law_1.01", "balanced"):
            columns = self._shelves[0].columns(file, *COLUMNS, **held, distribution=spread)
            rows = [row for row in zip(*columns, strict=True) if row[:2] not in LEFT_OUT and "nongated" not in row[-1]]
            if rows:
                break
        card = self._measured[0]
        kept: list[tuple[Shape, float, float, float]] = []
        for hidden, width, per_token, count, slices, ranks, tokens, latency, _ in rows:
            shape = (hidden, width / slices, per_token, count, ranks)
            work = roofs.experts(card, format, tokens, *shape, 3.0)
            if latency / 1e3 > 0.9 * work:
                kept.append((shape, tokens, latency / 1e3, work))
        if not kept:
            return None
        shapes, places, seconds, works = (list(column) for column in zip(*kept, strict=True))
        points = Points((places,), seconds, works.__getitem__, shapes, STRETCH)
        points.leave_out(_slow(points))
        return points, spread == "power_law_1.01"


def _slow(points: Points) -> set[Shape]:
    """Shapes whose median is twice that of their six neighbours'."""
    middle = {shape: statistics.median(points.e(shape, (x,))[0] for x in rows) for shape, rows in points.rows.items()}
    if len(middle) < 7:
        return set()
    slow = set()
    for shape in middle:
        near = [other for _, other in points.nearest(shape) if other != shape][:6]
        if middle[shape] - statistics.median(middle[other] for other in near) > math.log(2):
            slow.add(shape)
    return slow if 2 * len(slow) < len(middle) else set()
