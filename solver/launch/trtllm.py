"""TensorRT-LLM: one `trtllm-serve` per engine, started by MPI where it takes several nodes, and its YAML file.

Degrees of experts, attention data parallelism, stages and the KV cache can be stated in the file only; the file wins.
"""

from __future__ import annotations

from typing import Any

import yaml

from ...models.command_profile import CommandProfile, command_profile
from .copies import Copy, Kind
from .formats import kv_format
from .layers import own_split
from .process import Process, http_port, share, visible

MODEL = "$MODEL"


def processes(copy: Copy) -> list[Process]:
    """One for each engine, on its first node: MPI starts the ranks of the others."""
    profile = command_profile("trtllm")
    serve = ["trtllm-serve", MODEL, *arguments(profile, copy.kind)]
    serve += ["--host", "0.0.0.0", profile.flag("port"), str(http_port(copy))]
    serve += [profile.flag("file"), file_of(copy)]
    if copy.kind.role != "aggregated":
        serve += [profile.flag("role"), "context" if copy.kind.role == "prefill" else "generation"]
    if len(copy.seats) > 1:
        hosts = ",".join(f"$NODE_{node}:{len(gpus)}" for node, gpus in copy.seats)
        serve = ["mpirun", "-n", str(copy.kind.strategy.gpus), "-H", hosts, "trtllm-llmapi-launch", *serve]
    return [Process(copy, copy.head, 0, tuple(serve), visible(copy, 0))]


def file_of(copy: Copy) -> str:
    """The name of an engine's YAML file; engines that are launched alike have the same text."""
    return f"{copy.kind.role}-{copy.number}.yaml"


def arguments(profile: CommandProfile, kind: Kind) -> list[str]:
    """What the command line can state."""
    s = kind.strategy
    said: list[tuple[str, object]] = [
        ("stage", s.stage_group),
        ("pipeline", s.pipeline),
        ("node_gpus", kind.stock.gpus_per_node or kind.stock.accelerator.gpus_per_node),
        ("sequences", kind.sequences),
        ("token_budget", kind.token_budget),
        ("longest", kind.longest),
    ]
    if kind.scenario.model.experts is not None:
        said.insert(2, ("expert", s.expert))
    return [word for name, value in said for word in (profile.flag(name), str(value))]


def settings(kind: Kind) -> str:
    """The YAML file."""
    s, profile = kind.strategy, command_profile("trtllm")
    cache: dict[str, Any] = {"free_gpu_memory_fraction": float(share(free_share(kind)))}
    if (dtype := kv_format(profile, kind.scenario)) not in (None, "auto"):
        cache["dtype"] = dtype
    found: dict[str, Any] = {"tensor_parallel_size": s.stage_group, "pipeline_parallel_size": s.pipeline}
    if kind.scenario.model.experts is not None:
        found |= {"moe_tensor_parallel_size": s.expert_tensor, "moe_expert_parallel_size": s.expert}
    found |= {
        "enable_attention_dp": s.data > 1,
        "enable_chunked_prefill": True,
        "max_batch_size": kind.sequences,
        "max_num_tokens": kind.token_budget,
        "max_seq_len": kind.longest,
        "kv_cache_config": cache,
    }
    if not own_split("trtllm", s):
        found["pp_partition"] = list(s.layers_per_stage)
    if kind.role != "aggregated":
        found["cache_transceiver_config"] = {"backend": "DEFAULT"}
    return yaml.safe_dump(found, sort_keys=False)


def free_share(kind: Kind) -> float:
    """KV cache as a share of what weights, activations and buffers leave free: what TensorRT-LLM's knob means."""
    m = kind.memory
    rest = m.weights + m.activations + m.reserve
    return max(0.0, m.usable - rest) / (kind.stock.accelerator.memory - rest)
