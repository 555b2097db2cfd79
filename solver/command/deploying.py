"""What `solve` says of a deployment of pools."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from ...models import ScenarioFile
from ...models.conflict import Conflict, Source
from ...models.deployment import DeploymentPlan
from ...models.table_scenario import TableScenario
from ..errors import DisagreementError
from ..pools.solving import deploy
from ..writing.checks import check_lines
from ..writing.deployment_md import deployment_headline
from ..writing.explanation import conflict_text
from ..writing.results_md import band_words, measured_words
from ..writing.save import save_deployment
from .output import EXIT_CODES, disagreed, progress, say, say_tightened


def deploy_and_save(
    conditions: ScenarioFile | TableScenario, folder: Path, time_limit: float | None, stop: threading.Event
) -> int:
    """Solve, write the files, print the JSON object. Returns the exit code."""
    asked = conditions.scenario if isinstance(conditions, ScenarioFile) else conditions
    try:
        plan = deploy(asked, time_limit=time_limit, stop=stop, progress=progress())
    except DisagreementError as error:
        return disagreed(error)
    if isinstance(conditions, ScenarioFile):
        plan = plan.model_copy(update={"conflicts": tuple(_placed(one, conditions) for one in plan.conflicts)})
    paths = save_deployment(plan, folder)
    _show(plan, paths)
    print(json.dumps(_summary(plan, paths), ensure_ascii=False))
    return EXIT_CODES[plan.status]


def _placed(conflict: Conflict, file: ScenarioFile) -> Conflict:
    """With the file and line of every member."""
    members = []
    for member in conflict.members:
        place, stated = file.place(member.source.key)
        source = Source(file=str(place.file), line=place.line, key=member.source.key, stated=stated)
        members.append(member.model_copy(update={"source": source}))
    return conflict.model_copy(update={"members": tuple(members)})


def _show(plan: DeploymentPlan, paths: dict[str, str]) -> None:
    if plan.status == "unknown":
        say("stopped before there was an answer; nothing was written")
        say("help: give more time, or bound the search with `strategy:`, `modes:` or fewer GPUs")
        return
    if plan.status == "infeasible":
        say(f"no deployment exists for {plan.scenario.name}")
        say_tightened(plan.scenario.requirements)
        if not plan.conflicts:
            say("  why was not found in the time given (--time-limit): no condition is named")
        for number, conflict in enumerate(plan.conflicts, 1):
            say(f"\n{conflict_text(number, conflict, 'deployment')}")
        for kind, path in paths.items():
            say(f"  {kind}: {path}")
        return
    say(deployment_headline(plan).replace("**", ""))
    say_tightened(plan.scenario.requirements)
    if (tables := measured_words(plan.passes)) is not None:
        say(f"  {tables}")
    for line in check_lines(plan, ("requirements.", "memory.", "load.", "pools.")):
        say(f"  {line}")
    if plan.uncertainty is not None:
        say(f"  {band_words(plan.uncertainty)}")
    for pool in plan.pools:
        say(f"  {pool.role} pool: {pool.gpus} GPUs, utilisation {pool.utilization:.1%}")
    for one in plan.restrictions:
        say(f"  {one.name}: {one.stated} costs {one.costs}")
    if plan.idle_reason:
        say(f"  {plan.idle_reason}")
    say(f"  {plan.proof.candidates:,} engines, proof in {plan.proof.wall_s:.2f} s; {plan.proof.second_route}")
    for warning in plan.warnings:
        say(f"warning: {warning}")
    for kind, path in paths.items():
        say(f"  {kind}: {path}")


def _summary(plan: DeploymentPlan, paths: dict[str, str]) -> dict[str, object]:
    summary: dict[str, object] = {"status": plan.status, "kind": plan.kind, **paths}
    if plan.conflicts:
        summary["conflicts"] = [list(conflict.ids) for conflict in plan.conflicts]
    if (p := plan.predictions) is not None:
        summary |= {
            "pools": {
                pool.role: [{"engine": e.name, "count": e.count, "accelerator": e.accelerator} for e in pool.engines]
                for pool in plan.pools
            },
            "gpus_used": plan.gpus_used,
            "requests_per_s": p.requests_per_s,
            "ttft_s": p.ttft_s,
            "tpot_s": p.tpot_s,
            "tokens_per_s_per_gpu": p.tokens_per_s_per_gpu,
            "cost_per_hour": p.cost_per_hour,
        }
    return summary
