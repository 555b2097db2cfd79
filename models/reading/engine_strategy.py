"""What a command states, as degrees and limits of one engine: each engine counts its ranks in its own way."""

from __future__ import annotations

import json
from typing import Any

from ..claimed import ClaimedEngine, Unread
from ..command_profile import command_profile
from ..rules import Role
from ..strategy import Strategy
from .engine_command import Said

_ROLES: dict[str, Role] = {
    "prefill": "prefill",
    "decode": "decode",
    "kv_producer": "prefill",
    "kv_consumer": "decode",
    "context": "prefill",
    "generation": "decode",
    "prefill_and_decode": "aggregated",
    "null": "aggregated",
}


def strategy_of(said: Said, experts: bool) -> ClaimedEngine:
    """The engine of one command. `experts`: whether the model has any."""
    profile = command_profile(said.engine)
    degrees, count = {"vllm": _vllm, "sglang": _sglang, "trtllm": _trtllm}[said.engine](said, experts)
    ranks = degrees["data"]
    sequences, tokens = said.whole("sequences"), said.whole("token_budget")
    if "sequences" not in profile.per_rank:
        sequences, tokens = _each(sequences, ranks), _each(tokens, ranks)
    if said.whole("decode_context") not in (None, 1):
        _unread(said, "decode_context", "decode context parallelism is not modelled; read as none")
    kv = {name: ours for ours, name in profile.formats.kv.items()}
    stated = said.values.get("kv_format", ("", 0))[0]
    model = said.values.get("model")
    return ClaimedEngine(
        role=_role(said),
        strategy=Strategy(**degrees),
        count=count,
        sequences=sequences,
        token_budget=tokens,
        longest=said.whole("longest"),
        memory_share=said.number("memory_share"),
        kv_format=None if stated in ("", "auto") else "fp8" if stated.startswith("fp8") else kv.get(stated, stated),
        weight_format=said.values.get("weight_format", (None, 0))[0],
        layers_per_stage=_layers(said, degrees["pipeline"]),
        model=model[0] if model and "$" not in model[0] else None,
        lines={name: line for name, (_, line) in said.values.items()} | {"command": said.line},
    )


def _each(value: int | None, ranks: int) -> int | None:
    return None if value is None else max(1, value // ranks)


def _unread(said: Said, quantity: str, why: str) -> None:
    text, line = said.values[quantity]
    flag = command_profile(said.engine).flag(quantity)
    said.unread.append(Unread(text=f"{flag} {text}"[:120], why=why, line=line))


def _vllm(said: Said, experts: bool) -> tuple[dict[str, int], int]:
    tensor, data, context = (said.whole(name) or 1 for name in ("tensor", "data", "context"))
    stage = tensor * data * context
    dealt, count = "expert_parallel" in said.values, 1
    if not experts:  # without experts, -dp N starts N engines
        count, data = data, 1
    return {
        "tensor": tensor,
        "context": context,
        "data": data,
        "pipeline": said.whole("pipeline") or 1,
        "expert": stage if experts and dealt else 1,
        "expert_tensor": stage if experts and not dealt else 1,
    }, count


def _sglang(said: Said, experts: bool) -> tuple[dict[str, int], int]:
    stage, replicas = said.whole("stage") or 1, said.whole("replicas") or 1
    data, context = said.whole("data") or 1, said.whole("context") or 1
    if "old_data" in said.values:  # --dp-size N --enable-dp-attention: the attention's data ranks, inside the stage
        data, replicas = replicas, 1
    if stage % (data * context):
        _unread(said, "stage", f"is no multiple of {data} data and {context} context ranks")
    if said.whole("expert_data") not in (None, 1):
        _unread(said, "expert_data", "data parallelism of experts is not modelled; read as none")
    expert = said.whole("expert") or 1
    if said.values.get("exchange", ("none", 0))[0] not in ("none", "ascend_tp"):
        expert = stage  # every all-to-all backend deals the experts over all ranks
    return {
        "tensor": max(1, stage // (data * context)),
        "context": context,
        "data": data,
        "pipeline": said.whole("pipeline") or 1,
        "expert": expert if experts else 1,
        "expert_tensor": max(1, stage // expert) if experts else 1,
    }, replicas


def _trtllm(said: Said, experts: bool) -> tuple[dict[str, int], int]:
    stage, context = said.whole("stage") or 1, said.whole("context") or 1
    apart = "attention_data" in said.values
    if said.whole("expert_cluster") not in (None, 1):
        _unread(said, "expert_cluster", "clusters of experts are not modelled; read as none")
    expert, sliced = said.whole("expert"), said.whole("expert_tensor")
    if experts and expert is None:
        expert = max(1, stage // sliced) if sliced else 1
    if experts and sliced is None:
        sliced = max(1, stage // (expert or 1))
    return {
        "tensor": 1 if apart else stage,
        "context": context,
        "data": stage if apart else 1,
        "pipeline": said.whole("pipeline") or 1,
        "expert": (expert or 1) if experts else 1,
        "expert_tensor": (sliced or 1) if experts else 1,
    }, 1


def _role(said: Said) -> Role:
    if "role" in said.values:
        return _ROLES.get(said.values["role"][0].lower(), "aggregated")
    transfer = said.values.get("transfer", ("", 0))[0]
    if said.engine == "vllm" and transfer:
        try:
            data: Any = json.loads(transfer[:10_000])
        except (ValueError, RecursionError):
            return "aggregated"
        return _ROLES.get(str(data.get("kv_role")), "aggregated") if isinstance(data, dict) else "aggregated"
    return "aggregated"


def _layers(said: Said, stages: int) -> tuple[int, ...]:
    """Layers of each stage, where a variable of the environment or the file states them."""
    name = command_profile(said.engine).layer_partition
    text, line = said.environment.get(name or "", ("", 0))
    if "layers_per_stage" in said.values:
        text, line = said.values["layers_per_stage"]
    if not text:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != stages or not all(part.isdigit() and int(part) > 0 for part in parts):
        why = f"are no layers of {stages} stages"
        said.unread.append(Unread(text=text[:120], why=why, line=line))
        return ()
    return tuple(map(int, parts))
