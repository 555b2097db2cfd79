"""What one engine of each role takes and gives under its load (docs/costs.md, section 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from shardwise.models.deployment import PoolEngine
from shardwise.models.requirements import Quantile

from ..deployment import Deployment, mean, mean_square
from ..links import Links
from ..serving import Program
from .kinds import Kind, load_of, moves
from .waiting import QUANTILES, spread_of_arrivals, waits

BUSIEST = 0.95
"""Share of the time that prefill engines, or an aggregated one in an open loop, may be busy with prompts."""


@dataclass(frozen=True)
class Rated:
    """An engine's recomputed figures."""

    entry: PoolEngine
    rate: float
    ttft: float
    """TTFT, or the engine's part of it; open loop: at the quantile that the requirements mean."""
    tpot: float | None
    latency: float
    """The part of TTFT, and every further token."""
    wait: float = 0.0
    transfer: float = 0.0
    quantiles: dict[Quantile, float] = field(default_factory=dict)
    """Open loop: TTFT, or the part of it, at each."""
    utilization: float | None = None
    cost: float | None = None

    @property
    def role(self) -> str:
        """prefill, decode or aggregated."""
        return self.entry.role


def rated(kind: Kind) -> Rated:
    """The figures of one engine of a kind."""
    times = {"prefill": _prefill, "decode": _decode, "aggregated": _aggregated}[kind.entry.role]
    return times(kind)


def moving(kind: Kind) -> float:
    """move(I⁺): the cache of the longest prompt, every rank over its own link; none where nothing is decoded."""
    if not moves(kind.scenario):
        return 0.0
    return max(_leaving(deployment, kind.one_node) for deployment in kind.deployments)


def _leaving(deployment: Deployment, one_node: bool) -> float:
    """The same for the stages on one card."""
    scenario, shapes, cut, links = deployment.scenario, deployment.shapes, deployment.cut, Links(deployment)
    prompt = scenario.workload.input_tokens.max
    stages = [
        math.fsum(
            shapes.kept(shapes.layers[layer], cut.tensor, prompt) / cut.context
            for layer in deployment.stage_layers(stage)
        )
        for stage in cut.stages
    ]
    pool = scenario.hardware.pool_link
    if pool is not None:
        rate, latency = min(pool.bandwidth, links.outside.bandwidth), pool.latency
    elif one_node:
        rate, latency = links.rate(False, 2), links.inside.latency
    else:
        rate, latency = links.outside.bandwidth, links.outside.latency
    share = scenario.efficiency.transfer_link
    return links.visible * max(stages) / (rate * share) + latency


def _variation(kind: Kind) -> tuple[float, float]:
    """c_a² and c_s²."""
    workload = kind.scenario.workload
    prompt = workload.input_tokens
    return spread_of_arrivals(workload.burstiness), mean_square(prompt) / mean(prompt) ** 2 - 1


def _cost(kind: Kind) -> float | None:
    costs = [_price(deployment) for deployment in kind.deployments]
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if len(known) == len(costs) else None


def _price(deployment: Deployment) -> float | None:
    """What an hour of the GPUs on one card costs."""
    price = deployment.scenario.hardware.price_per_hour
    return None if price is None else price * deployment.cut.gpus_here


def _rated(
    kind: Kind,
    rate: float,
    alone: float,
    waiting: float | dict[Quantile, float],
    tpot: float | None,
    *,
    transfer: float = 0.0,
    utilization: float | None = None,
) -> Rated:
    """The figures, from the time to first token without the wait, and the wait (one, or one for each quantile)."""
    workload = kind.scenario.workload
    one = waiting[kind.scenario.requirements.ttft_at] if isinstance(waiting, dict) else waiting
    quantiles: dict[Quantile, float] = {}
    if kind.open_loop:
        every = waiting if isinstance(waiting, dict) else dict.fromkeys(QUANTILES, waiting)
        quantiles = {name: alone + time for name, time in every.items()}
    return Rated(
        entry=kind.entry,
        rate=rate,
        ttft=alone + one,
        tpot=tpot,
        latency=alone + one + (workload.output_tokens.max - 1) * (tpot or 0.0),
        wait=one,
        transfer=transfer,
        quantiles=quantiles,
        utilization=utilization,
        cost=_cost(kind),
    )


def _prefill(kind: Kind) -> Rated:
    deployment, program = kind.deployment, Program(*kind.deployments)
    longest_pass = program.prompt_pass(deployment.batch, program.longest, program.longest**2)
    longest = max(program.forward.stages(longest_pass))
    average = max(program.forward.stages(program.reference_pass()))
    most = deployment.cut.data * deployment.batch / average
    transfer = moving(kind)
    alone = program.start(program.longest) + deployment.cut.pipeline * longest + transfer
    if not kind.open_loop:  # the wait stands with the decode engines
        return _rated(kind, most, alone, 0.0, None, transfer=transfer)
    busy = kind.entry.utilization
    if busy is None:
        raise ValueError("a prefill engine of an open loop states no utilisation")
    waiting = waits(busy, average, *_variation(kind))
    return _rated(kind, busy * most, alone, waiting, None, transfer=transfer, utilization=busy)


def _decode(kind: Kind) -> Rated:
    program, transfer = Program(*kind.deployments), moving(kind)
    tpot = program.decode_time()
    rate = load_of(kind.entry) / (program.answer_mean * tpot)
    if kind.open_loop:
        return _rated(kind, rate, transfer + tpot, 0.0, tpot, transfer=transfer)
    busy = kind.entry.utilization
    if busy is None:
        raise ValueError("a decode engine of a closed loop does not state how busy its prefill engines are")
    drained = busy * program.answer_mean * tpot  # the opening burst of its clients, at the pace of those engines
    wait = 0.5 / kind.scenario.workload.requests_per_client * drained
    return _rated(kind, rate, transfer + tpot, wait, tpot, transfer=transfer, utilization=busy)


def prompt_service(program: Program) -> float:
    """s: what a prompt keeps an aggregated engine's attention group busy for, in the wait of an open loop."""
    _, chunks = program.chunks(program.prompt_mean)
    full = max(program.forward.stages(program.full_pass(program.prompt_mean, program.prompt_square)))
    if chunks > 1:
        return chunks * full
    decode = max(program.forward.stages(program.decode_pass()))
    room = program.deployment.token_budget - program.deployment.batch
    return full - decode + decode / math.floor(room / program.prompt_mean)


def _aggregated(kind: Kind) -> Rated:
    deployment, program = kind.deployment, Program(*kind.deployments)
    rate = load_of(kind.entry) / (program.answer_mean * program.period())
    size = (program.longest, program.longest**2)
    alone, tpot = program.first_token(*size), program.mixed_time()
    if not kind.open_loop:
        return _rated(kind, rate, alone, program.burst_wait(*size), tpot)
    service = prompt_service(program)
    busy = rate / deployment.cut.data * service
    vacation = max(program.forward.stages(program.iteration()))
    waiting = waits(busy, service, *_variation(kind), vacation)
    return _rated(kind, rate, alone, waiting, tpot, utilization=busy)
