"""The attention cores of linear layers, and the indexer of sparse ones (docs/costs.md, section 3)."""

from __future__ import annotations

from .rows import Column, Rows
from .source import OperatorTimes

CHUNK = 64
"""Tokens that a linear layer works on at once in a prompt (flash-linear-attention, gated_delta_rule/chunk.py)."""


def linear_attention(rows: Rows, decoding: Column, prompt: Column, times: OperatorTimes) -> Column:
    """Seconds of the states: three products of a state per token, and in prompts those inside a chunk."""
    s = rows.setting
    if (linear := s.linear) is None:
        return 0 * prompt
    heads, keys, values = linear.value_heads / rows.tensor, linear.key_dim, linear.value_dim
    token = heads * 6 * keys * values
    within = heads * 2 * CHUNK * (3 * keys + 2 * values)
    read_and_written = 2 * decoding * s.state_bytes / rows.tensor
    prompts = times.attention((token + within) * prompt / rows.context, 0 * prompt)
    return prompts + times.attention(token * decoding, read_and_written)


def indexer(rows: Rows, pairs: Column, prefix: Column, read: Column, times: OperatorTimes) -> Column:
    """Seconds in which every tensor rank scores all keys: of the prompts (pairs, prefix) and of decoding (read)."""
    s = rows.setting
    if (sparse := s.sparse) is None:
        return 0 * pairs
    pair = 2 * sparse.heads * sparse.dim
    prompts = times.attention(pair * pairs / rows.context, prefix * s.index_bytes / rows.context)
    return prompts + times.attention(pair * read, read * s.index_bytes)
