"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KnowledgePaths = Annotated[
    list[Path] | None,
    typer.Option("--knowledge", help="A knowledge file or folder laid under the scenario; repeatable."),
]


def duration(option: str, text: str | None) -> float | None:
    """A duration in seconds; a bare number on the command line is seconds. Raises InputError."""
    from ...models import InputError
    from ...models.units import DURATION, parse

    if text is None:
        return None
    try:
        return parse(float(text) if text.replace(".", "", 1).isdigit() else text, DURATION, bare=True)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None
