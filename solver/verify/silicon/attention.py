"""Grouped attention (docs/silicon.md, Attention)."""

from __future__ import annotations

import math
from typing import Any

from . import roofs
from .desk import Answer, Desk
from .points import Points, Shape
from .roofs import COLD, KV


class GroupedAttention(Desk):
    """Grouped attention of one card."""

    def prompt_attention(
        self,
        prompts: float,
        tokens: float,
        prefix: float,
        heads: float,
        kv_heads: float,
        head_dim: float,
        kv_format: str = "bf16",
        window: float = 0,
    ) -> Answer:
        """Causal core of prompts."""
        if prompts <= 0 or tokens <= 0:
            return 0.0, 0
        points, floor, (compute, *_), exact = self._once(self._cores, "context", KV[kv_format][0], head_dim, window)
        n = max(prompts, 1.0)
        batch = n * tokens / (tokens + prefix) if prefix > 0 else n
        e, kind = points.query((batch, tokens + prefix), _shape(heads, kv_heads), lambda shape: shape[0])
        n, tokens = points.raised(0, n), points.raised(1, tokens + prefix) - prefix
        work = roofs.prompt(self._card, compute, n, tokens, prefix, heads, kv_heads, head_dim, KV[kv_format][1], window)
        kind = max(kind, 2 if prefix > 0 else 0, 1 if prompts < 1 else 0)
        return self._answer(math.exp(e) * (floor + work) * min(prompts, 1.0), kind, exact)

    def decode_attention(
        self,
        sequences: float,
        context: float,
        heads: float,
        kv_heads: float,
        head_dim: float,
        kv_format: str = "bf16",
        window: float = 0,
    ) -> Answer:
        """Core of one token for each sequence."""
        if sequences <= 0 or context <= 0:
            return 0.0, 0
        points, floor, (*_, of), exact = self._once(self._cores, "generation", KV[kv_format][0], head_dim, window)
        n = max(sequences, 1.0)
        place = min(context, window) if window and not of else context
        e, kind = points.query((n, place), _shape(heads, kv_heads), lambda shape: shape[1])
        n, context = points.raised(0, n), points.raised(1, context)
        element = KV[kv_format][1]
        seconds = math.exp(e) * (
            floor + roofs.decode(self._card, n, context, heads, kv_heads, head_dim, element, window)
        )
        seen = min(context, window) if window else context
        least = 2 * n * seen * kv_heads * head_dim * element / (COLD * self._card.memory_bandwidth)
        kind = max(kind, 1 if seconds < least or sequences < 1 else 0)
        return self._answer(max(seconds, least) * min(sequences, 1.0), kind, exact)

    def _cores(self, phase: str, kv: str, dim: float, window: float) -> tuple[Points, float, tuple[Any, ...], bool]:
        shelf = self._shelves[0]
        file = shelf.first("attention", f"{phase}_attention")
        rows = shelf.rows(file)
        names = ("attn_dtype", "kv_cache_dtype", "head_dim", "window_size")

        def unlike(found: tuple[Any, ...]) -> float:
            gap: float = 2 * (found[0] != "bfloat16") + 3 * (found[1] != kv) + 2 * abs(math.log(found[2] / dim))
            if (found[3] > 0) != (window > 0):
                return gap + 5
            return gap + (abs(math.log(found[3] / window)) / 2 if window else 0)

        categories = sorted({tuple(row[name] for name in names) for row in rows})
        best = min(categories, key=unlike)
        rows = [row for row in rows if tuple(row[name] for name in names) == best]
        floor = min(row["latency"] for row in rows) / 1e3
        element, card = 1.0 if best[1] == "fp8" else 2.0, self._measured[0]
        entries = []
        for row in rows:
            n, new, step, heads = (row[name] for name in ("batch_size", "isl", "step", "num_heads"))
            kv_heads = row["num_key_value_heads"] or heads
            if phase == "context":
                work = roofs.prompt(card, best[0], n, new, step, heads, kv_heads, best[2], element, best[3])
            else:
                work = roofs.decode(card, n, new + step, heads, kv_heads, best[2], element, best[3])
            e = math.log(row["latency"] / 1e3 / (floor + work))
            entries.append((_shape(heads, kv_heads), (n, new + step), e))
        exact = best[1:] == (kv, dim, window) and shelf.own(file)
        return Points(entries, (1, 1, 1)), floor, best, exact


def _shape(heads: float, kv_heads: float) -> Shape:
    return heads, kv_heads, 10.0 if heads == kv_heads and heads > 1 else 1.0
