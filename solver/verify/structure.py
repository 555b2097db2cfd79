"""Degrees, GPU counts and divisibility (docs/costs.md, sections 1 and 2)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from shardwise.models.engine import Engine, EngineStrategy
from shardwise.models.hardware import GpuRange, Hardware
from shardwise.models.plan import Finding, Plan
from shardwise.models.scenario import Scenario
from shardwise.models.strategy import Strategy

from .deployment import node_size, sequences
from .shapes import layer_kinds
from .text import equal, rule, show

LARGEST_CLUSTER = 1024
"""GPUs of a cluster whose size is not stated."""
VOCABULARY_BLOCK = 64
"""The vocabulary is padded to a multiple of this."""


def gpu_limits(hardware: Hardware) -> tuple[int, int]:
    """The least GPUs that must be used, and how many exist."""
    if hardware.gpus is None:
        return 1, LARGEST_CLUSTER
    if isinstance(hardware.gpus, GpuRange):
        return hardware.gpus.min, hardware.gpus.max
    return (hardware.gpus if hardware.use_all_gpus else 1), hardware.gpus


def check_gpus(plan: Plan) -> list[Finding]:
    """GPUs used and idle, counted from the engines and from the placement."""
    hardware = plan.scenario.hardware
    least, exist = gpu_limits(hardware)
    taken = sum(engine.count * engine.gpus_per_engine for engine in plan.engines)
    findings = [
        equal("gpus.engines", plan.gpus_used, taken, "GPUs"),
        equal("gpus.placement", plan.gpus_used, len(plan.placement), "GPUs"),
        rule(
            "gpus.range",
            least <= plan.gpus_used <= exist,
            show(plan.gpus_used, "GPUs"),
            f"{least:,} to {exist:,} GPUs",
        ),
        equal("gpus.idle", plan.gpus_idle, exist - plan.gpus_used, "GPUs"),
    ]
    if hardware.use_all_gpus:
        findings.append(equal("gpus.use_all", plan.gpus_used, exist, "GPUs"))
    return findings


def check_degrees(plan: Plan) -> list[Finding]:
    """Products of the degrees, and the degrees that a model or a workload does not admit."""
    return [finding for engine in plan.engines for finding in _degrees(plan, engine)]


def _degrees(plan: Plan, engine: Engine) -> Iterator[Finding]:
    decodes = plan.scenario.workload.output_tokens.max > 1
    yield from products(plan.scenario, engine.strategy, engine.gpus_per_engine, decodes=decodes)
    role = "aggregated" if decodes else "prefill"
    yield rule("engine.role", engine.role == role, engine.role, role)
    card = plan.scenario.hardware.accelerator.id
    yield rule("engine.accelerator", engine.accelerator == card, engine.accelerator, card)


def products(scenario: Scenario, cut: Strategy, gpus: int, *, decodes: bool) -> Iterator[Finding]:
    """Products of the degrees of an engine of so many GPUs; `decodes`: it generates tokens."""
    group = cut.tensor * cut.context * cut.data
    yield equal("degrees.engine", gpus, group * cut.pipeline, "GPUs")
    expert_group = cut.expert * cut.expert_tensor
    if scenario.model.experts is not None:
        yield equal("degrees.experts", expert_group, group, "GPUs of a stage group")
    else:
        yield rule(
            "degrees.dense",
            cut.data == 1 and expert_group == 1,
            f"data {cut.data}, expert {cut.expert}, expert_tensor {cut.expert_tensor}",
            "1, 1 and 1 for a model without experts",
        )
    if decodes:
        yield equal("degrees.context", cut.context, 1)


def check_division(plan: Plan) -> list[Finding]:
    """What must divide, and that every rank has something to hold."""
    return [finding for engine in plan.engines for finding in _division(plan, engine)]


def _divides(name: str, degree: int, whole: int, of_what: str) -> Finding:
    return rule(name, whole % degree == 0, f"degree {degree:,}", f"a divisor of {whole:,} {of_what}")


def _division(plan: Plan, engine: Engine) -> Iterator[Finding]:
    yield from divisors(plan.scenario, engine.strategy)
    yield tensor_nodes(engine.strategy, engine.strategy.pipeline, node_size(plan.scenario.hardware))
    held = sequences(plan.scenario.workload)
    replicas = engine.count * engine.strategy.data
    yield rule(
        "division.sequences",
        replicas <= held,
        f"{replicas:,} attention replicas",
        f"at most {held:,}, one sequence each",
    )


def divisors(scenario: Scenario, cut: EngineStrategy) -> Iterator[Finding]:
    """What the degrees of one engine must divide."""
    model, tensor = scenario.model, cut.tensor
    attention, experts = model.attention, model.experts
    yield _divides("division.heads", tensor, attention.heads, "query heads")
    if attention.latent is None:
        keys = attention.heads if attention.kv_heads is None else attention.kv_heads
        whole = keys % tensor == 0 or tensor % keys == 0
        demanded = f"a divisor or a multiple of {keys:,} KV heads"
        yield rule("division.kv_heads", whole, f"degree {tensor:,}", demanded)
    if model.linear_attention is not None:
        linear = model.linear_attention
        yield _divides("division.linear_keys", tensor, linear.key_heads, "key heads of a linear layer")
        yield _divides("division.linear_values", tensor, linear.value_heads, "value heads of a linear layer")
        yield equal("division.linear_context", cut.context, 1)
    kinds = layer_kinds(model)
    if model.feed_forward is not None and not all(layer.expert for layer in kinds):
        yield _divides("division.feed_forward", tensor, model.feed_forward.width, "dense columns")
    if experts is not None:
        yield _divides("division.shared_experts", tensor, experts.shared_width, "shared expert columns")
        yield _divides("division.experts", cut.expert, experts.count, "experts")
        yield _divides("division.expert_width", cut.expert_tensor, experts.width, "expert columns")
    padded = math.ceil(model.vocabulary / VOCABULARY_BLOCK) * VOCABULARY_BLOCK
    yield _divides("division.vocabulary", tensor, padded, "padded vocabulary rows")
    split = cut.layers_per_stage
    yield rule(
        "division.layers",
        len(split) == cut.pipeline and sum(split) == len(kinds) and min(split, default=0) >= 1,
        f"{len(split):,} stages with {sum(split):,} layers, the shortest {min(split, default=0):,}",
        f"{cut.pipeline:,} stages with {len(kinds):,} layers, at least 1 each",
    )


def tensor_nodes(cut: Strategy, stages: int, node: int) -> Finding:
    """Whether the tensor groups of an engine, or of its stages on one card, lie well in nodes of that size."""
    tensor, gpus = cut.tensor, cut.tensor * cut.context * cut.data * stages
    return rule(
        "division.tensor_nodes",
        node % tensor == 0 or gpus <= node or tensor % node == 0,
        f"tensor {tensor:,} in an engine of {gpus:,} GPUs",
        f"a divisor or a multiple of the {node:,} GPUs of a node, or an engine inside one node",
    )
