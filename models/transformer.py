"""The architecture of a language model: its shapes, as its configuration file states them."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from .base import Model, Natural, Width
from .precision import Precision
from .units import Count

Layers = Annotated[int, Field(strict=True, ge=1, le=4096)]


class LatentAttention(Model):
    """Multi-head latent attention (DeepSeek-V2 report, section 2.1): one compressed KV vector per token."""

    query_rank: Width | None = Field(default=None, description="rank of the compressed query; absent: direct")
    kv_rank: Width = Field(description="elements of the compressed KV vector")
    nope_dim: Width = Field(description="elements per head without rotary position")
    rope_dim: Width = Field(description="elements of the rotary key, shared by all heads")
    value_dim: Width = Field(description="elements per head of the value")


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

    @model_validator(mode="after")
    def _consistent(self) -> Attention:
        if self.latent is None and self.head_dim is None:
            raise ValueError("attention needs head_dim, or latent for multi-head latent attention")
        if self.heads % self.key_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.key_heads}")
        return self

    @property
    def key_heads(self) -> int:
        """Key/value heads."""
        return self.kv_heads or self.heads


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
        return self

    @property
    def kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer, first to last."""
        window = self.attention.window
        pattern = window.pattern if window else ("full",)
        dense, interval = (e.leading_dense_layers, e.interval) if (e := self.experts) else (self.layers, 1)
        return _kinds(self.layers, dense, interval, tuple(pattern))


@lru_cache(maxsize=128)  # asked for again and again, and models are few
def _kinds(layers: int, dense: int, interval: int, pattern: tuple[str, ...]) -> tuple[LayerKind, ...]:
    return tuple(
        LayerKind(expert=i >= dense and (i + 1) % interval == 0, sliding=pattern[i % len(pattern)] == "sliding")
        for i in range(layers)
    )
