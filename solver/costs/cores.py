"""What attention cores ask of a card: flops and bytes on one rank, by mixer (docs/costs.md, section 3).

A core multiplies no weights. A layer has several where an indexer stands beside its attention.
"""

from __future__ import annotations

import numpy as np

from ...models.transformer import LayerKind, LinearAttention
from .passes import Pass
from .rows import Column, Rows

Core = tuple[Column, Column | float]
"""(flops, bytes)."""
CHUNK = 64
"""Tokens that a linear layer works on at once in a prompt (flash-linear-attention, gated_delta_rule/chunk.py)."""


def prompt_cores(rows: Rows, work: Pass, mixer: LayerKind) -> list[Core]:
    """Of the prompt tokens of a pass."""
    s = rows.setting
    if mixer.linear and s.linear is not None:  # the states of a prompt stay in the multiprocessors
        return [(_state_flops(rows, s.linear, chunk=CHUNK) * work.prompt / rows.context, 0.0)]
    pairs, prefix = work.pairs[mixer.sliding], work.prefix[mixer.sliding]
    flops = 2 * (s.heads / rows.tensor) * s.score_width * pairs / rows.context
    if s.sparse:  # all keys as the heads see them, or the picked ones in the compressed space
        picked = work.pairs[True] / rows.context
        flops = np.minimum(flops, 2 * (s.heads / rows.tensor) * s.decode_score_width * picked)
    cores: list[Core] = [(flops, prefix * rows.kv_width(s.kv_bytes) / rows.context)]
    if mixer.indexed:
        cores.append(_indexer(rows, pairs / rows.context, prefix / rows.context))
    return cores


def decode_cores(rows: Rows, work: Pass, mixer: LayerKind) -> list[Core]:
    """Of the sequences that decode one token each."""
    s = rows.setting
    if mixer.linear and s.linear is not None:
        read_and_written = 2 * work.decoding * s.state_bytes / rows.tensor
        return [(_state_flops(rows, s.linear) * work.decoding, read_and_written)]
    limited = mixer.sliding or s.sparse is not None
    read = work.decoding * (np.minimum(work.context, s.window) if limited else work.context)
    flops = 2 * (s.heads / rows.tensor) * s.decode_score_width * read
    cores: list[Core] = [(flops, read * rows.kv_width(s.kv_bytes))]
    if mixer.indexed:
        scored = work.decoding * work.context
        cores.append(_indexer(rows, scored, scored))
    return cores


def _state_flops(rows: Rows, linear: LinearAttention, chunk: int = 0) -> Column:
    """Flops of one token: three products with the state of every head, and those inside its chunk of a prompt."""
    keys, values = linear.key_dim, linear.value_dim
    flops: Column = linear.value_heads / rows.tensor * (6 * keys * values + 2 * chunk * (3 * keys + 2 * values))
    return flops


def _indexer(rows: Rows, pairs: Column, read: Column) -> Core:
    """Every tensor rank scores all keys: query-key `pairs`, and cached keys `read`."""
    s = rows.setting
    width = s.sparse.heads * s.sparse.dim if s.sparse else 0
    return 2 * width * pairs, read * s.index_bytes
