"""What a serving engine cannot express, rejects, or wrongly accepts; each is one condition, set by `engine:`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...models import Scenario
from ...models.engine_profile import EngineProfile
from .base import Condition, Facts, Variables, engine_inside_node, restrict
from .structure import divisors


def conditions(scenario: Scenario) -> Iterator[Condition]:
    """The rules of the scenario's engine."""
    profile, model = scenario.engine, scenario.model
    if profile is None:
        return
    if not profile.context and not scenario.workload.decodes:
        yield _equal(profile, "context", "context", "prompts are not split over ranks")
    if profile.expert_split == "whole-stage" and model.experts is not None:
        text = "experts are dealt over all ranks of a stage or sliced over all of them, nothing in between"
        yield _either(profile, "expert_split", "expert", "expert_tensor", text)
    if profile.attention_data == "all-or-nothing":
        yield _either(profile, "attention_data", "data", "tensor", "attention data parallelism takes all ranks or none")
    if model.architecture in profile.attention_data_ignored_by:
        yield _equal(profile, "attention_data", "data", f"{model.architecture} ignores attention data parallelism")
    yield from _nodes(profile, scenario.hardware.node_size)
    block = scenario.precision.block
    if block and scenario.precision.weights == "fp8" and profile.fp8_block_linear:
        text = f"dense shards are multiples of the fp8 block of {block}"
        attention, dense = _attention_shards(scenario, block), _dense_shards(scenario, block)
        shared = any((scenario.model.feed_forward, scenario.model.experts and scenario.model.experts.shared_width))
        if shared and profile.dense_ranks == "stage":
            yield _allowed(profile, "fp8_block.stage", "stage_group", dense, f"{text}, dealt over all ranks of a stage")
        elif shared:
            attention = [t for t in attention if t in dense]
        yield _allowed(profile, "fp8_block.linear", "tensor", attention, text)
    if (
        block
        and (scenario.precision.experts or scenario.precision.weights) == "fp8"
        and profile.fp8_block_experts
        and model.experts
    ):
        width = model.experts.width
        kept = [s for s in divisors(width) if (width // s) % block == 0]
        yield _allowed(
            profile,
            "fp8_block.experts",
            "expert_tensor",
            kept,
            f"expert shards of {width} columns are multiples of the fp8 block of {block}",
        )


def _nodes(profile: EngineProfile, node: int) -> Iterator[Condition]:
    """How engines of several nodes stand on them."""

    def sizes(f: Facts) -> tuple[str, str]:
        return f"at most {node} GPUs, or a multiple", f"{f['engine_gpus']} GPUs"

    if profile.even_nodes:
        text = f"an engine of several nodes takes as many GPUs on each (nodes of {node})"
        yield _condition(
            profile,
            "even_nodes",
            text,
            lambda v: _even(v, node),
            sizes,
            lambda f: (f["engine_gpus"] <= node) | (f["engine_gpus"] % node == 0),
        )
    if profile.data_ranks_apart:
        text = "data ranks with a pipeline each stay inside a node, because the ranks of a stage would lie apart"
        yield _condition(
            profile,
            "data_ranks_apart",
            text,
            lambda v: _inside_unless_one(v, node),
            lambda f: (
                f"data = 1, pipeline = 1 or at most {node} GPUs",
                f"data {f['data']}, pipeline {f['pipeline']}, {f['engine_gpus']} GPUs",
            ),
            lambda f: (f["data"] == 1) | (f["pipeline"] == 1) | (f["engine_gpus"] <= node),
        )


def _even(v: Variables, node: int) -> None:
    """No variable of its own: one that is free where an engine is inside a node would multiply the strategies."""
    restrict(v, v.engine_gpus, [*range(1, node + 1), *range(2 * node, v.largest + 1, node)])


def _inside_unless_one(v: Variables, node: int) -> None:
    inside = engine_inside_node(v, node, "engine_inside_for_data_ranks")
    ones = []
    for degree in ("data", "pipeline"):
        one = v.model.new_bool_var(f"{degree}_is_one")
        v.model.add(getattr(v, degree) == 1).only_enforce_if(one)
        v.model.add(getattr(v, degree) >= 2).only_enforce_if(~one)
        ones.append(one)
    v.model.add_bool_or(inside, *ones)


def _attention_shards(scenario: Scenario, block: int) -> list[int]:
    """Tensor degrees whose shards of the heads are whole blocks."""
    model = scenario.model
    latent = model.attention.latent
    head = latent.nope_dim + latent.rope_dim if latent else model.attention.head_dim or 0
    width = model.attention.heads * head
    return [t for t in divisors(model.attention.heads) if width % (t * block) == 0]


def _dense_shards(scenario: Scenario, block: int) -> list[int]:
    """Numbers of ranks whose shards of the dense feed-forward and the shared experts are whole blocks."""
    model = scenario.model
    widths = [model.feed_forward.width] if model.feed_forward else []
    widths += [model.experts.shared_width] if model.experts and model.experts.shared_width else []
    return [n for n in divisors(max(widths, default=1)) if all(w % (n * block) == 0 for w in widths)]


def _condition(
    profile: EngineProfile,
    name: str,
    text: str,
    post: Callable[[Variables], None],
    explain: Callable[[Facts], tuple[str, str]],
    keeps: Callable[[Facts], Any],
) -> Condition:
    statement = f"{profile.name} {profile.version}: {text}"
    return Condition(f"engine.{name}", statement, "engine", post, explain, keeps, "engine")


def _equal(profile: EngineProfile, name: str, degree: str, text: str) -> Condition:
    def post(v: Variables) -> None:
        v.model.add(getattr(v, degree) == 1)

    def explain(f: Facts) -> tuple[str, str]:
        return f"{degree} = 1", f"{degree} {f[degree]}"

    return _condition(profile, name, text, post, explain, lambda f: f[degree] == 1)


def _either(profile: EngineProfile, name: str, first: str, second: str, text: str) -> Condition:
    """One of two degrees is 1."""

    def post(v: Variables) -> None:
        one = v.model.new_bool_var(f"engine_{name}_{first}_is_one")
        v.model.add(getattr(v, first) == 1).only_enforce_if(one)
        v.model.add(getattr(v, first) >= 2).only_enforce_if(~one)
        v.model.add(getattr(v, second) == 1).only_enforce_if(~one)

    def explain(f: Facts) -> tuple[str, str]:
        return f"{first} = 1 or {second} = 1", f"{first} {f[first]}, {second} {f[second]}"

    return _condition(profile, name, text, post, explain, lambda f: (f[first] == 1) | (f[second] == 1))


def _allowed(profile: EngineProfile, name: str, degree: str, allowed: list[int], text: str) -> Condition:
    def post(v: Variables) -> None:
        restrict(v, getattr(v, degree), allowed)

    def explain(f: Facts) -> tuple[str, str]:
        return f"{degree} in {', '.join(map(str, allowed))}", f"{degree} {f[degree]}"

    return _condition(profile, name, text, post, explain, lambda f: np.isin(f[degree], allowed))
