"""One kind of engine that shardwise priced: its load, memory, figures and stage split, all recomputed."""

from __future__ import annotations

from collections.abc import Callable

from shardwise.models.deployment import DeploymentPlan, PoolEngine
from shardwise.models.plan import Finding

from ..memory import Held, MemoryOf, Room, allowed, compare_memory, usable
from ..split import check_split
from ..text import agree, attempt
from .figures import same_quantiles
from .kinds import Kind, about, read_kind
from .load import check_engine_load, check_utilization
from .parts import check_parts
from .rating import Rated, rated
from .structure import check_degrees


def check_engine(plan: DeploymentPlan, entry: PoolEngine) -> list[Finding]:
    """Everything that is claimed of one kind of engine."""

    def of_kind(check: Callable[[Kind], list[Finding]]) -> Callable[[], list[Finding]]:
        return lambda: check(read_kind(plan, entry))

    findings = [
        *attempt("parts", check_parts, plan, entry),
        *attempt("degrees", check_degrees, plan, entry),
        *attempt("load", of_kind(check_engine_load)),
        *attempt("stages", of_kind(lambda kind: check_split(*kind.deployments))),
        *attempt("memory", of_kind(_memory)),
        *attempt("engine", of_kind(lambda kind: same_figures(rated(kind)))),
    ]
    return about(entry, findings)


def held_on(kind: Kind) -> list[tuple[Held, Room]]:
    """What every stage of a kind of engine holds, and what its card has room for."""
    crosses = len(kind.deployments) > 1
    found = []
    for deployment in kind.deployments:
        limit = usable(deployment.scenario.hardware)
        # Across cards the room of `memory.fits` heeds what is required of memory; on one card that is a check apart.
        room = Room(limit, allowed(deployment.scenario) if crosses else limit)
        found += [(held, room) for held in MemoryOf(deployment).stages()]
    return found


def fullest(kind: Kind) -> int:
    """Bytes on the fullest GPU of a kind of engine."""
    return max(held.total for held, _ in held_on(kind))


def _memory(kind: Kind) -> list[Finding]:
    said = kind.entry.memory_bytes_per_gpu
    if said is None:
        raise ValueError("the engine states no memory")
    found = held_on(kind)
    return compare_memory(said, [held for held, _ in found], [room for _, room in found])


def same_figures(found: Rated) -> list[Finding]:
    """An engine's figures against the recomputed ones."""
    said = found.entry
    return [
        agree("engine.requests_per_s", said.requests_per_s, found.rate, "requests/s"),
        agree("engine.ttft_s", said.ttft_s, found.ttft, "s"),
        agree("engine.wait_s", said.wait_s, found.wait, "s"),
        agree("engine.transfer_s", said.transfer_s, found.transfer, "s"),
        *same_quantiles("engine.ttft_quantiles_s", said.ttft_quantiles_s, found.quantiles),
        agree("engine.tpot_s", said.tpot_s, found.tpot, "s"),
        agree("engine.request_latency_s", said.request_latency_s, found.latency, "s"),
        agree("engine.utilization", said.utilization, found.utilization),
        agree("engine.cost_per_hour", said.cost_per_hour, found.cost, "per hour"),
        agree("engine.batch", said.batch, None),  # a table's: here it stands in the strategy
        *check_utilization(found),
    ]
