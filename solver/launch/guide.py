"""README.md of a launch: what runs where, in which order, and what it should do."""

from __future__ import annotations

from collections.abc import Sequence

from ...models.command_profile import command_profile
from ...models.deployment import DeploymentPlan
from ...models.plan import Plan
from ...models.units import show_rate, show_seconds
from ..writing.text import bullets, section, table
from .copies import Copy
from .process import http_port
from .router import VERSIONS, Front


def guide(
    plan: Plan | DeploymentPlan, engine: str, copies: Sequence[Copy], ways: Sequence[Front], notes: Sequence[str]
) -> str:
    """The whole text."""
    profile = command_profile(engine)
    parts = [
        section(f"{plan.scenario.name} on {profile.name} {profile.version}", _what(plan, copies), level=1),
        section("Before", bullets(notes)) if notes else "",
        section("Start", _order(copies, ways, engine)),
        section("Engines", table(("engine", "role", "strategy", "stands on", "answers at"), _rows(copies))),
        section("What it should do", table(("figure", "predicted"), _predicted(plan)), _test(ways)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(plan: Plan | DeploymentPlan, copies: Sequence[Copy]) -> str:
    nodes = {node for copy in copies for node, _ in copy.seats}
    engines = "engine" if len(copies) == 1 else "engines"
    return f"{len(copies)} {engines} on {plan.gpus_used} GPUs of {len(nodes)} node{'s' if len(nodes) > 1 else ''}."


def _order(copies: Sequence[Copy], ways: Sequence[Front], engine: str) -> str:
    roles = dict.fromkeys(copy.kind.role for copy in copies)
    steps = ["Copy this folder to every node and put the nodes' addresses in `hosts.sh`."]
    names = " and ".join(f"`{role}-node-N.sh`" for role in roles)
    steps.append(f"On node N run {names}; they end with Ctrl-C and take their engines with them.")
    routers = [front for front in ways if front.command]
    if routers:
        which = " and ".join(f"`{front.name}.sh`" for front in routers)
        own = any("trtllm-serve" in front.command for front in routers)
        with_ = "TensorRT-LLM's own orchestrator" if own and len(routers) == 1 else f"{VERSIONS[engine]}"
        steps.append(f"When the engines answer, run {which} on the node in its address ({with_}).")
    steps.append("`bench.sh` sends the load that the plan was made for, and saves its result.")
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def _rows(copies: Sequence[Copy]) -> list[tuple[object, ...]]:
    return [
        (
            copy.number,
            copy.kind.role,
            copy.kind.strategy.describe(),
            "; ".join(f"node {node}: GPUs {_range(gpus)}" for node, gpus in copy.seats),
            f"node {copy.head}, port {http_port(copy)}",
        )
        for copy in copies
    ]


def _range(gpus: Sequence[int]) -> str:
    whole = list(gpus) == list(range(gpus[0], gpus[-1] + 1))
    return f"{gpus[0]} to {gpus[-1]}" if whole and len(gpus) > 1 else ", ".join(map(str, gpus))


def _predicted(plan: Plan | DeploymentPlan) -> list[tuple[str, str]]:
    p = plan.predictions
    assert p is not None
    rows = [("requests", show_rate(p.requests_per_s, "requests")), ("TTFT", show_seconds(p.ttft_s))]
    if p.tpot_s is not None:
        rows.append(("TPOT", show_seconds(p.tpot_s)))
    rows.append(("request latency, longest", show_seconds(p.request_latency_s)))
    if p.output_tokens_per_s is not None:
        rows.append(("output", show_rate(p.output_tokens_per_s)))
    return rows


def _test(ways: Sequence[Front]) -> str:
    at = " and ".join(f"`{front.url}`" for front in ways)
    lengths = ways[0].copies[0].kind.scenario.workload.input_tokens
    mixed = ""
    if lengths.min < lengths.max:
        mixed = " TTFT is of the longest prompts; `bench.sh` mixes lengths, so its mean is below."
    return f"Requests go to {at} (OpenAI protocol).{mixed} What the cost model is worth stands in the plan's report."
