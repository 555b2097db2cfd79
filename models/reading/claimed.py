"""A plan from elsewhere, whatever its form: plan.json, a Markdown plan, launch commands, a manifest."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from ..claimed import Claim, Claimed, ClaimedEngine, What
from ..deployment import DeploymentPlan
from ..errors import InputError, Place
from ..plan import Plan
from ..strategy import DEGREES, Strategy
from .plan_command import read_command_text
from .plan_json import parse_plan, read_plan
from .plan_manifest import is_manifest, read_manifest
from .plan_markdown import read_markdown_plan
from .tree import LARGEST_FILE

ARGUMENTS = "command line"
"""The file of a command that was given after --."""


def read_claimed(path: Path, experts: bool) -> Claimed:
    """Read a file, or the scripts of a folder. `experts`: whether the scenario's model has any. Raises InputError."""
    if path.is_dir():
        return _folder(path, experts)
    if path.suffix.lower() == ".json" and not (path.is_file() and path.stat().st_size <= LARGEST_FILE):
        return _of_plan(read_plan(path), path)
    text = _text(path)
    if is_manifest(text) and path.suffix.lower() not in (".md", ".markdown"):
        return read_manifest(text, path, experts)
    if path.suffix.lower() == ".json":
        return _of_plan(parse_plan(text, path), path)
    if text.startswith("# Deployment plan: ") and "## Proof" in text:
        raise InputError("this is a report of shardwise", place=Place(path), help="audit the plan.json beside it")
    if path.suffix.lower() in (".md", ".markdown"):
        return read_markdown_plan(text, str(path))
    if text.lstrip().startswith("{"):
        return _of_plan(parse_plan(text, path), path)
    if path.suffix.lower() == ".txt" and text.lstrip().startswith("#") and "##" in text:
        return read_markdown_plan(text, str(path))
    return read_command_text(text, path, experts)


def read_words(words: Sequence[str], experts: bool) -> Claimed:
    """Read a command that was given as arguments."""
    text = words[0] if len(words) == 1 else shlex.join(words)
    return read_command_text(text, Path(ARGUMENTS), experts)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"more than {LARGEST_FILE:,} bytes are no plan", place=Place(path))
        return path.read_text(encoding="utf-8-sig")
    except InputError:
        raise
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(f"cannot read the plan: {reason}", place=Place(path)) from None


def _folder(path: Path, experts: bool) -> Claimed:
    """All scripts of a folder together, as `launch` writes them."""
    for file in sorted(path.glob("*.yaml")):
        if file.is_file() and is_manifest(text := _text(file)):
            return read_manifest(text, file, experts)
    scripts = sorted(file for file in path.iterdir() if file.suffix == ".sh" and file.is_file())
    if not scripts:
        raise InputError("this folder holds no script (.sh)", place=Place(path))
    if len(scripts) > 10_000:
        raise InputError("more than 10,000 scripts are no launch folder", place=Place(path))
    from .plan_command import claimed_of, said_in

    found = [said for file in scripts for said in said_in(_text(file), file)]
    return claimed_of(found, str(path), "command", experts)


def _of_plan(plan: Plan | DeploymentPlan, path: Path) -> Claimed:
    """What a plan.json states of itself."""
    if plan.predictions is None:
        raise InputError(f"the plan is {plan.status}: it has no engines to audit", place=Place(path))
    engine = getattr(plan.scenario, "engine", None)
    engines = []
    if not plan.engines:
        raise InputError("the plan has no engines", place=Place(path))
    for entry in plan.engines:
        if entry.strategy is None:
            raise InputError("engines of a table have no degrees to audit", place=Place(path))
        s = entry.strategy
        engines.append(
            ClaimedEngine(
                role=entry.role
                if entry.role in ("prefill", "decode") and isinstance(plan, DeploymentPlan)
                else "aggregated",
                strategy=Strategy(**{name: getattr(s, name) for name in DEGREES}),
                count=entry.count,
                sequences=-(-s.in_flight // s.data),
                token_budget=s.token_budget,
                layers_per_stage=s.layers_per_stage,
            )
        )
    p = plan.predictions
    claims = [_claim("gpus", plan.gpus_used), _claim("ttft", p.ttft_s), _claim("request_latency", p.request_latency_s)]
    claims.append(_claim("requests", p.requests_per_s))
    if p.tpot_s is not None:
        claims.append(_claim("tpot", p.tpot_s))
    if isinstance(plan, Plan) and plan.predictions is not None:
        claims.append(_claim("memory_per_gpu", plan.predictions.memory_bytes_per_gpu.total))
    return Claimed(
        file=str(path),
        form="plan" if isinstance(plan, Plan) else "deployment",
        engine=engine.id if engine is not None else None,
        engines=tuple(engines),
        claims=tuple(claims),
    )


def _claim(what: What, value: float) -> Claim:
    return Claim(what=what, value=float(value), half_step=abs(value) * 1e-6, text=f"{what} {value:g}", line=1)
