"""The optimum by plain loops: no constraint solver, no numpy, of solver/ only the verifier's scalar figures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from shardwise.models import GpuRange, Scenario
from shardwise.models.strategy import DEGREES
from shardwise.solver.verify.deployment import Cut, Deployment, mean, program, routing_load
from shardwise.solver.verify.memory import MemoryOf
from shardwise.solver.verify.serving import Program
from shardwise.solver.verify.shapes import Shapes, read_shapes

Degrees = tuple[int, int, int, int, int, int]


class UndecidedError(Exception):
    """Floats cannot tell what is legal or best here: two answers are equal up to rounding."""


def gpus_of(scene: Scenario) -> tuple[int, int]:
    """The least GPUs that must be used, and how many there are."""
    gpus = scene.hardware.gpus
    if isinstance(gpus, GpuRange):
        return gpus.min, gpus.max
    assert gpus is not None
    return (gpus if scene.hardware.use_all_gpus else 1), gpus


def node_of(scene: Scenario) -> int:
    """GPUs that share the node link."""
    node = scene.hardware.gpus_per_node
    assert node is not None
    return node


@cache
def fit(engines: int, size: int, free: tuple[int, ...], node: int) -> bool:
    """Whether so many engines can be placed: whole empty nodes, and the remainder inside one node of any kind.

    `free` holds the free GPUs of each node, sorted. Tries every node for every remainder.
    """
    if engines == 0:
        return True
    whole, rest = divmod(size, node)
    left = list(free)
    for _ in range(whole):
        if node not in left:
            return False
        left.remove(node)
    if rest == 0:
        return fit(engines - 1, size, tuple(left), node)
    return any(
        fit(engines - 1, size, tuple(sorted([*left[:i], room - rest, *left[i + 1 :]])), node)
        for i, room in enumerate(left)
        if room >= rest
    )


def nodes(gpus: int, node: int) -> tuple[int, ...]:
    """GPUs of each node of a cluster, the partial one first."""
    tail = gpus % node
    return (*([tail] if tail else []), *[node] * (gpus // node))


def strategies(scene: Scenario) -> list[Degrees]:
    """Every strategy of which one engine can be placed, in the order of the degrees."""
    most = gpus_of(scene)[1]
    experts = scene.model.experts is not None
    found = []
    for t in range(1, most + 1):
        for c in range(1, most // t + 1):
            for d in range(1, most // (t * c) + 1):
                for p in range(1, most // (t * c * d) + 1):
                    group = t * c * d
                    for e in range(1, group + 1 if experts else 2):
                        for s in range(1, group // e + 1 if experts else 2):
                            if _allowed(scene, (t, c, d, p, e, s)):
                                found.append((t, c, d, p, e, s))
    return sorted(found)


def _allowed(scene: Scenario, degrees: Degrees) -> bool:
    t, c, d, p, e, s = degrees
    model, node = scene.model, node_of(scene)
    attention, feed, experts = model.attention, model.feed_forward, model.experts
    if experts is None:
        if d != 1:
            return False
    elif e * s != t * c * d or experts.count % e or experts.width % s or experts.shared_width % t:
        return False
    if attention.heads % t or p > model.layers or (feed is not None and feed.width % t):
        return False
    linear = model.linear_attention
    if linear is not None and (linear.key_heads % t or linear.value_heads % t or c > 1):
        return False
    if attention.latent is None and attention.key_heads % t and t % attention.key_heads:
        return False
    if math.ceil(model.vocabulary / 64) * 64 % t:
        return False
    if c > (1 if scene.workload.output_tokens.max > 1 else scene.workload.input_tokens.min):
        return False
    size = t * c * d * p
    if size > node and node % t and t % node:
        return False
    bounds = [getattr(scene.strategy, name) for name in DEGREES]
    if not all(bound is None or bound.allows(value) for bound, value in zip(bounds, degrees, strict=True)):
        return False
    return d <= scene.workload.sequences and fit(1, size, nodes(gpus_of(scene)[1], node), node)


@dataclass(frozen=True)
class Row:
    """One legal deployment and its figures."""

    degrees: Degrees
    engines: int
    gpus: int
    ttft: float
    tpot: float
    latency: float
    requests: float
    input: float
    output: float
    memory: int
    batch: int
    budget: int

    @property
    def rate(self) -> float:
        """Tokens per second, as an unqualified throughput means them."""
        return self.output or self.input


def rows(scene: Scenario) -> Iterator[Row]:
    """Every legal row of the documented grid. Raises UndecidedError where a limit is met up to rounding only."""
    least, most = gpus_of(scene)
    node, sequences, shapes = node_of(scene), scene.workload.sequences, read_shapes(scene)
    for degrees in strategies(scene):
        size = math.prod(degrees[:4])
        for engines in range(1, most // size + 1):
            placed = fit(engines, size, nodes(most, node), node)
            if not placed or engines * degrees[2] > sequences or engines * size < least:
                continue
            group = math.ceil(math.ceil(sequences / engines) / degrees[2])
            for batch, turns, budget in _loads(scene, degrees, group):
                row = _priced(scene, shapes, degrees, engines, batch, turns, budget)
                if row is not None and _keeps(scene, row):
                    yield row


def _loads(scene: Scenario, degrees: Degrees, group: int) -> Iterator[tuple[int, int, int]]:
    """(batch, micro-batches, token budget) of every choice in the grid."""
    work, (_, c, _, p, _, _) = scene.workload, degrees
    longest = work.input_tokens.max
    shares = sorted({math.ceil(group / turns) for turns in range(1, group + 1)})
    turns = min(p, group)
    batch = math.ceil(group / turns)
    if work.output_tokens.max == 1:
        yield from ((share, math.ceil(group / share), math.ceil(share * longest / c)) for share in shares)
    elif work.batch is not None:
        yield from ((batch, turns, share * longest) for share in shares)
    else:
        needed = batch + batch * mean(work.input_tokens) / mean(work.output_tokens)
        budget = 512
        while budget <= 32768 or budget / 2 < needed:
            if budget > batch and needed <= budget:
                yield batch, turns, budget
            budget *= 2


def _priced(
    scene: Scenario, shapes: Shapes, degrees: Degrees, engines: int, batch: int, turns: int, budget: int
) -> Row | None:
    """The figures of one choice under its best split, by the verifier's formulas; None if no split fits."""
    layers, p = scene.model.layers, degrees[3]
    load = routing_load(scene.workload, shapes.experts, degrees[4])
    whole = Deployment(
        scenario=scene,
        shapes=shapes,
        cut=Cut(*degrees, node_of(scene)),
        program=program(scene.workload),
        engines=engines,
        sequences=scene.workload.sequences,
        batch=batch,
        micro_batches=turns,
        token_budget=budget,
        split=(layers,),
        routing_load=load,
    )
    memory = MemoryOf(whole)
    usable = scene.hardware.accelerator.memory * scene.hardware.memory_utilization
    usable = min(math.floor(usable), scene.requirements.memory_per_gpu or math.inf)
    fitting: list[tuple[tuple[float, float, int], Row]] = []
    for cuts in itertools.combinations(range(1, layers), p - 1):
        places = list(itertools.pairwise([0, *cuts, layers]))
        fullest = max(memory.stage(stage, range(*place)).total for stage, place in enumerate(places))
        if fullest <= usable:
            deployment = replace(whole, split=tuple(last - first for first, last in places))
            row = _figures(deployment, fullest)
            fitting.append(((*_slowest(deployment), fullest), row))
    for goal in range(3):
        best = min((goals[goal] for goals, _ in fitting), default=0.0)
        fitting = [(goals, row) for goals, row in fitting if goals[goal] <= best * (1 + 1e-9)]
    if any(not _same(row, fitting[0][1]) for _, row in fitting):
        raise UndecidedError("two splits are equally good, and serve differently")
    return fitting[0][1] if fitting else None


def _slowest(deployment: Deployment) -> tuple[float, float]:
    """Slowest stages of the two passes that decide the split: the reference, and the longest prompts."""
    served, longest = Program(deployment), deployment.scenario.workload.input_tokens.max
    if deployment.program == "closed loop":
        second = served.full_pass(longest, longest**2)
    else:
        prompts = deployment.token_budget / longest if deployment.program == "static batch" else deployment.batch
        second = served.prompt_pass(prompts, longest, longest**2)
    first = max(served.forward.stages(served.reference_pass()))
    return first, max(served.forward.stages(second))


def _figures(deployment: Deployment, fullest: int) -> Row:
    served, cut = Program(deployment).served(), deployment.cut
    return Row(
        degrees=(cut.tensor, cut.context, cut.data, cut.pipeline, cut.expert, cut.expert_tensor),
        engines=deployment.engines,
        gpus=served.gpus,
        ttft=served.ttft,
        tpot=served.tpot or 0.0,
        latency=served.latency,
        requests=served.requests,
        input=served.input_rate,
        output=served.output_rate or 0.0,
        memory=fullest,
        batch=deployment.batch,
        budget=deployment.token_budget,
    )


def _same(left: Row, right: Row) -> bool:
    names = ("ttft", "tpot", "latency", "requests")
    return all(math.isclose(getattr(left, n), getattr(right, n), rel_tol=1e-9) for n in names)


def _keeps(scene: Scenario, row: Row) -> bool:
    """Whether a row meets the requirements and the pins on engines, batch and budget."""
    wanted = scene.requirements
    ceilings = [(wanted.ttft, row.ttft), (wanted.tpot, row.tpot), (wanted.request_latency, row.latency)]
    floors: list[tuple[float | None, float]] = []
    for rates, share in ((wanted.throughput, 1), (wanted.throughput_per_gpu, row.gpus)):
        if rates is not None:
            floors += [(rates.tokens, row.rate / share), (rates.input, row.input / share)]
            floors += [(rates.output, row.output / share), (rates.requests, row.requests / share)]
    for limit, value in (*ceilings, *floors):
        if limit is not None and value and math.isclose(limit, value, rel_tol=1e-6):
            raise UndecidedError("a row meets a limit up to rounding")
    pins = scene.strategy
    return (
        all(limit is None or value <= limit for limit, value in ceilings)
        and all(limit is None or value >= limit for limit, value in floors)
        and (wanted.memory_per_gpu is None or row.memory <= wanted.memory_per_gpu)
        and (pins.engines is None or pins.engines.allows(row.engines))
        and (pins.batch is None or pins.batch.allows(row.batch))
        and (pins.token_budget is None or pins.token_budget.allows(row.budget))
    )


Goal = tuple[str, float | None]
"""What is optimised, and the share of its best value that later goals may give up; None where the goal is strict."""


def goals(scene: Scenario) -> list[Goal]:
    """The scenario's objectives and the tie-breaks, each once."""
    per_gpu = scene.hardware.gpus is None or isinstance(scene.hardware.gpus, GpuRange)
    primary = "per gpu" if per_gpu else "rate"
    meaning: dict[str, list[Goal]] = {
        "balanced": [(primary, scene.balance), ("latency", None), (primary, None)],
        "latency": [("latency", None)],
        "throughput": [("rate", None)],
        "throughput-per-gpu": [("per gpu", None)],
        "fewest-gpus": [("gpus", None)],
    }
    named = (scene.objective,) if isinstance(scene.objective, str) else scene.objective
    listed = [goal for name in named for goal in meaning[name]]
    return list(dict.fromkeys([*listed, ("rate", None), ("latency", None), ("gpus", None)]))


def optimum(scene: Scenario, legal: list[Row]) -> list[float]:
    """The value of each goal in order, in SI units. Raises UndecidedError if rounding decides."""
    outcomes = [_optimum(scene, legal, 1 + tilt) for tilt in (-1e-12, 0.0, 1e-12)]
    if any(outcome != outcomes[1] for outcome in outcomes):
        raise UndecidedError("the values are equal up to rounding")
    return outcomes[1]


def _optimum(scene: Scenario, legal: list[Row], tilt: float) -> list[float]:
    """Values count in steps of 10 ns, rounded up, and of a thousandth of a token per second, rounded down."""
    found = []
    for goal, slack in goals(scene):
        costs = [_cost(row, goal, tilt) for row in legal]
        best = min(costs)
        limit = best + (slack or 0.0) * abs(best)
        if slack and any(math.isclose(cost, limit, rel_tol=1e-9) for cost in costs):
            raise UndecidedError("a row is at the edge of the balance")
        legal = [row for row, cost in zip(legal, costs, strict=True) if cost <= limit]
        found.append({"gpus": 1.0, "latency": 1e-8}.get(goal, -1e-3) * best)
    return found


def _cost(row: Row, goal: str, tilt: float) -> int:
    if goal == "gpus":
        return row.gpus
    if goal == "latency":
        return math.ceil(row.latency * tilt * 1e8)
    return -math.floor(row.rate * tilt / (row.gpus if goal == "per gpu" else 1) * 1e3)
