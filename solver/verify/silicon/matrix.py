"""Matrix products (docs/silicon.md, GEMM)."""

from __future__ import annotations

import math

from . import roofs
from .desk import Answer, Desk
from .points import Points
from .roofs import COLD, FORMATS


class Products(Desk):
    """Products of one card."""

    def matrix(self, format: str, rows: float, inputs: float, outputs: float) -> Answer:
        """Rows × inputs by inputs × outputs."""
        if rows <= 0:
            return 0.0, 0
        points, floor, exact = self._once(self._products, format)
        e, kind = points.query((rows, outputs, inputs))
        held = [points.raised(i, x) for i, x in enumerate((rows, outputs, inputs))]
        seconds = math.exp(e) * (floor + roofs.product(self._card, format, *held))
        least = outputs * inputs * FORMATS[format][1] / (COLD * self._card.memory_bandwidth)
        return self._answer(max(seconds, least), max(kind, 1) if seconds < least else kind, exact)

    def _products(self, format: str) -> tuple[Points, float, bool]:
        shelf = self._shelves[0]
        for near in (format, *FORMATS[format][4]):
            made = []
            for file in shelf.each("gemm", "gemm"):
                rows = [row for row in shelf.rows(file) if row["gemm_dtype"] == FORMATS[near][0]]
                if rows:
                    made.append((file, rows, min(row["latency"] for row in rows) / 1e3))
                if made and made[0][2] <= 30e-6:
                    break
            if not made:
                continue
            quick = [one for one in made[1:] if made[0][2] > 30e-6 and one[2] < made[0][2] / 3]
            file, rows, floor = (quick or made)[0]
            entries = []
            for row in rows:
                place = (row["m"], row["n"], row["k"])
                work = floor + roofs.product(self._measured[0], near, *place)
                entries.append(((), place, math.log(row["latency"] / 1e3 / work)))
            return Points(entries), floor, near == format and not quick and shelf.own(file)
        raise LookupError(format)
