"""Families of language models: from the keys of their configuration to the fields of a Transformer.

Keys and defaults are those of each family's configuration class in the transformers library
(`models/<family>/configuration_<family>.py`); what has a weight or a bias is its modelling file's. Keys that give the
model its size must be stated, except where publishers leave them to the class (Gemma 3).
"""

from __future__ import annotations

from collections.abc import Callable

from .hf_fields import Config
from .hf_parts import (
    Fields,
    described,
    grouped,
    indexer,
    last_of_each_full,
    layer_count,
    linear_layers,
    plain_only,
    routed_experts,
    sliding_everywhere,
    sliding_window,
)


def _llama(c: Config) -> Fields:
    if c.flag("mlp_bias"):
        raise c.refuse("biases of the feed-forward (mlp_bias) are not modelled", "mlp_bias")
    bias = c.flag("attention_bias")  # LlamaAttention: on all four projections
    window = sliding_window(c, c.optional("sliding_window"), ["full_attention"] * layer_count(c))
    attention = grouped(c, qkv_bias=bias, output_bias=bias, window=window)
    return described(c, attention, dense=c.whole("intermediate_size"))


def _mistral(c: Config) -> Fields:
    size = c.optional("sliding_window", default=4096)
    return described(c, grouped(c, kv_heads=8, window=sliding_everywhere(c, size)), dense=c.whole("intermediate_size"))


def _phi3(c: Config) -> Fields:
    attention = grouped(c, window=sliding_everywhere(c, c.optional("sliding_window")))
    return described(c, attention, dense=c.whole("intermediate_size"))


def _mixtral(c: Config) -> Fields:
    attention = grouped(c, kv_heads=8, window=sliding_everywhere(c, c.optional("sliding_window")))
    return described(c, attention, experts=routed_experts(c, "num_local_experts", "intermediate_size"))


def _qwen_window(c: Config) -> Fields | None:
    """Qwen2Config: only with use_sliding_window, and then from layer max_window_layers on."""
    size = c.optional("sliding_window", default=4096) if c.flag("use_sliding_window") else None
    first = c.whole("max_window_layers", default=28, least=0)
    kinds = ["full_attention" if size is None or i < first else "sliding_attention" for i in range(layer_count(c))]
    return sliding_window(c, size, kinds)


def _qwen2(c: Config) -> Fields:
    attention = grouped(c, kv_heads=32, qkv_bias=True, window=_qwen_window(c))
    return described(c, attention, dense=c.whole("intermediate_size"))


def _qwen3(c: Config) -> Fields:
    bias = c.flag("attention_bias")
    attention = grouped(c, kv_heads=32, head_dim=128, qkv_bias=bias, output_bias=bias, qk_norm=True)
    return described(c, {**attention, "window": _qwen_window(c)}, dense=c.whole("intermediate_size"))


def _qwen3_moe(c: Config) -> Fields:
    plain_only(c, "mlp_only_layers", "decoder_sparse_step", "use_sliding_window", "shared_expert_intermediate_size")
    bias = c.flag("attention_bias")
    attention = grouped(
        c, kv_heads=4, qkv_bias=bias, output_bias=bias, qk_norm=True, window=sliding_everywhere(c, None)
    )
    return described(c, attention, experts=routed_experts(c, "num_experts", "moe_intermediate_size"))


def _qwen3_next(c: Config) -> Fields:
    """Linear layers, every fourth full unless stated, whose query projection also gives the output's gate."""
    plain_only(c, "mlp_only_layers", "decoder_sparse_step")
    bias = c.flag("attention_bias")
    attention = grouped(c, kv_heads=2, head_dim=256, qkv_bias=bias, output_bias=bias, qk_norm=True)
    attention["output_gate"] = c.flag("attn_output_gate", default=True)
    dense = experts = None
    if c.data.get("num_experts"):
        shared = c.whole("shared_expert_intermediate_size", default=512, least=0)
        experts = routed_experts(c, "num_experts", "moe_intermediate_size")
        experts |= {"shared_width": shared, "shared_gate": shared > 0}
    else:
        dense = c.whole("intermediate_size")
    return {**described(c, attention, dense=dense, experts=experts), "linear_attention": linear_layers(c)}


def _gemma2(c: Config) -> Fields:
    return _gemma(c, last_of_each_full(c, 2), qk_norm=False)


def _gemma3(c: Config) -> Fields:
    """Its files leave heads and vocabulary to the class."""
    period = c.whole("sliding_window_pattern", "_sliding_window_pattern", default=6)
    return _gemma(c, last_of_each_full(c, period), qk_norm=True, heads=8, vocabulary=262_208)


def _gemma(
    c: Config, kinds: list[str], *, qk_norm: bool, heads: int | None = None, vocabulary: int | None = None
) -> Fields:
    plain_only(c, "use_bidirectional_attention")
    bias = c.flag("attention_bias")
    window = sliding_window(c, c.optional("sliding_window", default=4096), kinds)
    attention = grouped(c, heads=heads, kv_heads=4, head_dim=256, qkv_bias=bias, output_bias=bias, qk_norm=qk_norm)
    model = described(
        c, {**attention, "window": window}, dense=c.whole("intermediate_size"), vocabulary=vocabulary, tied=True
    )
    return {**model, "norms_per_layer": 4}  # before and after attention and feed-forward


def _llama4(c: Config) -> Fields:
    """Chunked attention is counted as a window of the chunk's size, which it never exceeds."""
    layers, bias = layer_count(c), c.flag("attention_bias")
    rotary = c.items("no_rope_layers", int)  # 1: rotary positions and chunks; 0: neither, all tokens
    period = c.whole("no_rope_layer_interval", default=4)
    kinds = ["chunked_attention" if r else "full_attention" for r in rotary[:layers]] or [
        kind.replace("sliding", "chunked") for kind in last_of_each_full(c, period)
    ]
    size = c.optional("attention_chunk_size", default=8192)
    window = None if size is None else sliding_window(c, size, kinds)
    if window is not None:
        c.assume("attention.window", f"attention_chunk_size {size}: chunks counted as a sliding window, a bound")
    step = c.whole("interleave_moe_layer_step", default=1)
    listed = list(c.items("moe_layers", int))
    step = listed[0] + 1 if listed else step
    if c.data.get("moe_layers") is not None and listed != list(range(step - 1, layers, max(step, 1))):
        raise c.refuse("moe_layers: only one expert layer in every so many is modelled", "moe_layers")
    # use_qk_norm: an L2 norm without weights. The shared expert is as wide as a routed one.
    attention = grouped(c, kv_heads=8, head_dim=128, qkv_bias=bias, output_bias=bias, window=window)
    width = c.whole("intermediate_size")
    experts = {**routed_experts(c, "num_local_experts", "intermediate_size"), "shared_width": width, "interval": step}
    dense = c.whole("intermediate_size_mlp", default=16_384) if step > 1 else None
    return described(c, attention, dense=dense, experts=experts)


def _gpt_oss(c: Config) -> Fields:
    bias = c.flag("attention_bias", default=True)
    window = sliding_window(c, c.optional("sliding_window", default=128), last_of_each_full(c, 2))
    attention = grouped(c, kv_heads=8, head_dim=64, qkv_bias=bias, output_bias=bias, sinks=True, window=window)
    return described(
        c, attention, experts={**routed_experts(c, "num_local_experts", "intermediate_size"), "biases": True}
    )


def _minimax_m2(c: Config) -> Fields:
    plain_only(c, "shared_intermediate_size")
    if any(kind != 1 for kind in c.items("attn_type_list", int)):
        raise c.refuse("lightning attention (attn_type_list) is not modelled", "attn_type_list")
    norm = c.flag("use_qk_norm", default=True)  # over all heads at once; counted per head, 0.0002 % less
    attention = grouped(c, kv_heads=8, head_dim=128, qk_norm=norm, window=sliding_everywhere(c, None))
    experts = routed_experts(c, "num_local_experts", "intermediate_size")
    return described(c, attention, experts={**experts, "router_bias": c.flag("use_routing_bias", default=True)})


def _glm4_moe(c: Config) -> Fields:
    norm = c.flag("use_qk_norm")
    attention = grouped(
        c, kv_heads=8, qkv_bias=c.flag("attention_bias"), qk_norm=norm, window=sliding_everywhere(c, None)
    )
    groups = (c.whole("n_group", default=1), c.whole("topk_group", default=1))
    return _with_shared_experts(c, attention, leading=1, shared=1, groups=groups, router_bias=True)


def _deepseek_v2(c: Config) -> Fields:
    limited = c.text("topk_method") == "group_limited_greedy"  # `greedy`, the default, ignores the groups
    groups = (c.whole("n_group"), c.whole("topk_group")) if limited else (1, 1)
    return _with_shared_experts(c, _latent(c), leading=0, shared=2, groups=groups, router_bias=False)


def _deepseek_v3(c: Config, sparse: Fields | None = None) -> Fields:
    """Also Kimi-K2, which is this architecture with other numbers."""
    bias = c.text("topk_method") in (None, "noaux_tc")
    groups = (c.whole("n_group", default=8), c.whole("topk_group", default=4))
    return _with_shared_experts(c, _latent(c, sparse), leading=3, shared=1, groups=groups, router_bias=bias)


def _deepseek_v32(c: Config) -> Fields:
    return _deepseek_v3(c, indexer(c))


def _glm_moe_dsa(c: Config) -> Fields:
    """DeepSeek-V3.2 with other defaults."""
    groups = (c.whole("n_group", default=1), c.whole("topk_group", default=1))
    latent = _latent(c, indexer(c))
    return _with_shared_experts(c, latent, leading=3, shared=1, groups=groups, router_bias=True)


def _latent(c: Config, sparse: Fields | None = None) -> Fields:
    plain_only(c, "attention_bias", "moe_layer_freq")
    latent = {
        "query_rank": c.optional("q_lora_rank", default=1536),
        "kv_rank": c.whole("kv_lora_rank"),
        "nope_dim": c.whole("qk_nope_head_dim"),
        "rope_dim": c.whole("qk_rope_head_dim"),
        "value_dim": c.whole("v_head_dim"),
        "sparse": sparse,
    }
    return {"heads": c.whole("num_attention_heads"), "latent": latent, "window": sliding_everywhere(c, None)}


def _with_shared_experts(
    c: Config, attention: Fields, *, leading: int, shared: int, groups: tuple[int, int], router_bias: bool
) -> Fields:
    """DeepSeek's way: leading dense layers, shared experts, and routing limited to `groups`[1] of `groups`[0]."""
    leading = c.whole("first_k_dense_replace", default=leading, least=0)
    if leading > layer_count(c):
        raise c.stop(f"first_k_dense_replace {leading} is more than all layers", "first_k_dense_replace")
    experts = routed_experts(c, "n_routed_experts", "moe_intermediate_size")
    stated = "n_shared_experts" in c.data  # null means none
    shared = c.whole("n_shared_experts", default=0 if stated else shared, least=0)
    experts |= {
        "shared_width": shared * experts["width"],
        "leading_dense_layers": leading,
        "router_bias": router_bias,
        "node_limit": groups[1] if groups[1] < groups[0] else None,
    }
    return described(c, attention, dense=c.whole("intermediate_size") if leading else None, experts=experts)


FAMILIES: dict[str, tuple[Callable[[Config], Fields], str]] = {
    "LlamaForCausalLM": (_llama, "llama"),
    "MistralForCausalLM": (_mistral, "mistral"),
    "MixtralForCausalLM": (_mixtral, "mixtral"),
    "Phi3ForCausalLM": (_phi3, "phi3"),
    "Qwen2ForCausalLM": (_qwen2, "qwen2"),
    "Qwen3ForCausalLM": (_qwen3, "qwen3"),
    "Qwen3MoeForCausalLM": (_qwen3_moe, "qwen3_moe"),
    "Qwen3NextForCausalLM": (_qwen3_next, "qwen3_next"),
    "Qwen3_5ForCausalLM": (_qwen3_next, "qwen3_5_text"),
    "Qwen3_5ForConditionalGeneration": (_qwen3_next, "qwen3_5"),
    "Qwen3_5MoeForCausalLM": (_qwen3_next, "qwen3_5_moe_text"),
    "Qwen3_5MoeForConditionalGeneration": (_qwen3_next, "qwen3_5_moe"),
    "Gemma2ForCausalLM": (_gemma2, "gemma2"),
    "Gemma3ForCausalLM": (_gemma3, "gemma3_text"),
    "Gemma3ForConditionalGeneration": (_gemma3, "gemma3"),
    "Llama4ForCausalLM": (_llama4, "llama4_text"),
    "Llama4ForConditionalGeneration": (_llama4, "llama4"),
    "DeepseekV2ForCausalLM": (_deepseek_v2, "deepseek_v2"),
    "DeepseekV3ForCausalLM": (_deepseek_v3, "deepseek_v3"),
    "KimiK2ForCausalLM": (_deepseek_v3, "kimi_k2"),
    "KimiK25ForConditionalGeneration": (_deepseek_v3, "kimi_k25"),
    "DeepseekV32ForCausalLM": (_deepseek_v32, "deepseek_v32"),
    "GlmMoeDsaForCausalLM": (_glm_moe_dsa, "glm_moe_dsa"),
    "GptOssForCausalLM": (_gpt_oss, "gpt_oss"),
    "Glm4MoeForCausalLM": (_glm4_moe, "glm4_moe"),
    "MiniMaxM2ForCausalLM": (_minimax_m2, "minimax_m2"),
}
"""Architecture -> how to read it, and the model_type that stands for it where `architectures` is absent."""
