"""Verdicts of vLLM on command lines, by its own parser, validators and model classes.

Stages: parse, serve (what the server checks before it makes a config), config, model (deep only).
Run by the interpreter that has vLLM; JSON lines in, JSON lines out (side.py).
"""

from __future__ import annotations

import contextlib
import importlib
import io
from typing import Any

import pretend
import vllm_gpu
from side import Answer, Ask, RejectedError, after, rank_of, serve, stage
from vllm_ranks import NAMESPACES, rank

BEFOREHAND = (
    "vllm.config",
    "vllm.engine.arg_utils",
    "vllm.entrypoints.common.cli_args",
    "vllm.v1.core.kv_cache_planning",
    "vllm.v1.worker.worker_base",
)
"""Imported once, before processes are forked."""
STARTS = ("vllm serve", "python3 -m vllm.entrypoints.openai.api_server")


def check(ask: Ask) -> Answer:
    """What vLLM makes of one command."""
    vllm_gpu.use(ask["gpu"], ask["gpus_per_node"])
    arguments = _parsed(after(ask["command"], *STARTS))
    arguments.served_model_name = arguments.served_model_name or [arguments.model_tag or arguments.model]
    arguments.model = arguments.model_tag = ask["model_dir"]
    arguments.skip_tokenizer_init = True  # the folder has a config.json only
    stage("serve", lambda: _serve(arguments))
    config = stage("config", lambda: _config(arguments))
    answer = {"resolved": _resolved(config)}
    if ask.get("deep"):
        answer["ranks"] = _ranks(config, ask)
    return answer


def _parsed(words: list[str]) -> Any:
    from vllm.entrypoints.common.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser, said = make_arg_parser(FlexibleArgumentParser(prog="vllm serve")), io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return stage("parse", lambda: parser.parse_args(words))
    except RejectedError as error:
        lines = said.getvalue().strip().splitlines()
        raise RejectedError("parse", lines[-1] if lines else error.reason) from error


def _serve(arguments: Any) -> None:
    """The checks of `vllm serve` itself: one way of balancing data ranks at most, none on a node that follows."""
    from vllm.entrypoints.common.cli_args import validate_parsed_serve_args

    validate_parsed_serve_args(arguments)
    outside = arguments.data_parallel_external_lb or arguments.data_parallel_rank is not None
    many = arguments.data_parallel_multi_port_external_lb
    hybrid = arguments.data_parallel_hybrid_lb or (not many and arguments.data_parallel_start_rank is not None)
    if outside + many + (hybrid and not arguments.headless) > 1:
        raise ValueError("more than one way of balancing data ranks")


def _config(arguments: Any) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    made = AsyncEngineArgs.from_cli_args(arguments)
    return made.create_engine_config(UsageContext.OPENAI_API_SERVER, headless=bool(arguments.headless))


def _resolved(config: Any) -> Answer:
    """Our degrees, as vLLM ends up with them, and what was said beside them."""
    parallel, scheduler, cache = config.parallel_config, config.scheduler_config, config.cache_config
    stage_group = parallel.tensor_parallel_size * parallel.data_parallel_size * parallel.prefill_context_parallel_size
    dealt = parallel.enable_expert_parallel
    return {
        "tensor": parallel.tensor_parallel_size,
        "context": parallel.prefill_context_parallel_size,
        "data": parallel.data_parallel_size,
        "pipeline": parallel.pipeline_parallel_size,
        "expert": stage_group if dealt else 1,
        "expert_tensor": 1 if dealt else stage_group,
        "experts": bool(config.model_config.is_moe),
        "decode_context": parallel.decode_context_parallel_size,
        "gpus": parallel.world_size_across_dp,
        "nodes": parallel.nnodes,
        "node_rank": parallel.node_rank,
        "data_here": parallel.data_parallel_size_local,
        "sequences": scheduler.max_num_seqs,
        "token_budget": scheduler.max_num_batched_tokens,
        "longest": config.model_config.max_model_len,
        "memory_share": cache.gpu_memory_utilization,
        "kv_format": cache.cache_dtype,
        "weight_format": config.model_config.quantization,
        "transfer": config.kv_transfer_config and config.kv_transfer_config.kv_connector,
    }


def _ranks(config: Any, ask: Ask) -> list[Answer]:
    """The first rank, and the last one where there are several stages."""
    parallel = config.parallel_config
    last = [parallel.world_size - 1] if parallel.pipeline_parallel_size > 1 else []
    return [
        rank_of(lambda number=number: stage("model", lambda: rank(config, number, ask.get("budget", 0))))
        for number in [0, *last]
    ]


if __name__ == "__main__":
    vllm_gpu.install()
    with pretend.missing_operators(*NAMESPACES):
        for module in BEFOREHAND:
            importlib.import_module(module)
    serve(check)
