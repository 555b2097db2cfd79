"""Dispatch and combine of experts (docs/silicon.md, Communication)."""

from __future__ import annotations

import math

from . import roofs
from .desk import Answer, Desk
from .points import Points

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
        points, floor = self._once(self._exchanges, kernel, phase)
        nodes = max(1, math.ceil(ranks / self._card.gpus_per_node))
        e, kind = points.query((tokens,), (nodes, hidden, per_token, count))
        element = 1.0 if phase == "dispatch" else 2.0
        held = points.raised(0, tokens)
        work = roofs.exchange(self._card, held, hidden, per_token, max(ranks, 2.0), nodes, element)
        kind = max(kind, 2 if ranks != nodes * self._node() else 0)
        return self._answer(math.exp(e) * (floor + work), kind)

    def _exchanges(self, kernel: str, phase: str) -> tuple[Points, float]:
        shelf = self._shelves[1]
        table, column = COLUMNS[kernel, phase]
        rows, shapes = [], set()
        for file in shelf.all_versions("comm", table, "sglang"):
            found = set()
            for row in shelf.rows(file):
                shape = (row["node_num"], row["hidden_size"], row["num_topk"], row["num_experts"])
                if shape not in shapes:
                    found.add(shape)
                    rows.append((shape, row["num_token"], row[column] / 1e6))
            shapes |= found
        if not rows:
            raise LookupError(table)
        floor, entries = min(t for *_, t in rows), []
        for shape, tokens, t in rows:
            nodes, hidden, per_token, _ = shape
            ranks, element = nodes * self._node(), 1.0 if phase == "dispatch" else 2.0
            work = roofs.exchange(self._measured[1], tokens, hidden, per_token, ranks, nodes, element)
            entries.append((shape, (tokens,), math.log(t / (floor + work))))
        return Points(entries, (4, 1, 1, 0.5)), floor

    def _node(self) -> int:
        return 4 if self._shelves[1].card in ("gb200-nvl72", "gb300-nvl72") else 8
