"""What each operator asks of the card, worked out by hand from docs/costs.md, section 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from costs_by_hand import DENSE, EXPERTS, LATENT, a_pass, changed, one, operators, scenario
from pytest import approx
from shardwise.solver.costs.passes import pairs_of, prefix_of
from shardwise.solver.costs.setting import setting

SEVEN = a_pass(decoding=7)
WINDOW = {"window": {"size": 8}}


@pytest.mark.parametrize(
    ("tensor", "weights"),
    [
        (1, 400 + 200),
        (2, 200 + 100),
        (4, 100 + 100),  # two KV heads on four ranks: each holds one, twice over
    ],
)
def test_projections_of_grouped_attention_replicate_kv_heads(tensor: int, weights: int) -> None:
    done = operators(scenario(DENSE), SEVEN, tensor=tensor)
    # H·k/t = 20/t; flops 2·T·A_r; two bytes per weight
    assert done.products_asked["weights", 20 / tensor] == (2 * 7 * weights, weights * 2, 7)


@pytest.mark.parametrize(
    ("query_rank", "tensor", "weights"),
    [
        # by_head: 6·4·5 + 8·4·(3 + 5) + 4·5·10 = 120 + 256 + 200 = 576; replicated: 10·(8 + 2) + 10·6 = 160
        (6, 1, 576 + 160),
        (6, 4, 144 + 160),
        # without query compression: 10·4·5 + 256 + 200 = 656; replicated 100
        (None, 1, 656 + 100),
        (None, 2, 328 + 100),
    ],
)
def test_projections_of_latent_attention_keep_the_down_projections(
    query_rank: int | None, tensor: int, weights: int
) -> None:
    latent = {**LATENT["attention"]["latent"], "query_rank": query_rank}
    done = operators(scenario(changed(LATENT, attention={"latent": latent})), SEVEN, tensor=tensor)
    assert done.products_asked["weights", 20 / tensor] == (2 * 7 * weights, weights * 2, 7)


def test_the_context_degree_divides_prompt_tokens() -> None:
    # T = 3 + 12/4 = 6
    done = operators(scenario(DENSE), a_pass(decoding=3, context=1, prompt=12), context=4)
    assert done.products_asked["weights", 20] == (2 * 6 * 600, 1200, 6)


@pytest.mark.parametrize(
    ("model", "degrees", "core"),
    [
        (DENSE, {}, (2 * 4 * 10 * 72, 30 * 40)),  # H 4, sigma 2·5, pairs 72; kappa 2·2·5·2 = 40 B for R = 30
        (DENSE, {"tensor": 2}, (2 * 2 * 10 * 72, 30 * 20)),
        (DENSE, {"tensor": 4}, (2 * 1 * 10 * 72, 30 * 20)),  # one KV head, replicated
        (DENSE, {"context": 3}, (2 * 4 * 10 * 24, 10 * 40)),
        (LATENT, {}, (2 * 4 * 10 * 72, 30 * 20)),  # sigma 3 + 2 + 5; kappa (8 + 2)·2
        (LATENT, {"tensor": 4}, (2 * 1 * 10 * 72, 30 * 20)),  # the compressed KV is not divided
        (changed(DENSE, attention=WINDOW), {}, (2 * 4 * 10 * 64, 8 * 40)),  # the sliding columns
    ],
)
def test_prompt_attention(model: dict[str, Any], degrees: dict[str, int], core: tuple[float, float]) -> None:
    work = a_pass(prompt=12, pairs=(72, 64), prefix=(30, 8))
    assert operators(scenario(model), work, **degrees).cores == [core]


@pytest.mark.parametrize(
    ("model", "degrees", "core"),
    [
        # D·X = 3·20 = 60 tokens
        (DENSE, {}, (2 * 4 * 10 * 60, 60 * 40)),
        (DENSE, {"tensor": 4}, (2 * 1 * 10 * 60, 60 * 20)),
        (LATENT, {}, (2 * 4 * 18 * 60, 60 * 20)),  # absorbed: 2·8 + 2 = 18 per head and token
        (LATENT, {"tensor": 4}, (2 * 1 * 18 * 60, 60 * 20)),
        (changed(DENSE, attention=WINDOW), {}, (2 * 4 * 10 * 24, 24 * 40)),  # 3·min(20, 8)
        (changed(DENSE, attention={"window": {"size": 21}}), {}, (2 * 4 * 10 * 60, 60 * 40)),
    ],
)
def test_decode_attention(model: dict[str, Any], degrees: dict[str, int], core: tuple[float, float]) -> None:
    assert operators(scenario(model), a_pass(decoding=3, context=20), **degrees).cores == [core]


def test_an_8_bit_cache_is_half_as_long_to_read() -> None:
    scene = scenario(DENSE, precision={"kv_cache": "fp8"})
    assert operators(scene, a_pass(decoding=3, context=20)).cores == [(4800, 60 * 20)]


@pytest.mark.parametrize(
    ("length", "square", "full", "sliding"),
    [
        (3, 9, 4.5, 4.5),  # inside the window
        (4, 16, 8, 8),
        (10, 100, 50, 10 * 4 - 8),
        (10, 112, 56, 32),  # a range of lengths: E[I²]/2 in full layers, the mean length in sliding ones
    ],
)
def test_pairs_of_a_prompt(length: float, square: float, full: float, sliding: float) -> None:
    s = setting(scenario(changed(DENSE, attention={"window": {"size": 4, "pattern": ["full", "sliding"]}})))
    assert pairs_of(s, length, square) == (full, sliding)


@pytest.mark.parametrize(
    ("chunks", "full", "sliding"), [(1, 0, 0), (2, 5, 4), (3, 10, 8), (11, 50, 40)]
)  # 10·(j − 1)/2; at most a window of 4 for each later chunk
def test_prefix_that_chunks_read_again(chunks: int, full: float, sliding: float) -> None:
    s = setting(scenario(changed(DENSE, attention={"window": {"size": 4}})))
    found = prefix_of(s, 10, np.array([float(chunks)]))
    assert (one(found[0]), one(found[1])) == (full, sliding)


def test_prefix_in_a_sliding_layer_is_never_more_than_in_a_full_one() -> None:
    s = setting(scenario(changed(DENSE, attention={"window": {"size": 6}})))
    assert one(prefix_of(s, 10, np.array([2.0]))[1]) == 5  # min(10·1/2, 1·6)


@pytest.mark.parametrize(
    ("feed_forward", "precision", "tensor", "flops", "size"),
    [
        ({}, {}, 1, 2 * 7 * 3000, 6000),
        ({}, {}, 4, 2 * 7 * 750, 1500),
        ({"gated": False}, {}, 1, 2 * 7 * 2000, 4000),
        ({}, {"weights": "fp8"}, 1, 2 * 7 * 3000, 3000),
        ({}, {"weights": "mxfp4"}, 1, 2 * 7 * 3000, 3000 * 17 / 32),  # half a byte, and a scale byte per 32
    ],
)
def test_dense_feed_forward(
    feed_forward: dict[str, Any], precision: dict[str, str], tensor: int, flops: float, size: float
) -> None:
    scene = scenario(changed(DENSE, feed_forward=feed_forward), precision=precision)
    assert operators(scene, SEVEN, tensor=tensor).products_asked["weights", 100 / tensor] == (flops, size, 7)


@pytest.mark.parametrize(("parameters", "widening"), [("declared", 2), ("from-shapes", 1)])
def test_a_declared_total_widens_the_dense_feed_forward(parameters: str, widening: int) -> None:
    # counted: 600 + 3,000 + norms (2 + 1)·10 = 3,630; 6,630 are declared: the feed-forward holds 6,000
    scene = scenario(changed(DENSE, declared_parameters=6630), parameters=parameters)
    done = operators(scene, SEVEN)
    assert done.products_asked["weights", 100] == (2 * 7 * 3000 * widening, 6000 * widening, 7)
    assert done.products_asked["weights", 20] == (2 * 7 * 600, 1200, 7)


def test_a_declared_total_widens_the_routed_experts_alone() -> None:
    # attention 600, router 80, shared 180, norms 30, routed 8·120 = 960: 1,850; 3,770 declared = 960 · 3 + 890
    scene = scenario(changed(EXPERTS, declared_parameters=3770))
    done = operators(scene, SEVEN)
    assert done.experts is not None and done.experts[0] == approx(2 * 360 * 2 * 7)
    assert done.products_asked["shared", 6] == (2 * 7 * 180, 360, 7)


@pytest.mark.parametrize("tensor", [1, 4])
def test_the_router_is_whole_on_every_rank(tensor: int) -> None:
    done = operators(scenario(EXPERTS, precision={"weights": "fp8"}), SEVEN, tensor=tensor, expert=tensor)
    assert done.products_asked["plain", 8] == (2 * 7 * 80, 80 * 2, 7)  # 16 bit beside 8-bit weights


@pytest.mark.parametrize(("tensor", "weights"), [(1, 180), (2, 90)])
def test_shared_experts_are_divided_by_tensor(tensor: int, weights: int) -> None:
    scene = scenario(EXPERTS, precision={"weights": "bf16", "experts": "fp8"})
    done = operators(scene, SEVEN, tensor=tensor, expert=tensor)
    assert done.products_asked["shared", 6 / tensor] == (2 * 7 * weights, weights, 7)
    assert ("shared", 0) not in operators(scenario(changed(EXPERTS, experts={"shared_width": 0})), SEVEN).products_asked


@pytest.mark.parametrize(
    ("gated", "imbalance", "flops"),
    # t 2, d 2, e 2, s 2: T_g = 7·2 = 14 tokens, 2 experts each, over 4 ranks; W_ex 120 or 80
    [
        (True, None, 2 * 120 * 2 * 14 / 4),
        (True, 1.5, 2 * 120 * 2 * 14 / 4 * 1.5),
        (False, None, 2 * 80 * 2 * 14 / 4),
    ],
)
def test_routed_experts_see_the_tokens_of_the_whole_stage_group(
    gated: bool, imbalance: float | None, flops: float
) -> None:
    work = {"batch": 1, "input_tokens": 10, "routing": {"imbalance": imbalance}}
    scene = scenario(changed(EXPERTS, experts={"gated": gated}), work)
    done = operators(scene, SEVEN, tensor=2, data=2, expert=2, expert_tensor=2)
    assert done.experts is not None and done.experts[0] == approx(flops)
    assert done.experts[2] == approx(14 * 2 / 8)  # tokens per expert


def test_context_ranks_bring_their_tokens_to_the_experts_too() -> None:
    # P = 12 over c = 2: T = 6, T_g = 12; one rank of two: 2·120·2·12/2
    done = operators(scenario(EXPERTS), a_pass(prompt=12), context=2, expert=2)
    assert done.experts is not None and done.experts[0] == 2880


@pytest.mark.parametrize(
    ("tokens", "degrees", "size"),
    [
        # 4 experts, 2 per token: one token hits 1 − 1/2, three hit 1 − 1/8 of them; W_ex 120, two bytes
        (1, {}, 4 * (1 / 2) * 120 * 2),
        (3, {}, 4 * (7 / 8) * 120 * 2),
        (3, {"data": 2, "expert": 2}, 4 / 2 * (63 / 64) * 120 * 2),  # six tokens in the group
        (3, {"tensor": 4, "expert": 2, "expert_tensor": 2}, 4 / 2 * (7 / 8) * 120 / 2 * 2),
    ],
)
def test_decoding_reads_the_experts_that_are_hit(tokens: int, degrees: dict[str, int], size: float) -> None:
    scene = scenario(changed(EXPERTS, experts={"count": 4}))
    done = operators(scene, a_pass(decoding=tokens), **degrees)
    assert done.experts is not None and done.experts[1] == approx(size, rel=1e-12)


def test_token_traffic() -> None:
    # T·τ·h·a = 7·43·10·2
    assert operators(scenario(DENSE, latencies={"token_traffic": 43}), SEVEN).moved == [6020]
    assert operators(scenario(DENSE), SEVEN).moved == [0]


@pytest.mark.parametrize("tensor", [1, 4])
def test_lm_head(tensor: int) -> None:
    done = operators(scenario(changed(DENSE, vocabulary=1000)), a_pass(decoding=7, logits=3), tensor=tensor)
    # 2·Y·h·V/t, 16 bit
    assert done.products_asked["plain", 1000 / tensor] == (2 * 3 * 10_000 / tensor, 20_000 / tensor, 3)
