"""Why no plan exists and which edits make one; or, where one exists, what holds it back.

Enters: a scenario (with its file, if it has one). Leaves: an Explanation, from which JSON and text are written. What is
found is reported as it is found, so that a stop loses nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...models import InputError, Plan, Scenario
from ...models.conflict import Conflict, Source
from ...models.edit import Edit, edited_scenario
from ...models.explanation import Binding, Explanation, Repair
from ..errors import StoppedError
from ..watch import Watch
from ..writing.plan_md import plain_headline
from .arithmetic import contradictions
from .bindings import bindings
from .conflicts import conflicts, count, nowhere
from .repairs import engines, proposals, repairs
from .search import Search, search

if TYPE_CHECKING:
    from ...models import ScenarioFile

AGREED = (
    "a second route agrees: rows enumerated without the demands and filtered in arithmetic hold no plan, and CP-SAT "
    "confirms each conflict"
)
SHOWN = 5
"""Conflicts, and repairs, that are worked out unless all are asked for."""
Report = Callable[[Plan | Conflict | Repair | Binding], None]
"""Told of each finding; of the plan first, where there is one."""


def explain(
    scenario: Scenario,
    *,
    plan: Plan | None = None,
    file: ScenarioFile | None = None,
    budget: float | None = None,
    stop: threading.Event | None = None,
    everything: bool = False,
    most_gpus: int | None = None,
    report: Report = lambda _: None,
) -> Explanation:
    """Explain a scenario. `plan` is its solution, if it is known already; `file` is where it stands.

    `budget` (seconds) and `stop` end the work early: what was proved stands, `complete` is false. `most_gpus` is how
    many GPUs are tried as a way out. Raises DisagreementError where two routes differ.
    """
    from ..solving import solve

    watch = Watch(budget, stop)

    def apply(edits: Sequence[Edit]) -> Scenario:
        return file.edited(edits) if file is not None else edited_scenario(scenario, edits)

    def solved(other: Scenario) -> Plan:
        return solve(other, time_limit=watch.remaining(), stop=stop, alternatives=0, readings=False)

    def stated(key: str) -> Any:
        return file.stated(key) if file is not None else None

    def origin(key: str) -> Source:
        if file is None:
            return nowhere(key)
        place, is_stated = file.place(key)
        return Source(file=str(place.file), line=place.line, key=key, stated=is_stated)

    if plan is None:
        plan = solve(scenario, time_limit=budget, stop=stop, alternatives=0, conflicts=False)
    common: dict[str, Any] = {
        "status": plan.status,
        "scenario": plan.scenario,
        "proof": plan.proof,
        "readings": plan.readings,
        "warnings": plan.warnings,
    }
    if file is not None and file.margin:
        note = f"limits are tightened by {file.margin * 100:,.4g}% (--margin); edits say what the file must state"
        common["warnings"] = (*plan.warnings, note)
    if plan.status == "unknown":
        return Explanation(complete=False, searched="nothing: stopped before there was an answer", **common)
    report(plan)
    if plan.engines:
        found = _told(bindings(plan, apply, solved, watch, stated, origin), report)
        decided = all(binding.binds is not None for binding in found)
        words = plain_headline(plan)
        searched = "the plan, and one solve for each change"
        return Explanation(complete=decided, searched=searched, bindings=found, headline=words, **common)
    try:
        rows = search(scenario, watch, most_gpus)
    except StoppedError:
        return Explanation(complete=False, searched="nothing: stopped", conflicts=_by_hand(scenario, origin), **common)
    except InputError as error:  # too many conditions to take apart; the verdict stands
        return Explanation(complete=False, searched=f"nothing: {error.message}", **common)
    total = count(rows)
    wanted = total if everything else SHOWN
    told = _told(islice(conflicts(scenario, rows, watch, origin), wanted), report)
    if not told:
        told = _told(_by_hand(scenario, origin), report)
    else:
        common["proof"] = plan.proof.model_copy(update={"second_route": AGREED})
    margin = 0.0 if file is None else file.margin
    mended, left = _repairs(scenario, rows, watch, stated, apply, solved, everything, report, margin)
    return Explanation(
        complete=rows.complete and len(told) == min(total, wanted) and not watch.over,
        searched=_searched(rows),
        conflicts=told,
        conflicts_left=max(0, total - len(told)),
        repairs=mended,
        repairs_left=left,
        **common,
    )


def with_conflicts(plan: Plan, watch: Watch) -> Plan:
    """An infeasible plan with its first conflicts alone; fewer after a stop."""
    try:
        rows = search(plan.scenario, watch)
    except (StoppedError, InputError):  # too little time, or too many conditions to take apart: the verdict stands
        return plan
    found = tuple(islice(conflicts(plan.scenario, rows, watch), SHOWN))
    proof = plan.proof.model_copy(update={"second_route": AGREED}) if found else plan.proof
    return plan.model_copy(update={"conflicts": found, "proof": proof})


def _told(found: Any, report: Report) -> tuple[Any, ...]:
    kept = []
    for one in found:
        report(one)
        kept.append(one)
    return tuple(kept)


def _repairs(
    scenario: Scenario,
    rows: Search,
    watch: Watch,
    stated: Callable[[str], Any],
    apply: Callable[[Sequence[Edit]], Scenario],
    solved: Callable[[Scenario], Plan],
    everything: bool,
    report: Report,
    margin: float,
) -> tuple[tuple[Repair, ...], int]:
    """(repairs, proposals that were not solved)."""
    try:
        proposed = proposals(scenario, rows, watch, stated, margin)
    except StoppedError:
        return (), len(rows.found.proved)
    wanted = proposed if everything else proposed[:SHOWN]
    told = _told(repairs(wanted, apply, solved), report)
    rules = [bit for bit, demand in enumerate(rows.rows.demands) if demand.condition.kind == "engine"]
    if any(mask >> bit & 1 for mask in rows.found.masks for bit in rules) and not watch.over:
        told += _told(engines(scenario, apply, solved), report)
    return told, len(proposed) - sum(1 for repair in told if repair.edits[0].key != "engine")


def _by_hand(scenario: Scenario, origin: Callable[[str], Source]) -> tuple[Conflict, ...]:
    """What arithmetic alone says, where there was no time for more."""
    from .conflicts import unproved

    return tuple(unproved(scenario, one, origin) for one in contradictions(scenario))


def _searched(rows: Search) -> str:
    enough = f" ({rows.enough})" if rows.enough else ""
    text = f"all {len(rows.rows.grid):,} combinations on up to {rows.gpus:,} GPUs{enough} that the model's shapes allow"
    return text if rows.complete else f"{text}; not all were decided in the time given"
