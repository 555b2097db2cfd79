"""What `explain` says, and `solve` where no plan exists: findings as they come, then the files and the JSON object."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from ...models import Explanation, InputError, Plan, ScenarioFile
from ...models.conflict import Conflict
from ...models.explanation import Binding, Repair
from ..errors import DisagreementError
from ..explanation.explain import explain
from ..readings import flips
from ..writing.explanation import binding_text, closing_text, conflict_text, edit_text, repair_text
from ..writing.files import write_text
from ..writing.plan_md import plain_headline
from ..writing.save import save_explanation
from .output import EXIT_CODES, disagreed, say, show_readings, stop_on_signals, verdict_depends_on


@dataclass(frozen=True)
class Wanted:
    """What was asked for beside the explanation."""

    everything: bool = False
    most_gpus: int | None = None
    repair: int | None = None
    """Number of the repair to apply."""
    out: Path | None = None
    """Where to write it."""


def explain_and_save(
    file: ScenarioFile,
    folder: Path,
    *,
    plan: Plan | None = None,
    budget: float | None = None,
    stop: threading.Event | None = None,
    wanted: Wanted | None = None,
) -> int:
    """Explain, write the files, print the JSON object. Returns the exit code."""
    stop, wanted = stop or stop_on_signals(), wanted or Wanted()
    told = _Told(file.scenario.name)
    try:
        found = explain(
            file.scenario,
            plan=plan,
            file=file,
            budget=budget,
            stop=stop,
            everything=wanted.everything,
            most_gpus=wanted.most_gpus,
            report=told,
        )
    except DisagreementError as error:
        return disagreed(error)
    told.end(found)
    if found.status == "unknown":
        print(json.dumps({"status": "unknown"}))
        return EXIT_CODES["unknown"]
    chosen = _chosen(found, wanted)
    paths = save_explanation(found, folder)
    written = _apply(file, chosen, wanted)
    for kind, path in (paths | written).items():
        say(f"  {kind}: {path}")
    print(json.dumps(_summary(found, paths | written), ensure_ascii=False))
    return 0 if written else EXIT_CODES["optimal" if found.headline else "infeasible"]


class _Told:
    """Says each finding once, under the verdict."""

    def __init__(self, name: str) -> None:
        self._name, self._conflicts, self._repairs = name, 0, 0

    def __call__(self, one: Plan | Conflict | Repair | Binding) -> None:
        if isinstance(one, Plan):
            if (flip := flips(one)) is not None:
                say(f"warning: {flip}")
            say(f"the plan: {plain_headline(one)}" if one.engines else f"no plan exists for {self._name}")
        elif isinstance(one, Binding):
            say(binding_text(one))
        elif isinstance(one, Conflict):
            self._conflicts += 1
            say(f"\n{conflict_text(self._conflicts, one)}")
        else:
            self._repairs += 1
            say(f"\n{repair_text(self._repairs, one)}")

    def end(self, found: Explanation) -> None:
        """What stands under the findings."""
        if found.status == "unknown":
            say("stopped before it was known whether a plan exists; nothing was written")
            say("help: give a larger --budget, or bound the search with `strategy:` or fewer `hardware.gpus`")
            return
        say("")
        for warning in found.warnings:
            say(f"warning: {warning}")
        show_readings(found)
        say(closing_text(found))


def _chosen(found: Explanation, wanted: Wanted) -> Repair | None:
    """The repair that was asked for. Raises InputError, before anything is written, if there is none of that number."""
    if wanted.repair is None:
        return None
    if wanted.repair > len(found.repairs):
        there = f"there are {len(found.repairs)}" if found.repairs else "there is none"
        why = "the scenario has a plan as it stands" if found.headline else there
        raise InputError(f"no repair number {wanted.repair}: {why}")
    return found.repairs[wanted.repair - 1]


def _apply(file: ScenarioFile, chosen: Repair | None, wanted: Wanted) -> dict[str, str]:
    """Write the scenario with a repair."""
    if chosen is None or wanted.out is None:
        return {}
    write_text(wanted.out, file.text(chosen.edits, wanted.out.parent))
    say(f"wrote {wanted.out}: {'; '.join(edit_text(edit) for edit in chosen.edits)}")
    return {"repaired": str(wanted.out)}


def _summary(found: Explanation, paths: dict[str, str]) -> dict[str, object]:
    summary: dict[str, object] = {"status": found.status, "complete": found.complete, **paths}
    if found.conflicts:
        summary["conflicts"] = [list(conflict.ids) for conflict in found.conflicts]
    if found.repairs:
        summary["repairs"] = [
            {"edits": [edit.model_dump(by_alias=True) for edit in repair.edits], "headline": repair.headline}
            for repair in found.repairs
        ]
    if found.bindings:
        summary["binding"] = [binding.id for binding in found.bindings if binding.binds]
    return summary | verdict_depends_on(found)
