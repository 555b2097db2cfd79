"""Grouped attention (docs/silicon.md, Attention)."""

from __future__ import annotations

import math
from typing import Any

from . import roofs
from .desk import Answer, Desk
from .points import Points, Shape
from .roofs import COLD, KV
from .tables import File


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
        points, (compute, *_), exact = self._once(self._cores, "context", KV[kv_format][0], head_dim, window)
        n = max(prompts, 1.0)
        batch = n * tokens / (tokens + prefix) if prefix > 0 else n
        e, kind = points.query((batch, tokens + prefix), _shape(heads, kv_heads), lambda shape: shape[0])
        n, tokens = points.raised(0, n), points.raised(1, tokens + prefix) - prefix
        work = roofs.prompt(self._card, compute, n, tokens, prefix, heads, kv_heads, head_dim, KV[kv_format][1], window)
        kind = max(kind, 2 if prefix > 0 else 0, 1 if prompts < 1 else 0)
        return self._answer(math.exp(e) * (points.floor + work) * min(prompts, 1.0), kind, exact)

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
        points, (*_, of), exact = self._once(self._cores, "generation", KV[kv_format][0], head_dim, window)
        n = max(sequences, 1.0)
        place = min(context, window) if window and not of else context
        e, kind = points.query((n, place), _shape(heads, kv_heads), lambda shape: shape[1])
        n, context = points.raised(0, n), points.raised(1, context)
        element = KV[kv_format][1]
        seconds = math.exp(e) * (
            points.floor + roofs.decode(self._card, n, context, heads, kv_heads, head_dim, element, window)
        )
        seen = min(context, window) if window else context
        least = 2 * n * seen * kv_heads * head_dim * element / (COLD * self._card.memory_bandwidth)
        kind = max(kind, 1 if seconds < least or sequences < 1 else 0)
        return self._answer(max(seconds, least) * min(sequences, 1.0), kind, exact)

    def _cores(self, phase: str, kv: str, dim: float, window: float) -> tuple[Points, tuple[Any, ...], bool]:
        shelf = self._shelves[0]
        file = shelf.first("attention", f"{phase}_attention")
        names = ("attn_dtype", "kv_cache_dtype", "head_dim", "window_size")

        def unlike(found: tuple[Any, ...]) -> float:
            gap: float = 2 * (found[0] != "bfloat16") + 3 * (found[1] != kv) + 2 * abs(math.log(found[2] / dim))
            if (found[3] > 0) != (window > 0):
                return gap + 5
            return gap + (abs(math.log(found[3] / window)) / 2 if window else 0)

        categories = set(zip(*shelf.columns(file, *names), strict=True))
        best = min(sorted(categories), key=unlike)
        exact = best[1:] == (kv, dim, window) and shelf.own(file)
        return self._once(self._slices, phase, file, best), best, exact

    def _slices(self, phase: str, file: File, category: tuple[Any, ...]) -> Points:
        (compute, kv, dim, window), card = category, self._measured[0]
        element = 1.0 if kv == "fp8" else 2.0

        n, new, step, heads, kv_heads, latency = self._shelves[0].columns(
            file,
            *("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "latency"),
            attn_dtype=compute,
            kv_cache_dtype=kv,
            head_dim=dim,
            window_size=window,
        )
        shapes = [_shape(h, k or h) for h, k in zip(heads, kv_heads, strict=True)]
        length = [x + y for x, y in zip(new, step, strict=True)]

        def work(i: int) -> float:
            several = shapes[i][0], shapes[i][1]
            if phase == "context":
                return roofs.prompt(card, compute, n[i], new[i], step[i], *several, dim, element, window)
            return roofs.decode(card, n[i], length[i], *several, dim, element, window)

        return Points((n, length), [x / 1e3 for x in latency], work, shapes, (1, 1, 1))


def _shape(heads: float, kv_heads: float) -> Shape:
    return heads, kv_heads, 10.0 if heads == kv_heads and heads > 1 else 1.0
