"""What follows from the shapes alone: weights by part, layer kinds, bytes (docs/costs.md, section 1)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from shardwise.models.scenario import Scenario
from shardwise.models.transformer import Attention, Experts, Transformer

from .mixers import Indexer, LinearShapes, indexer_shapes, linear_shapes

ELEMENT_BYTES = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp4": 0.5,
    "int4": 0.5,
    "mxfp4": (32 * 4 + 8) / 32 / 8,  # blocks of 32 elements share 8 bits
    "nvfp4": (16 * 4 + 8) / 16 / 8,  # blocks of 16 elements share 8 bits
}
MOST_LAYERS = 4096
"""Layers that are looked at one by one."""
ROUNDED = 0.03
"""A declared total this near to the counted one is the same number, rounded."""


class Layer(NamedTuple):
    """The kind of one layer."""

    expert: bool
    sliding: bool
    linear: bool = False
    indexer: bool = False
    """Holds an indexer of its own."""


@dataclass(frozen=True)
class Shapes:
    """Weights (elements) of one layer's parts, widths, and bytes per element."""

    layers: tuple[Layer, ...]
    hidden: int
    vocabulary: int
    tied: bool
    norms: int
    """Elements of the norms of one layer."""

    heads: int
    kv_heads: int
    head_dim: int
    latent: bool
    cached: int
    """KV elements of a token and layer: per KV head (grouped), or in all (latent)."""
    window: float
    by_head: int
    by_kv_head: int
    replicated: int
    small: int
    prompt_score: int
    decode_score: int
    linear: LinearShapes | None
    indexer: Indexer | None

    dense: bool
    """Whether the model describes a dense feed-forward."""
    dense_width: int
    dense_matrices: float
    """Weights of one dense feed-forward, widened."""

    experts: int
    per_token: int
    expert_width: int
    expert_matrices: float
    """Weights of one routed expert, widened."""
    expert_biases: int
    router: int
    """Weights of one router, its biases included."""
    shared_width: int
    shared_matrices: int
    node_limit: int | None

    weight_bytes: float
    expert_bytes: float
    activation_bytes: float
    kv_bytes: float
    weight_format: str
    expert_format: str

    def cache_bytes(self, tensor: int, element: float) -> float:
        """κ: KV bytes of one token in one layer on one rank; section 3."""
        heads = 1 if self.latent else math.ceil(self.kv_heads / tensor)
        return heads * self.cached * element

    def attention_per_rank(self, layer: Layer, tensor: int) -> float:
        """A_r: attention matrices of one layer on one rank; section 3."""
        if layer.linear and self.linear is not None:
            return self.linear.matrices / tensor
        kv_share = math.ceil(self.kv_heads / tensor) / self.kv_heads
        held = self.by_head / tensor + self.by_kv_head * kv_share + self.replicated
        return held + (self.indexer.matrices if layer.indexer and self.indexer is not None else 0)

    def attention_small(self, layer: Layer) -> int:
        """Attention weights of one layer that are whole on every rank and never quantised; section 5."""
        if layer.linear and self.linear is not None:
            return self.linear.small
        return self.small + (self.indexer.small if layer.indexer and self.indexer is not None else 0)

    def attention_width(self, layer: Layer) -> int:
        """Columns that the tensor ranks share; section 3."""
        if layer.linear and self.linear is not None:
            return self.linear.heads * self.linear.value_dim
        return self.heads * self.head_dim

    def attention_products(self, layer: Layer) -> int:
        """Matrix products whose input a block-fp8 checkpoint has quantised; section 3."""
        if layer.linear or not self.latent:
            return 2
        return 6 if layer.indexer else 4

    @property
    def widest(self) -> int:
        """Columns of the widest matrix beside experts; section 5."""
        return max(self.dense_width, *(self.attention_width(layer) for layer in set(self.layers)))

    def kept(self, layer: Layer, tensor: int, tokens: float) -> float:
        """Bytes that a sequence of so many tokens keeps in one layer on a tensor rank; section 5."""
        if layer.linear and self.linear is not None:
            return self.linear.kept / tensor
        held = self.cache_bytes(tensor, self.kv_bytes) * (min(tokens, self.window) if layer.sliding else tokens)
        return held + (self.indexer.cached * tokens if layer.indexer and self.indexer is not None else 0.0)


def layer_kinds(model: Transformer) -> tuple[Layer, ...]:
    """The kind of every layer: leading dense ones, then the last of every `interval` has experts."""
    if model.layers > MOST_LAYERS:
        raise ValueError(f"{model.layers:,} layers are more than the {MOST_LAYERS:,} of any model")
    dense, interval = model.layers, 1
    if model.experts is not None:
        dense, interval = model.experts.leading_dense_layers, model.experts.interval
    pattern, indexers = ("full",), ("none",)  # type: tuple[str, ...], tuple[str, ...]
    if model.attention.window is not None:
        pattern = model.attention.window.pattern
    if model.linear_attention is not None:
        pattern = model.linear_attention.pattern
    if model.attention.latent is not None and model.attention.latent.sparse is not None:
        indexers = model.attention.latent.sparse.pattern
    return _kinds(model.layers, dense, interval, tuple(pattern), tuple(indexers))


@lru_cache(maxsize=128)  # every check of a plan asks again
def _kinds(
    layers: int, dense: int, interval: int, pattern: tuple[str, ...], indexers: tuple[str, ...]
) -> tuple[Layer, ...]:
    kinds = []
    for i in range(layers):
        kind = pattern[i % len(pattern)]
        indexer = kind != "linear" and indexers[i % len(indexers)] == "own"
        expert = i >= dense and i % interval == interval - 1
        kinds.append(Layer(expert, kind == "sliding", kind == "linear", indexer))
    return tuple(kinds)


def _attention(a: Attention, hidden: int) -> dict[str, int]:
    """Attention weights by how tensor ranks share them, and widths of scores and cache; section 3."""
    kv_heads = a.heads if a.kv_heads is None else a.kv_heads
    if a.latent is not None:
        m = a.latent
        query_in = hidden if m.query_rank is None else m.query_rank
        up = query_in * a.heads * (m.nope_dim + m.rope_dim) + m.kv_rank * a.heads * (m.nope_dim + m.value_dim)
        return {
            "kv_heads": kv_heads,
            "head_dim": m.nope_dim + m.rope_dim,
            "by_head": up + a.heads * m.value_dim * hidden,
            "by_kv_head": 0,
            "replicated": hidden * (m.kv_rank + m.rope_dim) + hidden * (m.query_rank or 0),
            "small": (m.query_rank or 0) + m.kv_rank,
            "prompt_score": m.nope_dim + m.rope_dim + m.value_dim,
            "decode_score": 2 * m.kv_rank + m.rope_dim,
            "cached": m.kv_rank + m.rope_dim,
        }
    dim = a.head_dim or 0
    small = 0
    if a.qkv_bias:
        small += a.heads * dim + 2 * kv_heads * dim
    if a.output_bias:
        small += hidden
    if a.qk_norm:
        small += 2 * dim
    if a.sinks:
        small += a.heads
    return {
        "kv_heads": kv_heads,
        "head_dim": dim,
        "by_head": hidden * a.heads * dim * (3 if a.output_gate else 2),
        "by_kv_head": 2 * hidden * kv_heads * dim,
        "replicated": 0,
        "small": small,
        "prompt_score": 2 * dim,
        "decode_score": 2 * dim,
        "cached": 2 * dim,
    }


def _window(a: Attention) -> float:
    """Keys that a query of a sliding or sparse layer sees, at most."""
    if a.latent is not None and a.latent.sparse is not None:
        return a.latent.sparse.top_k
    return math.inf if a.window is None else a.window.size


def _experts(x: Experts | None, hidden: int) -> dict[str, int]:
    """Weights of one expert, one router and one layer's shared experts."""
    if x is None:
        return dict.fromkeys(("matrix", "biases", "router", "shared"), 0)
    matrices = 3 if x.gated else 2
    return {
        "matrix": matrices * hidden * x.width,
        "biases": ((matrices - 1) * x.width + hidden) if x.biases else 0,
        "router": hidden * x.count + (x.count if x.router_bias or x.biases else 0) + (hidden if x.shared_gate else 0),
        "shared": matrices * hidden * x.shared_width,
    }


def read_shapes(scenario: Scenario) -> Shapes:
    """The shapes of a scenario's model, with ω worked into the matrices that it widens."""
    model, precision = scenario.model, scenario.precision
    hidden, kinds = model.hidden, layer_kinds(model)
    feed, x = model.feed_forward, model.experts
    attention, one = _attention(model.attention, hidden), _experts(x, hidden)
    dense_matrix = 0 if feed is None else (3 if feed.gated else 2) * hidden * feed.width
    expert_layers = sum(layer.expert for layer in kinds)

    routed = expert_layers * (x.count if x else 0) * (one["matrix"] + one["biases"])
    dense = (len(kinds) - expert_layers) * dense_matrix
    activation = max(2.0, ELEMENT_BYTES[precision.activations])
    linear, indexer = linear_shapes(model, activation), indexer_shapes(model)
    full = attention["by_head"] + attention["by_kv_head"] + attention["replicated"] + attention["small"]
    counted = routed + dense + len(kinds) * model.norms_per_layer * hidden + hidden
    for layer, count in Counter(kinds).items():
        counted += count * (linear.matrices + linear.small if layer.linear and linear else full)
        counted += count * (indexer.matrices + indexer.small if layer.indexer and indexer else 0)
    counted += expert_layers * (one["router"] + one["shared"])
    counted += model.vocabulary * hidden * (1 if model.tied_embeddings else 2)
    omega = 1.0
    declared = model.declared_parameters if scenario.parameters == "declared" else None
    if declared is not None and abs(declared - counted) > ROUNDED * counted:
        omega = 1.0 + (declared - counted) / (routed or dense)
        if omega <= 0:
            raise ValueError(f"{declared:.6g} declared parameters are fewer than the other parts hold")

    expert_format = precision.weights if precision.experts is None else precision.experts
    return Shapes(
        layers=kinds,
        hidden=hidden,
        vocabulary=model.vocabulary,
        tied=model.tied_embeddings,
        norms=model.norms_per_layer * hidden,
        heads=model.attention.heads,
        latent=model.attention.latent is not None,
        window=_window(model.attention),
        linear=linear,
        indexer=indexer,
        **attention,
        dense=feed is not None,
        dense_width=feed.width if feed else 0,
        dense_matrices=dense_matrix * (1.0 if routed else omega),
        experts=x.count if x else 0,
        per_token=x.per_token if x else 0,
        expert_width=x.width if x else 0,
        expert_matrices=one["matrix"] * omega,
        expert_biases=one["biases"],
        router=one["router"],
        shared_width=x.shared_width if x else 0,
        shared_matrices=one["shared"],
        node_limit=x.node_limit if x else None,
        weight_bytes=ELEMENT_BYTES[precision.weights],
        expert_bytes=ELEMENT_BYTES[expert_format],
        activation_bytes=activation,
        kv_bytes=ELEMENT_BYTES[precision.kv_cache],
        weight_format=precision.weights,
        expert_format=expert_format,
    )
