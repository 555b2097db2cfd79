"""vLLM's own model class for one rank, built without memory: bytes of weights and of the KV cache."""

from __future__ import annotations

from typing import Any

import pretend
import torch
import vllm_gpu
from side import Answer

NAMESPACES = ("_C", "_moe_C", "_C_cache_ops", "_qutlass_C")


def rank(config: Any, number: int, budget: int) -> Answer:
    """Of one rank of the first data rank; `budget` is what weights and KV cache may take together, in bytes."""
    vllm_gpu.runtime()
    from vllm.config import set_current_vllm_config
    from vllm.config.compilation import CompilationMode

    config.parallel_config.rank = number
    config.compilation_config.mode = CompilationMode.NONE  # changes neither parameters nor caches
    with pretend.missing_operators(*NAMESPACES), set_current_vllm_config(config):
        model = _build(config, number)
        specs = _specs(config)
        weights = pretend.weight_bytes(model)
        found: Answer = {"rank": number, "weights": weights, "kv_layers": len(specs)}
        if specs:
            # as many bytes as the pages of a block of tokens take, windows aside
            found["kv_per_token"] = sum(spec.page_size_bytes / spec.block_size for spec in specs.values())
            found["kv_tokens"] = _capacity(config, specs, budget - weights)
    return found


def _build(config: Any, number: int) -> torch.nn.Module:
    from vllm.distributed.parallel_state import init_distributed_environment, initialize_model_parallel
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.utils.torch_utils import set_default_torch_dtype

    parallel = config.parallel_config
    init_distributed_environment(parallel.world_size, number, "tcp://127.0.0.1:1", 0, "nccl")
    initialize_model_parallel(
        parallel.tensor_parallel_size,
        parallel.pipeline_parallel_size,
        parallel.prefill_context_parallel_size,
        parallel.decode_context_parallel_size,
    )
    with set_default_torch_dtype(config.model_config.dtype), torch.device("meta"), pretend.NoCuda():
        return initialize_model(config)


def _specs(config: Any) -> dict[str, Any]:
    """The cache that each attention layer of this rank asks for, laid out as the engine does before it sizes them."""
    from vllm import platforms
    from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
    from vllm.v1.attention.backends.utils import get_supported_kv_cache_layouts, resolve_kv_cache_layout
    from vllm.v1.worker.worker_base import get_current_attn_backends

    platforms._current_platform.update_block_size_for_backend(config)
    layers = config.compilation_config.static_forward_context
    asked = {name: one.get_kv_cache_spec(config) for name, one in layers.items() if isinstance(one, AttentionLayerBase)}
    specs = {name: spec for name, spec in asked.items() if spec is not None}
    if specs:
        layouts = get_supported_kv_cache_layouts(get_current_attn_backends(config))
        resolve_kv_cache_layout(config, [[layout.name for layout in layouts]], list(specs.values()))
    return specs


def _capacity(config: Any, specs: dict[str, Any], room: int) -> int | None:
    """Tokens that the KV cache holds in that many bytes; None where not one sequence fits."""
    from vllm.v1.core.kv_cache_planning import get_global_kv_cache_groups, get_kv_cache_configs
    from vllm.v1.core.kv_cache_utils import generate_scheduler_kv_cache_config, get_kv_cache_capacity

    try:
        planned = get_kv_cache_configs(config, [specs], [room], get_global_kv_cache_groups(config, [specs]))
    except ValueError:
        return None
    tokens, _ = get_kv_cache_capacity(config, generate_scheduler_kv_cache_config(planned))
    return int(tokens)
