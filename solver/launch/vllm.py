"""vLLM: one `vllm serve` per engine and node."""

from __future__ import annotations

import json

from ...models.command_profile import CommandProfile, command_profile
from .copies import Copy, Kind
from .formats import kv_format, weight_format
from .layers import partition
from .process import HEAD, SIDE, SPAN, Process, http_port, share, visible

MODEL = "$MODEL"
"""Filled in by the shell."""


def processes(copy: Copy) -> list[Process]:
    """One for each node of the engine."""
    profile, found = command_profile("vllm"), []
    for turn, (node, _) in enumerate(copy.seats):
        command = [*profile.starts[0].split(), MODEL, *arguments(profile, copy.kind)]
        if len(copy.seats) > 1:
            command += [profile.flag("nodes"), str(len(copy.seats)), profile.flag("node_rank"), str(turn)]
            command += [profile.flag("head"), f"$NODE_{copy.head}"]
            command += [profile.flag("head_port"), str(HEAD + copy.number)]
        command += [profile.flag("port"), str(http_port(copy))] if turn == 0 else [profile.flag("follows")]
        environment = visible(copy, turn) | partition("vllm", copy.kind.strategy)
        if copy.kind.role != "aggregated":
            environment["VLLM_NIXL_SIDE_CHANNEL_HOST"] = f"$NODE_{node}"
            environment["VLLM_NIXL_SIDE_CHANNEL_PORT"] = str(SIDE + SPAN * copy.number)
        found.append(Process(copy, node, turn, tuple(command), environment))
    return found


def arguments(profile: CommandProfile, kind: Kind) -> list[str]:
    """What is the same on every node."""
    s, scenario = kind.strategy, kind.scenario
    said: list[tuple[str, object]] = [
        ("tensor", s.tensor),
        ("pipeline", s.pipeline),
        ("data", s.data),
        ("sequences", kind.sequences),
        ("token_budget", kind.token_budget),
        ("longest", kind.longest),
        ("memory_share", share(scenario.hardware.memory_utilization)),
        ("kv_format", kv_format(profile, scenario)),
    ]
    found = [word for name, value in said for word in (profile.flag(name), str(value))]
    if (online := weight_format(profile, scenario)) is not None:
        found += [profile.flag("weight_format"), online]
    if scenario.model.experts is not None and s.expert > 1:
        found.append(profile.flag("expert_parallel"))
    if kind.role != "aggregated":
        # NIXL's connector sends and receives whatever its role says; the role tells readers who does which.
        role = "kv_producer" if kind.role == "prefill" else "kv_consumer"
        transfer = {"kv_connector": "NixlConnector", "kv_role": role}
        found += [profile.flag("transfer"), json.dumps(transfer, separators=(",", ":"))]
    return found
