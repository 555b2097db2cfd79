"""What the model's shapes and the arithmetic of the degrees demand. All background: nobody can relax them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...models import Scenario
from .base import Condition, Facts, Variables, restrict

LARGEST_DEGREE = 8_192
"""models/strategy.py allows no degree beyond."""
VOCABULARY_PADDING = 64
"""Engines pad the vocabulary to a multiple of this (vLLM VocabParallelEmbedding)."""


def divisors(number: int) -> list[int]:
    """All divisors, ascending."""
    small = [i for i in range(1, int(number**0.5) + 1) if number % i == 0]
    return sorted({*small, *(number // i for i in small)})


def conditions(scenario: Scenario) -> Iterator[Condition]:
    """The background conditions of a scenario."""
    yield _stage_group()
    yield _engine_gpus()
    model, experts = scenario.model, scenario.model.experts
    if experts is None:
        yield _dense_degrees()
    else:
        yield _expert_group()
        yield _divides("experts.divisible", "expert", experts.count, "routed experts", "model.experts.count")
        yield _divides(
            "expert_width.divisible",
            "expert_tensor",
            experts.width,
            "columns of an expert",
            "model.experts.width",
        )
    yield _divides("heads.divisible", "tensor", model.attention.heads, "query heads", "model.attention.heads")
    if model.attention.latent is None:
        yield _kv_heads(model.attention.key_heads)
    if (linear := model.linear_attention) is not None:
        heads, key = linear.key_heads, "model.linear_attention.key_heads"  # value heads are a multiple
        yield _divides("linear_heads.divisible", "tensor", heads, "key heads of a linear layer", key)
    if model.feed_forward is not None and not all(kind.expert for kind in model.kinds):
        yield _divides(
            "feed_forward.divisible",
            "tensor",
            model.feed_forward.width,
            "feed-forward columns",
            "model.feed_forward.width",
        )
    if experts is not None and experts.shared_width:
        yield _divides(
            "shared_experts.divisible",
            "tensor",
            experts.shared_width,
            "columns of the shared experts",
            "model.experts.shared_width",
        )
    if model.vocabulary:
        padded = -(-model.vocabulary // VOCABULARY_PADDING) * VOCABULARY_PADDING
        yield _divides("vocabulary.divisible", "tensor", padded, "vocabulary rows, padded to 64", "model.vocabulary")
    yield _at_most("layers.stages", "pipeline", model.layers, "layers: every stage holds at least one", "model.layers")
    if scenario.workload.decodes:
        yield _at_most(
            "context.prefill_only",
            "context",
            1,
            "where tokens are generated: one context rank",
            "workload.output_tokens",
        )
    elif model.linear_attention is not None:
        what = "where layers are linear: a state passes along the whole prompt"
        yield _at_most("context.linear", "context", 1, what, "model.linear_attention")
    else:
        shortest = scenario.workload.input_tokens.min
        yield _at_most("context.tokens", "context", shortest, "tokens of the shortest prompt", "workload.input_tokens")


def _stage_group() -> Condition:
    def post(v: Variables) -> None:
        attention = v.model.new_int_var(1, v.largest, "attention_group")
        v.model.add_multiplication_equality(attention, [v.tensor, v.context])
        v.model.add_multiplication_equality(v.stage_group, [attention, v.data])

    def explain(f: Facts) -> tuple[str, str]:
        return f"{f['stage_group']} GPUs", f"{f['tensor']}·{f['context']}·{f['data']}"

    return Condition(
        "degrees.stage_group",
        "tensor · context · data = GPUs of a stage",
        "strategy",
        post,
        explain,
        lambda f: f["tensor"] * f["context"] * f["data"] == f["stage_group"],
        "fact",
    )


def _engine_gpus() -> Condition:
    def post(v: Variables) -> None:
        v.model.add_multiplication_equality(v.engine_gpus, [v.stage_group, v.pipeline])
        v.model.add_multiplication_equality(v.gpus_used, [v.engines, v.engine_gpus])

    def explain(f: Facts) -> tuple[str, str]:
        return f"{f['gpus_used']} GPUs used", f"{f['engines']}·{f['stage_group']}·{f['pipeline']}"

    return Condition(
        "degrees.gpus_used",
        "engines · stage GPUs · pipeline = GPUs used",
        "strategy",
        post,
        explain,
        lambda f: f["engines"] * f["stage_group"] * f["pipeline"] == f["gpus_used"],
        "fact",
    )


def _expert_group() -> Condition:
    def post(v: Variables) -> None:
        v.model.add_multiplication_equality(v.stage_group, [v.expert, v.expert_tensor])

    def explain(f: Facts) -> tuple[str, str]:
        return f"{f['stage_group']} GPUs", f"{f['expert']}·{f['expert_tensor']}"

    return Condition(
        "degrees.expert_group",
        "expert · expert_tensor = GPUs of a stage",
        "strategy",
        post,
        explain,
        lambda f: f["expert"] * f["expert_tensor"] == f["stage_group"],
        "fact",
    )


def _dense_degrees() -> Condition:
    def post(v: Variables) -> None:
        for degree in (v.data, v.expert, v.expert_tensor):
            v.model.add(degree == 1)

    def explain(f: Facts) -> tuple[str, str]:
        return "1, 1, 1", f"{f['data']}, {f['expert']}, {f['expert_tensor']}"

    statement = "a dense model has no experts to cut: data = expert = expert_tensor = 1 (replicate engines instead)"
    return Condition(
        "degrees.dense", statement, "model.experts", post, explain,
        lambda f: (f["data"] == 1) & (f["expert"] == 1) & (f["expert_tensor"] == 1), "fact",
    )  # fmt: skip


def _divides(id: str, degree: str, total: int, what: str, key: str) -> Condition:
    def post(v: Variables) -> None:
        restrict(v, getattr(v, degree), divisors(total))

    statement = f"{degree} divides the {total} {what}"
    return Condition(id, statement, key, post, _remainder(degree, total), lambda f: total % f[degree] == 0, "fact")


def _kv_heads(heads: int) -> Condition:
    def post(v: Variables) -> None:
        restrict(v, v.tensor, {*divisors(heads), *range(heads, min(v.largest, LARGEST_DEGREE) + 1, heads)})

    def keeps(f: Facts) -> Any:
        return np.isin(f["tensor"], divisors(heads)) | (f["tensor"] % heads == 0)

    def explain(f: Facts) -> tuple[str, str]:
        t = f["tensor"]
        kept = f"{heads // t} per rank" if heads % t == 0 else f"{t} ranks for {heads} heads"
        return f"{heads} KV heads divided or replicated evenly", kept

    statement = f"the {heads} KV heads divide over the tensor ranks, or are replicated evenly"
    return Condition("kv_heads.divisible", statement, "model.attention.kv_heads", post, explain, keeps, "fact")


def _at_most(id: str, degree: str, most: int, what: str, key: str) -> Condition:
    def post(v: Variables) -> None:
        v.model.add(getattr(v, degree) <= most)

    def explain(f: Facts) -> tuple[str, str]:
        return f"≤ {most}", str(f[degree])

    return Condition(id, f"{degree} ≤ {most} {what}", key, post, explain, lambda f: f[degree] <= most, "fact")


def _remainder(degree: str, total: int) -> Callable[[Facts], tuple[str, str]]:
    def explain(f: Facts) -> tuple[str, str]:
        return f"{total} mod {degree} = 0", f"{total} mod {f[degree]} = {total % f[degree]}"

    return explain
