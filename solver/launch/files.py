"""The files that start a plan: a script per pool and node, the routers, the load test, and what to read first."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from ...models.deployment import DeploymentPlan
from ...models.plan import Plan
from . import sglang, trtllm, vllm
from .bench import bench_command
from .copies import Copy, copies_of
from .formats import unlike_checkpoint
from .guide import guide
from .process import Process
from .refusal import RefusedError, refusals
from .router import ORCHESTRATOR, PORT, Front, fronts, orchestrator
from .shell import header, script_line

_PROCESSES = {"vllm": vllm.processes, "sglang": sglang.processes, "trtllm": trtllm.processes}


@dataclass(frozen=True)
class Launched:
    """What starts a plan on one serving engine."""

    engine: str
    files: dict[str, str]
    """Name -> text."""
    notes: tuple[str, ...]
    """What a person must know or do."""


def launch(plan: Plan | DeploymentPlan, engine: str) -> Launched:
    """Scripts for vllm, sglang or trtllm. Raises RefusedError, InputError."""
    copies = copies_of(plan)
    if reasons := refusals(plan, engine):
        raise RefusedError(engine, reasons)
    processes = [process for copy in copies for process in _PROCESSES[engine](copy)]
    ways, notes = fronts(engine, copies), notes_of(plan, copies, engine)
    files = {"hosts.sh": _hosts(copies)}
    for role in dict.fromkeys(copy.kind.role for copy in copies):
        for node in sorted({process.node for process in processes}):
            here = [one for one in processes if one.node == node and one.copy.kind.role == role]
            if here:
                files[f"{role}-node-{node}.sh"] = _script(role, node, here)
    if engine == "trtllm":
        files |= {trtllm.file_of(copy): trtllm.settings(copy.kind) for copy in copies}
        files |= _orchestrator(copies, ways)
    files |= {f"{front.name}.sh": _router(front) for front in ways if front.command}
    files["bench.sh"] = _bench(plan, ways)
    files["README.md"] = guide(plan, engine, copies, ways, notes)
    return Launched(engine, files, notes)


def _hosts(copies: Sequence[Copy]) -> str:
    checkpoint = copies[0].kind.scenario.model.checkpoint
    model = "MODEL=${MODEL:?set MODEL to the checkpoint to load}"
    if checkpoint:
        model = f'[ -n "${{MODEL:-}}" ] || MODEL={shlex.quote(checkpoint)}'
    nodes = sorted({node for copy in copies for node, _ in copy.seats})
    lines = [f"NODE_{node}=${{NODE_{node}:-{'127.0.0.1' if len(nodes) == 1 else f'node-{node}'}}}" for node in nodes]
    return "\n".join(
        ["# What to load, and the addresses of the nodes. Edit, or set before starting.", model, *lines, ""]
    )


def _script(role: str, node: int, processes: Sequence[Process]) -> str:
    parts = [header(f"{role} engines, or the parts of them, on node {node}") + 'trap "kill 0" EXIT\n']
    for one in processes:
        copy, gpus = one.copy, one.copy.seats[one.turn][1]
        part = f", part {one.turn + 1} of {len(copy.seats)}" if len(copy.seats) > 1 else ""
        what = f"# engine {copy.number}{part}: {copy.kind.strategy.describe()} on GPUs {', '.join(map(str, gpus))}"
        parts.append(f"{what}\n{script_line(one.command, one.environment)} &")
    return "\n".join([*parts, "wait", ""])


def _router(front: Front) -> str:
    start = header("where clients send their requests")
    if ORCHESTRATOR in front.command:
        names = sorted({f"NODE_{node}" for copy in front.copies for node, _ in copy.seats})
        start += f"export {' '.join(names)}\nenvsubst < {ORCHESTRATOR} > filled.yaml\n"
        return start + script_line([word.replace(ORCHESTRATOR, "filled.yaml") for word in front.command]) + "\n"
    return start + script_line(front.command) + "\n"


def _orchestrator(copies: Sequence[Copy], ways: Sequence[Front]) -> dict[str, str]:
    if not any(ORCHESTRATOR in front.command for front in ways):
        return {}
    sends = [copy for copy in copies if copy.kind.role == "prefill"]
    takes = [copy for copy in copies if copy.kind.role == "decode"]
    text = yaml.safe_dump(orchestrator(sends, takes, PORT + (len(ways) > 1)), sort_keys=False)
    return {ORCHESTRATOR: text}


def _bench(plan: Plan | DeploymentPlan, ways: Sequence[Front]) -> str:
    """Clients are dealt to the ways in as the plan deals them."""
    assert plan.predictions is not None
    weights, scenario = _weights(plan, ways), ways[0].copies[0].kind.scenario
    parts = [header("the load that the plan was made for; compare with the README")]
    for front, share in zip(ways, weights, strict=True):
        rate = plan.predictions.requests_per_s * share
        parts.append(f"{script_line(bench_command(scenario, front.url, share, rate))} &")
    return "\n".join([*parts, "wait", ""])


def _weights(plan: Plan | DeploymentPlan, ways: Sequence[Front]) -> list[float]:
    """The share of the load that each way in gets: by requests held (closed loop), else by requests/s."""
    if len(ways) == 1 or isinstance(plan, Plan):
        return [1.0 / len(ways)] * len(ways)
    carried: dict[str, float] = {"aggregated": 0.0, "decode": 0.0}
    for entry in plan.engines:
        if entry.role in carried:
            carried[entry.role] += entry.count * (entry.load or 0 if _closed(plan) else entry.requests_per_s)
    of = [carried["decode" if front.name == "router-pairs" else "aggregated"] for front in ways]
    return [one / sum(of) for one in of]


def _closed(plan: DeploymentPlan) -> bool:
    return not plan.scenario.workload.open_loop if hasattr(plan.scenario.workload, "open_loop") else False


def notes_of(plan: Plan | DeploymentPlan, copies: Sequence[Copy], engine: str) -> tuple[str, ...]:
    """What a person must know or do."""
    from ...models.command_profile import command_profile

    profile, scenario = command_profile(engine), copies[0].kind.scenario
    found = []
    if scenario.model.checkpoint is None:
        found.append("the plan's model names no checkpoint: set MODEL before starting")
    if (why := unlike_checkpoint(profile, scenario)) is not None:
        found.append(why)
    if scenario.engine is None or scenario.engine.id != engine:
        priced = "no serving engine" if scenario.engine is None else scenario.engine.name
        found.append(
            f"the plan was priced for {priced}; `engine: {engine}` in the scenario prices {profile.name}'s own memory "
            "placement and start-up, and may choose otherwise"
        )
    if any(copy.kind.role != "aggregated" for copy in copies) and engine != "trtllm" and scenario.workload.decodes:
        found.append("the KV cache moves over NIXL: install it on every node (pip install nixl)")
    if plan.status != "optimal":
        found.append("the plan was not proved optimal")
    return tuple(found)
