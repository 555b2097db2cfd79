"""Latent attention (docs/silicon.md, Latent attention)."""

from __future__ import annotations

import math

from . import roofs
from .desk import Answer, Desk
from .points import Points
from .roofs import COLD, FORMATS, KV


class LatentAttention(Desk):
    """Latent attention of one card."""

    def latent_prompt(
        self, prompts: float, tokens: float, prefix: float, heads: float, kv_format: str = "bf16"
    ) -> Answer:
        """Causal core of prompts, keys and values expanded."""
        if prompts <= 0 or tokens <= 0:
            return 0.0, 0
        points, floor, exact = self._once(self._latent, "context_mla", kv_format)
        n = max(prompts, 1.0)
        batch = n * tokens / (tokens + prefix) if prefix > 0 else n
        e, kind = points.query((heads, batch, tokens + prefix))
        tokens = points.raised(2, tokens + prefix) - prefix
        work = roofs.latent_prompt(self._card, points.raised(1, n), tokens, prefix, points.raised(0, heads))
        kind = max(kind, 2 if prefix > 0 else 0, 1 if prompts < 1 else 0)
        return self._answer(math.exp(e) * (floor + work) * min(prompts, 1.0), kind, exact)

    def latent_decode(self, sequences: float, context: float, heads: float, kv_format: str = "bf16") -> Answer:
        """Core of one token for each sequence, in the compressed space."""
        if sequences <= 0 or context <= 0:
            return 0.0, 0
        points, floor, exact = self._once(self._latent, "generation_mla", kv_format)
        n, element = max(sequences, 1.0), KV[kv_format][1]
        e, kind = points.query((heads, n, context))
        n, context = points.raised(1, n), points.raised(2, context)
        work = roofs.latent_decode(self._card, n, context, points.raised(0, heads), element)
        seconds, least = (
            math.exp(e) * (floor + work),
            n * context * 576 * element / (COLD * self._card.memory_bandwidth),
        )
        kind = max(kind, 1 if seconds < least or sequences < 1 else 0)
        return self._answer(max(seconds, least) * min(sequences, 1.0), kind, exact)

    def _latent(self, table: str, kv_format: str) -> tuple[Points, float, bool]:
        shelf = self._shelves[0]
        file = shelf.first("mla", table)
        have = {row["kv_cache_dtype"] for row in shelf.rows(file)}
        wanted = KV[kv_format][0]
        held = wanted if wanted in have else min(have)
        rows = [row for row in shelf.rows(file) if row["kv_cache_dtype"] == held]
        floor, entries, card = min(row["latency"] for row in rows) / 1e3, [], self._measured[0]
        for row in rows:
            n, new, step, heads = (row[name] for name in ("batch_size", "isl", "step", "num_heads"))
            if table == "context_mla":
                work = roofs.latent_prompt(card, n, new, step, heads)
            else:
                work = roofs.latent_decode(card, n, new + step, heads, 1.0 if held == "fp8" else 2.0)
            entries.append(((), (heads, n, new + step), math.log(row["latency"] / 1e3 / (floor + work))))
        return Points(entries), floor, held == wanted and shelf.own(file)

    def latent_absorb(self, tokens: float, heads: float, format: str = "bf16") -> Answer:
        """The two absorb products."""
        if tokens <= 0:
            return 0.0, 0
        parts = []
        for product in ("mla_gen_pre", "mla_gen_post"):
            points, floor, exact = self._once(self._absorb, product, format)
            e, kind = points.query((heads, tokens))
            work = roofs.absorb(self._card, format, points.raised(1, tokens), points.raised(0, heads))
            parts.append(self._answer(math.exp(e) * (floor + work), kind, exact))
        return sum(seconds for seconds, _ in parts), max(kind for _, kind in parts)

    def _absorb(self, product: str, format: str) -> tuple[Points, float, bool]:
        shelf = self._shelves[0]
        file = shelf.first("mla_bmm", "mla_bmm")
        for near in (format, "bf16"):
            name = FORMATS[near][0]
            rows = [row for row in shelf.rows(file) if row["op_name"] == product and row["bmm_dtype"] == name]
            if not rows:
                continue
            floor, entries = min(row["latency"] for row in rows) / 1e3, []
            for row in rows:
                tokens, heads = row["num_tokens"], row["num_heads"]
                work = floor + roofs.absorb(self._measured[0], near, tokens, heads)
                entries.append(((), (heads, tokens), math.log(row["latency"] / 1e3 / work)))
            return Points(entries), floor, near == format and shelf.own(file)
        raise LookupError(product)
