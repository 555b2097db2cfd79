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


def share(option: str, text: str) -> float:
    """A share such as 10% or 0.1. Raises InputError."""
    from ...models import InputError
    from ...models.units import SHARE, parse

    try:
        found = parse(float(text) if text.replace(".", "", 1).isdigit() else text, SHARE, bare=True)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None
    if found >= 1 and "%" not in text:  # 10 is more likely 10 % than 1,000 %
        raise InputError(f"{option}: is {text[:20]} meant as {text[:20]}% or {found:.0%}?", help="write the % sign")
    if found > 10:
        raise InputError(f"{option}: {text[:20]} is above 1,000 %", help="write such as 10%")
    return found
