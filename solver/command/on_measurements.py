"""The command on measurements, with its arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

measurements_app = typer.Typer()


@measurements_app.command()
def calibrate(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="A .csv of measurements, or results of vLLM's, SGLang's or AIPerf's benchmarks (.json, .jsonl).",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The knowledge file to write.", show_default=False)],
    plan: Annotated[
        Path | None, typer.Option(help="The plan.json that ran, for files that tell no layout.", show_default=False)
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Only measurements of vllm, sglang or trtllm.", show_default=False)
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(help="Only measurements of this GPU, as the file calls it.", show_default=False)
    ] = None,
) -> None:
    """Fit the cost model's constants to your own benchmark results and write them as a knowledge file.

    Constants that the results do not tell are left as they are. Exit 0: written; 1: bad input, or nothing to fit.
    """
    from .calibrating import calibrate_and_save

    raise typer.Exit(calibrate_and_save(files, plan, engine, gpu, out))
