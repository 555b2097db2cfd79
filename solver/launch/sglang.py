"""SGLang: one `launch_server` per engine and node."""

from __future__ import annotations

from ...models.command_profile import CommandProfile, command_profile
from .copies import Copy, Kind
from .formats import kv_format, weight_format
from .layers import partition
from .process import BOOTSTRAP, HEAD, Process, http_port, share, visible

MODEL = "$MODEL"


def processes(copy: Copy) -> list[Process]:
    """One for each node of the engine."""
    profile, found = command_profile("sglang"), []
    for turn, (node, _) in enumerate(copy.seats):
        command = [*profile.starts[0].split(), profile.flag("model"), MODEL, *arguments(profile, copy.kind)]
        if len(copy.seats) > 1:
            command += [profile.flag("nodes"), str(len(copy.seats)), profile.flag("node_rank"), str(turn)]
            command += [profile.flag("head"), f"$NODE_{copy.head}:{HEAD + copy.number}"]
        command += ["--host", "0.0.0.0", profile.flag("port"), str(http_port(copy))]
        if copy.kind.role == "prefill":
            command += [profile.flag("bootstrap_port"), str(BOOTSTRAP + copy.number)]
        found.append(
            Process(copy, node, turn, tuple(command), visible(copy, turn) | partition("sglang", copy.kind.strategy))
        )
    return found


def arguments(profile: CommandProfile, kind: Kind) -> list[str]:
    """What is the same on every node. Sequences and tokens are of all data ranks together."""
    s, scenario = kind.strategy, kind.scenario
    tokens = kind.token_budget * s.data
    said: list[tuple[str, object]] = [
        ("stage", s.stage_group),
        ("pipeline", s.pipeline),
        ("data", s.data),
        ("sequences", kind.sequences * s.data),
        ("token_budget", tokens),
        ("prompt_tokens", tokens),
        ("longest", kind.longest),
        ("memory_share", share(static_share(kind))),
        ("kv_format", kv_format(profile, scenario)),
    ]
    if scenario.model.experts is not None:
        said.insert(3, ("expert", s.expert))
    found = [word for name, value in said for word in (profile.flag(name), str(value))]
    if (online := weight_format(profile, scenario)) is not None:
        found += [profile.flag("weight_format"), online]
    if kind.role != "aggregated":
        found += [profile.flag("role"), kind.role, profile.flag("transfer"), "nixl"]
    return found


def static_share(kind: Kind) -> float:
    """Weights and KV cache as a share of the card: what SGLang's knob means, where vLLM's counts activations too."""
    m = kind.memory
    return (m.usable - m.activations - m.reserve) / kind.stock.accelerator.memory
