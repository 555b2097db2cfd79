"""The commands on many scenarios, with their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import KnowledgePaths, duration

many_app = typer.Typer()


@many_app.command()
def sweep(
    file: Annotated[
        Path, typer.Argument(help="A scenario to vary, or a file that describes a sweep.", show_default=False)
    ],
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="key=8,16,32, key=8:64:8, key=1:256:x2 or key=x0.8,x1,x1.2 (times the scenario's value); repeatable.",
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder of the store; absent: runs/NAME.", show_default=False)
    ] = None,
    knowledge: KnowledgePaths = None,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="Processes; absent: one per core.")] = None,
    time_limit: Annotated[str | None, typer.Option(help="Of each scenario.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Compute failed scenarios again.")] = False,
    engine: Annotated[str, typer.Option(help="local (processes on this machine) or ray.")] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="Of the Ray cluster; absent: the one this machine is part of.", show_default=False),
    ] = None,
    export: Annotated[
        str | None, typer.Option(help="csv or json to stdout, or parquet into the folder.", show_default=False)
    ] = None,
) -> None:
    """Solve every scenario of a grid or list once, and keep the results; the same command goes on where it stopped.

    Exit 0: all done; 4: stopped before the end; 6: some scenario failed.
    """
    from .sweeping import sweep_and_save

    code = sweep_and_save(
        file, vary or (), knowledge or (), save, workers=workers, time_limit=duration("--time-limit", time_limit),
        retry_failed=retry_failed, exported=export, engine=engine, address=address,
    )  # fmt: skip
    raise typer.Exit(code)


@many_app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a sweep's store.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="The HTML file; absent: report.html in the folder.")] = None,
) -> None:
    """Build one HTML file from a stored sweep, which opens without a network."""
    from .sweeping import report_and_save

    raise typer.Exit(report_and_save(folder, out))


@many_app.command()
def compare(
    first: Annotated[
        Path, typer.Argument(help="A plan.json, the folder of one, or the folder of a sweep.", show_default=False)
    ],
    second: Annotated[Path, typer.Argument(help="What it is compared with.", show_default=False)],
) -> None:
    """Say what changed between two plans or two sweeps, and by how much."""
    from .sweeping import compare_and_show

    raise typer.Exit(compare_and_show(first, second))
