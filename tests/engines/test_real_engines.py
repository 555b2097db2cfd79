"""Every command of `launch` before the engines' own parsers, validators and model classes (README.md; opt-in)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from shardwise.models.command_profile import command_profile
from shardwise.solver.launch.formats import kv_format, weight_format

from .commands import ENGINES, Case, cases_of, lines, names, scenarios
from .predictions import budget, held
from .refused import BAD, Bad

HERE = Path(__file__).parent
INTERPRETER = os.environ.get("SHARDWISE_ENGINES", "")
TOLERANCE = 0.01
LIMIT = 1200
"""Seconds that one engine may take for everything."""
pytestmark = pytest.mark.skipif(
    not INTERPRETER, reason="SHARDWISE_ENGINES names no environment with vLLM and SGLang (tests/engines/README.md)"
)


@dataclass(frozen=True)
class Judged:
    """A command with the engine's verdict."""

    case: Case
    answer: dict[str, Any]


@dataclass(frozen=True)
class Verdicts:
    """Of one engine."""

    commands: dict[str, list[Judged]]
    """By the name of the scenario."""
    bad: dict[str, dict[str, Any]]
    """By the name of the bad strategy."""


def _deep(cases: list[Case]) -> list[bool]:
    """One process of each kind of engine is looked into."""
    seen: set[int] = set()
    return [not (id(case.copy.kind) in seen or seen.add(id(case.copy.kind))) for case in cases]


def _asked(engine: str) -> tuple[dict[str, list[Case]], list[Bad], list[dict[str, Any]]]:
    found = {name: cases_of(name, engine, scenario) for name, scenario in scenarios(engine)}
    asks = [
        case.ask(deep=deep, budget=budget(case.copy.kind))
        for cases in found.values()
        for case, deep in zip(cases, _deep(cases), strict=True)
    ]
    bad = [one for one in BAD if one.engine == engine]
    return found, bad, [*asks, *(one.ask() for one in bad)]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdicts]:
    """All commands of an engine go through one process; the engines run side by side."""
    folder, running, asked = tmp_path_factory.mktemp("engines"), {}, {engine: _asked(engine) for engine in ENGINES}
    for engine in ENGINES:
        (folder / engine).write_text(lines(asked[engine][2]))
        with (folder / engine).open() as given, (folder / f"{engine}.err").open("w") as said:
            command = [f"{INTERPRETER}/bin/python", str(HERE / f"{engine}_side.py")]
            running[engine] = subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, stderr=said, text=True)
    found = {}
    for engine, process in running.items():
        out, _ = process.communicate(timeout=LIMIT)
        answers = [json.loads(line) for line in out.splitlines()]
        cases, bad, asks = asked[engine]
        assert len(answers) == len(asks), (folder / f"{engine}.err").read_text()[-2000:]
        turn = iter(answers)
        commands = {name: [Judged(case, next(turn)) for case in group] for name, group in cases.items()}
        found[engine] = Verdicts(commands, {one.name: next(turn) for one in bad})
    return found


def _scenarios() -> Iterator[Any]:
    for engine in ENGINES:
        for name in names(engine):
            yield pytest.param(engine, name, id=f"{engine} {name}")


each = pytest.mark.parametrize(("engine", "name"), list(_scenarios()))


def _said(case: Case) -> dict[str, Any]:
    """What the plan means, in the words of the engine's side."""
    kind, profile = case.copy.kind, command_profile(case.engine)
    s, whole = kind.strategy, case.engine == "sglang"
    said = {name: getattr(s, name) for name in ("tensor", "context", "data", "pipeline")}
    if case.scenario.model.experts is not None:
        said |= {"expert": s.expert, "expert_tensor": s.expert_tensor}
    said |= {
        "gpus": s.gpus,
        "nodes": len(case.copy.seats),
        "node_rank": case.process.turn,
        "sequences": kind.sequences * (s.data if whole else 1),
        "token_budget": kind.token_budget,  # both engines keep it for one data rank
        "longest": kind.longest,
        "kv_format": kv_format(profile, case.scenario),
    }
    if not whole:
        said["data_here"] = max(1, s.data // len(case.copy.seats))
    if (online := weight_format(profile, case.scenario)) is not None:
        said["weight_format"] = online
    if kind.role != "aggregated":
        said |= {"role": kind.role, "transfer": "nixl"} if whole else {"transfer": "NixlConnector"}
    return said


@each
def test_commands_are_accepted_as_they_are_meant(engine: str, name: str, verdicts: dict[str, Verdicts]) -> None:
    for one in verdicts[engine].commands[name]:
        assert one.answer["verdict"] == "accept", f"{one.case.name}: {one.answer}"
        said, resolved = _said(one.case), one.answer["resolved"]
        assert said == {key: resolved[key] for key in said}, one.case.name
        assert len(one.case.copy.seats) * one.case.gpus_here == resolved["gpus"]


def _built(found: list[Judged]) -> Iterator[tuple[Case, list[dict[str, Any]]]]:
    for one in found:
        if "ranks" in one.answer:
            yield one.case, one.answer["ranks"]


def _other_checkpoint(case: Case) -> bool:
    """Whether the plan's weights are not in the published format: the engine is shown the published checkpoint."""
    return case.scenario.precision.weights != case.scenario.model.precision.weights


@each
def test_ranks_hold_what_is_predicted(engine: str, name: str, verdicts: dict[str, Verdicts]) -> None:
    """Layers and KV bytes per token exactly; weights of the first and the last stage within the tolerance."""
    for case, ranks in _built(verdicts[engine].commands[name]):
        for ours, theirs in zip(held(case.copy.kind), ranks, strict=True):
            assert ours.layers == theirs["kv_layers"], case.name
            assert ours.kv_per_token == theirs["kv_per_token"], case.name
            if _other_checkpoint(case):
                continue
            close = ours.weights == pytest.approx(theirs["weights"], rel=TOLERANCE)
            assert close, f"{case.name}: {ours.weights:,.0f} here, {theirs['weights']:,} there"


@pytest.mark.parametrize("name", names("vllm"))
def test_vllm_fits_as_many_tokens(name: str, verdicts: dict[str, Verdicts]) -> None:
    """In the bytes that the plan leaves for weights and KV cache.

    Layers with a window: vLLM counts the window and one chunk of a prompt for each sequence, we count the window, so
    its figure lies between ours without and with windows.
    """
    for case, ranks in _built(verdicts["vllm"].commands[name]):
        room = budget(case.copy.kind)
        for ours, theirs in zip(held(case.copy.kind), ranks, strict=True):
            if _other_checkpoint(case):
                continue
            free = room - ours.weights
            least, most = free / ours.kv_per_token, free / ours.kv_of_longest * ours.longest
            fits = least * (1 - TOLERANCE) <= theirs["kv_tokens"] <= most * (1 + TOLERANCE)
            assert fits, f"{case.name}: {least:,.0f} to {most:,.0f} here, {theirs['kv_tokens']:,} there"


@pytest.mark.parametrize("name", names("vllm"))
def test_the_kv_cache_can_move(name: str, verdicts: dict[str, Verdicts]) -> None:
    """What vLLM finds out only when two engines meet; read in nixl/base_worker.py and nixl/pull_worker.py, not run."""
    for one in verdicts["vllm"].commands[name]:
        kind = one.case.copy.kind
        assert kind.role == "aggregated" or kind.strategy.pipeline == 1


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_what_is_refused(bad: Bad, verdicts: dict[str, Verdicts]) -> None:
    """We refuse what the engine refuses, and what it accepts though it is wrong."""
    answer = verdicts[bad.engine].bad[bad.name]
    assert answer.get("stage", answer["verdict"]) == bad.says, answer
    assert set(bad.ours) <= bad.broken()


@pytest.mark.parametrize("engine", ENGINES)
def test_flags_are_recorded(engine: str) -> None:
    command = [f"{INTERPRETER}/bin/python", str(HERE / "record_flags.py"), engine, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    profile = command_profile(engine)
    assert json.loads(done.stdout) == {"takes": sorted(profile.takes), "switches": sorted(profile.switches)}
