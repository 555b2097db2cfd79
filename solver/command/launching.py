"""What `launch` does: files for a serving engine, or why it cannot express the plan and what it can."""

from __future__ import annotations

import json
from pathlib import Path

from ...models import InputError, Scenario
from ...models.deployment import DeploymentPlan
from ...models.plan import Plan
from ..launch import Launched, RefusedError, launch
from ..launch.dynamo import launch_dynamo
from ..launch.refusal import for_engine
from ..writing.files import write_text
from .output import say

REFUSED = 3


def launch_and_save(
    plan: Plan | DeploymentPlan, engine: str, backend: str | None, folder: Path, *, replan: bool
) -> int:
    """Write the files, print the JSON object. Returns the exit code."""
    try:
        made = _launched(plan, engine, backend)
    except RefusedError as error:
        say(f"error: {error.engine} cannot express this plan")
        for reason in error.reasons:
            say(f"  {reason}")
        best = _best(plan, error.engine)
        if best is None:
            say(f"help: no plan that {error.engine} can express keeps the scenario's conditions")
            print(json.dumps({"status": "refused", "reasons": error.reasons}, ensure_ascii=False))
            return REFUSED
        say(f"  the best plan that it can: {_headline(best)}")
        if not replan:
            say(f"help: --replan launches that plan; `engine: {error.engine}` in the scenario plans for it at once")
            print(json.dumps({"status": "refused", "reasons": error.reasons}, ensure_ascii=False))
            return REFUSED
        try:
            made = _launched(best, engine, backend)
        except RefusedError as again:
            say(f"error: {again}")
            return REFUSED
        write_text(folder / "plan.json", best.model_dump_json(indent=1) + "\n")
    return saved(made, folder)


def saved(made: Launched, folder: Path) -> int:
    """Write what was made. Scripts can be run."""
    for name, text in made.files.items():
        path = write_text(folder / name, text)
        if name.endswith(".sh") and name != "hosts.sh":
            path.chmod(path.stat().st_mode | 0o111)
    shown = ", ".join(list(made.files)[:8]) + (", …" if len(made.files) > 8 else "")
    say(f"{len(made.files)} files for {made.engine} in {folder}: {shown}")
    for note in made.notes:
        say(f"  note: {note}")
    found = {"status": "written", "engine": made.engine, "folder": str(folder), "files": list(made.files)}
    print(json.dumps(found, ensure_ascii=False))
    return 0


def _launched(plan: Plan | DeploymentPlan, engine: str, backend: str | None) -> Launched:
    if engine == "dynamo":
        named = plan.scenario.engine.id if isinstance(plan.scenario, Scenario) and plan.scenario.engine else "vllm"
        return launch_dynamo(plan, backend or named)
    if backend is not None:
        raise InputError("--backend belongs to --engine dynamo", help=f"leave it out, or --engine {backend}")
    return launch(plan, engine)


def _best(plan: Plan | DeploymentPlan, engine: str) -> Plan | DeploymentPlan | None:
    """The best plan of the same conditions that an engine can express."""
    from ..pools.solving import deploy
    from ..solving import solve

    assert isinstance(plan.scenario, Scenario)
    scenario = for_engine(plan.scenario, engine)
    say(f"… planning again for {engine}")
    found: Plan | DeploymentPlan
    if isinstance(plan, DeploymentPlan):
        found = deploy(scenario, restrictions=False, conflicts=False)
    else:
        found = solve(scenario, conflicts=False, readings=False)
    return found if found.status in ("optimal", "feasible") else None


def _headline(plan: Plan | DeploymentPlan) -> str:
    from ..writing.deployment_md import deployment_headline
    from ..writing.plan_md import plain_headline

    if isinstance(plan, DeploymentPlan):
        return deployment_headline(plan).replace("**", "")
    return plain_headline(plan)
