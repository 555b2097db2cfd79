"""Every flag and file key that `launch` writes is one that the engine is recorded to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pytest
import yaml
from shardwise.models import Scenario
from shardwise.models.command_profile import CommandProfile, command_profile
from shardwise.models.deployment import DeploymentPlan
from shardwise.models.plan import Plan
from shardwise.models.strategy import DEGREES
from shardwise.solver import deploy, solve
from shardwise.solver.launch import refusals, sglang, trtllm, vllm
from shardwise.solver.launch.copies import copies_of
from shardwise.solver.launch.dynamo import launch_dynamo

PROCESSES = {"vllm": vllm.processes, "sglang": sglang.processes, "trtllm": trtllm.processes}
ONE_NODE = {"concurrency": 16, "input_tokens": 500, "output_tokens": 100}
ARRIVALS = {"request_rate": "2 requests/s", "input_tokens": 500, "output_tokens": 100}

# model, GPUs, degrees, more of the scenario
PLANS: dict[str, tuple[str, int, tuple[int, ...] | None, dict[str, Any]]] = {
    "one GPU": ("llama-3.1-8b", 1, (1, 1, 1, 1, 1, 1), {}),
    "fp8 made on loading": ("llama-3.1-70b", 8, (8, 1, 1, 1, 1, 1), {"precision": {"weights": "fp8"}}),
    "uneven stages on two nodes": ("llama-3.1-70b", 16, (4, 1, 1, 4, 1, 1), {"precision": {"kv_cache": "fp8"}}),
    "experts dealt over nodes": ("deepseek-v3", 16, (1, 1, 16, 1, 16, 1), {}),
    "experts sliced": ("qwen3-235b-a22b", 8, (8, 1, 1, 1, 1, 8), {}),
    "prefill and decode apart": ("llama-3.1-8b", 4, None, {"workload": ARRIVALS, "modes": "disaggregated"}),
}


@cache
def planned(name: str, engine: str) -> Plan | DeploymentPlan:
    model, gpus, degrees, more = PLANS[name]
    data: dict[str, Any] = {
        "name": name,
        "hardware": {"accelerator": "h200-sxm", "gpus": gpus},
        "model": model,
        "workload": ONE_NODE,
        "engine": engine,
    }
    if degrees:
        data["strategy"] = dict(zip(DEGREES, degrees, strict=True)) | {"engines": 1}
    scenario = Scenario.model_validate(data | more)
    if scenario.pools:
        return deploy(scenario, restrictions=False, conflicts=False)
    return solve(scenario, conflicts=False, readings=False, alternatives=0)


def commands(name: str, engine: str) -> Iterator[tuple[str, ...]]:
    for copy in copies_of(planned(name, engine)):
        for process in PROCESSES[engine](copy):
            yield process.command


def unknown(profile: CommandProfile, words: Sequence[str]) -> list[str]:
    """Flags that the engine does not know, values where none belong, and none where one does."""
    found, at = [], 0
    while at < len(words):
        word, follows = words[at], words[at + 1] if at + 1 < len(words) else "--"
        if word in profile.takes or word in profile.beyond_engine:
            found += [] if not follows.startswith("--") else [f"{word} without a value"]
            at += 2
        elif word in profile.switches:
            found += [] if follows.startswith("--") else [f"{word} with {follows}"]
            at += 1
        else:
            found.append(word)
            at += 1
    return found


def options(profile: CommandProfile, command: Sequence[str]) -> list[str]:
    """The words after the start, and after the model where it stands without a flag."""
    for start in sorted(profile.starts, key=len, reverse=True):
        words = start.split()
        for at in range(len(command) - len(words) + 1):
            if list(command[at : at + len(words)]) == words:
                rest = list(command[at + len(words) :])
                return rest[1:] if rest[0] == "$MODEL" else rest
    raise AssertionError(f"begins with none of {profile.starts}: {command}")


@pytest.mark.parametrize("engine", PROCESSES)
@pytest.mark.parametrize("name", PLANS)
def test_commands(engine: str, name: str) -> None:
    profile = command_profile(engine)
    plan = planned(name, engine)
    assert plan.status == "optimal" and not refusals(plan, engine)
    for command in commands(name, engine):
        assert not unknown(profile, options(profile, command)), command


@pytest.mark.parametrize("engine", PROCESSES)
@pytest.mark.parametrize("name", PLANS)
def test_manifests(engine: str, name: str) -> None:
    written = launch_dynamo(planned(name, engine), engine).files["deployment.yaml"]
    manifest = next(yaml.safe_load_all(written))
    workers = [one for one in manifest["spec"]["components"] if one["type"] != "frontend"]
    assert workers
    for worker in workers:
        [container] = worker["podTemplate"]["spec"]["containers"]
        assert " ".join(container["command"]) in command_profile(engine).starts
        assert not unknown(command_profile(engine), container["args"])


@pytest.mark.parametrize("name", PLANS)
def test_files(name: str) -> None:
    profile = command_profile("trtllm")
    for copy in copies_of(planned(name, "trtllm")):
        assert set(yaml.safe_load(trtllm.settings(copy.kind))) <= set(profile.file_takes)


def test_what_is_unknown() -> None:
    profile = command_profile("vllm")
    assert unknown(profile, ["--port", "8000", "--headless"]) == []
    assert unknown(profile, ["--headless", "yes"]) == ["--headless with yes", "yes"]
    assert unknown(profile, ["--port", "--headless"]) == ["--port without a value"]
    assert unknown(profile, ["--num-redundant-experts", "8"]) == ["--num-redundant-experts", "8"]
