"""SGLang's own model class for one rank, built without memory: bytes of weights and of the KV cache."""

from __future__ import annotations

import inspect
from typing import Any

import pretend
import torch
from side import Answer

NAMESPACES = ("sgl_kernel", "_C", "_moe_C")


def rank(arguments: Any, resolved: Any, number: int) -> Answer:
    """Of one rank of the first replica."""
    pretend.lonely_groups()
    _no_communicators()
    with pretend.missing_operators(*NAMESPACES), pretend.NoCuda():
        _world(arguments, resolved, number)
        model, config = _build(arguments)
        layers = _attention_layers(model)
        return {
            "rank": number,
            "weights": pretend.weight_bytes(model),
            "kv_layers": layers,
            "kv_per_token": layers * _kv_width(config) * _element(resolved, config),
        }


def _no_communicators() -> None:
    """Groups without buffers on a device."""
    from sglang.srt.distributed import parallel_state

    start = parallel_state.GroupCoordinator.__init__
    signature = inspect.signature(start)

    def plain(self: Any, *arguments: Any, **named: Any) -> None:
        bound = signature.bind(self, *arguments, **named)
        bound.apply_defaults()
        bound.arguments.update({name: False for name in bound.arguments if name.startswith("use_")})
        start(*bound.args, **bound.kwargs)

    parallel_state.GroupCoordinator.__init__ = plain


def _world(arguments: Any, resolved: Any, number: int) -> None:
    from sglang.srt.distributed.parallel_state import init_distributed_environment, initialize_model_parallel
    from sglang.srt.layers.dp_attention import initialize_dp_attention
    from sglang.srt.layers.moe import initialize_moe_config
    from sglang.srt.runtime_context import SpawnRanks, publish

    replica = 0 if resolved.dp_size > 1 else None
    publish(arguments, role="scheduler", ranks=SpawnRanks(world_rank=number, dp_rank=replica, gpu_id=0))
    init_distributed_environment(
        world_size=resolved.tp_size * resolved.pp_size,
        rank=number,
        local_rank=0,
        distributed_init_method="tcp://127.0.0.1:1",
        backend="nccl",
    )
    initialize_model_parallel()
    initialize_dp_attention(arguments)
    takes = inspect.signature(initialize_moe_config).parameters
    initialize_moe_config(*[arguments] * bool(takes))


def _build(arguments: Any) -> tuple[torch.nn.Module, Any]:
    from sglang.srt.arg_groups.overrides import model_config_of
    from sglang.srt.configs.load_config import LoadConfig
    from sglang.srt.model_loader import loader
    from sglang.srt.model_loader.utils import set_default_torch_dtype

    config, load = model_config_of(arguments), LoadConfig()
    with set_default_torch_dtype(config.dtype), torch.device("meta"):
        return loader._initialize_model(config, load, loader._get_quantization_config(config, load)), config


def _attention_layers(model: torch.nn.Module) -> int:
    from sglang.srt.layers.radix_attention import RadixAttention

    return len({one.layer_id for one in model.modules() if isinstance(one, RadixAttention)})


def _kv_width(config: Any) -> int:
    """Elements that a rank keeps of one token in one layer."""
    from sglang.srt.configs.model_config import AttentionArch
    from sglang.srt.runtime_context import get_parallel

    if config.attention_arch == AttentionArch.MLA:
        return config.kv_lora_rank + config.qk_rope_head_dim
    return config.get_num_kv_heads(get_parallel().attn_tp_size) * (config.head_dim + config.v_head_dim)


def _element(resolved: Any, config: Any) -> int:
    return 1 if "fp8" in str(resolved.kv_cache_dtype) else config.dtype.itemsize
