"""The smallest sets of edits that make a plan, at their tightest values; each is applied and solved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...models import Plan, Scenario, catalog
from ...models.edit import Edit
from ...models.explanation import Repair
from ..errors import DisagreementError
from ..watch import Watch
from ..writing.plan_md import plain_headline
from .loosening import Loosening, Stated, loosening
from .search import Search
from .universe import Keys, Rows

_ROUNDS = 12
"""Tightening turns over the edits of one set; each turn only tightens, so it ends by itself."""
Apply = Callable[[Sequence[Edit]], Scenario]
Solve = Callable[[Scenario], Plan]


@dataclass(frozen=True)
class Proposal:
    """Edits that some row says are enough."""

    edits: tuple[Edit, ...]
    rank: tuple[float, ...]


def proposals(scenario: Scenario, found: Search, watch: Watch, stated: Stated, margin: float = 0.0) -> list[Proposal]:
    """One for each correction that edits of the scenario can make, best first: fewest edits; then what the person set,
    then hardware, then knowledge; then the smallest change."""
    made = []
    for mask in (mask for mask in found.found.masks if mask in found.found.proved):
        demands = [d for bit, d in enumerate(found.rows.demands) if mask >> bit & 1]
        if any(demand.condition.kind == "engine" for demand in demands):
            continue  # no key sets one rule of an engine aside; engines() proposes others
        ways = [loosening(demand, scenario, stated, margin) for demand in demands]
        tightened = _tightened(found, mask, ways, watch)
        if tightened is None:
            continue
        limits, distance = tightened
        edits = tuple(edit for way, limit in zip(ways, limits, strict=True) for edit in way.edits(limit, stated))
        rank = (len(ways), max(way.category for way in ways), sum(way.category for way in ways), distance)
        made.append(Proposal(_merged(edits), rank))
    return sorted(made, key=lambda one: (one.rank, [edit.key for edit in one.edits]))


def _merged(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Rules that are waived stand in one list."""
    waived = [edit for edit in edits if edit.key == "waive"]
    if len(waived) < 2:
        return tuple(edits)
    ids = list(dict.fromkeys(id for edit in waived for id in edit.after))
    whole = waived[0].model_copy(update={"after": ids})
    return (*(edit for edit in edits if edit.key != "waive"), whole)


def _tightened(found: Search, mask: int, ways: list[Loosening], watch: Watch) -> tuple[list[object], float] | None:
    """Limits that admit a row, none of which can be a step tighter while the others stay; and how far they moved."""
    rows = found.rows
    inside = np.flatnonzero(rows.masks & ~mask == 0)

    def distance(index: Rows) -> Keys:
        facts = rows.part(index)
        total: Keys = np.sum([way.distance(facts) for way in ways], axis=0)
        return total

    def only_these(index: Rows) -> np.ndarray:
        return np.asarray((rows.masks[index] & ~mask == 0) & np.isfinite(distance(index)))

    start = rows.least(inside, distance, only_these, watch)
    if start is None:
        return None
    limits = [way.limit(rows.part(start[0])) for way in ways]
    for _ in range(_ROUNDS):
        before = list(limits)
        for place, way in enumerate(ways):
            if not way.moves:
                continue

            def good(index: Rows, place: int = place) -> np.ndarray:
                facts, kept = rows.part(index), only_these(index)
                for other, one in enumerate(ways):
                    if other != place:
                        kept &= one.admits(limits[other], facts)
                return kept

            nearest = rows.least(inside, lambda index, way=way: way.distance(rows.part(index)), good, watch)  # type: ignore[misc]
            assert nearest is not None
            limits[place] = way.limit(rows.part(nearest[0]))
        if limits == before:
            break
    return limits, start[1]


def repairs(proposed: Sequence[Proposal], apply: Apply, solve: Solve) -> Iterator[Repair]:
    """Apply and solve each proposal. Ends early at a stop. Raises DisagreementError if one has no plan."""
    for proposal in proposed:
        plan = solve(apply(proposal.edits))
        if plan.status == "unknown":
            return
        if not plan.engines:
            raise DisagreementError(f"a repair that a priced row promised has no plan: {_words(proposal.edits)}")
        yield Repair(edits=proposal.edits, headline=plain_headline(plan), status=plan.status)


def engines(scenario: Scenario, apply: Apply, solve: Solve) -> Iterator[Repair]:
    """Serving engines under which the scenario has a plan as it stands, instead of the one whose rules exclude it."""
    present = scenario.engine
    assert present is not None
    for id in (*(other for other in catalog.ids("engines") if other != present.id), "generic"):
        edit = Edit(key="engine", before=present.id, after=id)
        plan = solve(apply([edit]))
        if plan.engines:
            yield Repair(edits=(edit,), headline=plain_headline(plan), status=plan.status)


def _words(edits: Sequence[Edit]) -> str:
    return ", ".join(f"{edit.key}: {edit.before} → {edit.after}" for edit in edits)
