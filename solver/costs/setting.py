"""The scenario's numbers that the formulas use, worked out once: shapes, bytes, rates. Symbols as in docs/costs.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...models import Efficiency, Latencies, Lengths, Link, Precision, Scenario
from ...models import counts as shapes
from ...models.transformer import LayerKind, LinearAttention, SparseAttention


@dataclass(frozen=True)
class Setting:
    """Scalars of one scenario; SI units, bytes already in the serving precision."""

    scenario: Scenario
    kinds: tuple[LayerKind, ...]
    """Distinct kinds of layer."""
    layer_kinds: tuple[int, ...]
    """Index into `kinds` of each layer, first to last."""
    hidden: int
    heads: int
    key_heads: int
    latent_kv: int
    """Elements of the compressed KV vector; 0 for grouped attention."""
    head_dim: int
    attention: dict[LayerKind, shapes.AttentionCount]
    """Attention weights of one layer, by what its kind `projects`."""
    linear: LinearAttention | None
    state_bytes: float
    """Bytes that a linear layer keeps per sequence, over all tensor ranks."""
    sparse: SparseAttention | None
    index_bytes: int
    """Bytes that an indexer caches per token."""
    dense_weights: float
    dense_width: int
    experts: int
    per_token: int
    expert_width: int
    expert_weights: float
    """Weights of one routed expert in one layer, widened to the declared total."""
    expert_biases: int
    shared_weights: int
    shared_width: int
    router_weights: int
    vocabulary: int
    score_width: int
    decode_score_width: int
    window: int
    """Tokens of a sliding layer, keys that a sparse layer picks; 0 where none slides or picks."""
    weight_bytes: float
    expert_bytes: float
    plain_bytes: float
    """Activations, embeddings, norms, routers, biases."""
    kv_bytes: float
    dispatch_bytes: float
    block_parts: frozenset[str]
    """Parts whose matrices carry a scale for every block (see Part)."""
    launches: float
    rate_weights: float
    rate_experts: float
    rate_plain: float
    memory_bandwidth: float
    node: int
    inside: Link
    between: Link
    node_limit: int
    efficiency: Efficiency
    latencies: Latencies

    @property
    def room(self) -> int:
        """Bytes that a GPU may hold: the card's usable ones, or fewer if the scenario requires that."""
        required = self.scenario.requirements.memory_per_gpu
        usable = self.scenario.hardware.usable_memory
        return usable if required is None else min(usable, int(required))

    @property
    def prompt(self) -> Lengths:
        """Prompt lengths."""
        return self.scenario.workload.input_tokens

    @property
    def answer(self) -> Lengths:
        """Answer lengths."""
        return self.scenario.workload.output_tokens


def setting(scenario: Scenario) -> Setting:
    """Work the numbers out."""
    model, card, precision = scenario.model, scenario.hardware.accelerator, scenario.precision
    attention, experts = model.attention, model.experts
    latent = attention.latent
    widening = scenario.widening
    kinds = tuple(sorted(set(model.kinds)))
    experts_in_8_bit = (precision.experts or precision.weights) == "fp8"
    return Setting(
        scenario=scenario,
        kinds=kinds,
        layer_kinds=tuple(kinds.index(kind) for kind in model.kinds),
        hidden=model.hidden,
        heads=attention.heads,
        key_heads=attention.key_heads,
        latent_kv=latent.kv_rank + latent.rope_dim if latent else 0,
        head_dim=attention.head_dim or 0,
        attention={kind.projects: shapes.mixer_weights(model, kind) for kind in kinds},
        linear=model.linear_attention,
        state_bytes=shapes.state_bytes(model, precision.activation_bytes),
        sparse=attention.sparse,
        index_bytes=shapes.index_bytes(model),
        dense_weights=shapes.dense_weights(model) * (widening if experts is None else 1.0),
        dense_width=model.feed_forward.width if model.feed_forward else 0,
        experts=experts.count if experts else 0,
        per_token=experts.per_token if experts else 0,
        expert_width=experts.width if experts else 0,
        expert_weights=shapes.expert_weights(model) * widening,
        expert_biases=shapes.expert_bias_weights(model),
        shared_weights=shapes.shared_weights(model),
        shared_width=experts.shared_width if experts else 0,
        router_weights=shapes.router_weights(model),
        vocabulary=model.vocabulary,
        score_width=shapes.score_width(model),
        decode_score_width=shapes.decode_score_width(model),
        window=attention.window.size if attention.window else attention.sparse.top_k if attention.sparse else 0,
        weight_bytes=precision.weight_bytes,
        expert_bytes=precision.expert_bytes,
        plain_bytes=precision.activation_bytes,
        kv_bytes=precision.kv_bytes,
        dispatch_bytes=1.0 if experts_in_8_bit else precision.activation_bytes,
        block_parts=_block_parts(precision),
        launches=card.launches,
        rate_weights=_rate(scenario, "weights"),
        rate_experts=_rate(scenario, "experts"),
        rate_plain=card.compute.bf16,
        memory_bandwidth=card.memory_bandwidth,
        node=scenario.hardware.node_size,
        inside=scenario.hardware.inside,
        between=scenario.hardware.between,
        node_limit=(experts.node_limit or 0) if experts else 0,
        efficiency=scenario.efficiency,
        latencies=scenario.latencies,
    )


def _rate(scenario: Scenario, part: Literal["weights", "experts"]) -> float:
    """FLOP/s that the card's unit for a part would reach at its peak, 4-bit units at their share of it."""
    card = scenario.hardware.accelerator
    number = scenario.precision.compute_format(part, card)
    return card.compute.rate(number) * (scenario.efficiency.fp4 if number == "fp4" else 1.0)


def _block_parts(precision: Precision) -> frozenset[str]:
    if not precision.block:
        return frozenset()
    held = {"weights": precision.weights, "shared": precision.experts or precision.weights}
    return frozenset(part for part, number in held.items() if number == "fp8")
