"""Matrix products (docs/silicon.md, GEMM)."""

from __future__ import annotations

import math

from . import roofs
from .desk import Answer, Desk
from .points import Points
from .roofs import COLD, FORMATS
from .tables import Columns


class Products(Desk):
    """Products of one card."""

    def matrix(self, format: str, rows: float, inputs: float, outputs: float) -> Answer:
        """Rows × inputs by inputs × outputs."""
        if rows <= 0:
            return 0.0, 0
        least = outputs * inputs * FORMATS[format][1] / (COLD * self._card.memory_bandwidth)
        answers = []
        for points, exact in self._once(self._products, format):
            e, kind = points.query((rows, outputs, inputs))
            held = [points.raised(i, x) for i, x in enumerate((rows, outputs, inputs))]
            seconds = math.exp(e) * (points.floor + roofs.product(self._card, format, *held))
            if seconds < least:
                seconds, kind = least, max(kind, 1)
            answers.append(self._answer(seconds, kind, exact))
        return min(answers, key=lambda answer: answer[0])

    def _products(self, format: str) -> list[tuple[Points, bool]]:
        """One for each engine that has the format, or the nearest format that any has."""
        shelf, made = self._shelves[0], []
        for near in (format, *FORMATS[format][4]):
            for file in shelf.each("gemm", "gemm"):
                columns = shelf.columns(file, "m", "n", "k", "latency", gemm_dtype=FORMATS[near][0])
                if columns[0]:
                    made.append((self._points(columns, near), near == format))
            if made:
                return made
        raise LookupError(format)

    def _points(self, columns: Columns, format: str) -> Points:
        m, n, k, latency = columns
        card = self._measured[0]
        seconds = [x / 1e3 for x in latency]
        return Points((m, n, k), seconds, lambda i: roofs.product(card, format, m[i], n[i], k[i]))
