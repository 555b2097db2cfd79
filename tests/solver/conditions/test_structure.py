"""The model's shapes and the arithmetic of the degrees, each in the smallest instance where it alone decides."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import Scenario
from shardwise.solver import solve

from ...builders import DENSE, EXPERTS, GROUPED, LATENT, scenario
from .twins import Twins, check, check_conflict, twins


def dense(attention: dict[str, Any] | None = None, **model: Any) -> dict[str, Any]:
    return DENSE | {"attention": GROUPED | (attention or {})} | model


def experts(**parts: Any) -> dict[str, Any]:
    return EXPERTS | {"experts": EXPERTS["experts"] | parts}


def pinned(model: dict[str, Any], workload: dict[str, Any] | None = None, gpus: int = 4, **pins: Any) -> Scenario:
    return scenario(model, workload or {"batch": 4, "input_tokens": 8}, gpus=gpus, strategy=pins)


TWINS: dict[str, Twins] = {
    # tensor 2 makes a stage group of 2; expert · expert_tensor = 2 matches it, 4 does not.
    "degrees.stage_group": twins(
        lambda e: pinned(EXPERTS, tensor=2, context=1, data=1, expert=e, expert_tensor=1), 2, 4
    ),
    "degrees.expert_group": twins(
        lambda s: pinned(EXPERTS, tensor=1, context=1, data=1, expert=1, expert_tensor=s), 1, 2
    ),
    # 2 tensor ranks on 2 stages are 4 GPUs.
    "degrees.gpus_used": twins(lambda gpus: pinned(DENSE, gpus=gpus, tensor=2, pipeline=2), 4, 3),
    "degrees.dense": twins(lambda d: pinned(DENSE, data=d), 1, 2),
    # 3 expert ranks: 3 experts are one each, 4 are not.
    "experts.divisible": twins(lambda count: pinned(experts(count=count), expert=3), 3, 4),
    "expert_width.divisible": twins(lambda width: pinned(experts(width=width), expert_tensor=2), 32, 33),
    # One KV head is replicated on any number of ranks, so only the query heads count: 4 over 2 ranks, not 3.
    "heads.divisible": twins(lambda heads: pinned(dense({"heads": heads, "kv_heads": 1}), tensor=2), 4, 3),
    # 12 query heads over 2 ranks: 2 KV heads divide, 3 neither divide nor repeat evenly.
    "kv_heads.divisible": twins(lambda heads: pinned(dense({"heads": 12, "kv_heads": heads}), tensor=2), 2, 3),
    "feed_forward.divisible": twins(lambda width: pinned(dense(feed_forward={"width": width}), tensor=2), 128, 129),
    "shared_experts.divisible": twins(lambda width: pinned(experts(shared_width=width), tensor=2), 24, 25),
    # Over 3 ranks: 192 rows are 3 · 64; 193 are padded to 256, which 3 does not divide.
    "vocabulary.divisible": twins(
        lambda rows: pinned(dense({"heads": 3, "kv_heads": 3}, feed_forward={"width": 96}, vocabulary=rows), tensor=3),
        192,
        193,
    ),
    "layers.stages": twins(lambda layers: pinned(dense(layers=layers), pipeline=2), 2, 1),
    # The second answer token is decoded, and decoding knows no context ranks.
    "context.prefill_only": twins(
        lambda c: pinned(DENSE, {"batch": 4, "input_tokens": 8, "output_tokens": 2}, context=c), 1, 2
    ),
    # Two context ranks need two tokens of the shortest prompt.
    "context.tokens": twins(
        lambda shortest: pinned(DENSE, {"batch": 4, "input_tokens": {"min": shortest, "max": 8}}, context=2), 2, 1
    ),
}


@pytest.mark.parametrize("id", TWINS)
def test_twins(id: str) -> None:
    check(TWINS[id])


@pytest.mark.parametrize("id", TWINS)
def test_conflict(id: str) -> None:
    check_conflict(id, TWINS[id])


@pytest.mark.parametrize("rows", [129, 191])
def test_vocabularies_are_padded_to_64(rows: int) -> None:
    # To 192, which 3 divides.
    attention, feed = {"heads": 3, "kv_heads": 3}, {"width": 96}
    assert solve(pinned(dense(attention, feed_forward=feed, vocabulary=rows), tensor=3)).status == "optimal"


def test_one_answer_token_is_the_prefills_own() -> None:
    assert solve(pinned(DENSE, {"batch": 4, "input_tokens": 8, "output_tokens": 1}, context=2)).status == "optimal"


def test_latent_attention_has_no_kv_heads_to_divide() -> None:
    # 12 heads and 3 KV heads exclude 2 ranks; 12 heads that share one compressed vector do not.
    assert solve(pinned(dense({"heads": 12, "kv_heads": 3}), tensor=2)).status == "infeasible"
    assert solve(pinned(DENSE | {"attention": LATENT | {"heads": 12}}, tensor=2)).status == "optimal"
