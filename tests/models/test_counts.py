"""Parameters and KV elements of tiny models, counted by hand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from shardwise.models import Transformer
from shardwise.models.counts import (
    attention_weights,
    contradiction,
    count_parameters,
    decode_score_width,
    kv_bytes_per_token,
    kv_elements,
    score_width,
    widening,
)
from shardwise.models.transformer import LayerKind

DENSE: dict[str, Any] = {
    "layers": 3,
    "hidden": 10,
    "attention": {"heads": 4, "kv_heads": 2, "head_dim": 5},
    "feed_forward": {"width": 100},
    "vocabulary": 50,
}
LATENT = {"kv_rank": 8, "nope_dim": 3, "rope_dim": 2, "value_dim": 5}


def model(**parts: Any) -> Transformer:
    """DENSE with keys merged."""
    merged = {k: {**DENSE.get(k, {}), **v} if isinstance(v, dict) and k in DENSE else v for k, v in parts.items()}
    return Transformer.model_validate({**DENSE, **merged})


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # q and o 2·10·20, k and v 2·10·10; three layers. Norms 3·2·10 + 10. Embedding and head 500 each.
        ({}, {"attention": 1800, "dense_feed_forward": 9000, "norms": 70, "embedding": 500, "lm_head": 500}),
        ({"feed_forward": {"gated": False}}, {"dense_feed_forward": 6000}),
        ({"tied_embeddings": True}, {"embedding": 500, "lm_head": 0}),
        ({"vocabulary": 0}, {"embedding": 0, "lm_head": 0}),
        ({"norms_per_layer": 4}, {"norms": 130}),
        # heads without kv_heads: k and v as wide as q
        ({"attention": {"kv_heads": None}}, {"attention": 3 * 4 * 10 * 20}),
        # biases: q, k, v (4 + 2 + 2)·5 = 40; o 10; norms of q and k 2·5; one sink per head 4
        ({"attention": {"qkv_bias": True}}, {"attention": 1800 + 3 * 40}),
        ({"attention": {"output_bias": True}}, {"attention": 1800 + 3 * 10}),
        ({"attention": {"qk_norm": True}}, {"attention": 1800 + 3 * 10}),
        ({"attention": {"sinks": True}}, {"attention": 1800 + 3 * 4}),
        # latent: 10·4·5 + 8·4·8 + 4·5·10 = 656, down 10·10, norm 8; with a query rank of 6:
        # 6·4·5 + 256 + 200 = 576, down 100 + 60, norms 14
        ({"attention": {"latent": LATENT}}, {"attention": 3 * (656 + 100 + 8)}),
        ({"attention": {"latent": {**LATENT, "query_rank": 6}}}, {"attention": 3 * (576 + 160 + 14)}),
        # eight experts of 3·10·4 in each layer, router 80; no dense layer is left
        (
            {"experts": {"count": 8, "per_token": 2, "width": 4}},
            {"routed_experts": 2880, "router": 240, "shared_experts": 0, "dense_feed_forward": 0},
        ),
        (
            {"experts": {"count": 8, "per_token": 2, "width": 4, "gated": False, "shared_width": 6}},
            {"routed_experts": 1920, "shared_experts": 3 * 2 * 10 * 6},
        ),
        # one leading dense layer, two with experts
        (
            {"experts": {"count": 8, "per_token": 2, "width": 4, "shared_width": 6, "leading_dense_layers": 1}},
            {"dense_feed_forward": 3000, "routed_experts": 1920, "shared_experts": 360, "router": 160},
        ),
        # biases: gate, up 4 each, down 10; the router's 8, once
        (
            {"experts": {"count": 8, "per_token": 2, "width": 4, "biases": True, "router_bias": True}},
            {"routed_experts": 3 * 8 * (120 + 18), "router": 3 * 88},
        ),
        (
            {"experts": {"count": 8, "per_token": 2, "width": 4, "biases": True, "gated": False}},
            {"routed_experts": 3 * 8 * (80 + 14)},
        ),
        ({"experts": {"count": 8, "per_token": 2, "width": 4, "router_bias": True}}, {"router": 3 * 88}),
    ],
)
def test_parameters(parts: dict[str, Any], expected: dict[str, int]) -> None:
    counted = count_parameters(model(**parts))
    assert {name: getattr(counted, name) for name in expected} == expected


def test_totals() -> None:
    assert count_parameters(model()).total == count_parameters(model()).active == 1800 + 9000 + 70 + 1000
    experts = {"count": 8, "per_token": 2, "width": 4, "shared_width": 6, "leading_dense_layers": 1}
    counted = count_parameters(model(experts=experts))
    rest = 1800 + 3000 + 360 + 160 + 70 + 1000
    assert counted.total == rest + 1920
    assert counted.active == rest + 2 * 2 * 120  # two of eight experts in two layers


def test_placement_of_attention_weights() -> None:
    grouped = attention_weights(model())
    assert (grouped.by_head, grouped.by_kv_head, grouped.replicated, grouped.matrices) == (400, 200, 0, 600)
    latent = attention_weights(model(attention={"latent": {**LATENT, "query_rank": 6}}))
    assert (latent.by_head, latent.by_kv_head, latent.replicated, latent.small) == (576, 0, 160, 14)


def test_widths_and_kv_elements() -> None:
    grouped, latent = model(), model(attention={"latent": LATENT})
    assert (kv_elements(grouped), score_width(grouped), decode_score_width(grouped)) == (20, 10, 10)
    # nope 3 + rope 2 + value 5; in the compressed space 2·8 + 2
    assert (kv_elements(latent), score_width(latent), decode_score_width(latent)) == (10, 10, 18)
    assert (kv_bytes_per_token(grouped), kv_bytes_per_token(latent, 1)) == (120, 30)


# counted 11,870 of which 9,000 are the feed-forward
@pytest.mark.parametrize(
    ("declared", "factor"),
    [
        (None, 1),
        (11_870, 1),
        (12_226, 1),  # 3 % is 356.1: a rounded figure is no contradiction
        (11_514, 1),
        (12_227, (12_227 - 2_870) / 9_000),
        (20_870, 2),
        (2_870 + 4_500, 0.5),
    ],
)
def test_a_declared_total_stretches_the_feed_forward(declared: float | None, factor: float) -> None:
    described = model(declared_parameters=declared)
    assert widening(described) == pytest.approx(factor)
    assert (contradiction(described) is None) == (factor == 1)
    if factor != 1:
        assert contradiction(described) == (declared, 11_870)


def test_a_declared_total_stretches_the_routed_experts_alone() -> None:
    experts = {"count": 8, "per_token": 2, "width": 4, "shared_width": 6, "leading_dense_layers": 1}
    # 1,920 routed of 8,310
    assert widening(model(experts=experts, declared_parameters=8_310 + 2 * 1920)) == pytest.approx(3)


@pytest.mark.parametrize("declared", [2_870, 100])
def test_a_declared_total_must_leave_room_for_the_rest(declared: int) -> None:
    with pytest.raises(ValueError, match="2,870"):
        widening(model(declared_parameters=declared))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"attention": {"heads": 3}}, "multiple of kv_heads"),
        ({"attention": {"head_dim": None}}, "needs head_dim"),
        ({"feed_forward": None}, "needs feed_forward"),
        ({"experts": {"count": 2, "per_token": 3, "width": 4}}, "more than the 2 experts"),
        (
            {"experts": {"count": 2, "per_token": 1, "width": 4, "leading_dense_layers": 4}},
            "more than the 3 layers",
        ),
        (
            {"experts": {"count": 2, "per_token": 1, "width": 4, "leading_dense_layers": 1}, "feed_forward": None},
            "needs feed_forward",
        ),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"hidden": 10.0}, "valid integer"),
        ({"declared_parameters": 0}, "greater than 0"),
        ({"attention": {"window": {"size": 4, "pattern": []}}}, "at least 1"),
    ],
)
def test_impossible_models(parts: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        model(**parts)


def test_layers_are_bounded() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 4096"):
        model(layers=4097)


def test_kinds_of_layers() -> None:
    experts = {"count": 8, "per_token": 2, "width": 4, "leading_dense_layers": 1}
    window = {"window": {"size": 4, "pattern": ["sliding", "full"]}}
    kinds = model(experts=experts, attention=window).kinds
    assert [kind[:2] for kind in kinds] == [(False, True), (True, False), (True, True)]
    assert model().kinds == (LayerKind(expert=False, sliding=False),) * 3
    assert model(attention={"window": {"size": 4}}).kinds == (LayerKind(expert=False, sliding=True),) * 3
