"""Deployments of pools for the tests: engines chosen by hand, figures filled in by the second route itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from shardwise.models import Memory, Scenario
from shardwise.models.deployment import (
    DeploymentPlan,
    DeploymentPredictions,
    EnginePart,
    Feed,
    Idle,
    Pool,
    PoolEngine,
)
from shardwise.models.engine import EngineStrategy
from shardwise.models.plan import Rank
from shardwise.models.table_scenario import TableScenario
from shardwise.solver.verify.pools import verify_deployment
from shardwise.solver.verify.pools.cards import cards_of, taken_by
from shardwise.solver.verify.pools.engines import held_on
from shardwise.solver.verify.pools.figures import whole
from shardwise.solver.verify.pools.kinds import Kind, read_kind
from shardwise.solver.verify.pools.parts import on_card, parts_of
from shardwise.solver.verify.pools.rating import Rated, rated
from shardwise.solver.verify.pools.tables import rated_row
from shardwise.solver.verify.pools.together import rating, through
from verify_plans import CARD, DENSE, EXPERTS, PROOF, place, scenario


def engine(role: str, load: int | None = None, *, count: int = 1, card: str = "inline", **more: Any) -> PoolEngine:
    """A kind of engine without figures; `more` are degrees, batch and the share that it is busy.

    `parts` among them: how many stages stand on which card, where there are two.
    """
    busy, parts = more.pop("utilization", None), more.pop("parts", {})
    cut = EngineStrategy.model_validate(more)
    return PoolEngine(
        role=role,
        name=cut.describe(),
        count=count,
        gpus_per_engine=cut.gpus,
        accelerator="+".join(parts) or card,
        parts=tuple(
            EnginePart(accelerator=name, stages=stages, gpus=stages * cut.stage_group) for name, stages in parts.items()
        ),
        strategy=cut,
        load=load,
        utilization=busy,
        requests_per_s=0.0,
        ttft_s=0.0,
        request_latency_s=0.0,
    )


def _memory(kind: Kind) -> Memory:
    stages = held_on(kind)
    held, room = max(stages, key=lambda stage: stage[0].total / stage[1].allowed)
    parts = {name: getattr(held, name) for name in ("weights", "kv_cache", "activations", "reserve", "total")}
    return Memory(**parts, usable=room.usable, stage=stages.index((held, room)))


def _filled(found: Rated) -> PoolEngine:
    return found.entry.model_copy(
        update={
            "requests_per_s": found.rate,
            "ttft_s": found.ttft,
            "wait_s": found.wait,
            "transfer_s": found.transfer,
            "ttft_quantiles_s": found.quantiles,
            "tpot_s": found.tpot,
            "request_latency_s": found.latency,
            "utilization": found.utilization,
            "cost_per_hour": found.cost,
        }
    )


def _grouped(entries: list[PoolEngine]) -> tuple[Pool, ...]:
    blank = {"rating_requests_per_s": 0.0, "requests_per_s": 0.0, "utilization": 0.0}
    pools = []
    for role in dict.fromkeys(entry.role for entry in entries):
        own = tuple(entry for entry in entries if entry.role == role)
        pools.append(Pool(role=role, engines=own, gpus=sum(one.count * one.gpus_per_engine for one in own), **blank))
    return tuple(pools)


def _placement(plan: DeploymentPlan) -> tuple[Rank, ...]:
    """Kind after kind, each from a node of its own, every part on its card like an engine of its own."""
    ranks: list[Rank] = []
    free = {card.name: card.first_node for card in cards_of(plan.scenario)}
    first = 0
    for entry in plan.engines:
        assert entry.strategy is not None
        places: dict[tuple[int, int], dict[str, int]] = {}
        for part in parts_of(entry):
            layers = entry.strategy.layers_per_stage[part.stages.start : part.stages.stop]
            cut = entry.strategy.model_copy(update={"pipeline": len(part.stages), "layers_per_stage": layers})
            own = place(on_card(plan.scenario, part.card), entry.count, cut)
            for rank in own:
                at = {"engine": rank.engine + first, "node": rank.node + free[part.card], "gpu": rank.gpu}
                places[rank.engine, rank.rank + part.stages.start * cut.stage_group] = at
            free[part.card] += own[-1].node + 1
        whole_engines = place(plan.scenario, entry.count, entry.strategy)
        ranks += [rank.model_copy(update=places[rank.engine, rank.rank]) for rank in whole_engines]
        first += entry.count
    return tuple(ranks)


def pool_plan(scene: Scenario | TableScenario, *engines: PoolEngine) -> DeploymentPlan:
    """A whole deployment with the figures that the second route computes. Engines of a role stand together."""
    plan = DeploymentPlan(status="optimal", scenario=scene, pools=_grouped(list(engines)), proof=PROOF)
    if isinstance(scene, Scenario):
        kinds = [read_kind(plan, entry) for entry in plan.engines]
        priced = [_filled(rated(kind)).model_copy(update={"memory_bytes_per_gpu": _memory(kind)}) for kind in kinds]
    else:
        table = scene.read_table()
        priced = [_filled(rated_row(scene, table, entry)) for entry in plan.engines]
    plan = plan.model_copy(update={"pools": _grouped(priced)})
    return _together(plan, _rated(plan))


def _rated(plan: DeploymentPlan) -> list[Rated]:
    if isinstance(plan.scenario, Scenario):
        return [rated(read_kind(plan, entry)) for entry in plan.engines]
    table = plan.scenario.read_table()
    return [rated_row(plan.scenario, table, entry) for entry in plan.engines]


def _together(plan: DeploymentPlan, engines: list[Rated]) -> DeploymentPlan:
    pools = []
    for pool in plan.pools:
        able, passing = rating(engines, pool.role), through(plan, engines, pool.role)
        rates = {"rating_requests_per_s": able, "requests_per_s": passing, "utilization": passing / able}
        pools.append(pool.model_copy(update=rates))
    sources, sinks = ([one for one in engines if one.role == role] for role in ("prefill", "decode"))
    feeds = [
        Feed(
            prefill=i,
            decode=j,
            requests_per_s=through(plan, engines, "decode")
            * (source.entry.count * source.rate / rating(engines, "prefill"))
            * (sink.entry.count * sink.rate / rating(engines, "decode")),
            transfer_s=source.transfer + sink.transfer,
        )
        for i, source in enumerate(sources)
        for j, sink in enumerate(sinks)
    ]
    found = whole(plan, engines)
    served = found.served
    predictions = DeploymentPredictions(
        requests_per_s=served.requests,
        ttft_s=served.ttft,
        ttft_quantiles_s=found.quantiles,
        tpot_s=served.tpot,
        request_latency_s=served.latency,
        output_tokens_per_s=served.output_rate,
        input_tokens_per_s=found.input_rate,
        requests_per_s_per_gpu=served.requests / served.gpus,
        tokens_per_s_per_gpu=None if found.tokens is None else found.tokens / served.gpus,
        cost_per_hour=found.cost,
        offered_requests_per_s=found.offered,
        utilization=None if found.offered is None else found.offered / served.requests,
    )
    used = Counter[str]()
    for entry in plan.engines:
        for name, gpus in taken_by(plan.scenario, entry).items():
            used[name] += entry.count * gpus
    idle = {card.name: card.gpus - used[card.name] for card in cards_of(plan.scenario)}
    return plan.model_copy(
        update={
            "pools": tuple(pools),
            "feeds": tuple(feeds),
            "predictions": predictions,
            "gpus_used": used.total(),
            "gpus_idle": sum(idle.values()),
            "idle": tuple(Idle(accelerator=name, gpus=gpus) for name, gpus in idle.items() if gpus > 0),
            "placement": _placement(plan) if isinstance(plan.scenario, Scenario) else (),
        }
    )


ONE: dict[str, Any] = {"batch": 1, "micro_batches": 1, "in_flight": 1, "layers_per_stage": (2,)}
STOCKS = (
    {"accelerator": CARD | {"id": "big"}, "gpus": 18, "price_per_hour": 3.0},
    {"accelerator": CARD | {"id": "small", "gpus_per_node": 2}, "gpus": 6, "price_per_hour": 1.0},
)


def mixed_plan(**more: Any) -> DeploymentPlan:
    """Prefill engines of two context ranks on small cards, decode engines of two stages and aggregated on big ones."""
    work = {"concurrency": 20, "input_tokens": 100, "output_tokens": 2000} | more.pop("workload", {})
    constants = more.pop("constants", {})
    scene = scenario(EXPERTS, work, **{"modes": "any", "hardware": {"inventory": STOCKS}} | more)
    scene = scene.model_copy(update=constants)
    small = {"context": 2, "expert": 2, "batch": 1, "micro_batches": 1, "in_flight": 1, "token_budget": 50}
    big = {"data": 4, "pipeline": 2, "expert": 2, "expert_tensor": 2, "batch": 1, "micro_batches": 2}
    both = {"tensor": 2, "expert": 2, "batch": 4, "micro_batches": 1, "in_flight": 4, "token_budget": 512}
    return pool_plan(
        scene,
        engine("prefill", count=2, card="small", layers_per_stage=(3,), **small),
        engine("decode", 8, card="big", utilization=0.5, in_flight=8, token_budget=1, layers_per_stage=(1, 2), **big),
        engine("aggregated", 4, count=3, card="big", layers_per_stage=(3,), **both),
    )


def open_plan(**more: Any) -> DeploymentPlan:
    """A prefill engine busy half the time, a decode engine and an aggregated one, at 100 requests/s."""
    work = {"request_rate": 100.0, "input_tokens": {"min": 5, "max": 10}, "output_tokens": 20, "burstiness": 0.5}
    scene = scenario(DENSE, work, gpus=12, **{"modes": "any"} | more)
    return pool_plan(
        scene,
        engine("prefill", utilization=0.5, token_budget=10, **ONE),
        engine("decode", 4, **ONE | {"batch": 4, "in_flight": 4}, token_budget=4),
        engine("aggregated", 2, **ONE | {"batch": 2, "in_flight": 2}, token_budget=32),
    )


TABLE = """engine,role,gpus,batch,ttft_ms,tpot_ms,requests_per_s,accelerator,memory_gb,cost_per_hour
P,prefill,2,1,100,,5,,60,
D,decode,4,32,,20,8,,70,9
E,decode,4,64,10,25,12,,70,
A,aggregated,2,16,150,30,3,,,
"""


def table_plan(folder: Path, *counts: tuple[str, int], **more: Any) -> DeploymentPlan:
    """Engines of TABLE by name, so many of each, on 32 GPUs at 2 an hour."""
    path = folder / "engines.csv"
    path.write_text(more.pop("table", TABLE))
    hardware = {"gpus": 32, "price_per_hour": 2.0} | more.pop("hardware", {})
    scene = TableScenario.model_validate({"engines": {"table": str(path)}, "hardware": hardware} | more)
    table = scene.read_table()
    entries = []
    for name, count in counts:
        row = table.names.index(name)
        entries.append(
            PoolEngine(
                role=table.roles[row],
                name=name,
                count=count,
                gpus_per_engine=table.gpus[row],
                accelerator=table.accelerators[row] or "",
                batch=table.batch[row],
                requests_per_s=0.0,
                ttft_s=0.0,
                request_latency_s=0.0,
            )
        )
    return pool_plan(scene, *entries)


def failing(plan: DeploymentPlan) -> set[str]:
    """Names of the findings that fail, without the prefix that they share."""
    found = verify_deployment(plan)
    assert found.ok == all(finding.ok for finding in found.findings)
    assert all(finding.name.startswith("pools.") for finding in found.findings)
    return {finding.name.removeprefix("pools.") for finding in found.findings if not finding.ok}
