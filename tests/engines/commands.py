"""Plans for serving engines, and the commands that `launch` makes of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shardwise.models import Scenario
from shardwise.models.deployment import DeploymentPlan
from shardwise.models.plan import Plan
from shardwise.models.strategy import DEGREES
from shardwise.solver import deploy, solve
from shardwise.solver.launch import refusals, sglang, vllm
from shardwise.solver.launch.copies import Copy, copies_of
from shardwise.solver.launch.process import Process
from shardwise.solver.launch.refusal import for_engine

REPOSITORY = Path(__file__).parents[2]
CONFIGS = Path(__file__).parent / "configs"
PROCESSES = {"vllm": vllm.processes, "sglang": sglang.processes}
ENGINES = tuple(PROCESSES)
CARDS = {"a100-sxm-80gb": "A100", "h100-sxm": "H100", "h200-sxm": "H200"}

SHIPPED = (
    "llama-3.1-8b-h100-1.yaml",
    "llama-3.1-70b-h100-8.yaml",
    "llama-3.1-405b-h100-16.yaml",
    "gpt-oss-120b-h100-8.yaml",
    "mixtral-8x7b-a100-8.yaml",
    "deepseek-v3-h200-32.yaml",
    "qwen3-235b-h200-64.yaml",
    "pools/llama-3.1-70b-h200-arrivals.yaml",
    "pools/deepseek-v3-h200-64-pools.yaml",
)
"""Scenarios of the repository, whose best plans are launched."""

# model, GPUs, degrees in the order of DEGREES; on nodes of 8 H200
PINNED: dict[str, list[tuple[str, int, tuple[int, ...]]]] = {
    "both": [
        ("llama-3.1-8b", 2, (2, 1, 1, 1, 1, 1)),
        ("llama-3.1-8b", 8, (4, 1, 1, 2, 1, 1)),
        ("llama-3.1-8b", 3, (1, 1, 1, 3, 1, 1)),
        ("llama-3.1-70b", 8, (8, 1, 1, 1, 1, 1)),
        ("llama-3.1-70b", 16, (8, 1, 1, 2, 1, 1)),
        ("llama-3.1-70b", 24, (8, 1, 1, 3, 1, 1)),
        ("llama-3.1-405b", 16, (16, 1, 1, 1, 1, 1)),
        ("llama-3.1-405b", 32, (8, 1, 1, 4, 1, 1)),
        ("qwen3-235b-a22b", 8, (8, 1, 1, 1, 1, 8)),
        ("qwen3-235b-a22b", 8, (1, 1, 8, 1, 8, 1)),
        ("qwen3-235b-a22b", 8, (4, 1, 1, 2, 4, 1)),
        ("qwen3-235b-a22b", 16, (4, 1, 4, 1, 16, 1)),
        ("qwen3-235b-a22b", 16, (8, 1, 1, 2, 8, 1)),
        ("qwen3-235b-a22b-fp8", 8, (2, 1, 4, 1, 8, 1)),
        ("qwen3-235b-a22b-fp8", 4, (4, 1, 1, 1, 4, 1)),
        ("deepseek-v3", 8, (8, 1, 1, 1, 8, 1)),
        ("deepseek-v3", 16, (1, 1, 16, 1, 16, 1)),
        ("deepseek-v3", 16, (8, 1, 1, 2, 1, 8)),
        ("gpt-oss-120b", 1, (1, 1, 1, 1, 1, 1)),
        ("gpt-oss-120b", 8, (8, 1, 1, 1, 8, 1)),
        ("gpt-oss-120b", 4, (2, 1, 2, 1, 4, 1)),
        ("mixtral-8x7b", 8, (8, 1, 1, 1, 1, 8)),
        ("mixtral-8x7b", 8, (4, 1, 1, 2, 4, 1)),
    ],
    "vllm": [
        ("deepseek-v3", 32, (1, 1, 32, 1, 32, 1)),
        ("mixtral-8x7b", 8, (2, 1, 4, 1, 8, 1)),
        ("qwen3-235b-a22b", 8, (2, 1, 2, 2, 4, 1)),
    ],
    "sglang": [
        ("qwen3-235b-a22b", 8, (8, 1, 1, 1, 2, 4)),
        ("qwen3-235b-a22b", 32, (2, 1, 8, 2, 4, 4)),
        ("deepseek-v3", 16, (4, 1, 4, 1, 8, 2)),
    ],
}

LOADS: dict[str, dict[str, Any]] = {
    "chat": {"concurrency": 32, "input_tokens": 1000, "output_tokens": 200},
    "arrivals": {"request_rate": "2 requests/s", "input_tokens": 1000, "output_tokens": 200},
}
# model, GPUs, pins: prefill and decode apart
APART: list[tuple[str, int, dict[str, Any]]] = [
    ("llama-3.1-8b", 4, {}),
    ("llama-3.1-70b", 16, {"tensor": {"max": 4}}),
    ("gpt-oss-120b", 4, {"tensor": {"max": 2}}),
]


@dataclass(frozen=True)
class Case:
    """One command of a plan."""

    name: str
    engine: str
    scenario: Scenario
    process: Process

    @property
    def copy(self) -> Copy:
        """The engine that it starts, or starts a part of."""
        return self.process.copy

    @property
    def gpus_here(self) -> int:
        """GPUs that it may use."""
        return len(self.copy.seats[self.process.turn][1])

    def ask(self, *, deep: bool = False, budget: int = 0) -> dict[str, Any]:
        """What is asked of the engine: the command as the shell would start it."""
        return {
            "command": [filled(word) for word in self.process.command],
            "environment": {name: filled(value) for name, value in self.process.environment.items()},
            "model_dir": str(CONFIGS / config_of(self.scenario)),
            "gpu": CARDS[self.copy.kind.stock.accelerator.id],
            "gpus_per_node": self.gpus_here,
            "deep": deep,
            "budget": budget,
        }


def filled(word: str) -> str:
    """A word with addresses for the shell's variables; the model's name is replaced by the engine's side."""
    return re.sub(r"\$NODE_(\d+)", lambda found: f"10.0.0.{int(found[1]) + 1}", word).replace("$MODEL", "model")


def config_of(scenario: Scenario) -> str:
    """The folder with the config.json that belongs to the scenario's weights."""
    block = scenario.precision.block and not scenario.model.precision.block
    return scenario.model.id + ("-fp8" if block else "")


def pinned(model: str, gpus: int, degrees: tuple[int, ...], load: str = "chat") -> Scenario:
    """One engine of given degrees on nodes of 8 H200."""
    name = model.removesuffix("-fp8")
    data: dict[str, Any] = {
        "name": f"{model} on {gpus} × H200",
        "hardware": {"accelerator": "h200-sxm", "gpus": gpus},
        "model": name,
        "workload": LOADS[load],
        "strategy": dict(zip(DEGREES, degrees, strict=True)) | {"engines": 1},
    }
    if model != name:
        data["precision"] = {"weights": "fp8", "block": 128, "kv_cache": "fp8"}
    return Scenario.model_validate(data)


def apart(model: str, gpus: int, pins: dict[str, Any]) -> Scenario:
    """Prefill and decode on different engines."""
    data: dict[str, Any] = {
        "name": f"{model} apart on {gpus} × H200",
        "hardware": {"accelerator": "h200-sxm", "gpus": gpus},
        "model": model,
        "workload": LOADS["arrivals"],
        "modes": "disaggregated",
        "strategy": pins,
    }
    return Scenario.model_validate(data)


def _listed(engine: str) -> dict[str, Callable[[], Scenario]]:
    """Everything that is launched, by name."""
    found: dict[str, Callable[[], Scenario]] = {
        file: partial(Scenario.load, REPOSITORY / "scenarios" / file) for file in SHIPPED
    }
    for model, gpus, degrees in PINNED["both"] + PINNED[engine]:
        found[f"{model} {'-'.join(map(str, degrees))}"] = partial(pinned, model, gpus, degrees)
    return found | {f"{model} apart": partial(apart, model, gpus, pins) for model, gpus, pins in APART}


def names(engine: str) -> list[str]:
    """Of everything that is launched."""
    return list(_listed(engine))


def scenarios(engine: str) -> Iterator[tuple[str, Scenario]]:
    """(name, scenario) of everything that is launched."""
    return ((name, make()) for name, make in _listed(engine).items())


def planned(scenario: Scenario) -> Plan | DeploymentPlan:
    """The best plan that there is for the scenario's engine."""
    if scenario.pools:
        return deploy(scenario, restrictions=False, conflicts=False)
    return solve(scenario, conflicts=False, readings=False, alternatives=0)


def cases_of(name: str, engine: str, scenario: Scenario) -> list[Case]:
    """Every command of the first and the last engine of each kind; between them only ports and addresses differ."""
    asked = for_engine(scenario, engine)
    plan = planned(asked)
    assert plan.status == "optimal", f"{name}: {plan.status}"
    assert not refusals(plan, engine), f"{name}: {refusals(plan, engine)}"
    kinds: dict[int, list[Copy]] = {}
    for copy in copies_of(plan):
        kinds.setdefault(id(copy.kind), []).append(copy)
    ends = [copy for group in kinds.values() for copy in (*group[:1], *group[1:][-1:])]
    return [
        Case(f"{name} {process.name} part {process.turn}", engine, asked, process)
        for copy in ends
        for process in PROCESSES[engine](copy)
    ]


def lines(asks: list[dict[str, Any]]) -> str:
    """As the engine's side reads them."""
    return "".join(f"{json.dumps(ask)}\n" for ask in asks)
