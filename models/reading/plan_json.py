"""A plan.json that shardwise wrote, read again."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from ..deployment import DeploymentPlan
from ..errors import InputError, Place
from ..plan import Plan

LARGEST_PLAN = 64_000_000
"""Bytes; 8,192 ranks take two million."""


def read_plan(path: Path) -> Plan | DeploymentPlan:
    """Read a plan.json. Raises InputError for what is none."""
    try:
        if path.stat().st_size > LARGEST_PLAN:
            raise InputError(f"more than {LARGEST_PLAN:,} bytes are no plan", place=Place(path))
        text = path.read_text(encoding="utf-8")
    except InputError:
        raise
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(f"cannot read the plan: {reason}", place=Place(path)) from None
    return parse_plan(text, path)


def parse_plan(text: str, path: Path) -> Plan | DeploymentPlan:
    """The plan in a text."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise InputError("nested too deeply for a plan", place=Place(path)) from None
    except ValueError as error:
        line = getattr(error, "lineno", None)
        raise InputError(f"this is no JSON: {error}", place=Place(path, line)) from None
    kind = DeploymentPlan if isinstance(data, dict) and data.get("kind") == "deployment" else Plan
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the file"
        raise InputError(
            f"this is no plan.json: {where}: {first['msg']}",
            place=Place(path),
            help="`shardwise solve` writes one; its shape: `shardwise schema plan`",
        ) from None
