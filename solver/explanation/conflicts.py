"""All irreducible conflicts: minimal sets of demands of which every row breaks at least one.

A set of demands is kept by no row exactly if it meets every correction, so the irreducible conflicts are the minimal
hitting sets of the corrections (Reiter, 1987), built one correction at a time (Berge, 1989). CP-SAT confirms each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ...models import Scenario
from ...models.conflict import Conflict, Member, Source
from ..answer import strategy_of
from ..choice.model import choose
from ..choice.table import Table, tabulate
from ..conditions import Condition, Limit
from ..costs import Candidates
from ..errors import DisagreementError, StoppedError
from ..watch import Watch
from ..writing.text import plural
from .arithmetic import Contradiction
from .because import because
from .demands import Demand, demands_of, facts_of
from .loosening import loosening
from .search import Search
from .universe import Rows

MOST_SETS = 5_000
"""Hitting sets kept while they are built; beyond, conflicts are too many to read."""
_ROWS = 96
"""Rows on which CP-SAT confirms."""
Origin = Callable[[str], Source]
"""Where a scenario key was set."""


def nowhere(key: str) -> Source:
    """For a scenario that was not read from a file."""
    return Source(key=key)


def hitting_sets(masks: Iterable[int]) -> list[int]:
    """All minimal sets that share an element with every mask, fewest elements first.

    At most MOST_SETS of them, the smallest ones, if they grow beyond.
    """
    sets = [0]
    for mask in masks:
        hit = [each for each in sets if each & mask]
        grown = {
            each | 1 << bit for each in sets if not each & mask for bit in range(mask.bit_length()) if mask >> bit & 1
        }
        new = [each for each in sorted(grown, key=_size) if not any(other & ~each == 0 for other in hit)]
        sets = sorted(_minimal(hit + new), key=_size)[:MOST_SETS]
    return sets


def count(found: Search) -> int:
    """How many irreducible conflicts there are."""
    return len(hitting_sets(found.found.masks))


def unproved(scenario: Scenario, said: Contradiction, origin: Origin) -> Conflict:
    """What arithmetic says, before any row was priced: no strategy keeps them; whether all are needed is open."""
    by_id = {demand.id: demand for demand in demands_of(scenario)}
    members = tuple(
        Member(
            id=id,
            statement=by_id[id].condition.statement,
            asked=by_id[id].asked,
            best_possible=None,
            reached_by=None,
            needed="proved" if len(said.ids) == 1 else "possible",
            source=origin(by_id[id].condition.key),
        )
        for id in said.ids
    )
    return Conflict(proved=len(members) == 1, members=members, because=said.because)


def _size(mask: int) -> tuple[int, int]:
    return mask.bit_count(), mask


def _minimal(sets: list[int]) -> list[int]:
    kept: list[int] = []
    for each in sorted(set(sets), key=_size):
        if not any(other & ~each == 0 for other in kept):
            kept.append(each)
    return kept


def conflicts(scenario: Scenario, found: Search, watch: Watch, origin: Origin = nowhere) -> Iterator[Conflict]:
    """Every irreducible conflict, smallest first. Raises DisagreementError if CP-SAT does not confirm one."""
    masks = found.found.masks
    if 0 in masks:
        raise DisagreementError("no plan was found, yet a priced row keeps every demand")
    sets = hitting_sets(masks)
    witnesses = _witnesses(found)
    for each in sets:
        proved = all(_needed(found, each, bit) for bit in _bits(each))
        try:
            _confirm(scenario, found, each, witnesses, watch)
            members = tuple(_member(scenario, found, each, bit, watch, origin) for bit in _bits(each))
        except StoppedError:
            return
        sentence = because(scenario, found, [found.rows.demands[bit] for bit in _bits(each)], members)
        yield Conflict(proved=proved and found.complete, members=members, because=sentence)


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _needed(found: Search, conflict: int, bit: int) -> bool:
    """Whether a row that was priced exactly breaks just this member."""
    return any(mask & conflict == 1 << bit for mask in found.found.proved)


def _witnesses(found: Search) -> tuple[Candidates, Table]:
    """A row for each set of broken demands, those of the corrections first, priced exactly for the solver."""
    _, first = np.unique(found.rows.masks, return_index=True)
    proved = np.array(sorted(found.found.proved.values()), dtype=np.intp)
    rows = np.concatenate([proved, first])
    candidates = found.rows.exact(rows[np.sort(np.unique(rows, return_index=True)[1])][:_ROWS])
    conditions = [*(demand.condition for demand in found.rows.demands), *facts_of(found.rows.scenario)]
    return candidates, tabulate(candidates, [one for one in conditions if isinstance(one, Limit)], ())


def _confirm(scenario: Scenario, found: Search, conflict: int, rows: tuple[Candidates, Table], watch: Watch) -> None:
    """CP-SAT, with the conditions as posted: nothing keeps the conflict; without a proved member something does."""
    members = [found.rows.demands[bit] for bit in _bits(conflict)]
    wide, (candidates, table) = found.rows.scenario, rows
    facts: list[Condition] = facts_of(wide)

    def possible(kept: list[Demand]) -> bool:
        watch.check()
        asked = [condition for demand in kept for condition in demand.conditions]
        outcome = choose(wide, candidates, table, (), [*facts, *asked], Watch()).outcome
        if outcome not in ("optimal", "infeasible"):
            raise DisagreementError(f"the solver did not decide a conflict: {outcome}")
        return outcome == "optimal"

    if possible(members):
        raise DisagreementError(f"the solver keeps {', '.join(d.id for d in members)}, every priced row breaks one")
    for demand in members:
        rest = [other for other in members if other is not demand]
        if _needed(found, conflict, found.rows.demands.index(demand)) and not possible(rest):
            raise DisagreementError(f"the solver finds nothing without {demand.id}, a priced row keeps all others")


def _member(scenario: Scenario, found: Search, conflict: int, bit: int, watch: Watch, origin: Origin) -> Member:
    demand, own = found.rows.demands[bit], 1 << bit
    everything = (1 << len(found.rows.demands)) - 1
    best, row = _best(scenario, found, demand, conflict & ~own, watch)
    with_all = _best(scenario, found, demand, everything & ~own, watch)[0]
    outside = 0 if row is None else int(found.rows.masks[row]) & ~conflict
    return Member(
        id=demand.id,
        statement=demand.condition.statement,
        asked=demand.asked,
        best_possible=best,
        reached_by=None if row is None else describe(found, row),
        breaks=tuple(found.rows.demands[other].id for other in _bits(outside)),
        best_with_all=with_all,
        needed="proved" if _needed(found, conflict, bit) else "possible",
        source=origin(demand.condition.key),
    )


def _best(
    scenario: Scenario, found: Search, demand: Demand, others: int, watch: Watch
) -> tuple[str | None, int | None]:
    """(value, row) nearest to what a demand asks among the rows that keep the others."""
    rows, way = found.rows, loosening(demand, scenario)
    kept = np.flatnonzero(rows.masks & others == 0)

    def good(index: Rows) -> np.ndarray:
        return np.asarray(rows.masks[index] & others == 0)

    nearest = rows.least(kept, lambda index: way.distance(rows.part(index)), good, watch)
    if nearest is None:
        return None, None
    row = nearest[0]
    return way.reached(rows.part(row)), row


def describe(found: Search, row: int) -> str:
    """A row in short: TP8·PP2, 4 engines on 64 GPUs."""
    one = found.rows.exact(np.array([row]))
    engines, gpus = int(one.engines[0]), int(one.gpus_used[0])
    return f"{strategy_of(one, 0).describe()}, {plural(engines, 'engine')} on {plural(gpus, 'GPU')}"
