"""Dispatch and combine of experts (docs/silicon.md, Communication)."""

from __future__ import annotations

import math
from typing import Any

from . import roofs
from .desk import Answer, Desk
from .points import Points, Shape

COLUMNS = {
    ("low_latency", "dispatch"): ("wideep_deepep_ll", "dispatch_avg_t_us"),
    ("low_latency", "combine"): ("wideep_deepep_ll", "combine_avg_t_us"),
    ("normal", "dispatch"): ("wideep_deepep_normal", "dispatch_transmit_us"),
    ("normal", "combine"): ("wideep_deepep_normal", "combine_transmit_us"),
}


class Exchanges(Desk):
    """What experts are sent and send back."""

    def exchange(
        self,
        tokens: float,
        hidden: float,
        per_token: float,
        count: float,
        ranks: float,
        phase: str,
        kernel: str = "low_latency",
    ) -> Answer:
        """Dispatch or combine."""
        if ranks <= 1 or tokens <= 0:
            return 0.0, 0
        points = self._once(self._exchanges, kernel, phase)
        nodes = max(1, math.ceil(ranks / self._card.gpus_per_node))
        e, kind = points.query((tokens,), (nodes, hidden, per_token, count))
        element = 1.0 if phase == "dispatch" else 2.0
        held = points.raised(0, tokens)
        work = roofs.exchange(self._card, held, hidden, per_token, max(ranks, 2.0), nodes, element)
        kind = max(kind, 2 if ranks != nodes * self._node() else 0)
        return self._answer(math.exp(e) * (points.floor + work), kind)

    def _exchanges(self, kernel: str, phase: str) -> Points:
        """Older versions add shapes that newer ones lack."""
        shelf = self._shelves[1]
        table, column = COLUMNS[kernel, phase]
        rows: list[tuple[Any, ...]] = []
        known: set[Shape] = set()
        for file in shelf.all_versions("comm", table, "sglang"):
            columns = shelf.columns(file, "node_num", "hidden_size", "num_topk", "num_experts", "num_token", column)
            rows += [row for row in zip(*columns, strict=True) if row[:4] not in known]
            known = {row[:4] for row in rows}
        if not rows:
            raise LookupError(table)
        card, element = self._measured[1], 1.0 if phase == "dispatch" else 2.0

        def work(i: int) -> float:
            nodes, hidden, per_token, _, tokens, _ = rows[i]
            return roofs.exchange(card, tokens, hidden, per_token, nodes * self._node(), nodes, element)

        tokens, seconds = [row[4] for row in rows], [row[5] / 1e6 for row in rows]
        return Points((tokens,), seconds, work, [row[:4] for row in rows], (4, 1, 1, 0.5))

    def _node(self) -> int:
        return 4 if self._shelves[1].card in ("gb200-nvl72", "gb300-nvl72") else 8
