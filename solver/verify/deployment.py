"""What a plan states, read once: degrees, links they cross, load (docs/costs.md, sections 1 and 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from shardwise.models.engine import EngineStrategy
from shardwise.models.hardware import Hardware, Link
from shardwise.models.plan import Plan
from shardwise.models.scenario import Scenario
from shardwise.models.workload import Lengths, Workload

from .shapes import Shapes, read_shapes

MOST_POPULARITIES = 2**20
"""Experts whose popularity is summed one by one."""

Program = Literal["prefill only", "static batch", "closed loop"]


@dataclass(frozen=True)
class Cut:
    """The degrees of one engine on nodes of a given size; section 2."""

    tensor: int
    context: int
    data: int
    pipeline: int
    expert: int
    expert_tensor: int
    node: int
    part: range | None = None
    """The stages that stand on this card, where the pipeline crosses cards; None: all of them."""

    @property
    def stages(self) -> range:
        """The stages on this card."""
        return range(self.pipeline) if self.part is None else self.part

    @property
    def group(self) -> int:
        """g: GPUs of one stage group."""
        return self.tensor * self.context * self.data

    @property
    def gpus(self) -> int:
        """z: GPUs of one engine."""
        return self.group * self.pipeline

    @property
    def gpus_here(self) -> int:
        """GPUs of one engine on this card: they are placed together."""
        return self.group * len(self.stages)

    def crosses(self, block: int) -> bool:
        """Whether a block of contiguous ranks crosses nodes."""
        return self.gpus_here > self.node and self.node % block != 0

    def boundary_crosses(self, stage: int) -> bool:
        """Whether the boundary after a stage crosses nodes; the next stage is on this card too."""
        begin = (stage - self.stages.start) * self.group
        return self.gpus_here > self.node and begin % self.node + 2 * self.group > self.node

    @property
    def expert_nodes(self) -> int:
        """M: nodes over which the expert group of a stage spans."""
        return max(2, math.ceil(self.group / self.node)) if self.crosses(self.group) else 1


@dataclass(frozen=True)
class Deployment:
    """One kind of engine under its load, seen from one of its cards: the only one, unless `cut.part` says otherwise."""

    scenario: Scenario
    shapes: Shapes
    cut: Cut
    program: Program
    engines: int
    sequences: int
    """N"""
    batch: int
    micro_batches: int
    token_budget: int
    split: tuple[int, ...]
    routing_load: float
    """γ"""
    held: int | None = None
    """Sequences per attention group whose cache is held; None: as many as section 5 says for the program."""
    onward: Link | None = None
    """What the last stage on this card sends over to the next card; None: no stage follows on another card."""

    @property
    def engine_sequences(self) -> int:
        """Q: sequences of the busiest engine."""
        return math.ceil(self.sequences / self.engines)

    @property
    def group_sequences(self) -> int:
        """Q_d: sequences of its busiest attention group."""
        return math.ceil(self.engine_sequences / self.cut.data)

    def stage_layers(self, stage: int) -> range:
        """The layers of a stage."""
        first = sum(self.split[:stage])
        return range(first, first + self.split[stage])


def node_size(hardware: Hardware) -> int:
    """G: the scenario's GPUs per node, else the card's."""
    return hardware.accelerator.gpus_per_node if hardware.gpus_per_node is None else hardware.gpus_per_node


def read_cut(strategy: EngineStrategy, hardware: Hardware) -> Cut:
    """The degrees that a plan states for one kind of engine."""
    return Cut(
        strategy.tensor,
        strategy.context,
        strategy.data,
        strategy.pipeline,
        strategy.expert,
        strategy.expert_tensor,
        node_size(hardware),
    )


def program(workload: Workload) -> Program:
    """Which part of section 4 applies."""
    if workload.output_tokens.max == 1:
        return "prefill only"
    return "static batch" if workload.batch is not None else "closed loop"


def sequences(workload: Workload) -> int:
    """N: sequences that the deployment holds."""
    held = workload.concurrency if workload.concurrency is not None else workload.batch
    if held is None:
        raise ValueError("the workload states neither concurrency nor batch")
    return held


def mean(lengths: Lengths) -> float:
    """E[S] of the uniform range."""
    return (lengths.min + lengths.max) / 2


def mean_square(lengths: Lengths) -> float:
    """E[S²] of the uniform range: (a² + ab + b²)/3, the integral of s² over it."""
    return (lengths.min**2 + lengths.min * lengths.max + lengths.max**2) / 3


def routing_load(workload: Workload, experts: int, ranks: int) -> float:
    """γ: load of the busiest expert rank over the mean, experts dealt in order of popularity; section 1."""
    if ranks == 1 or experts == 0:
        return 1.0
    exponent = workload.routing.zipf
    if exponent is None:
        return 1.0 if workload.routing.imbalance is None else min(workload.routing.imbalance, float(ranks))
    if experts > MOST_POPULARITIES:
        raise ValueError(f"{experts:,} experts are more than the {MOST_POPULARITIES:,} that can be summed")
    popularity = [1.0 / (place + 1) ** exponent for place in range(experts)]
    busiest = math.fsum(popularity[place] for place in range(0, experts, ranks))
    return busiest / (math.fsum(popularity) / ranks)


def deployment_of(
    scenario: Scenario,
    strategy: EngineStrategy,
    program: Program,
    engines: int,
    sequences: int,
    held: int | None = None,
) -> Deployment:
    """One kind of engine under a load. Raises ValueError where its stages do not hold the model's layers."""
    shapes, cut = read_shapes(scenario), read_cut(strategy, scenario.hardware)
    split = strategy.layers_per_stage
    if len(split) != cut.pipeline or sum(split) != len(shapes.layers):
        raise ValueError(
            f"layers_per_stage has {len(split)} entries and {sum(split)} layers, "
            f"not {cut.pipeline} entries and {len(shapes.layers)} layers"
        )
    return Deployment(
        scenario=scenario,
        shapes=shapes,
        cut=cut,
        program=program,
        engines=engines,
        sequences=sequences,
        batch=strategy.batch,
        micro_batches=strategy.micro_batches,
        token_budget=strategy.token_budget,
        split=split,
        routing_load=routing_load(scenario.workload, shapes.experts, cut.expert),
        held=held,
    )


def read_deployment(plan: Plan) -> Deployment:
    """The one kind of engine of a plan. Raises ValueError where the plan cannot be priced."""
    if len(plan.engines) != 1:
        raise ValueError(f"figures are recomputed for one kind of engine, the plan has {len(plan.engines)}")
    engine, workload = plan.engines[0], plan.scenario.workload
    return deployment_of(plan.scenario, engine.strategy, program(workload), engine.count, sequences(workload))
