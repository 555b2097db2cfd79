"""The architecture of a language model: its shapes, as its configuration file states them."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from .base import Model, Natural, Width
from .precision import Precision
from .units import Count

Layers = Annotated[int, Field(strict=True, ge=1, le=4096)]


class SparseAttention(Model):
    """A query attends only to the keys that an indexer picks (DeepSeek-V3.2 report, section 2.1)."""

    top_k: Width = Field(description="keys that a query attends to, at most")
    heads: Width = Field(description="heads of the indexer")
    dim: Width = Field(description="elements per head of the indexer, and of the key that it caches per token")
    pattern: tuple[Literal["own", "shared"], ...] = Field(
        default=("own",),
        min_length=1,
        description="consecutive layers with an indexer of their own or with the choice of the last one, repeated",
    )

    @model_validator(mode="after")
    def _consistent(self) -> SparseAttention:
        if self.pattern[0] != "own":
            raise ValueError("the first layer has nothing to share: pattern begins with own")
        return self


class LatentAttention(Model):
    """Multi-head latent attention (DeepSeek-V2 report, section 2.1): one compressed KV vector per token."""

    query_rank: Width | None = Field(default=None, description="rank of the compressed query; absent: direct")
    kv_rank: Width = Field(description="elements of the compressed KV vector")
    nope_dim: Width = Field(description="elements per head without rotary position")
    rope_dim: Width = Field(description="elements of the rotary key, shared by all heads")
    value_dim: Width = Field(description="elements per head of the value")
    sparse: SparseAttention | None = Field(default=None, description="sparse attention (DSA) over the compressed keys")

    @model_validator(mode="after")
    def _consistent(self) -> LatentAttention:
        if self.sparse is not None and self.query_rank is None:
            raise ValueError("an indexer reads the compressed query: sparse needs query_rank")
        return self


class SlidingWindow(Model):
    """Layers that look back only so far."""

    size: Width = Field(description="tokens a sliding layer attends to")
    pattern: tuple[Literal["sliding", "full"], ...] = Field(
        default=("sliding",), min_length=1, description="kinds of consecutive layers, repeated over the depth"
    )


class Attention(Model):
    """The attention of every layer."""

    heads: Width = Field(description="query heads")
    kv_heads: Width | None = Field(default=None, description="key/value heads; absent: as many as query heads")
    head_dim: Width | None = Field(default=None, description="elements per head; not used by latent attention")
    latent: LatentAttention | None = Field(default=None, description="latent attention (MLA) instead of grouped")
    window: SlidingWindow | None = Field(default=None, description="sliding-window layers")
    qkv_bias: bool = Field(default=False, description="query, key and value projections have biases")
    output_bias: bool = Field(default=False, description="the output projection has a bias")
    qk_norm: bool = Field(default=False, description="per-head norms of queries and keys")
    sinks: bool = Field(default=False, description="a learned sink logit per head")
    output_gate: bool = Field(default=False, description="the query projection also gives a gate for the output")

    @model_validator(mode="after")
    def _consistent(self) -> Attention:
        if self.latent is None and self.head_dim is None:
            raise ValueError("attention needs head_dim, or latent for multi-head latent attention")
        if self.heads % self.key_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.key_heads}")
        if self.sparse is not None and self.window is not None:
            raise ValueError("sparse attention beside a sliding window is not modelled")
        return self

    @property
    def sparse(self) -> SparseAttention | None:
        """The indexer, if there is one."""
        return self.latent.sparse if self.latent else None

    @property
    def key_heads(self) -> int:
        """Key/value heads."""
        return self.kv_heads or self.heads


class LinearAttention(Model):
    """Layers that keep a state instead of keys and values (Gated Delta Networks, Yang et al. 2024)."""

    key_heads: Width = Field(description="query and key heads")
    value_heads: Width = Field(description="value heads, one state each")
    key_dim: Width = Field(description="elements per query and key head")
    value_dim: Width = Field(description="elements per value head")
    convolution: Width = Field(description="tokens that the short convolution before the state sees")
    state: Literal["fp32", "bf16"] = Field(default="fp32", description="format in which states are kept")
    pattern: tuple[Literal["linear", "full"], ...] = Field(
        default=("linear",), min_length=1, description="kinds of consecutive layers, repeated over the depth"
    )

    @model_validator(mode="after")
    def _consistent(self) -> LinearAttention:
        if self.value_heads % self.key_heads:
            raise ValueError(f"value_heads {self.value_heads} is not a multiple of key_heads {self.key_heads}")
        return self

    @property
    def channels(self) -> int:
        """Elements of a token's query, key and value together, which the convolution mixes over time."""
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim


class FeedForward(Model):
    """The dense feed-forward."""

    width: Width = Field(description="intermediate size")
    gated: bool = Field(default=True, description="three matrices (gate, up, down) instead of two")


class Experts(Model):
    """The mixture of experts of a layer."""

    count: Width = Field(description="routed experts per layer")
    per_token: Width = Field(description="routed experts that one token visits (top-k)")
    width: Width = Field(description="intermediate size of one routed expert")
    gated: bool = Field(default=True, description="three matrices per expert instead of two")
    shared_width: Natural = Field(default=0, description="intermediate size of all shared experts together")
    shared_gate: bool = Field(default=False, description="a learned gate weighs the shared experts' output")
    leading_dense_layers: Natural = Field(default=0, description="first layers that are dense instead")
    interval: Width = Field(
        default=1, description="one layer in so many has experts, the last of each group; the others are dense"
    )
    biases: bool = Field(default=False, description="the experts' matrices and the router have biases")
    router_bias: bool = Field(default=False, description="a per-expert routing correction")
    node_limit: Width | None = Field(
        default=None, description="a token goes to experts on at most this many nodes (node-limited routing)"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Experts:
        if self.per_token > self.count:
            raise ValueError(f"per_token {self.per_token} is more than the {self.count} experts there are")
        return self


class LayerKind(NamedTuple):
    """What a layer is made of."""

    expert: bool
    """Mixture of experts instead of a dense feed-forward."""
    sliding: bool
    """Sliding-window attention instead of full."""
    linear: bool = False
    """Linear attention instead of full."""
    indexed: bool = False
    """Sparse attention with an indexer of its own."""

    @property
    def mixer(self) -> LayerKind:
        """The same attention, whatever comes after it."""
        return self._replace(expert=False)

    @property
    def projects(self) -> LayerKind:
        """The same attention weights, however far they look and whatever comes after them."""
        return self._replace(expert=False, sliding=False)


class Transformer(Model):
    """A decoder-only language model."""

    id: str = Field(default="inline", description="catalog id, as in llama-3.1-70b")
    name: str = Field(default="described in the scenario", description="published name")
    architecture: str | None = Field(
        default=None, description="model class, as in LlamaForCausalLM; engines differ by it"
    )
    checkpoint: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9~._/][A-Za-z0-9._/@:+~-]{0,199}$",  # it is written into scripts
        description="what a serving engine loads: a Hugging Face repository or a folder",
    )
    layers: Layers = Field(description="transformer layers")
    hidden: Width = Field(description="elements of the residual stream")
    attention: Attention
    linear_attention: LinearAttention | None = Field(default=None, description="layers of linear attention between")
    feed_forward: FeedForward | None = Field(default=None, description="dense feed-forward, where layers have one")
    experts: Experts | None = Field(default=None, description="mixture of experts, where layers have one")
    vocabulary: Natural = Field(default=0, description="tokens of the vocabulary; 0: no embedding and no LM head")
    tied_embeddings: bool = Field(default=False, description="embedding and LM head are one matrix")
    norms_per_layer: Natural = Field(default=2, description="norm vectors of a layer")
    declared_parameters: Count | None = Field(
        default=None,
        gt=0,
        description="the parameter count that came with the model, if its shapes say otherwise",
    )
    precision: Precision = Field(default=Precision(), description="formats of the published checkpoint")
    assumed: tuple[str, ...] = Field(default=(), description="figures without a published source")
    sources: dict[str, str] = Field(default_factory=dict, description="figure -> where it was published")

    @model_validator(mode="after")
    def _consistent(self) -> Transformer:
        dense = self.layers if self.experts is None else self.experts.leading_dense_layers
        if dense > self.layers:
            raise ValueError(f"leading_dense_layers {dense} is more than the {self.layers} layers there are")
        if self.feed_forward is None and not all(kind.expert for kind in self.kinds):
            raise ValueError("a model with dense layers needs feed_forward")
        if self.linear_attention is not None and self.attention.window is not None:
            raise ValueError("linear attention beside a sliding window is not modelled")
        return self

    @property
    def kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer, first to last."""
        window, linear, sparse = self.attention.window, self.linear_attention, self.attention.sparse
        dense, interval = (e.leading_dense_layers, e.interval) if (e := self.experts) else (self.layers, 1)
        mixers = linear.pattern if linear else window.pattern if window else ("full",)
        return _kinds(self.layers, dense, interval, tuple(mixers), sparse.pattern if sparse else ("shared",))


@lru_cache(maxsize=128)  # asked for again and again, and models are few
def _kinds(
    layers: int, dense: int, interval: int, mixers: tuple[str, ...], indexers: tuple[str, ...]
) -> tuple[LayerKind, ...]:
    return tuple(
        LayerKind(
            expert=i >= dense and (i + 1) % interval == 0,
            sliding=mixers[i % len(mixers)] == "sliding",
            linear=mixers[i % len(mixers)] == "linear",
            indexed=mixers[i % len(mixers)] != "linear" and indexers[i % len(indexers)] == "own",
        )
        for i in range(layers)
    )
