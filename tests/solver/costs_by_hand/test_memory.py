"""Bytes on one GPU, worked out by hand from docs/costs.md, section 5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from costs_by_hand import DENSE, EXPERTS, LATENT, NO_RESERVES, changed, figures, one, priced, rows_of, scenario
from pytest import approx
from shardwise.models import Scenario
from shardwise.solver.costs.memory import MemoryParts, memory_parts


def parts(scene: Scenario, sequences: float = 1, budget: float = 1, **degrees: int) -> MemoryParts:
    return memory_parts(rows_of(scene, **degrees), np.array([float(sequences)]), np.array([float(budget)]))


@pytest.mark.parametrize(
    ("model", "precision", "degrees", "size"),
    [
        # attention 600 + dense 3,000, two bytes each; two norms of 10
        (DENSE, {}, {}, 2 * 3600 + 40),
        (DENSE, {}, {"tensor": 2}, 2 * (300 + 1500) + 40),
        (DENSE, {}, {"tensor": 4}, 2 * (200 + 750) + 40),
        (DENSE, {}, {"context": 2, "data": 4}, 2 * 3600 + 40),
        (DENSE, {"weights": "fp8"}, {}, 3600 + 40),
        (DENSE, {"weights": "fp4", "activations": "fp32"}, {}, 1800 + 80),
        (changed(DENSE, feed_forward={"gated": False}, norms_per_layer=4), {}, {}, 2 * 2600 + 80),
        # biases (4 + 2·2)·5 of q, k, v and 10 of the output, norms 2·5, a sink per head
        (
            changed(DENSE, attention={"qkv_bias": True, "output_bias": True, "qk_norm": True, "sinks": True}),
            {"weights": "fp8"},
            {},
            3600 + 2 * (40 + 10 + 10 + 4) + 40,
        ),
        # latent: by head 576/4, replicated 160; norms of the two compressed vectors 6 + 8
        (LATENT, {}, {"tensor": 4}, 2 * (144 + 160 + 750) + 2 * 14 + 40),
        # experts: attention 200, 8/2 experts of 120/2, router 80, shared 180/4
        (EXPERTS, {}, {"tensor": 4, "expert": 2, "expert_tensor": 2}, 2 * (200 + 240 + 80 + 45) + 40),
        (EXPERTS, {}, {"data": 4, "expert": 4}, 2 * (600 + 240 + 80 + 180) + 40),  # experts do not feel t
        # 8-bit experts and shared experts; router and norms stay 16 bit
        (EXPERTS, {"experts": "fp8"}, {}, 2 * 600 + 8 * 120 + 180 + 2 * 80 + 40),
        # biases: 2·4 + 10 of each expert, whole on every rank that has a slice of it; 8 of the router
        (
            changed(EXPERTS, experts={"biases": True}),
            {},
            {"data": 4, "expert": 2, "expert_tensor": 2},
            2 * (600 + 4 * (60 + 18) + 80 + 8 + 180) + 40,
        ),
        # 3,770 declared: the 960 weights of the routed experts count three times
        (changed(EXPERTS, declared_parameters=3770), {}, {"data": 2, "expert": 2}, 2 * (600 + 1440 + 260) + 40),
    ],
)
def test_weights_of_a_layer(
    model: dict[str, Any], precision: dict[str, str], degrees: dict[str, int], size: float
) -> None:
    assert one(parts(scenario(model, precision=precision), **degrees).weights[0]) == approx(size, rel=1e-12)


def test_dense_and_expert_layers_weigh_differently() -> None:
    model = changed(EXPERTS, layers=2, feed_forward={"width": 100}, experts={"leading_dense_layers": 1})
    weights = parts(scenario(model)).weights
    assert weights[:, 0].tolist() == [2 * 3600 + 40, 2 * (600 + 960 + 80 + 180) + 40]


@pytest.mark.parametrize(
    ("tied", "degrees", "first", "last"),
    [
        # a table of 100·10 in two bytes, the final norm of 20 B
        (False, {}, 2000, 2020),
        (False, {"tensor": 4}, 500, 520),
        (True, {}, 2000, 20),
        (True, {"pipeline": 2}, 2000, 2020),  # the last stage needs its own copy
        (True, {"tensor": 4, "pipeline": 2}, 500, 520),
    ],
)
def test_embedding_and_head_stand_at_the_ends(tied: bool, degrees: dict[str, int], first: int, last: int) -> None:
    # 16 bit beside 8-bit weights
    model = changed(DENSE, layers=2, vocabulary=100, tied_embeddings=tied)
    found = parts(scenario(model, precision={"weights": "fp8"}), **degrees)
    assert (one(found.first), one(found.last)) == (first, last)


@pytest.mark.parametrize(
    ("model", "degrees", "answer", "size"),
    [
        # three sequences of 10 prompt tokens, 40 B each; a prefill-only answer stores nothing
        (DENSE, {}, 1, 3 * 40 * 10),
        (DENSE, {}, 5, 3 * 40 * 15),
        (DENSE, {"tensor": 2}, 5, 3 * 20 * 15),
        (DENSE, {"tensor": 4}, 5, 3 * 20 * 15),  # replicated
        (DENSE, {"context": 5}, 1, 3 * 40 * 2),
        (LATENT, {"tensor": 4}, 5, 3 * 20 * 15),  # not divided
        (changed(DENSE, attention={"window": {"size": 12}}), {}, 5, 3 * 40 * 12),
        (changed(DENSE, attention={"window": {"size": 12}}), {}, 1, 3 * 40 * 10),
    ],
)
def test_kv_cache_of_a_layer(model: dict[str, Any], degrees: dict[str, int], answer: int, size: int) -> None:
    load = {"batch": 3, "input_tokens": {"min": 2, "max": 10}}
    if answer > 1:
        load["output_tokens"] = {"min": 2, "max": answer}
    assert one(parts(scenario(model, load), sequences=3, **degrees).kv[0]) == size


def test_only_sliding_layers_stop_growing() -> None:
    # kinds are ordered full before sliding
    model = changed(DENSE, layers=2, attention={"window": {"size": 4, "pattern": ["sliding", "full"]}})
    assert parts(scenario(model)).kv[:, 0].tolist() == [40 * 10, 40 * 4]


@pytest.mark.parametrize(
    ("model", "degrees", "floor", "size"),
    [
        # U = 10 tokens of 2 B: six residual streams of 10, twice the wider of H·k 20 and F 100
        (DENSE, {}, 0, 10 * 2 * (60 + 200)),
        (DENSE, {"tensor": 4}, 0, 10 * 2 * (60 + 50)),
        (DENSE, {"tensor": 4}, 2200, 2200),
        (DENSE, {"tensor": 4}, 2201, 2201),
        (changed(DENSE, feed_forward={"width": 15}), {}, 0, 10 * 2 * (60 + 40)),
        # no dense width: 60 + 2·20; 10·2 tokens to 2 experts over 2 ranks, each 10 + 2·4 elements
        (EXPERTS, {"data": 2, "expert": 2}, 0, 10 * 2 * 100 + 20 * 2 / 2 * 2 * 18),
        # s 2: half the width; t 2: 2·20/2
        (EXPERTS, {"tensor": 2, "expert_tensor": 2}, 0, 10 * 2 * 80 + 10 * 2 * 2 * (10 + 4)),
        (EXPERTS, {"data": 2, "expert": 2}, 9999, 9999),
    ],
)
def test_activations_are_a_peak_or_the_floor(
    model: dict[str, Any], degrees: dict[str, int], floor: int, size: float
) -> None:
    which = "activation_experts" if "experts" in model else "activation_dense"
    scene = scenario(model, reserves={**NO_RESERVES, which: floor})
    assert one(parts(scene, budget=10, **degrees).activations) == size


def test_the_busiest_rank_needs_room_for_more_tokens() -> None:
    # as above: 10·2·100, and 20 tokens · 2/2 · 1.5 of 2·18 B
    load = {"batch": 1, "input_tokens": 10, "routing": {"imbalance": 1.5}}
    assert one(parts(scenario(EXPERTS, load), budget=10, data=2, expert=2).activations) == 2_000 + 30 * 36


@pytest.mark.parametrize(("degrees", "reserve"), [({}, 7), ({"pipeline": 2}, 9), ({"data": 2}, 9)])
def test_the_reserve_depends_on_having_company(degrees: dict[str, int], reserve: int) -> None:
    scene = scenario(changed(DENSE, layers=2), reserves={**NO_RESERVES, "single_gpu": 7, "multi_gpu": 9})
    assert one(parts(scene, **degrees).reserve) == reserve


def test_components_are_rounded_up_and_the_fullest_stage_counts() -> None:
    # mxfp4: 17/32 B per weight. One layer 3,600·17/32 = 1,912.5, + 40; embedding 2,000; final norm and head 2,020.
    # Stage 1 of two holds 3,972.5 B. Prefill of 10 tokens: KV 400 B; U = 10: 5,200 B.
    scene = scenario(
        changed(DENSE, layers=2, vocabulary=100),
        precision={"weights": "mxfp4"},
        reserves={**NO_RESERVES, "multi_gpu": 0.25},
    )
    names = ("weights", "kv_cache", "activations", "reserve", "fullest_stage")
    assert figures(priced(scene, 1, pipeline=2), *names) == (3973, 400, 5200, 1, 1)
    assert float(priced(scene, 1, pipeline=2).column("memory")[0]) == 3973 + 400 + 5200 + 1
