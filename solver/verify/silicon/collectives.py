"""Collectives inside a node (docs/silicon.md, Communication)."""

from __future__ import annotations

import math
from typing import Any

from . import roofs
from .desk import Answer, Desk
from .points import Points

Summed = tuple[Points, bool]


class Collectives(Desk):
    """What goes over the links of a node."""

    def all_reduce(self, ranks: float, size: float) -> Answer:
        """Sum bytes over ranks, by the engine's own kernel."""
        return self._over("all_reduce", self._once(self._reduces), ranks, size) if ranks > 1 and size > 0 else (0.0, 0)

    def collective(self, operation: str, ranks: float, size: float) -> Answer:
        """A collective of the library."""
        if ranks <= 1 or size <= 0:
            return 0.0, 0
        return self._over(operation, self._once(self._library, operation), ranks, size)

    def point_to_point(self, size: float) -> Answer:
        """Half of what a rank sends to two, itself included."""
        return self.collective("all_to_all", 2, 2 * size)[0], 3 if size > 0 else 0

    def _over(self, operation: str, made: Summed, ranks: float, size: float) -> Answer:
        points, exact = made
        several = max(ranks, 2.0)
        e, kind = points.query((several, size))
        floor = points.floor * math.sqrt(max(several / points.axes[0][-1], 1.0))
        work = roofs.collective(self._card, operation, several, points.raised(1, size))
        return self._answer(math.exp(e) * (floor + work), kind, exact)

    def _reduces(self) -> Summed:
        shelf = self._shelves[1]
        file = shelf.first("comm", "custom_allreduce")
        columns = shelf.columns(file, "num_gpus", "message_size", "latency", "kernel_source")
        rows = list(zip(*columns, strict=True))
        captured = [row for row in rows if not row[3].endswith("eager")]
        return self._made_of("all_reduce", captured or rows), shelf.own(file)

    def _library(self, operation: str) -> Summed:
        shelf = self._shelves[1]
        for library in ("nccl", "oneccl"):
            for file in shelf.all_versions("comm", library, library)[:1]:
                held = {"op_name": "alltoall" if operation == "all_to_all" else operation, "nccl_dtype": "half"}
                columns = shelf.columns(file, "num_gpus", "message_size", "latency", **held)
                if columns[0]:
                    return self._made_of(operation, list(zip(*columns, strict=True))), True
        raise LookupError(operation)

    def _made_of(self, operation: str, rows: list[tuple[Any, ...]]) -> Points:
        """The least time of a message or any larger one."""
        least: dict[float, float] = {}
        ranks, sizes, seconds, card = [], [], [], self._measured[1]
        for n, elements, latency, *_ in sorted(rows, key=lambda row: (-row[1], row[2])):
            least[n] = min(latency / 1e3, least.get(n, math.inf))
            ranks.append(n)
            sizes.append(2 * elements)
            seconds.append(least[n])
        return Points((ranks, sizes), seconds, lambda i: roofs.collective(card, operation, ranks[i], sizes[i]))
