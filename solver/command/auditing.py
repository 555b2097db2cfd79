"""What `audit` does: read a plan from elsewhere, hold it against a scenario, print the findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...models import InputError, Scenario, ScenarioFile
from ...models.audit import AuditFinding
from ...models.claimed import Claimed
from ...models.knowledge import load_knowledge
from ...models.reading.claimed import read_claimed, read_words
from ..audit.audit import audit
from ..watch import Watch
from ..writing.audit_text import audit_text

NOT_SOUND = 5


def audit_and_show(
    plan: Path | None,
    words: Sequence[str],
    conditions: ScenarioFile,
    knowledge: Sequence[Path],
    *,
    as_json: bool,
    time_limit: float | None,
) -> int:
    """Print the findings, as words or as JSON. Returns the exit code."""
    scenario = conditions.scenario
    experts = scenario.model.experts is not None
    claimed = read_words(words, experts) if plan is None else read_claimed(plan, experts)
    measures = load_knowledge(knowledge).measures if knowledge else ()
    found = audit(
        scenario, claimed, measures=measures, conditions=_own_conditions(plan, claimed, scenario),
        watch=Watch(time_limit),
    )  # fmt: skip
    print(found.model_dump_json(indent=1) if as_json else audit_text(found))
    return 0 if found.sound else NOT_SOUND


def _own_conditions(plan: Path | None, claimed: Claimed, scenario: Scenario) -> Iterator[AuditFinding]:
    """Where a Markdown plan states other conditions than the scenario."""
    if claimed.form != "markdown" or plan is None:
        return
    try:
        own = ScenarioFile.read(plan).scenario
    except InputError:
        return  # its conditions are not whole, or are written otherwise: the scenario alone counts
    for name in ("model", "workload", "requirements"):
        yield from _differences(name, getattr(own, name).model_dump(), getattr(scenario, name).model_dump())
    card, theirs = scenario.hardware.accelerator.model_dump(), own.hardware.accelerator.model_dump()
    yield from _differences("hardware.accelerator", theirs, card)


_NAMES = {"id", "name", "sources", "assumed", "checkpoint"}


def _differences(where: str, own: dict[str, object], asked: dict[str, object]) -> Iterator[AuditFinding]:
    for key, value in own.items():
        if key in _NAMES or value == asked.get(key):
            continue
        yield AuditFinding(
            severity="warning", topic="claims", id=f"conditions.{where}.{key}",
            statement=f"the plan was made for another {where}.{key} than the scenario has", stated=str(value)[:80],
            found=str(asked.get(key))[:80], source="the plan's own conditions",
        )  # fmt: skip
