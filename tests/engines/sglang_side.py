"""Verdicts of SGLang on command lines, by its own parser, resolution, validators and model classes.

Stages: parse, resolve, check (what the launcher checks), widths (the groups that ranks are put in), model (deep only).
Run by the interpreter that has SGLang; JSON lines in, JSON lines out (side.py).
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import sglang_gpu
from sglang_ranks import rank
from side import Answer, Ask, RejectedError, after, rank_of, serve, stage

STARTS = ("python3 -m sglang.launch_server", "sglang serve")
MODEL = ("--model-path", "--model")
KEPT = {
    "sequences": "max_running_requests",
    "token_budget": "chunked_prefill_size",
    "prompt_tokens": "max_prefill_tokens",
    "longest": "context_length",
    "memory_share": "mem_fraction_static",
    "kv_format": "kv_cache_dtype",
    "weight_format": "quantization",
    "role": "disaggregation_mode",
    "transfer": "disaggregation_transfer_backend",
    "nodes": "nnodes",
    "node_rank": "node_rank",
    "attention_backend": "attention_backend",
    "page": "page_size",
    "all_to_all": "moe_a2a_backend",
}


def check(ask: Ask) -> Answer:
    """What SGLang makes of one command."""
    sglang_gpu.use(ask["gpu"], ask["gpus_per_node"])
    arguments = _parsed(_words(ask))
    stage("resolve", arguments.resolve_once)
    stage("check", arguments.check_server_args)
    from sglang.srt.arg_groups.overrides import resolving_view

    resolved = resolving_view(arguments)
    widths = stage("widths", lambda: _widths(resolved))
    answer = {"resolved": _resolved(arguments, resolved, widths)}
    if ask.get("deep"):
        answer["ranks"] = _ranks(arguments, resolved)
    return answer


def _words(ask: Ask) -> list[str]:
    """The options, with the folder of the config in place of the model."""
    words = after(ask["command"], *STARTS)
    place = next((i for i, word in enumerate(words) if word in MODEL), None)
    if place is None:
        raise RejectedError("parse", f"none of {MODEL}")
    served = ["--served-model-name", words[place + 1]]
    return [*words[:place], MODEL[0], ask["model_dir"], *words[place + 2 :], *served]


def _parsed(words: list[str]) -> Any:
    from sglang.srt.server_args import prepare_server_args

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return stage("parse", lambda: prepare_server_args(words))
    except RejectedError as error:
        lines = said.getvalue().strip().splitlines()
        raise RejectedError("parse", lines[-1] if lines else error.reason) from error


def _widths(resolved: Any) -> dict[str, int]:
    """The widths of SGLang's groups, as it derives them."""
    from sglang.srt.runtime_context import parallel_widths_of

    return parallel_widths_of(resolved)


def _resolved(arguments: Any, resolved: Any, widths: dict[str, int]) -> Answer:
    """Our degrees, as SGLang ends up with them, and what was said beside them."""
    said = arguments.resolved_dict()
    return {
        "tensor": widths["attn_tp_size"],
        "context": resolved.attn_cp_size,
        "data": resolved.attn_dp_size,
        "pipeline": resolved.pp_size,
        "expert": widths["moe_ep_size"],
        "expert_tensor": widths["moe_tp_size"],
        "expert_data": resolved.moe_dp_size,
        "decode_context": resolved.dcp_size,
        "stage_group": resolved.tp_size,
        "gpus": resolved.tp_size * resolved.pp_size * resolved.dp_size,
    } | {ours: said.get(theirs) for ours, theirs in KEPT.items()}


def _ranks(arguments: Any, resolved: Any) -> list[Answer]:
    """The first rank, and the last one where there are several stages."""
    last = [resolved.tp_size * resolved.pp_size - 1] if resolved.pp_size > 1 else []
    return [
        rank_of(lambda number=number: stage("model", lambda: rank(arguments, resolved, number)))
        for number in [0, *last]
    ]


if __name__ == "__main__":
    sglang_gpu.install()
    import sglang.srt.arg_groups.pipeline
    import sglang.srt.model_loader.loader
    import sglang.srt.models.registry
    import sglang.srt.server_args  # noqa: F401

    serve(check)
