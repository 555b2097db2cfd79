"""The commands on finished plans, ours or others', with their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import KnowledgePaths, duration

plans_app = typer.Typer()

Engine = Annotated[str, typer.Option("--engine", help="vllm, sglang, trtllm or dynamo.", show_default=False)]


@plans_app.command()
def launch(
    plan: Annotated[Path, typer.Argument(help="A plan.json that shardwise wrote.", show_default=False)],
    engine: Engine,
    save: Annotated[Path, typer.Option(help="Folder for the scripts or the manifest.")] = Path("launch"),
    backend: Annotated[
        str | None, typer.Option(help="Engine inside dynamo; absent: the scenario's, else vllm.", show_default=False)
    ] = None,
    replan: Annotated[
        bool, typer.Option("--replan", help="Where the engine cannot express the plan, launch the best one it can.")
    ] = False,
) -> None:
    """Write what starts a plan on a serving engine, and a load test that puts its prediction to the proof.

    Exit 0: written; 3: the engine cannot express the plan.
    """
    from ...models.reading.plan_json import read_plan

    known_engine(engine, backend)
    found = read_plan(plan)
    from ..writing.files import save_folder
    from .launching import launch_and_save

    raise typer.Exit(launch_and_save(found, engine, backend, save_folder(save), replan=replan))


def known_engine(engine: str, backend: str | None) -> None:
    """Raise InputError for an engine that nothing is written for."""
    from ...models import InputError

    engines = ("vllm", "sglang", "trtllm")
    if engine not in (*engines, "dynamo"):
        raise InputError(f"unknown engine '{engine[:40]}'", help=f"there are: {', '.join(engines)}, dynamo")
    if backend is not None and backend not in engines:
        raise InputError(f"unknown engine '{backend[:40]}' for --backend", help=f"there are: {', '.join(engines)}")


@plans_app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def audit(
    context: typer.Context,
    scenario: Annotated[Path, typer.Option("--scenario", help="What the plan must serve.", show_default=False)],
    plan: Annotated[
        Path | None,
        typer.Argument(
            help="A plan.json, a Markdown plan, a launch command, a folder of scripts, a Kubernetes or Dynamo "
            "manifest; or leave it out and give a command after --.",
            show_default=False,
        ),
    ] = None,
    knowledge: KnowledgePaths = None,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
    time_limit: Annotated[str | None, typer.Option(help="Stop looking for the optimum after so long.")] = None,
) -> None:
    """Say whether a plan runs, keeps the requirements and does what it says, and how far it is from the optimum.

    Exit 0: sound; 5: some finding is an error.
    """
    from ...models import InputError

    words = list(context.args)
    if plan is not None and (words or " " in str(plan)):  # what stands after -- begins where PLAN does
        words, plan = [str(plan), *words], None
    if (plan is None) == (not words):
        raise InputError(
            "name a plan, or give a command after --", help="shardwise audit --scenario s.yaml -- vllm serve …"
        )
    from ...models import ScenarioFile
    from ...models.conditions_file import read_conditions

    conditions, seconds = read_conditions(scenario, knowledge or ()), duration("--time-limit", time_limit)
    if not isinstance(conditions, ScenarioFile):
        raise InputError("engines of a table have no degrees to audit", help="name a scenario with a model")
    from .auditing import audit_and_show

    raise typer.Exit(audit_and_show(plan, words, conditions, knowledge or (), as_json=as_json, time_limit=seconds))
