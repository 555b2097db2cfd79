"""The commands, with their arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import output
from .on_many import many_app
from .on_measurements import measurements_app
from .on_plans import known_engine, plans_app
from .options import KnowledgePaths, duration, share

if TYPE_CHECKING:
    from ...models import ScenarioFile

app = typer.Typer(
    name="shardwise",
    help="Proved-optimal parallel strategies for serving large language models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
catalog_app = typer.Typer(
    help="The packaged accelerators and language models.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(catalog_app, name="catalog")
app.add_typer(plans_app)
app.add_typer(many_app)
app.add_typer(measurements_app)

ScenarioPath = Annotated[Path, typer.Argument(help="A scenario file (YAML, JSON or Markdown).", show_default=False)]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"shardwise {version('shardwise')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Proved-optimal parallel strategies for serving large language models."""


@app.command()
def solve(
    scenario: ScenarioPath,
    save: Annotated[Path, typer.Option(help="Folder for plan.json and plan.md.")] = Path("plans"),
    knowledge: KnowledgePaths = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Also pareto.json and pareto.csv: the latency–throughput frontier.")
    ] = False,
    alternatives: Annotated[int, typer.Option(min=0, max=100, help="Runners-up to show.")] = 3,
    time_limit: Annotated[
        str | None, typer.Option(help="Stop after so many seconds (or '2 min') and keep what was found.")
    ] = None,
    margin: Annotated[
        str | None, typer.Option(help="Divide limits on times and multiply limits on rates by 1 + a share, as in 10%.")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Also report.html: the plan as a page with a picture.")
    ] = False,
    launch: Annotated[
        str | None, typer.Option(help="Also what starts it on vllm, sglang, trtllm or dynamo, in SAVE/launch.")
    ] = None,
) -> None:
    """Find the best plan for a scenario, prove it, check it, and save it.

    Prints one JSON object with the status and the paths, and one more for --launch.

    Exit 0: proved; 3: no plan exists; 4: stopped before the proof.
    """
    from ...models import InputError, ScenarioFile
    from ...models.conditions_file import read_conditions, tightened

    if launch is not None:
        known_engine(launch, None)
    conditions, seconds = read_conditions(scenario, knowledge or ()), duration("--time-limit", time_limit)
    if margin is not None:
        conditions = tightened(conditions, share("--margin", margin))
    from ..writing.files import save_folder

    if isinstance(conditions, ScenarioFile) and not conditions.scenario.pools:
        code = output.solve_and_save(conditions, save_folder(save), seconds, alternatives, pareto)
        raise typer.Exit(_more(code, save, launch, report))
    if pareto:
        raise InputError("--pareto draws the frontier of one strategy on one card; this scenario asks for pools")
    folder, stop = save_folder(save), output.stop_on_signals()
    from .deploying import deploy_and_save

    raise typer.Exit(_more(deploy_and_save(conditions, folder, seconds, stop), save, launch, report))


def _more(code: int, folder: Path, engine: str | None, report: bool) -> int:
    """Write what else is asked for of the plan in a folder: its page, what starts it. Returns the exit code."""
    if engine is None and not report:
        return code
    if code:
        asked = [name for name, wanted in (("report.html", report), ("launch", engine is not None)) if wanted]
        output.say(f"  {' and '.join(asked)}: not written, for there is no proved plan")
        return code
    from ...models.reading.plan_json import read_plan
    from ..writing.files import save_folder
    from .launching import launch_and_save

    plan = read_plan(folder / "plan.json")
    if report:
        from .sweeping import page_of_plan

        page_of_plan(plan, folder)
    if engine is None:
        return 0
    return launch_and_save(plan, engine, None, save_folder(folder / "launch"), replan=False)


def _one_strategy(command: str, scenario: Path, knowledge: list[Path] | None) -> ScenarioFile:
    """A scenario that asks for one strategy on one card, which is all that some commands can look at."""
    from ...models import InputError, ScenarioFile
    from ...models.conditions_file import read_conditions

    conditions = read_conditions(scenario, knowledge or ())
    if not isinstance(conditions, ScenarioFile) or conditions.scenario.pools:
        raise InputError(
            f"`{command}` looks at one strategy on one card; this scenario asks for a deployment of pools",
            help="`shardwise solve` plans it; without modes, distinct_strategies, request_rate, inventory and engines "
            f"`{command}` works too",
        )
    return conditions


@app.command()
def explain(
    scenario: ScenarioPath,
    save: Annotated[Path, typer.Option(help="Folder for explanation.json and explanation.md.")] = Path("plans"),
    knowledge: KnowledgePaths = None,
    everything: Annotated[bool, typer.Option("--all", help="Work out every conflict and every repair.")] = False,
    budget: Annotated[
        str | None, typer.Option(help="Stop after so many seconds (or '2 min'); what was proved by then stands.")
    ] = None,
    most_gpus: Annotated[
        int | None, typer.Option(min=1, max=8192, help="GPUs up to which more of them are tried as a way out.")
    ] = None,
    repair: Annotated[
        int | None, typer.Option("--apply", min=1, help="Write the scenario with repair number N to --out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The new file for --apply.")] = None,
) -> None:
    """Say why no plan exists and what would make one, or what holds the plan back.

    Prints one JSON object with the status, the conflicts, the repairs and the paths.

    Exit 0: a plan exists, or a repair was written; 3: no plan exists; 4: stopped before that was known.
    """
    from ...models import InputError
    from ..writing.files import new_file, save_folder

    conditions, seconds = _one_strategy("explain", scenario, knowledge), duration("--budget", budget)
    if (repair is None) != (out is None):
        raise InputError("--apply and --out belong together", help="--apply 1 --out repaired.yaml")
    if out is not None and out.suffix.lower() not in conditions.suffixes:
        endings = " or ".join(conditions.suffixes)
        raise InputError(f"--out {out}: the repaired scenario is written as {endings}", help=f"name it …{endings[:5]}")
    target = None if out is None else new_file(out)
    folder, stop = save_folder(save), output.stop_on_signals()  # before what takes long to import
    from .explaining import Wanted, explain_and_save

    wanted = Wanted(everything or (repair or 0) > 5, most_gpus, repair, target)
    raise typer.Exit(explain_and_save(conditions, folder, budget=seconds, stop=stop, wanted=wanted))


@app.command()
def check(scenario: ScenarioPath, knowledge: KnowledgePaths = None) -> None:
    """Validate a scenario without solving it."""
    from ...models import ScenarioFile
    from ...models.conditions_file import read_conditions

    conditions = read_conditions(scenario, knowledge or ())
    if isinstance(conditions, ScenarioFile):
        output.show_scenario(conditions.scenario)
    else:
        output.show_table(conditions)
    print(json.dumps({"status": "valid", "scenario": str(scenario)}))


@app.command()
def evaluate(
    scenario: ScenarioPath,
    tensor: Annotated[int, typer.Option("--tensor", "--tp", min=1, help="Tensor degree.")] = 1,
    context: Annotated[int, typer.Option("--context", "--cp", min=1, help="Context degree.")] = 1,
    data: Annotated[int, typer.Option("--data", "--dp", min=1, help="Attention data degree inside an engine.")] = 1,
    pipeline: Annotated[int, typer.Option("--pipeline", "--pp", min=1, help="Pipeline stages.")] = 1,
    expert: Annotated[int, typer.Option("--expert", "--ep", min=1, help="Expert degree.")] = 1,
    expert_tensor: Annotated[int, typer.Option("--expert-tensor", "--etp", min=1, help="Ranks per expert.")] = 1,
    knowledge: KnowledgePaths = None,
    engines: Annotated[int | None, typer.Option(min=1, help="Engines; absent: the best count.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Sequences per attention replica and micro-batch.")] = None,
    token_budget: Annotated[int | None, typer.Option(min=1, help="Tokens of the largest forward pass.")] = None,
) -> None:
    """Price one given strategy under a scenario and list the conditions it breaks (exit 3 if any)."""
    from ...models import Strategy

    conditions = _one_strategy("evaluate", scenario, knowledge).scenario
    given = Strategy(
        tensor=tensor,
        context=context,
        data=data,
        pipeline=pipeline,
        expert=expert,
        expert_tensor=expert_tensor,
    )
    from ..evaluation import evaluate as price

    result = price(conditions, given, batch=batch, engines=engines, token_budget=token_budget)
    output.show_evaluation(result)
    print(result.model_dump_json())
    raise typer.Exit(0 if result.ok else 3)


@catalog_app.command("list")
def catalog_list(
    as_json: Annotated[bool, typer.Option("--json", help="Ids as JSON.")] = False,
) -> None:
    """All ids that a scenario may name."""
    from ...models import catalog

    kinds = {kind: list(catalog.ids(kind)) for kind in ("accelerators", "language_models", "engines")}
    if as_json:
        print(json.dumps(kinds))
        return
    for kind, ids in kinds.items():
        print(f"{kind.replace('_', ' ')}:")
        for name in ids:
            print(f"  {name}")


@catalog_app.command("show")
def catalog_show(
    name: Annotated[
        str, typer.Argument(help="An id, as `catalog list` prints it, or a config.json.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """One accelerator or language model: its figures, counts and sources."""
    from .catalog import entry, entry_text

    found = entry(name)
    print(json.dumps(found, ensure_ascii=False, indent=1) if as_json else entry_text(found))


@app.command()
def schema(
    of: Annotated[
        str,
        typer.Argument(
            help="scenario, table-scenario (engines of a table), plan, deployment (a plan of pools), explanation, "
            "evaluation or audit."
        ),
    ] = "scenario",
) -> None:
    """The JSON Schema of a scenario (for editors) or of the files shardwise writes."""
    from pydantic import BaseModel

    from ... import models
    from ...models.audit import Audit

    kinds: dict[str, type[BaseModel]] = {
        "scenario": models.Scenario,
        "plan": models.Plan,
        "table-scenario": models.TableScenario,
        "deployment": models.DeploymentPlan,
        "explanation": models.Explanation,
        "evaluation": models.Evaluation,
        "audit": Audit,
    }
    if of not in kinds:
        raise models.InputError(f"no schema of '{of[:40]}'", help=f"there are: {', '.join(kinds)}")
    shape = kinds[of].model_json_schema(mode="validation" if of.endswith("scenario") else "serialization")
    print(json.dumps(shape, ensure_ascii=False, indent=1))
