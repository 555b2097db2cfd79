"""Latent attention (docs/silicon.md, Latent attention)."""

from __future__ import annotations

import math

from . import roofs
from .desk import Answer, Desk
from .points import Points
from .roofs import COLD, FORMATS, KV
from .tables import Columns


class LatentAttention(Desk):
    """Latent attention of one card."""

    def latent_prompt(
        self, prompts: float, tokens: float, prefix: float, heads: float, kv_format: str = "bf16"
    ) -> Answer:
        """Causal core of prompts, keys and values expanded."""
        if prompts <= 0 or tokens <= 0:
            return 0.0, 0
        points, exact = self._once(self._latent, "context_mla", kv_format)
        n = max(prompts, 1.0)
        batch = n * tokens / (tokens + prefix) if prefix > 0 else n
        e, kind = points.query((heads, batch, tokens + prefix))
        tokens = points.raised(2, tokens + prefix) - prefix
        work = roofs.latent_prompt(self._card, points.raised(1, n), tokens, prefix, points.raised(0, heads))
        kind = max(kind, 2 if prefix > 0 else 0, 1 if prompts < 1 else 0)
        return self._answer(math.exp(e) * (points.floor + work) * min(prompts, 1.0), kind, exact)

    def latent_decode(self, sequences: float, context: float, heads: float, kv_format: str = "bf16") -> Answer:
        """Core of one token for each sequence, in the compressed space."""
        if sequences <= 0 or context <= 0:
            return 0.0, 0
        points, exact = self._once(self._latent, "generation_mla", kv_format)
        n, element = max(sequences, 1.0), KV[kv_format][1]
        e, kind = points.query((heads, n, context))
        n, context = points.raised(1, n), points.raised(2, context)
        work = roofs.latent_decode(self._card, n, context, points.raised(0, heads), element)
        seconds, least = (
            math.exp(e) * (points.floor + work),
            n * context * 576 * element / (COLD * self._card.memory_bandwidth),
        )
        kind = max(kind, 1 if seconds < least or sequences < 1 else 0)
        return self._answer(max(seconds, least) * min(sequences, 1.0), kind, exact)

    def _latent(self, table: str, kv_format: str) -> tuple[Points, bool]:
        shelf, card = self._shelves[0], self._measured[0]
        file = shelf.first("mla", table)
        have = set(shelf.columns(file, "kv_cache_dtype")[0])
        wanted = KV[kv_format][0]
        held = wanted if wanted in have else min(have)
        names = ("batch_size", "isl", "step", "num_heads", "latency")
        n, new, step, heads, latency = shelf.columns(file, *names, kv_cache_dtype=held)

        def work(i: int) -> float:
            if table == "context_mla":
                return roofs.latent_prompt(card, n[i], new[i], step[i], heads[i])
            return roofs.latent_decode(card, n[i], new[i] + step[i], heads[i], 1.0 if held == "fp8" else 2.0)

        length = [x + y for x, y in zip(new, step, strict=True)]
        points = Points((heads, n, length), [x / 1e3 for x in latency], work)
        return points, held == wanted and shelf.own(file)

    def latent_absorb(self, tokens: float, heads: float, format: str = "bf16") -> Answer:
        """The two absorb products."""
        if tokens <= 0:
            return 0.0, 0
        parts = []
        for product in ("mla_gen_pre", "mla_gen_post"):
            points, exact = self._once(self._absorb, product, format)
            e, kind = points.query((heads, tokens))
            work = roofs.absorb(self._card, format, points.raised(1, tokens), points.raised(0, heads))
            parts.append(self._answer(math.exp(e) * (points.floor + work), kind, exact))
        return sum(seconds for seconds, _ in parts), max(kind for _, kind in parts)

    def _absorb(self, product: str, format: str) -> tuple[Points, bool]:
        shelf = self._shelves[0]
        file = shelf.first("mla_bmm", "mla_bmm")
        for near in (format, "bf16"):
            of = {"op_name": product, "bmm_dtype": FORMATS[near][0]}
            columns = shelf.columns(file, "num_heads", "num_tokens", "latency", **of)
            if columns[0]:
                return self._absorbed(columns, near), near == format and shelf.own(file)
        raise LookupError(product)

    def _absorbed(self, columns: Columns, format: str) -> Points:
        heads, tokens, latency = columns
        card = self._measured[0]
        seconds = [x / 1e3 for x in latency]
        return Points((heads, tokens), seconds, lambda i: roofs.absorb(card, format, tokens[i], heads[i]))
