"""Plans for the tests: degrees chosen by hand, figures filled in by the second route itself."""

from __future__ import annotations

from typing import Any

from shardwise.models import EngineStrategy, Memory, Plan, Predictions, Scenario
from shardwise.models.engine import Engine
from shardwise.models.plan import Proof, Rank
from shardwise.solver.verify import verify
from shardwise.solver.verify.deployment import read_deployment
from shardwise.solver.verify.memory import MemoryOf
from shardwise.solver.verify.serving import Program

PROOF = Proof(
    status="optimal",
    stages=(),
    bound=None,
    wall_s=0.0,
    strategies=1,
    candidates=1,
    rows=1,
    grid={},
    pruned_by=(),
    second_route="none",
)
CARD: dict[str, Any] = {
    "memory": 1e9,
    "memory_bandwidth": 1e12,
    "compute": 1e12,
    "gpus_per_node": 4,
    "node_link": {"bandwidth": 1e9},
    "network_link": {"bandwidth": 1e8},
}
PEAK: dict[str, Any] = dict.fromkeys(
    ("mfu", "bandwidth", "expert_mfu", "expert_bandwidth", "attention_mfu", "kv_bandwidth", "link"), 1.0
) | {"exchange_link": 1.0, "fp4": 1.0, "half_rows": 0, "expert_half_rows": 0, "half_width": 0}
NO_RESERVES = dict.fromkeys(("activation_dense", "activation_experts", "single_gpu", "multi_gpu"), 0)
DENSE: dict[str, Any] = {
    "layers": 2,
    "hidden": 8,
    "attention": {"heads": 4, "kv_heads": 2, "head_dim": 2},
    "feed_forward": {"width": 16},
}
EXPERTS: dict[str, Any] = {
    "layers": 3,
    "hidden": 8,
    "attention": {"heads": 4, "kv_heads": 2, "head_dim": 2},
    "feed_forward": {"width": 16},
    "experts": {"count": 8, "per_token": 2, "width": 4, "shared_width": 4, "leading_dense_layers": 1},
    "vocabulary": 128,
}


def scenario(model: dict[str, Any], workload: dict[str, Any], gpus: int = 8, **more: Any) -> Scenario:
    """A roofline at the peaks: no latencies, no reserves, efficiencies of 1."""
    hardware = {"accelerator": CARD, "gpus": gpus, "memory_utilization": 1.0} | more.pop("hardware", {})
    constants = {"efficiency": PEAK, "latencies": "none", "reserves": NO_RESERVES}
    return Scenario.model_validate({"hardware": hardware, "model": model, "workload": workload} | constants | more)


def place(scene: Scenario, engines: int, strategy: EngineStrategy) -> tuple[Rank, ...]:
    """Engines one after another; one that fits a node starts a new node where the last has no room left."""
    t, c, d = strategy.tensor, strategy.context, strategy.data
    group, gpus, node = t * c * d, t * c * d * strategy.pipeline, scene.hardware.node_size
    moe, ranks, place = scene.model.experts, [], 0
    for engine in range(engines):
        if place % node and place % node + gpus > node:
            place += node - place % node
        for rank in range(gpus):
            stage, position = divmod(rank, group)
            begin = sum(strategy.layers_per_stage[:stage])
            layers = (begin, begin + strategy.layers_per_stage[stage])
            heads = scene.model.attention.heads // t
            experts = columns = (0, 0)
            expert, column = divmod(position, strategy.expert_tensor) if moe else (0, 0)
            if moe and layers[1] > moe.leading_dense_layers:
                held, width = moe.count // strategy.expert, moe.width // strategy.expert_tensor
                experts, columns = (
                    (expert * held, expert * held + held),
                    (column * width, column * width + width),
                )
            ranks.append(
                Rank(
                    engine=engine,
                    rank=rank,
                    node=(place + rank) // node,
                    gpu=(place + rank) % node,
                    stage=stage,
                    data=position // (t * c),
                    context=position // t % c,
                    tensor=position % t,
                    expert=expert,
                    expert_tensor=column,
                    layers=layers,
                    heads=(position % t * heads, position % t * heads + heads),
                    experts=experts,
                    expert_columns=columns,
                )
            )
        place += gpus
    return tuple(ranks)


def plan_of(scene: Scenario, engines: int = 1, **strategy: Any) -> Plan:
    """A whole plan with the figures that the second route computes."""
    cut = EngineStrategy.model_validate({"layers_per_stage": (scene.model.layers,)} | strategy)
    gpus = cut.tensor * cut.context * cut.data * cut.pipeline
    engine = Engine(
        role="aggregated" if scene.workload.output_tokens.max > 1 else "prefill",
        count=engines,
        gpus_per_engine=gpus,
        accelerator=scene.hardware.accelerator.id,
        strategy=cut,
    )
    plan = Plan(
        status="optimal",
        scenario=scene,
        engines=(engine,),
        gpus_used=engines * gpus,
        gpus_idle=scene.hardware.gpu_range.max - engines * gpus,
        placement=place(scene, engines, cut),
        proof=PROOF,
    )
    return plan.model_copy(update={"predictions": predict(plan)})


def predict(plan: Plan) -> Predictions:
    """The recomputed figures, as a plan states them."""
    deployment = read_deployment(plan)
    served, stages = Program(deployment).served(), MemoryOf(deployment).stages()
    held = max(stages, key=lambda stage: stage.total)
    memory = Memory(
        weights=held.weights,
        kv_cache=held.kv_cache,
        activations=held.activations,
        reserve=held.reserve,
        total=held.total,
        usable=int(plan.scenario.hardware.accelerator.memory * plan.scenario.hardware.memory_utilization),
        stage=stages.index(held),
    )
    return Predictions(
        ttft_s=served.ttft,
        ttft_mean_s=served.ttft_mean,
        tpot_s=served.tpot,
        request_latency_s=served.latency,
        requests_per_s=served.requests,
        output_tokens_per_s=served.output_rate,
        input_tokens_per_s=served.input_rate,
        tokens_per_s_per_gpu=served.rate / served.gpus,
        memory_bytes_per_gpu=memory,
    )


def dense_plan() -> Plan:
    """Two tensor ranks, prompts only, four of them in micro-batches of two."""
    scene = scenario(DENSE, {"batch": 4, "input_tokens": 10})
    return plan_of(scene, tensor=2, batch=2, micro_batches=2, in_flight=2, token_budget=20)


def experts_plan(**more: Any) -> Plan:
    """Two engines of eight GPUs on four nodes, in a closed loop: data 4, pipeline 2, experts 2 by 2."""
    scene = scenario(EXPERTS, {"concurrency": 16, "input_tokens": 100, "output_tokens": 50}, gpus=18, **more)
    return plan_of(
        scene,
        engines=2,
        data=4,
        pipeline=2,
        expert=2,
        expert_tensor=2,
        batch=1,
        micro_batches=2,
        in_flight=8,
        token_budget=512,
        layers_per_stage=(1, 2),
    )


def failing(plan: Plan) -> set[str]:
    """Names of the findings that fail."""
    found = verify(plan)
    assert found.ok == all(finding.ok for finding in found.findings)
    return {finding.name for finding in found.findings if not finding.ok}
