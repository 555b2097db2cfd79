"""Shapes of what stands beside or instead of full attention: linear layers, indexers (docs/costs.md, section 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shardwise.models.transformer import Transformer

SCALED = 128
"""Elements of an indexer's 8-bit key that share a scale of 4 bytes."""


@dataclass(frozen=True)
class LinearShapes:
    """A linear layer: heads, the dimensions of one state, weights, and bytes kept per sequence."""

    heads: int
    key_dim: int
    value_dim: int
    matrices: int
    small: int
    kept: float


@dataclass(frozen=True)
class Indexer:
    """An indexer, whole on every rank: multiply-adds per query and key, weights, cache, and how many keys it picks."""

    products: int
    matrices: int
    small: int
    cached: int
    """Bytes per token."""
    picks: int


def linear_shapes(model: Transformer, element: float) -> LinearShapes | None:
    """What a linear layer holds; section 3."""
    x, hidden = model.linear_attention, model.hidden
    if x is None:
        return None
    keys, values = x.key_heads * x.key_dim, x.value_heads * x.value_dim
    channels = keys + keys + values
    state = x.value_heads * x.key_dim * x.value_dim * (4 if x.state == "fp32" else 2)
    return LinearShapes(
        heads=x.value_heads,
        key_dim=x.key_dim,
        value_dim=x.value_dim,
        matrices=hidden * (channels + values) + hidden * x.value_heads * 2 + values * hidden,
        small=channels * x.convolution + x.value_heads * 2 + x.value_dim,
        kept=state + channels * (x.convolution - 1) * element,
    )


def indexer_shapes(model: Transformer) -> Indexer | None:
    """What an indexer holds; section 3."""
    latent = model.attention.latent
    if latent is None or latent.sparse is None or latent.query_rank is None:
        return None
    x = latent.sparse
    return Indexer(
        products=x.heads * x.dim,
        matrices=latent.query_rank * x.heads * x.dim + model.hidden * x.dim + model.hidden * x.heads,
        small=x.dim + x.dim,
        cached=x.dim + 4 * math.ceil(x.dim / SCALED),
        picks=x.top_k,
    )
