"""Collectives inside a node (docs/silicon.md, Communication)."""

from __future__ import annotations

import math

from . import roofs
from .desk import Answer, Desk
from .points import Points
from .tables import Row

Summed = tuple[Points, float, bool]


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
        points, floor, exact = made
        several = max(ranks, 2.0)
        e, kind = points.query((several, size))
        floor *= math.sqrt(max(several / points.axes[0][-1], 1.0))
        work = roofs.collective(self._card, operation, several, points.raised(1, size))
        return self._answer(math.exp(e) * (floor + work), kind, exact)

    def _reduces(self) -> Summed:
        shelf = self._shelves[1]
        file = shelf.first("comm", "custom_allreduce")
        rows = [row for row in shelf.rows(file) if not row["kernel_source"].endswith("eager")] or shelf.rows(file)
        return self._made_of("all_reduce", rows, shelf.own(file))

    def _library(self, operation: str) -> Summed:
        shelf = self._shelves[1]
        for library in ("nccl", "oneccl"):
            for file in shelf.all_versions("comm", library, library)[:1]:
                name = "alltoall" if operation == "all_to_all" else operation
                rows = [row for row in shelf.rows(file) if (row["op_name"], row["nccl_dtype"]) == (name, "half")]
                if rows:
                    return self._made_of(operation, rows, True)
        raise LookupError(operation)

    def _made_of(self, operation: str, rows: list[Row], exact: bool) -> Summed:
        """The least time of a message or any larger one."""
        times: dict[tuple[float, float], float] = {}
        for row in rows:
            place = (row["num_gpus"], 2.0 * row["message_size"])
            times[place] = min(row["latency"] / 1e3, times.get(place, math.inf))
        least = {(n, size): min(t for (m, other), t in times.items() if m == n and other >= size) for n, size in times}
        floor, card = min(least.values()), self._measured[1]
        entries = [((), at, math.log(t / (floor + roofs.collective(card, operation, *at)))) for at, t in least.items()]
        return Points(entries), floor, exact
