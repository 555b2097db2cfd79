"""Bytes of one GPU on each stage (docs/costs.md, section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from shardwise.models.engine import Memory
from shardwise.models.hardware import Hardware
from shardwise.models.plan import Finding, Plan
from shardwise.models.scenario import Scenario

from .deployment import Deployment
from .shapes import Layer, Shapes
from .text import agree, equal, rule, show

ROUNDING = 4
"""Bytes by which two totals of four rounded parts may differ through rounding alone."""


def usable(hardware: Hardware) -> int:
    """Bytes of a card that a plan may fill."""
    return math.floor(hardware.accelerator.memory * hardware.memory_utilization)


def allowed(scenario: Scenario) -> float:
    """Bytes of a card that a plan may fill, or fewer where the requirements say so."""
    required = scenario.requirements.memory_per_gpu
    most = usable(scenario.hardware)
    return most if required is None else min(most, required)


@dataclass(frozen=True)
class Sharing:
    """Which ranks share what, as the serving engine places it."""

    tensor: int
    dense: int
    """Ranks that share dense feed-forward, shared experts and LM head."""
    head_first: bool
    """The first of several stages holds an LM head too."""
    embedding_last: bool
    """The last of several stages holds an embedding too."""
    padding: int
    """Multiple to which a slice of an expert's columns is padded; 0 for none."""
    shared: int
    """Ranks that share the shared experts."""


def sharing(deployment: Deployment) -> Sharing:
    """The engine's placement, or the plain one."""
    cut, scenario = deployment.cut, deployment.scenario
    engine, several = scenario.engine, deployment.cut.pipeline > 1
    if engine is None:
        return Sharing(cut.tensor, cut.tensor, False, False, 0, cut.tensor)
    both = several and scenario.model.architecture in engine.tables_on_both_ends
    dense = cut.group if engine.dense_ranks == "stage" else cut.tensor
    whole = engine.shared_experts_whole and min(cut.tensor, cut.data, cut.expert) > 1
    padded = (scenario.precision.experts or scenario.precision.weights) == "mxfp4" and cut.expert_tensor > 1
    return Sharing(
        cut.tensor,
        dense,
        both or (several and scenario.model.architecture in engine.head_on_first_stage),
        both,
        engine.expert_padding if padded else 0,
        1 if whole else dense,
    )


def layer_weights(shapes: Shapes, layer: Layer, ranks: Sharing, experts: float, width: float) -> float:
    """Bytes of one layer's weights on a rank that holds `experts` experts and the share `width` of each."""
    held = shapes.attention_per_rank(layer, ranks.tensor) * shapes.weight_bytes
    held += (shapes.attention_small(layer) + shapes.norms) * shapes.activation_bytes
    if not layer.expert:
        return held + shapes.dense_matrices / ranks.dense * shapes.weight_bytes
    if ranks.padding:
        columns = math.ceil(round(width * shapes.expert_width, 6) / ranks.padding) * ranks.padding
        width = columns / shapes.expert_width
    one = shapes.expert_matrices * width * shapes.expert_bytes
    one += shapes.expert_biases * shapes.activation_bytes
    held += experts * one + shapes.router * shapes.activation_bytes
    return held + shapes.shared_matrices / ranks.shared * shapes.expert_bytes


def end_weights(shapes: Shapes, ranks: Sharing, first: bool, last: bool) -> float:
    """Bytes of the embedding on the first stage, of the final norm and the LM head on the last."""
    table = shapes.vocabulary * shapes.hidden * shapes.activation_bytes
    embedding, head = table / ranks.tensor, table / ranks.dense
    held = 0.0
    if first:
        held += embedding + (head if ranks.head_first else 0.0)
    if last:
        held += shapes.hidden * shapes.activation_bytes
        held += embedding if ranks.embedding_last else 0.0
        if not (shapes.tied and first):
            held += head
    return held


@dataclass(frozen=True)
class Held:
    """Bytes on one GPU of one stage."""

    weights: int
    kv_cache: int
    activations: int
    reserve: int

    @property
    def total(self) -> int:
        """All four."""
        return self.weights + self.kv_cache + self.activations + self.reserve


class MemoryOf:
    """The memory of a deployment's stages."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.shapes, self.cut = deployment, deployment.shapes, deployment.cut
        self.sharing = sharing(deployment)

    @property
    def sequences(self) -> int:
        """Sequences per attention group whose cache is held."""
        if self.deployment.held is not None:
            return self.deployment.held
        if self.deployment.program == "static batch":
            return self.deployment.group_sequences
        in_turn = self.deployment.micro_batches
        if self.deployment.program == "prefill only":
            in_turn = min(in_turn, self.cut.pipeline)
        return self.deployment.batch * in_turn

    def layer_cache(self, layer: Layer) -> float:
        """Bytes of the KV cache or the state of one sequence in one layer on one rank, at full length."""
        workload = self.deployment.scenario.workload
        tokens: float = workload.input_tokens.max
        if self.deployment.program != "prefill only":
            tokens += workload.output_tokens.max
        return self.shapes.kept(layer, self.cut.tensor, tokens) / self.cut.context

    @cached_property
    def kinds(self) -> dict[Layer, tuple[float, float]]:
        """Weights and KV bytes of a layer of each kind, for all sequences held."""
        shapes, cut = self.shapes, self.cut
        experts, width = shapes.experts / cut.expert, 1 / cut.expert_tensor
        return {
            kind: (
                layer_weights(shapes, kind, self.sharing, experts, width),
                self.sequences * self.layer_cache(kind),
            )
            for kind in set(shapes.layers)
        }

    @cached_property
    def activations(self) -> int:
        """Peak of the largest pass, at least the measured floor."""
        shapes, cut, budget = self.shapes, self.cut, self.deployment.token_budget
        if self.deployment.program == "static batch":
            budget = max(budget, self.deployment.batch)
        reserves, element = self.deployment.scenario.reserves, shapes.activation_bytes
        peak = budget * element * (6 * shapes.hidden + 2 * shapes.widest / cut.tensor)
        if not shapes.experts:
            return math.ceil(max(reserves.activation_dense, peak))
        routed = budget * cut.context * cut.data * self.deployment.routing_load * shapes.per_token / cut.expert
        peak += routed * element * (shapes.hidden + 2 * shapes.expert_width / cut.expert_tensor)
        return math.ceil(max(reserves.activation_experts, peak))

    @cached_property
    def reserve(self) -> int:
        """Framework and communication buffers."""
        reserves = self.deployment.scenario.reserves
        return math.ceil(reserves.single_gpu if self.cut.gpus == 1 else reserves.multi_gpu)

    def stage(self, stage: int, layers: range) -> Held:
        """What one GPU of a stage holds if the stage has these layers."""
        kinds = [self.kinds[self.shapes.layers[i]] for i in layers]
        weights = math.fsum(kind[0] for kind in kinds)
        weights += end_weights(self.shapes, self.sharing, stage == 0, stage == self.cut.pipeline - 1)
        cache = math.fsum(kind[1] for kind in kinds)
        return Held(math.ceil(weights), math.ceil(cache), self.activations, self.reserve)

    def stages(self) -> list[Held]:
        """Every stage of the plan's split that stands on this card."""
        deployment = self.deployment
        return [self.stage(stage, deployment.stage_layers(stage)) for stage in self.cut.stages]


def check_memory(plan: Plan, stages: list[Held]) -> list[Finding]:
    """The fullest GPU of a plan with one kind of engine."""
    if plan.predictions is None:
        raise ValueError("the plan has no predictions")
    limit = usable(plan.scenario.hardware)
    return compare_memory(plan.predictions.memory_bytes_per_gpu, stages, [Room(limit, limit)] * len(stages))


@dataclass(frozen=True)
class Room:
    """Bytes that a stage may fill on one GPU of its card."""

    usable: int
    """As the plan states it."""
    allowed: float


def compare_memory(said: Memory, stages: list[Held], rooms: list[Room]) -> list[Finding]:
    """The stage that fills the largest share of its room, part by part, and whether all fit theirs."""
    shares = [held.total / room.allowed for held, room in zip(stages, rooms, strict=True)]
    fullest = shares.index(max(shares))
    # Two routes may round a tie differently: a stage that is as full up to rounding counts as the fullest.
    nearly = max(shares) - ROUNDING / min(room.allowed for room in rooms)
    tied = said.stage < len(stages) and shares[said.stage] >= nearly
    here = said.stage if tied else fullest
    held, limit = stages[here], rooms[here].usable
    fits = all(held.total <= room.allowed + ROUNDING for held, room in zip(stages, rooms, strict=True))
    parts = said.weights + said.kv_cache + said.activations + said.reserve
    return [
        rule("memory.stage", tied, f"stage {said.stage}", f"stage {fullest}"),
        agree("memory.weights", said.weights, held.weights, "B"),
        agree("memory.kv_cache", said.kv_cache, held.kv_cache, "B"),
        agree("memory.activations", said.activations, held.activations, "B"),
        agree("memory.reserve", said.reserve, held.reserve, "B"),
        agree("memory.total", said.total, held.total, "B"),
        equal("memory.sum", said.total, parts, "B"),
        equal("memory.usable", said.usable, limit, "B"),
        rule(
            "memory.fits",
            said.total <= said.usable and fits,
            f"{show(said.total, 'B')} of {show(said.usable, 'B')}",
            f"{show(stages[fullest].total, 'B')} of {show(rooms[fullest].allowed, 'B')}",
        ),
    ]
