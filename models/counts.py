"""Exact counts that follow from a model's shapes: parameters, KV elements, flops.

Whole numbers, no hardware, no degrees. Sources: the models' own configuration and modelling files for what has a
weight; "Scaling laws for neural language models" (Kaplan et al. 2020, table 1) for two flops per weight and token.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields

from .transformer import LayerKind, Transformer

ROUNDING = 0.03
"""A declared parameter count within this share of the counted one is the same number, rounded ("70 B")."""
INDEX_BLOCK = 128
"""Elements of an indexer's 8-bit key that share a 32-bit scale (vLLM deepseek_v2.py, Indexer)."""


@dataclass(frozen=True)
class AttentionCount:
    """Weights of one layer's attention, by how tensor parallelism places them."""

    by_head: int
    """Divided with the query heads: q (or its up-projection), the KV up-projection, output."""
    by_kv_head: int
    """Divided with the KV heads, replicated beyond them: k and v."""
    replicated: int
    """On every tensor rank: latent down-projections."""
    small: int
    """Biases, norms, sinks, convolutions: never quantised, on every rank (the engines shard some; under 0.1 %)."""
    width: int
    """Columns of the widest projection, divided with the heads."""

    @property
    def matrices(self) -> int:
        """Weights that multiply activations."""
        return self.by_head + self.by_kv_head + self.replicated


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of a whole model by part."""

    embedding: int
    lm_head: int
    attention: int
    dense_feed_forward: int
    routed_experts: int
    shared_experts: int
    router: int
    norms: int
    active: int
    """Parameters that one token passes through, the embedding table included."""

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(getattr(self, field.name) for field in fields(self) if field.name != "active")


def mixer_weights(model: Transformer, kind: LayerKind) -> AttentionCount:
    """Weights of the attention of a layer of this kind."""
    if kind.linear:
        return linear_weights(model)
    return attention_weights(model, indexed=kind.indexed)


def linear_weights(model: Transformer) -> AttentionCount:
    """Weights of one linear layer's attention (transformers modeling_qwen3_next.py, Qwen3NextGatedDeltaNet).

    Matrices: query, key, value, the output's gate and the output; two gates per value head. Small: the convolution,
    a decay and a bias per value head, a norm.
    """
    linear, h = model.linear_attention, model.hidden
    if linear is None:
        return AttentionCount(0, 0, 0, 0, 0)
    values = linear.value_heads * linear.value_dim
    by_head = h * (linear.channels + values + 2 * linear.value_heads) + values * h
    small = linear.channels * linear.convolution + 2 * linear.value_heads + linear.value_dim
    return AttentionCount(by_head, 0, 0, small, values)


def attention_weights(model: Transformer, *, indexed: bool = False) -> AttentionCount:
    """Weights of one layer's attention that is not linear, with its indexer if it has one.

    Every tensor rank holds a whole indexer (vLLM deepseek_v2.py, Indexer).
    """
    a, h = model.attention, model.hidden
    if (mla := a.latent) is not None:
        key = mla.nope_dim + mla.rope_dim
        query_in = mla.query_rank or h
        by_head = query_in * a.heads * key
        by_head += mla.kv_rank * a.heads * (mla.nope_dim + mla.value_dim) + a.heads * mla.value_dim * h
        down = h * (mla.kv_rank + mla.rope_dim) + (h * mla.query_rank if mla.query_rank else 0)
        small = (mla.query_rank or 0) + mla.kv_rank
        if indexed and (index := mla.sparse) is not None:
            down += query_in * index.heads * index.dim + h * (index.dim + index.heads)
            small += 2 * index.dim
        return AttentionCount(by_head, 0, down, small, a.heads * key)
    k = a.head_dim or 0
    small = (a.heads + 2 * a.key_heads) * k * a.qkv_bias + h * a.output_bias + 2 * k * a.qk_norm + a.heads * a.sinks
    by_head = (3 if a.output_gate else 2) * h * a.heads * k
    return AttentionCount(by_head, 2 * h * a.key_heads * k, 0, small, a.heads * k)


def dense_weights(model: Transformer) -> int:
    """Weights of one dense layer's feed-forward."""
    f = model.feed_forward
    return 0 if f is None else (3 if f.gated else 2) * model.hidden * f.width


def expert_weights(model: Transformer) -> int:
    """Weights of one routed expert in one layer, as the shapes say."""
    e = model.experts
    return 0 if e is None else (3 if e.gated else 2) * model.hidden * e.width


def shared_weights(model: Transformer) -> int:
    """Weights of one layer's shared experts."""
    e = model.experts
    return 0 if e is None else (3 if e.gated else 2) * model.hidden * e.shared_width


def router_weights(model: Transformer) -> int:
    """Weights of one layer's router, and of the gate of its shared experts."""
    e = model.experts
    if e is None:
        return 0
    return model.hidden * (e.count + e.shared_gate) + e.count * (e.router_bias or e.biases)


def expert_bias_weights(model: Transformer) -> int:
    """Biases of one routed expert in one layer."""
    e = model.experts
    return 0 if e is None or not e.biases else (2 if e.gated else 1) * e.width + model.hidden


def count_parameters(model: Transformer) -> ParameterCount:
    """Every parameter of the model, by part."""
    kinds = Counter(model.kinds)
    moe_layers = sum(n for kind, n in kinds.items() if kind.expert)
    dense_layers = model.layers - moe_layers
    mixers = [(mixer_weights(model, kind), n) for kind, n in kinds.items()]
    table = model.vocabulary * model.hidden
    e = model.experts
    one_expert = expert_weights(model) + expert_bias_weights(model)
    routed = moe_layers * one_expert * (e.count if e else 0)
    visited = moe_layers * one_expert * (e.per_token if e else 0)
    parts = {
        "embedding": table,
        "lm_head": 0 if model.tied_embeddings else table,
        "attention": sum(n * (mixer.matrices + mixer.small) for mixer, n in mixers),
        "dense_feed_forward": dense_layers * dense_weights(model),
        "shared_experts": moe_layers * shared_weights(model),
        "router": moe_layers * router_weights(model),
        "norms": (model.layers * model.norms_per_layer + 1) * model.hidden,
    }
    return ParameterCount(**parts, routed_experts=routed, active=sum(parts.values()) + visited)


def kv_elements(model: Transformer) -> int:
    """KV elements that one token adds in one layer of the whole model (not per rank), if the layer is not linear."""
    a = model.attention
    if a.latent is not None:
        return a.latent.kv_rank + a.latent.rope_dim
    return 2 * a.key_heads * (a.head_dim or 0)


def kv_layers(model: Transformer) -> int:
    """Layers that cache keys and values."""
    return sum(not kind.linear for kind in model.kinds)


def kv_bytes_per_token(model: Transformer, bytes_per_element: float = 2.0) -> float:
    """Bytes of KV cache that one token takes over all layers; a bound where layers slide."""
    indexed = sum(kind.indexed for kind in model.kinds)
    return kv_layers(model) * kv_elements(model) * bytes_per_element + indexed * index_bytes(model)


def index_bytes(model: Transformer) -> int:
    """Bytes that an indexer caches per token: a key in 8 bits and its scales, in whatever format the KV cache is."""
    index = model.attention.sparse
    return 0 if index is None else index.dim + 4 * math.ceil(index.dim / INDEX_BLOCK)


def state_bytes(model: Transformer, bytes_per_element: float = 2.0) -> float:
    """Bytes that one linear layer keeps per sequence: a state per value head, and what the convolution still sees.

    vLLM mamba_utils.py, gated_delta_net_state_shape; the convolution's are in the format of the activations.
    """
    linear = model.linear_attention
    if linear is None:
        return 0.0
    state = linear.value_heads * linear.key_dim * linear.value_dim * (4 if linear.state == "fp32" else 2)
    return state + linear.channels * (linear.convolution - 1) * bytes_per_element


def score_width(model: Transformer) -> int:
    """Multiply-adds per query head, query token and key token in prefill: score and value (4·k flops are 2·width)."""
    a = model.attention
    if a.latent is not None:
        return a.latent.nope_dim + a.latent.rope_dim + a.latent.value_dim
    return 2 * (a.head_dim or 0)


def decode_score_width(model: Transformer) -> int:
    """The same in decode, where latent attention works in the compressed space (DeepSeek-V2, appendix C)."""
    a = model.attention
    if a.latent is not None:
        return 2 * a.latent.kv_rank + a.latent.rope_dim
    return 2 * (a.head_dim or 0)


def contradiction(model: Transformer) -> tuple[float, int] | None:
    """(declared, counted) parameters if they differ by more than rounding, else None."""
    declared = model.declared_parameters
    counted = count_parameters(model).total
    if declared is None or abs(declared - counted) <= ROUNDING * counted:
        return None
    return declared, counted


def widening(model: Transformer) -> float:
    """Factor on the widest matrices (routed experts, else the dense feed-forward) that makes the declared total true.

    1.0 where nothing is declared or the declaration is only rounded. Raises ValueError if the declared total is
    smaller than what the other parts already hold.
    """
    found = contradiction(model)
    if found is None:
        return 1.0
    declared, counted = found
    parts = count_parameters(model)
    stretched = parts.routed_experts or parts.dense_feed_forward
    factor = (declared - (counted - stretched)) / stretched
    if factor <= 0:
        raise ValueError(
            f"declared_parameters {declared:.4g} is less than the {counted - stretched:,} that attention and "
            "embeddings already hold"
        )
    return factor
