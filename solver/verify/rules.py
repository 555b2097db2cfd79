"""Rules of knowledge files and of the serving engine, judged again in plain arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from shardwise.models.plan import Finding, Plan
from shardwise.models.scenario import Scenario
from shardwise.models.strategy import Strategy

from .deployment import node_size
from .text import rule


def check_rules(plan: Plan) -> list[Finding]:
    """Every rule that holds for the plan's engines."""
    node = node_size(plan.scenario.hardware)
    return [
        finding
        for entry in plan.engines
        for finding in rules_on(plan.scenario, entry.role, entry.strategy, [(entry.strategy.pipeline, node)])
    ]


def rules_on(scenario: Scenario, role: str, cut: Strategy, parts: list[tuple[int, int]]) -> list[Finding]:
    """Every rule that holds for an engine; `parts`: its stages on each of its cards, and the GPUs of a node there."""
    found = []
    roles = {"prefill": {"prefill"}, "decode": {"decode"}, "aggregated": {"aggregated", "decode"}}[role]
    for one in scenario.rules:
        if roles & set(one.roles) and one.id not in scenario.waive:
            kept = all(_within(getattr(cut, name), bound) for name, bound in one.bounds.items())
            kept = kept and all(_inside(cut, group, parts) for group in one.inside_node)
            found.append(rule(f"rules.{one.id}", kept, cut.describe(), one.statement))
    profile = scenario.engine
    if profile is not None and role in profile.transfer_stages and cut.pipeline > 1 and scenario.workload.decodes:
        found.append(rule("engine.transfer_stages", False, cut.describe(), "one stage, so that the KV cache can move"))
    for name, kept, demand in _engine_rules(scenario, cut, parts):
        found.append(rule(f"engine.{name}", kept, cut.describe(), demand))
    return found


def _within(value: int, bound: object) -> bool:
    low, high, some = getattr(bound, "min"), getattr(bound, "max"), getattr(bound, "any_of")  # noqa: B009
    return (low is None or low <= value) and (high is None or value <= high) and (some is None or value in some)


def _inside(cut: Strategy, group: str, parts: list[tuple[int, int]]) -> bool:
    """Whether the blocks of a group lie inside nodes; an engine on two cards is in more than one node."""
    stage = cut.tensor * cut.context * cut.data
    if group == "engine":
        return len(parts) == 1 and all(stage * stages <= node for stages, node in parts)
    block = {"tensor": cut.tensor, "context": cut.tensor * cut.context, "expert": stage}[group]
    return all(stage * stages <= node or node % block == 0 for stages, node in parts)


def _engine_rules(scenario: Scenario, cut: Strategy, parts: list[tuple[int, int]]) -> Iterator[tuple[str, bool, str]]:
    profile, model, formats = scenario.engine, scenario.model, scenario.precision
    if profile is None:
        return
    yield "crosses_cards", profile.crosses_cards or len(parts) == 1, "one type of card for a pipeline"
    (stages, node), gpus = parts[0], cut.tensor * cut.context * cut.data * cut.pipeline
    if len(parts) == 1 and profile.even_nodes:
        yield "even_nodes", gpus <= node or gpus / node == gpus // node, "as many GPUs on every node"
    if len(parts) == 1 and profile.data_ranks_apart:
        kept = gpus <= node or min(cut.data, stages) == 1
        yield "data_ranks_apart", kept, "pipelines of data ranks inside a node"
    yield "context", profile.context or cut.context == 1, "no context ranks"
    if profile.expert_split == "whole-stage":
        yield "expert_split", 1 in (cut.expert, cut.expert_tensor), "experts dealt or sliced, not both"
    if profile.attention_data == "all-or-nothing":
        yield "attention_data", 1 in (cut.data, cut.tensor), "data ranks everywhere or nowhere"
    if model.architecture in profile.attention_data_ignored_by:
        yield "attention_data", cut.data == 1, "no attention data parallelism"
    if not formats.block:
        return
    if formats.weights == "fp8" and profile.fp8_block_linear:
        latent, attention = model.attention.latent, model.attention
        head = (latent.nope_dim + latent.rope_dim) if latent else (attention.head_dim or 0)
        ranks = cut.tensor * cut.context * cut.data if profile.dense_ranks == "stage" else cut.tensor
        shards = [attention.heads * head / cut.tensor]
        if model.feed_forward is not None:
            shards.append(model.feed_forward.width / ranks)
        if model.experts is not None and model.experts.shared_width:
            shards.append(model.experts.shared_width / ranks)
        yield (
            "fp8_block",
            all(shard % formats.block == 0 for shard in shards),
            f"dense shards in blocks of {formats.block}",
        )
    if (formats.experts or formats.weights) == "fp8" and profile.fp8_block_experts and model.experts is not None:
        whole = model.experts.width / cut.expert_tensor % formats.block == 0
        yield "fp8_block.experts", whole, f"expert shards in blocks of {formats.block}"
