"""Deployments of pools by plain enumeration: engines priced by the verifier's scalar figures, sums by loops.

Nothing of solver/pools or solver/costs is read; docs/costs.md, section 7, and docs/pools.md say what is looked for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from shardwise.models import Scenario
from shardwise.models.deployment import DeploymentPlan, EnginePart, PoolEngine
from shardwise.models.engine import EngineStrategy
from shardwise.models.rules import Role
from shardwise.models.strategy import DEGREES
from shardwise.models.workload import Lengths
from shardwise.solver.verify.deployment import mean
from shardwise.solver.verify.memory import MemoryOf
from shardwise.solver.verify.pools.kinds import read_kind
from shardwise.solver.verify.pools.parts import on_card
from shardwise.solver.verify.pools.rating import BUSIEST, rated

from tests.solver.brute_force import Degrees, UndecidedError, gpus_of, node_of, nodes, strategies

BUSY = (0.25, 0.5, 0.75, 0.95)
"""u: how busy the prefill engines of a closed loop's decode engine may be."""
RATIOS = tuple(step / 20 for step in range(1, 20))
"""ρ: how busy a prefill engine of an open loop may be."""
OPEN_BUDGETS = (2048, 8192, 32768)
EXACT_LOADS = 16
"""Up to here the grid of an open loop is stated exactly; beyond, "steps of about 12 %"."""
EDGE = 1e-6
"""Two figures nearer than this, as a share, are not told apart."""

Parts = tuple[tuple[int, int], ...]
"""The GPUs of one engine as (card, GPUs), first stages first: one part, or two where the pipeline crosses cards."""
Key = tuple[Parts, ...]
"""The engines of a deployment, sorted: what must be placed."""
State = tuple[Key, int]
"""Engines placed, and requests that they hold (closed loop; else 0)."""


@dataclass(frozen=True)
class Engine:
    """One engine under one load."""

    role: Role
    parts: Parts
    degrees: Degrees
    batch: int
    budget: int
    load: int
    busy: float | None
    rate: float
    need: float
    """Requests/s that it asks of prefill engines."""
    part: float
    latency: float
    tpot: float | None
    stated: bool = True
    """Its load is in the grid however docs/costs.md is read; else only where some words are read generously."""

    @property
    def gpus(self) -> Parts:
        """What it takes; which of two cards comes first does not matter here."""
        return tuple(sorted(self.parts))

    @property
    def group(self) -> tuple[object, ...]:
        """What `distinct_strategies` counts."""
        return (self.parts, self.degrees, None if self.role == "decode" else self.budget)


# --- pricing -------------------------------------------------------------------------------------------------------


def engines(scene: Scenario) -> list[Engine]:
    """Every engine of the grid that fits its cards' memory and keeps pins and rules; no other limit is looked at."""
    found: list[Engine] = []
    for role in scene.roles:
        for degrees, parts in _sites(scene, role):
            if role == "prefill":
                found += _prefills(scene, parts, degrees)
                continue
            for load, stated in _loads(scene, parts, degrees):
                found += (replace(one, stated=stated) for one in _holders(scene, parts, role, degrees, load))
    if scene.workload.concurrency is not None:
        return _unbeaten(found)
    return found


def _sites(scene: Scenario, role: Role) -> Iterator[tuple[Degrees, Parts]]:
    """Every strategy of a role, and the cards on which it stands."""
    rules = [rule for rule in scene.rules if rule.id not in scene.waive and rule.holds_for(role)]
    assert not any(rule.inside_node for rule in rules), "not enumerated here"
    if role == "prefill":
        work = scene.workload.model_copy(update={"output_tokens": Lengths(min=1, max=1)})
        scene = scene.model_copy(update={"workload": work})
    names = [stock.accelerator.id for stock in scene.hardware.stocks]
    sites = [
        (degrees, ((card, math.prod(degrees[:4])),))
        for card, name in enumerate(names)
        for degrees in strategies(on_card(scene, name))
    ]
    sites += _crossing(scene, names)
    for degrees, parts in sites:
        named = dict(zip(DEGREES, degrees, strict=True))
        if all(bound.allows(named[name]) for rule in rules for name, bound in rule.bounds.items()):
            yield degrees, parts


def _crossing(scene: Scenario, names: list[str]) -> Iterator[tuple[Degrees, Parts]]:
    """Strategies of two stages, one on each of two cards; more stages than two are not enumerated here."""
    layers, pin = scene.model.layers, scene.strategy.pipeline
    assert layers <= 2 or len(names) == 1
    if layers < 2 or (pin is not None and not pin.allows(2)):
        return
    free = scene.model_copy(update={"strategy": scene.strategy.model_copy(update={"pipeline": None})})
    ones = [{degrees for degrees in strategies(on_card(free, name)) if degrees[3] == 1} for name in names]
    for first, second in itertools.permutations(range(len(names)), 2):
        for t, c, d, _, e, s in sorted(ones[first] & ones[second]):
            yield (t, c, d, 2, e, s), ((first, t * c * d), (second, t * c * d))


def _loads(scene: Scenario, parts: Parts, degrees: Degrees) -> list[tuple[int, bool]]:
    """Q, and whether it is in the grid under every reading."""
    work, stocks = scene.workload, scene.hardware.stocks
    if work.concurrency is None:  # one more, to see whether the part of the grid that is stated exactly suffices
        return [(load, load <= EXACT_LOADS) for load in range(degrees[2], EXACT_LOADS + 2)]
    most = sum(stock.gpus for stock in stocks)
    mixes = len(stocks) > 1 or len(scene.roles) > 1
    alike = min(stocks[card].gpus // size for card, size in parts)
    in_all = sum(stocks[card].gpus for card, _ in parts) // math.prod(degrees[:4])
    stated = closed_loads(work.concurrency, alike, most, degrees, mixes=mixes, generous=False)
    every = closed_loads(work.concurrency, in_all, most, degrees, mixes=mixes, generous=True)
    return [(load, load in stated) for load in sorted(every)]


def closed_loads(clients: int, alike: int, most: int, degrees: Degrees, *, mixes: bool, generous: bool) -> set[int]:
    """Q of a closed loop; `alike`: engines of the kind that the GPUs suffice for. Read generously,
    half a share is rounded down, and a Q below d is raised to d."""
    size, data = math.prod(degrees[:4]), degrees[2]
    shares = [(clients, n) for n in range(1, alike + 1)]
    if mixes:
        assert most <= 5, "of more steps not all are in the grid"
        half = size // 2 if generous else math.ceil(size / 2)
        shares += [(clients * k, most) for k in range(half, 2 * size + 1)]
    found = {value for over, under in shares for value in (over // under, -(-over // under))}
    if generous:
        found = {max(load, data) for load in found}
    return {load for load in found if data <= load <= clients}


def _entry(
    scene: Scenario, parts: Parts, role: Role, degrees: Degrees, batch: int, turns: int, in_flight: int, budget: int,
    load: int | None, busy: float | None,
) -> PoolEngine:  # fmt: skip
    layers, stages = scene.model.layers, degrees[3]
    names = [scene.hardware.stocks[card].accelerator.id for card, _ in parts]
    assert layers % stages == 0 and stages in (1, layers), "only splits that leave no choice"
    cut = EngineStrategy(
        **dict(zip(DEGREES, degrees, strict=True)),
        batch=batch,
        micro_batches=turns,
        in_flight=in_flight,
        token_budget=budget,
        layers_per_stage=(layers // stages,) * stages,
    )
    return PoolEngine.model_construct(
        role=role,
        name=cut.describe(),
        count=1,
        gpus_per_engine=cut.gpus,
        accelerator="+".join(names),
        parts=()
        if len(parts) == 1
        else tuple(
            EnginePart(accelerator=name, stages=1, gpus=size) for name, (_, size) in zip(names, parts, strict=True)
        ),
        strategy=cut,
        load=load,
        utilization=busy,
    )


def _priced(scene: Scenario, parts: Parts, entry: PoolEngine, shares: Iterable[float | None]) -> list[Engine]:
    """The engine at every share that it may be busy; none where it breaks a pin, does not fit or has no figure."""
    cut, pins = entry.strategy, scene.strategy
    assert cut is not None
    if pins.batch is not None and not pins.batch.allows(cut.batch):
        return []
    if entry.role != "decode" and pins.token_budget is not None and not pins.token_budget.allows(cut.token_budget):
        return []
    plan = DeploymentPlan.model_construct(scenario=scene)
    kind = read_kind(plan, entry)
    for deployment in kind.deployments:
        card = deployment.scenario.hardware
        room = math.floor(card.accelerator.memory * card.memory_utilization)
        room = min(room, scene.requirements.memory_per_gpu or room)
        if max(stage.total for stage in MemoryOf(deployment).stages()) > room:
            return []
    found = []
    for busy in shares:
        at = replace(kind, entry=entry.model_copy(update={"utilization": busy}))
        try:
            figures = rated(at)
        except ValueError:  # an open loop's engine whose queue has no end
            assert entry.role == "aggregated" and scene.workload.open_loop
            continue
        utilization = figures.utilization
        if entry.role == "aggregated" and utilization is not None:
            if math.isclose(utilization, BUSIEST, rel_tol=EDGE):
                raise UndecidedError("an engine is as busy as it may be, up to rounding")
            if utilization > BUSIEST:
                continue
        found.append(
            Engine(
                role=entry.role,
                parts=parts,
                degrees=(cut.tensor, cut.context, cut.data, cut.pipeline, cut.expert, cut.expert_tensor),
                batch=cut.batch,
                budget=cut.token_budget,
                load=entry.load or 0,
                busy=busy,
                rate=figures.rate,
                need=figures.rate / (busy or 1.0) if entry.role == "decode" else 0.0,
                part=figures.ttft,
                latency=figures.latency,
                tpot=figures.tpot,
            )
        )
    return found


def _prefills(scene: Scenario, parts: Parts, degrees: Degrees) -> Iterator[Engine]:
    longest, (_, c, d, p, _, _) = scene.workload.input_tokens.max, degrees
    shares = RATIOS if scene.workload.open_loop else (None,)
    batch = 1
    while batch == 1 or (batch <= 64 and batch * longest <= 32768):
        budget = math.ceil(batch * longest / c)
        entry = _entry(scene, parts, "prefill", degrees, batch, p, batch * d * p, budget, None, None)
        yield from _priced(scene, parts, entry, shares)
        batch *= 2


def _holders(scene: Scenario, parts: Parts, role: Role, degrees: Degrees, load: int) -> Iterator[Engine]:
    """Decode or aggregated engines that hold so many requests."""
    work, (_, _, d, p, _, _) = scene.workload, degrees
    held = math.ceil(load / d)
    turns = min(p, held)
    batch = math.ceil(held / turns)
    if role == "decode":
        entry = _entry(scene, parts, role, degrees, batch, turns, load, batch, load, None)
        yield from _priced(scene, parts, entry, (None,) if work.open_loop else BUSY)
        return
    needed = batch + batch * mean(work.input_tokens) / mean(work.output_tokens)
    pin = scene.strategy.token_budget
    named = set() if pin is None else {pin.min, pin.max, *(pin.any_of or ())} - {None}
    for budget in sorted({*(OPEN_BUDGETS if work.open_loop else _budgets(needed)), *named}):
        if budget > batch and needed <= budget:
            entry = _entry(scene, parts, role, degrees, batch, turns, load, budget, load, None)
            yield from _priced(scene, parts, entry, (None,))


def _budgets(needed: float) -> Iterator[int]:
    budget = 512
    while budget <= 32768 or budget / 2 < needed:
        yield budget
        budget *= 2


def _unbeaten(found: list[Engine]) -> list[Engine]:
    """Without the closed loop's decode engines that one of the same card, GPUs, Q and u beats in rate and parts."""
    alike: dict[tuple[object, ...], list[Engine]] = {}
    for one in found:
        if one.role == "decode":
            alike.setdefault((one.gpus, one.load, one.busy), []).append(one)

    def beaten(one: Engine) -> bool:
        for other in alike[one.gpus, one.load, one.busy]:
            good = (other.rate / one.rate, one.part / other.part, one.latency / other.latency)
            if min(good) >= 1 - 1e-9 and max(good) > 1 + 1e-9:
                return True
        return False

    return [one for one in found if one.role != "decode" or not beaten(one)]


# --- limits --------------------------------------------------------------------------------------------------------


def _under(value: float | None, limit: float | None) -> bool:
    if limit is None or value is None:
        return True
    if math.isclose(value, limit, rel_tol=EDGE):
        raise UndecidedError("a limit is met up to rounding")
    return value <= limit


def _over(value: float, limit: float | None) -> bool:
    return limit is None or _under(-value, -limit)


def floor_of(scene: Scenario, *, per_gpu: bool) -> float | None:
    """Requests/s that the deployment must make, or one GPU of it."""
    wanted = scene.requirements.throughput_per_gpu if per_gpu else scene.requirements.throughput
    work, rates = scene.workload, []
    prompt, answer = mean(work.input_tokens), mean(work.output_tokens)
    if wanted is not None:
        rates += [wanted.requests] if wanted.requests else []
        rates += [wanted.input / prompt] if wanted.input else []
        rates += [wanted.output / answer] if wanted.output else []
        rates += [wanted.tokens / (answer if work.decodes else prompt)] if wanted.tokens else []
    if not per_gpu and isinstance(work.request_rate, float):
        rates.append(work.request_rate)
    return max(rates, default=None)


# --- placing -------------------------------------------------------------------------------------------------------


@cache
def placed(sizes: tuple[int, ...], free: tuple[int, ...], node: int) -> bool:
    """Whether engines of these sizes can be placed: whole free nodes, and a remainder inside one node of any kind."""
    if not sizes:
        return True
    whole, rest = divmod(sizes[0], node)
    left = list(free)
    for _ in range(whole):
        if node not in left:
            return False
        left.remove(node)
    if not rest:
        return placed(sizes[1:], tuple(left), node)
    return any(
        placed(sizes[1:], tuple(sorted([*left[:i], room - rest, *left[i + 1 :]])), node)
        for i, room in enumerate(left)
        if room >= rest
    )


class Cluster:
    """What can be placed together."""

    def __init__(self, scene: Scenario) -> None:
        hardware = scene.hardware
        self.gpus = tuple(stock.gpus for stock in hardware.stocks)
        self.node = tuple(node_of(on_card(scene, stock.accelerator.id)) for stock in hardware.stocks)
        self.least = gpus_of(scene)[0]
        self.engines = scene.strategy.engines
        self._fits: dict[Key, bool] = {(): True}

    def fits(self, key: Key) -> bool:
        if key not in self._fits:
            self._fits[key] = all(
                sum(sizes) <= gpus and placed(sizes, nodes(gpus, node), node)
                for card, (gpus, node) in enumerate(zip(self.gpus, self.node, strict=True))
                for sizes in [
                    tuple(sorted((size for parts in key for own, size in parts if own == card), reverse=True))
                ]
            )
        return self._fits[key]

    def allows(self, key: Key) -> bool:
        """Whether a whole deployment may be of these engines."""
        enough = gpus_in(key) >= self.least
        return bool(key) and enough and (self.engines is None or self.engines.allows(len(key)))


def joined(left: Key, right: Key) -> Key:
    return tuple(sorted(left + right))


# --- sums ----------------------------------------------------------------------------------------------------------

Table = dict[State, list[tuple[float, float]]]
"""For what is placed and held: every (rate, need) that no other beats."""


def _front(pairs: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    kept: list[tuple[float, float]] = []
    for rate, need in sorted(pairs, key=lambda pair: (pair[1], -pair[0])):
        if not kept or rate > kept[-1][0]:
            kept.append((rate, need))
    return kept


def sums(cluster: Cluster, kinds: Iterable[Engine], limit: int | None, closed: int | None) -> Table:
    """All multisets of engines of one pool, with at most `limit` different strategies."""
    groups: dict[tuple[object, ...], list[Engine]] = {}
    for one in kinds:
        groups.setdefault(one.group, []).append(one)
    if limit is None or limit >= len(groups):
        return _sums(cluster, [one for own in groups.values() for one in own], closed)
    whole: Table = {}
    for chosen in itertools.combinations(groups.values(), limit):
        for state, pairs in _sums(cluster, [one for own in chosen for one in own], closed).items():
            whole[state] = _front([*whole.get(state, []), *pairs])
    return whole


def _sums(cluster: Cluster, kinds: list[Engine], closed: int | None) -> Table:
    items: dict[tuple[Parts, int], list[tuple[float, float]]] = {}
    for one in kinds:
        place = (one.gpus, one.load if closed is not None else 0)
        items.setdefault(place, []).append((one.rate, one.need if closed is not None else 0.0))
    table: Table = {((), 0): [(0.0, 0.0)]}
    for (gpus, load), pairs in items.items():
        for rate, need in _front(pairs):
            current = dict(table)
            while current:
                later: Table = {}
                for (key, held), sofar in current.items():
                    state = (joined(key, (gpus,)), held + load)
                    if cluster.fits(state[0]) and state[1] <= (closed or 0):
                        later[state] = _front((r + rate, n + need) for r, n in sofar)
                for state, more in later.items():
                    table[state] = _front([*table.get(state, []), *more])
                current = later
    return table


def frontier(scene: Scenario, kinds: Iterable[Engine], ceiling: float = math.inf) -> dict[Key, float]:
    """The best rate of every multiset of engines' GPUs of which some deployment keeps all limits but floors.

    `ceiling` is a further limit on the request latency, compared exactly.
    """
    wanted, closed = scene.requirements, scene.workload.concurrency
    cluster, variety = Cluster(scene), scene.distinct_strategies
    kinds = [one for one in kinds if _under(one.tpot, wanted.tpot)]
    whole = [one for one in kinds if one.role == "aggregated" and one.latency <= ceiling]
    whole = [one for one in whole if _under(one.part, wanted.ttft) and _under(one.latency, wanted.request_latency)]
    nothing: Table = {((), 0): [(0.0, 0.0)]}
    modes: tuple[str, ...] = scene.modes or ("any",)
    alone = sums(cluster, whole, variety, closed) if "any" in modes or "aggregated" in modes else nothing
    best: dict[Key, float] = {}

    def add(left: Table, right: Table) -> None:
        for (one, held), rates in left.items():
            for (other, holding), more in right.items():
                if held + holding == (closed or 0):
                    key = joined(one, other)
                    if cluster.fits(key) and cluster.allows(key):
                        best[key] = max(best.get(key, 0.0), rates[-1][0] + more[-1][0])

    if not scene.workload.decodes:
        prompts = [
            one for one in kinds if _under(one.part, wanted.ttft) and _under(one.latency, wanted.request_latency)
        ]
        prompts = [one for one in prompts if one.latency <= ceiling]
        add(sums(cluster, prompts, variety, closed), nothing)
        return best
    add(alone, nothing)
    sources = [one for one in kinds if one.role == "prefill"]
    sinks = [one for one in kinds if one.role == "decode"]
    for first, second in _matched(scene, sources, sinks, ceiling):
        table = _pairs(cluster, sums(cluster, first, variety, None), sums(cluster, second, variety, closed), closed)
        add(table, alone if "any" in modes else nothing)
    return best


def _matched(
    scene: Scenario, sources: list[Engine], sinks: list[Engine], ceiling: float
) -> Iterator[tuple[list[Engine], list[Engine]]]:
    """Prefill and decode engines any of which may meet: all up to some part, and all that keep the limits with it.

    A prefill engine's part counts the same in TTFT and in latency.
    """
    wanted = scene.requirements
    if wanted.ttft is None and wanted.request_latency is None and ceiling == math.inf:
        yield sources, sinks
        return
    bests: dict[tuple[object, ...], float] = {}
    for cap in sorted(sources, key=lambda one: (one.part, -one.rate)):
        alike = cap.gpus if scene.distinct_strategies is None else cap.group
        if cap.rate <= bests.get(alike, 0.0):
            continue  # slower, and its part is no less
        bests[alike] = cap.rate
        fitting = [
            one
            for one in sinks
            if cap.part + one.latency <= ceiling
            and _under(cap.part + one.part, wanted.ttft)
            and _under(cap.part + one.latency, wanted.request_latency)
        ]
        if fitting:
            yield [one for one in sources if one.part <= cap.part], fitting


def _pairs(cluster: Cluster, sources: Table, sinks: Table, closed: int | None) -> Table:
    table: Table = {}
    for (one, _), made in sources.items():
        for (other, held), taken in sinks.items():
            key = joined(one, other)
            if not one or not other or not cluster.fits(key):
                continue
            able = made[-1][0]
            if closed is None:
                rates = [min(able, taken[-1][0])]
            else:
                if any(math.isclose(need, able, rel_tol=EDGE) for _, need in taken):
                    raise UndecidedError("prefill keeps up with decode up to rounding")
                rates = [rate for rate, need in taken if need <= able]
            if rates:
                table[key, held] = _front([*table.get((key, held), []), (max(rates), 0.0)])
    return table


# --- answers -------------------------------------------------------------------------------------------------------


def answers(scene: Scenario, kinds: Iterable[Engine], ceiling: float = math.inf) -> dict[Key, float]:
    """The frontier without what breaks a floor. Empty: no deployment keeps all conditions."""
    each, total = floor_of(scene, per_gpu=True), floor_of(scene, per_gpu=False)
    kept = {}
    for key, rate in frontier(scene, kinds, ceiling).items():
        if _over(rate, total) and _over(rate / gpus_in(key), each):
            kept[key] = rate
    return kept


def gpus_in(key: Key) -> int:
    return sum(size for parts in key for _, size in parts)


def price_of(scene: Scenario, key: Key) -> float:
    prices = [stock.price_per_hour for stock in scene.hardware.stocks]
    return math.fsum((prices[card] or 0.0) * size for parts in key for card, size in parts)


def best_value(scene: Scenario, kinds: list[Engine], objective: str) -> float | None:
    """The best value of an objective; None where there is no deployment."""
    found = answers(scene, kinds)
    if not found:
        return None
    if objective == "throughput":
        return max(found.values())
    if objective == "fewest-gpus":
        return min(gpus_in(key) for key in found)
    if objective == "throughput-per-gpu":
        return max(rate / gpus_in(key) for key, rate in found.items())
    if objective == "cost":
        return min(price_of(scene, key) for key in found)
    if objective == "throughput-per-cost":
        return max(rate / price_of(scene, key) for key, rate in found.items())
    assert objective == "latency"
    return _least_latency(scene, kinds)


def _least_latency(scene: Scenario, kinds: list[Engine]) -> float:
    """The least request latency that the slowest engine or pair may have, by bisection over those there are."""
    if not scene.workload.decodes:
        values = {one.latency for one in kinds}
    else:
        values = {one.latency for one in kinds if one.role == "aggregated"}
        first = {one.part for one in kinds if one.role == "prefill"}
        values |= {part + one.latency for part in first for one in kinds if one.role == "decode"}
    ordered = sorted(values)
    low, high = 0, len(ordered) - 1
    while low < high:
        middle = (low + high) // 2
        if answers(scene, kinds, ordered[middle]):
            high = middle
        else:
            low = middle + 1
    return ordered[low]


def limited(scene: Scenario, **limits: object) -> Scenario:
    """The scenario with some requirements replaced."""
    return scene.model_copy(update={"requirements": scene.requirements.model_copy(update=limits)})
