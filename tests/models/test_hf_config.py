"""Hugging Face configurations: what each family's file means, what is refused, and where a bad file is wrong.

The files in hf_configs/ are made up: width 8, four query and two KV heads, a vocabulary of 10. Counts in comments.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shardwise.models import InputError, Precision, Scenario, SlidingWindow, Transformer
from shardwise.models.counts import count_parameters, kv_bytes_per_token
from shardwise.models.reading.hf_config import read_config
from shardwise.models.reading.hf_families import FAMILIES
from shardwise.solver.command.catalog import entry

HERE = Path(__file__).parent / "hf_configs"
REAL = Path(__file__).parents[3] / "shared" / "hf-configs"
SCENARIO = "hardware: {accelerator: h100-sxm}\nmodel: MODEL\nworkload: {batch: 1, input_tokens: 10}\n"

Config = dict[str, Any]
Write = Callable[..., Path]


def config(name: str, **changes: Any) -> Config:
    """A file of hf_configs/ with keys changed where they stand; ... removes one."""
    data: Config = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    owner = data.get("text_config", data)
    for key, value in changes.items():
        owner.pop(key, None) if value is ... else owner.__setitem__(key, value)
    return data


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def save(data: Config | str, name: str = "config.json") -> Path:
        path = tmp_path / name
        path.write_text(data if isinstance(data, str) else json.dumps(data, indent=2), encoding="utf-8")
        return path

    return save


def refused(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_config(path)
    assert len(str(caught.value)) < 2_000
    return caught.value


# ---- each family ----

# One layer's attention is q and o 2·8·8, k and v 2·8·4: 192 (heads of 2). A dense feed-forward of 16 is 384, an expert
# of 6 is 144, four experts 576. Norms are 2 per layer and a last one, of 8. Embedding and head are 80 each.
COUNTED = {
    "llama": (2 * 192 + 2 * 384 + 40 + 160, 2 * 8 * 2),
    "mistral": (2 * 288 + 2 * 384 + 40 + 160, 2 * 12 * 2),  # heads of 3: 2·8·12 + 2·8·6
    "qwen2": (2 * (192 + 16) + 2 * 384 + 40 + 80, 2 * 8 * 2),  # biases of q, k, v (4+2+2)·2; tied
    "qwen3": (4096 + 2048 + 256 + 384 + 24 + 160, 2 * 128 * 2),  # one layer, heads 2 and 1 of 128, two norms of 128
    "qwen3_moe": (2 * (192 + 4) + 2 * 576 + 2 * 32 + 40 + 160, 2 * 8 * 2),  # norms of q and k, 2 each; router 8·4
    "gemma2": (3 * 192 + 3 * 384 + (3 * 4 + 1) * 8 + 80, 3 * 8 * 2),  # four norms per layer; tied
    # the class's heads 8 and 4 of 256: 2·8·2048 + 2·8·1024 + norms 512; its vocabulary 262,208; tied
    "gemma3": (7 * (32_768 + 16_384 + 512) + 7 * 384 + (7 * 4 + 1) * 8 + 262_208 * 8, 7 * 2048 * 2),
    "phi3": (2 * 256 + 2 * 384 + 40 + 160, 2 * 16 * 2),  # as many KV heads as query heads
    "mixtral": (2 * 192 + 2 * 576 + 2 * 32 + 40 + 160, 2 * 8 * 2),
    # two heads of 3+2 and value 3, rank 4: q 8·2·5, up 4·2·6, o 2·3·8, down 8·6, norm 4: 228.
    # One dense layer, one with four experts, shared ones of 12 together, router 32
    "deepseek_v2": (2 * 228 + 384 + 576 + 288 + 32 + 40 + 160, 2 * 6 * 2),
    # query rank 6: 8·6 and 6·10 instead of 80, norm 6: 262; shared 6; the router has a bias of 4
    "deepseek_v3": (2 * 262 + 384 + 576 + 144 + 36 + 40 + 160, 2 * 6 * 2),
    "kimi_k25": (2 * 262 + 384 + 576 + 144 + 36 + 40 + 160, 2 * 6 * 2),
    # an indexer of two heads of 4: 6·8 + 8·4 + 8·2, norm 8: 104; it caches a key of 4 bytes and a scale of 4
    "deepseek_v32": (2 * (262 + 104) + 384 + 576 + 144 + 36 + 40 + 160, 2 * (6 * 2 + 8)),
    "glm_moe_dsa": (2 * 262 + 104 + 384 + 576 + 144 + 36 + 40 + 160, 2 * 6 * 2 + 8),  # one of two layers has it
    # linear: q, k of 2·2, v and z of 4·3, gates 2·4, out: 8·40 + 96; convolution 20·4, 8, norm 3: 507.
    # full: the output's gate 64 and norms 4 more: 260. Experts 576, shared 144, router 32, shared gate 8
    "qwen3_next": (3 * 507 + 260 + 4 * 760 + 72 + 160, 8 * 2),
    "qwen3_5": (507 + 260 + 2 * 384 + 40 + 160, 8 * 2),
    "qwen3_5_moe": (507 + 260 + 2 * 760 + 40 + 160, 8 * 2),
    # four layers; biases 16 and 8, sinks 4; an expert has biases 6+6+8, the router 4
    "gpt_oss": (4 * (192 + 16 + 8 + 4) + 4 * 4 * (144 + 20) + 4 * 36 + 72 + 160, 4 * 8 * 2),
    "glm4_moe": (2 * (192 + 16 + 4) + 384 + 576 + 144 + 36 + 40 + 160, 2 * 8 * 2),  # no bias on o
    # four layers, every second with experts and a shared one; norms of q and k have no weights
    "llama4": (4 * 192 + 2 * 384 + 2 * (576 + 144 + 32) + 72 + 160, 4 * 8 * 2),
    "minimax_m2": (2 * (192 + 4) + 2 * 576 + 2 * 36 + 40 + 160, 2 * 8 * 2),
}


def test_every_family_is_in_the_table() -> None:
    assert {path.stem for path in HERE.iterdir()} == set(COUNTED)
    read = {json.loads(path.read_text(encoding="utf-8"))["architectures"][0] for path in HERE.iterdir()}
    bare = {"Gemma3", "Llama4", "KimiK2", "Qwen3_5", "Qwen3_5Moe"}  # the same as with a vision tower
    assert set(FAMILIES) - read == {f"{name}ForCausalLM" for name in bare}


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_and_kv_bytes(name: str) -> None:
    model = read_config(HERE / f"{name}.json")
    assert (count_parameters(model).total, kv_bytes_per_token(model)) == COUNTED[name]
    assert (model.id, model.sources["shapes"]) == (name, f"hf_configs/{name}.json")
    assert set(model.assumed) <= set(model.sources)


WINDOWS = {
    "mistral": SlidingWindow(size=4),
    "gemma2": SlidingWindow(size=4096, pattern=("sliding", "full")),
    "gemma3": SlidingWindow(size=32, pattern=("sliding",) * 5 + ("full",)),
    "gpt_oss": SlidingWindow(size=16, pattern=("sliding", "full")),
    "llama4": SlidingWindow(size=64, pattern=("sliding",) * 3 + ("full",)),
}


def test_linear_layers_and_their_states(write: Write) -> None:
    model = read_config(HERE / "qwen3_next.json")
    assert [kind.linear for kind in model.kinds] == [True, True, True, False]
    assert model.linear_attention is not None and model.linear_attention.state == "bf16"
    assert "linear_attention.state" in model.assumed
    stated = read_config(HERE / "qwen3_5.json")
    assert stated.linear_attention is not None and stated.linear_attention.state == "fp32" and not stated.assumed
    full = read_config(write(config("qwen3_next", layer_types=["full_attention"] * 4)))
    assert full.linear_attention is None
    assert "'int4' is not known" in refused(write(config("qwen3_next", mamba_ssm_dtype="int4"))).message


def test_indexers(write: Write) -> None:
    shared = read_config(HERE / "glm_moe_dsa.json")
    assert [kind.indexed for kind in shared.kinds] == [True, False]
    assert "the first one full" in refused(write(config("glm_moe_dsa", indexer_types=["shared", "full"]))).message
    assert "not modelled" in refused(write(config("deepseek_v32", index_topk_freq=4))).message


def test_what_no_method_quantises_of_a_linear_layer_is_no_exception(write: Write) -> None:
    kept = [f"model.layers.0.linear_attn.{part}" for part in ("conv1d", "in_proj_a", "in_proj_b")]
    quantization = {"quant_method": "fp8", "modules_to_not_convert": ["lm_head", *kept]}
    assert read_config(write(config("qwen3_5", quantization_config=quantization))).precision == Precision(weights="fp8")


@pytest.mark.parametrize("name", COUNTED)
def test_windows(name: str) -> None:
    assert read_config(HERE / f"{name}.json").attention.window == WINDOWS.get(name)


S, F = "sliding_attention", "full_attention"


@pytest.mark.parametrize(
    ("name", "changes", "window"),
    [
        ("mistral", {"sliding_window": None}, None),
        ("mistral", {"sliding_window": ...}, SlidingWindow(size=4096)),  # MistralConfig's default
        ("llama", {"sliding_window": 4}, None),  # LlamaConfig has no window
        ("llama", {"sliding_window": 4, "layer_types": [S, F]}, SlidingWindow(size=4, pattern=("sliding", "full"))),
        ("phi3", {"sliding_window": 4}, SlidingWindow(size=4)),
        ("mixtral", {"sliding_window": 4}, SlidingWindow(size=4)),
        ("qwen2", {"use_sliding_window": True}, SlidingWindow(size=4, pattern=("full", "sliding"))),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 2}, None),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 0}, SlidingWindow(size=4)),
        ("qwen2", {"layer_types": [F, F]}, None),
        ("qwen3", {"use_sliding_window": True, "max_window_layers": 0}, SlidingWindow(size=4096)),
        ("gemma2", {"layer_types": [F, S, S]}, SlidingWindow(size=4096, pattern=("full", "sliding", "sliding"))),
        ("gemma3", {"sliding_window_pattern": 2}, SlidingWindow(size=32, pattern=("sliding", "full"))),
        ("gemma3", {"layer_types": [F] * 7}, None),
        ("gpt_oss", {"layer_types": ...}, SlidingWindow(size=16, pattern=("sliding", "full"))),
        ("llama4", {"attention_chunk_size": None}, None),
        ("llama4", {"no_rope_layers": [1, 0, 1, 0]}, SlidingWindow(size=64, pattern=("sliding", "full"))),
        ("llama4", {"no_rope_layers": []}, WINDOWS["llama4"]),
    ],
)
def test_windows_by_key(write: Write, name: str, changes: Config, window: SlidingWindow | None) -> None:
    assert read_config(write(config(name, **changes))).attention.window == window


def test_chunked_attention_is_marked_as_assumed(write: Write) -> None:
    assert "attention.window" in read_config(HERE / "llama4.json").assumed
    assert read_config(write(config("llama4", attention_chunk_size=None))).assumed == ()


@pytest.mark.parametrize(
    ("name", "changes", "heads"),
    [
        ("llama", {"num_key_value_heads": ...}, (4, 2)),  # as many as query heads; 8 / 4
        ("llama", {"num_key_value_heads": None, "head_dim": 16}, (4, 16)),
        ("mistral", {"num_attention_heads": 16, "num_key_value_heads": ..., "head_dim": 2}, (8, 2)),
        ("mistral", {"num_key_value_heads": None}, (4, 3)),
        ("qwen2", {"num_attention_heads": 64, "num_key_value_heads": ..., "head_dim": 2}, (32, 2)),
        ("qwen3", {"num_attention_heads": 32, "num_key_value_heads": ...}, (32, 128)),
        ("qwen3_moe", {"num_key_value_heads": ..., "head_dim": ...}, (4, 2)),
        ("gemma2", {"num_key_value_heads": ..., "head_dim": ...}, (4, 256)),
        ("gpt_oss", {"num_attention_heads": 8, "num_key_value_heads": ..., "head_dim": ...}, (8, 64)),
        ("glm4_moe", {"num_attention_heads": 8, "num_key_value_heads": ..., "head_dim": 5}, (8, 5)),
        ("llama4", {"num_attention_heads": 8, "num_key_value_heads": ..., "head_dim": ...}, (8, 128)),
        ("minimax_m2", {"num_attention_heads": 8, "num_key_value_heads": ..., "head_dim": ...}, (8, 128)),
        ("mixtral", {"num_attention_heads": 8, "num_key_value_heads": ...}, (8, 1)),
    ],
)
def test_defaults_of_heads(write: Write, name: str, changes: Config, heads: tuple[int, int]) -> None:
    attention = read_config(write(config(name, **changes))).attention
    assert (attention.key_heads, attention.head_dim) == heads


@pytest.mark.parametrize(
    ("name", "changes", "path", "value"),
    [
        ("llama", {"tie_word_embeddings": True}, "tied_embeddings", True),
        ("llama", {"tie_word_embeddings": None}, "tied_embeddings", False),
        ("gemma2", {"tie_word_embeddings": False}, "tied_embeddings", False),
        ("gemma3", {"tie_word_embeddings": False}, "tied_embeddings", False),
        ("llama", {"attention_bias": True}, "attention.output_bias", True),
        ("qwen2", {}, "attention.output_bias", False),
        ("gpt_oss", {"attention_bias": False}, "attention.qkv_bias", False),
        ("glm4_moe", {"use_qk_norm": ...}, "attention.qk_norm", False),
        ("deepseek_v2", {}, "experts.node_limit", None),  # greedy ignores the groups
        ("deepseek_v2", {"topk_method": "group_limited_greedy"}, "experts.node_limit", 2),
        ("deepseek_v2", {"n_shared_experts": ...}, "experts.shared_width", 12),
        ("deepseek_v2", {"n_shared_experts": None}, "experts.shared_width", 0),
        ("deepseek_v2", {"q_lora_rank": ...}, "attention.latent.query_rank", 1536),
        ("deepseek_v3", {}, "experts.node_limit", 2),
        ("deepseek_v3", {"n_group": 1, "topk_group": 1}, "experts.node_limit", None),
        ("deepseek_v3", {"topk_group": 4}, "experts.node_limit", None),  # all groups are no limit
        ("deepseek_v3", {"topk_method": "greedy"}, "experts.router_bias", False),
        ("deepseek_v3", {"first_k_dense_replace": 0}, "feed_forward", None),
        ("llama4", {"interleave_moe_layer_step": 1}, "experts.interval", 1),
        ("llama4", {"moe_layers": [3]}, "experts.interval", 4),
        ("llama4", {"moe_layers": [0, 1, 2, 3]}, "feed_forward", None),
        ("minimax_m2", {"use_routing_bias": False}, "experts.router_bias", False),
        ("gpt_oss", {"num_experts_per_tok": ..., "experts_per_token": 3}, "experts.per_token", 3),
        ("qwen3_moe", {"num_experts": ..., "num_local_experts": 8}, "experts.count", 8),
    ],
)
def test_single_keys(write: Write, name: str, changes: Config, path: str, value: object) -> None:
    found: Any = read_config(write(config(name, **changes)))
    for step in path.split("."):
        found = getattr(found, step)
    assert found == value


def test_without_architectures_the_model_type_decides(write: Write) -> None:
    for name in COUNTED:
        data = config(name)
        del data["architectures"]
        assert count_parameters(read_config(write(data))).total == COUNTED[name][0]


def test_the_outer_mapping_may_state_ties_and_formats(write: Write) -> None:
    data = config("llama4")
    data |= {"tie_word_embeddings": True, "torch_dtype": "float16"}
    model = read_config(write(data))
    assert (model.tied_embeddings, model.precision.activations) == (True, "fp16")
    data["text_config"] |= {"tie_word_embeddings": False, "dtype": "bfloat16"}
    model = read_config(write(data))
    assert (model.tied_embeddings, model.precision.activations) == (False, "bf16")


# ---- formats ----


def groups(**weights: Any) -> Config:
    return {"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"], "weights": weights}}}


def modelopt(algorithm: str, **more: Any) -> Config:
    return {"quant_method": "modelopt", "quant_algo": algorithm, **more}


@pytest.mark.parametrize(
    ("quantization", "weights"),
    [
        (None, "bf16"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": None}, "fp8"),
        ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}, "fp8"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4"),
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8, "dynamic": {}}, "int8"),
        (groups(num_bits=8, type="float"), "fp8"),
        (groups(num_bits=8, type="int"), "int8"),
        (groups(num_bits=4, type="int", group_size=32), "int4"),
        (groups(num_bits=4, type="float", group_size=16), "nvfp4"),
        (groups(num_bits=4, type="float", group_size=32), "mxfp4"),
        ({**groups(num_bits=8, type="float"), "sparsity_config": {"format": "dense"}}, "fp8"),
        (modelopt("FP8"), "fp8"),
        (modelopt("fp8_pb_wo"), "fp8"),
        (modelopt("NVFP4", exclude_modules=["lm_head", "model.embed_tokens"]), "nvfp4"),
        (modelopt("W4A16_AWQ"), "int4"),
        ({**groups(num_bits=4, type="float", group_size=16), "quant_method": "modelopt"}, "nvfp4"),
        ({"quant_method": "nvfp4"}, "nvfp4"),
    ],
)
def test_quantised_weights(write: Write, quantization: Config | None, weights: str) -> None:
    model = read_config(write(config("llama", quantization_config=quantization)))
    block = 128 if quantization and "weight_block_size" in quantization else None
    assert model.precision == Precision(weights=weights, block=block)  # type: ignore[arg-type]
    assert model.assumed == ()


FP8: Config = {"quant_method": "fp8"}
ONE = ("precision.experts",)  # one projection of the experts is left out, too little to say which format they have


@pytest.mark.parametrize(
    ("name", "quantization", "expected", "assumed"),
    [
        ("deepseek_v3", FP8, Precision(weights="fp8"), ()),
        # two layers: the first dense, the second with experts
        ("deepseek_v3", {**FP8, "ignore": ["self_attn"]}, Precision(experts="fp8"), ("precision.weights",)),
        (
            "deepseek_v3",
            {**FP8, "exclude_modules": ["model.layers.0.self_attn*", "model.layers.1.self_attn*", "model.layers.2*"]},
            Precision(experts="fp8"),
            ("precision.weights",),
        ),
        ("deepseek_v3", {**FP8, "ignore": ["self_attn", "layers.0.mlp"]}, Precision(experts="fp8"), ()),
        (
            "deepseek_v3",
            {**FP8, "ignore": ["re:.*experts.*"]},
            Precision(weights="fp8", experts="bf16"),
            ("precision.experts",),
        ),
        ("deepseek_v3", {**FP8, "ignore": ["re:.*gate$", "re:.*mlp.gate", "e_score"]}, Precision(weights="fp8"), ()),
        ("deepseek_v3", {**FP8, "ignore": ["re:.*q_a_proj$"]}, Precision(weights="fp8"), ("precision.weights",)),
        ("deepseek_v3", {**FP8, "ignore": ["model.layers.0", "model.layers.1"]}, Precision(), ()),
        ("qwen3_moe", {**FP8, "ignore": ["re:.*experts.*"]}, Precision(weights="fp8", experts="bf16"), ()),
        ("qwen3_moe", {**FP8, "ignore": ["re:.*[qkvo]_proj"]}, Precision(experts="fp8"), ()),
        ("qwen3_moe", {**FP8, "ignore": ["re:.*(q|k|v|o)_proj", "re:.*gate_proj"]}, Precision(experts="fp8"), ONE),
        ("mixtral", {**FP8, "ignore": ["re:.*block_sparse_moe.gate"]}, Precision(weights="fp8"), ()),
        ("llama", {**FP8, "ignored_layers": ["self_attn", "mlp"]}, Precision(), ()),
        ("llama", modelopt("FP8", kv_cache_quant_algo="FP8"), Precision(weights="fp8", kv_cache="fp8"), ()),
        ("llama", {**FP8, "kv_cache_scheme": {"num_bits": 8, "type": "float"}}, None, ()),
    ],
)
def test_parts_that_are_not_quantised(
    write: Write, name: str, quantization: Config, expected: Precision | None, assumed: tuple[str, ...]
) -> None:
    model = read_config(write(config(name, quantization_config=quantization)))
    assert model.precision == (expected or Precision(weights="fp8", kv_cache="fp8"))
    assert model.assumed == assumed


def test_formats_of_gpt_oss_and_kimi() -> None:
    oss, kimi = read_config(HERE / "gpt_oss.json"), read_config(HERE / "kimi_k25.json")
    assert oss.precision == Precision(experts="mxfp4")
    assert oss.assumed == ("precision.activations",)  # the file states no dtype
    assert kimi.precision == Precision(experts="int4")
    assert kimi.assumed == ("precision.experts",)  # the shared expert is not quantised
    assert "attention, dense, shared" in kimi.sources["precision"]


@pytest.mark.parametrize(("dtype", "expected"), [("torch.float16", "fp16"), ("float32", "fp32"), ("bfloat16", "bf16")])
def test_dtypes(write: Write, dtype: str, expected: Any) -> None:
    model = read_config(write(config("llama", torch_dtype=dtype)))
    assert model.precision == Precision(weights=expected, activations=expected, kv_cache=expected)


@pytest.mark.parametrize(
    ("quantization", "reason"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "method 'bitsandbytes' is not known"),
        ({}, "missing key 'quant_method'"),
        ("fp8", "quantization_config: 'fp8' is not a mapping"),
        ({"quant_method": "gptq", "bits": 3}, "int of 3 bits"),
        ({"quant_method": "gptq"}, "missing key 'bits'"),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {"-:x": {}}}, "dynamic"),
        ({"quant_method": "mxfp4"}, "this model has none"),
        (modelopt("MIXED_PRECISION"), "quant_algo 'MIXED_PRECISION' is not known"),
        (modelopt("FP8", kv_cache_quant_algo="INT3"), "kv_cache_quant_algo 'INT3'"),
        ({"quant_method": "compressed-tensors"}, "missing key 'config_groups'"),
        (groups(num_bits=4, type="float", group_size=64), "groups of 64"),
        (groups(num_bits=2, type="int"), "int of 2 bits"),
        (groups(num_bits=8, type="octal"), "octal of 8 bits"),
        ({**groups(num_bits=8), "config_groups": {}}, "0 formats"),
        ({**groups(num_bits=8), "sparsity_config": {"format": "sparse-24-bitmask"}}, "sparse weights"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"a": {"weights": {"num_bits": 8}, "targets": ["x"]}},
            },
            "'x' alone",
        ),
        ({**FP8, "ignore": ["self_attn"]}, "attention and feed-forward in different formats"),
        ({**FP8, "ignore": ["model.layers.0.mlp"]}, "dense unquantised in 1 of 2 layers"),
        ({**FP8, "ignore": "mlp"}, "not a list of text"),
        ({**FP8, "ignore": [1]}, "not a list of text"),
    ],
)
def test_unknown_formats_are_refused(write: Write, quantization: Any, reason: str) -> None:
    error = refused(write(config("llama", quantization_config=quantization)))
    assert reason in error.message
    assert error.place is not None and error.place.line is not None and error.place.line > 1


def test_formats_in_a_file_of_their_own_are_refused(write: Write) -> None:
    write("{}", "hf_quant_config.json")
    assert "hf_quant_config.json" in refused(write(config("llama"))).message
    assert read_config(write(config("llama", quantization_config=FP8))).precision.weights == "fp8"


# ---- refusals ----


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("DeepseekV4ForCausalLM", "sparse attention"),
        ("NemotronHForCausalLM", "hybrid"),
        ("JambaForCausalLM", "hybrid"),
        ("MiniMaxM1ForCausalLM", "hybrid"),
        ("MambaForCausalLM", "state-space"),
        ("Gemma4ForConditionalGeneration", "differ between layers"),
        ("MiMoV2FlashForCausalLM", "differ between layers"),
        ("DeciLMForCausalLM", "differ in shape"),
        ("T5ForConditionalGeneration", "encoder-decoder"),
        ("WhisperForConditionalGeneration", "encoder-decoder"),
        ("ViTForImageClassification", "vision"),
        ("CLIPModel", "vision"),
        ("BertForMaskedLM", "without a decoder"),
    ],
)
def test_known_architectures_that_are_not_modelled(write: Write, architecture: str, reason: str) -> None:
    data = {**config("llama"), "architectures": [architecture]}
    error = refused(write(data))
    assert architecture in error.message and reason in error.message
    assert "describe the model" in str(error.help)
    assert error.place is not None and error.place.line == 2


@pytest.mark.parametrize("key", ["architectures", "model_type"])
def test_unknown_architectures(write: Write, key: str) -> None:
    data = {key: ["NovelForCausalLM"] if key == "architectures" else "novel", "hidden_size": 8}
    error = refused(write(data))
    assert "unknown architecture 'Novel" in error.message or "unknown architecture 'novel'" in error.message
    assert "LlamaForCausalLM" in str(error.help) and "describe the model" in str(error.help)
    assert "encoder-decoder" in refused(write({**data, "is_encoder_decoder": True})).message


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("deepseek_v3", {"index_topk": 2048}, "index_topk"),
        ("llama", {"linear_num_key_heads": 16}, "linear_num_key_heads"),
        ("llama", {"mamba_ssm_dtype": "float32"}, "mamba_ssm_dtype"),
        ("llama", {"ssm_cfg": {"a": 1}}, "ssm_cfg"),
        ("llama", {"full_attention_interval": 4}, "full_attention_interval"),
        ("llama", {"hybrid_override_pattern": "M-M*"}, "hybrid_override_pattern"),
        ("llama", {"is_encoder_decoder": True}, "encoder-decoder"),
        ("gemma3", {"num_kv_shared_layers": 2}, "num_kv_shared_layers"),
        ("llama", {"mlp_bias": True}, "mlp_bias"),
        ("llama", {"layer_types": ["full_attention", "linear_attention"]}, "'linear_attention'"),
        ("gemma3", {"layer_types": ["mamba"] * 7}, "'mamba'"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ("qwen3_moe", {"mlp_only_layers": [0]}, "mlp_only_layers"),
        ("qwen3_moe", {"decoder_sparse_step": 2}, "decoder_sparse_step"),
        ("qwen3_moe", {"use_sliding_window": True}, "use_sliding_window"),
        ("deepseek_v3", {"moe_layer_freq": 2}, "moe_layer_freq"),
        ("deepseek_v3", {"attention_bias": True}, "attention_bias"),
        ("llama4", {"moe_layers": [0, 3]}, "moe_layers"),
        ("llama4", {"moe_layers": []}, "moe_layers"),
        ("minimax_m2", {"attn_type_list": [1, 0]}, "lightning"),
        ("minimax_m2", {"shared_intermediate_size": 6}, "shared_intermediate_size"),
    ],
)
def test_keys_that_are_not_modelled(write: Write, name: str, changes: Config, reason: str) -> None:
    path = write(config(name, **changes))
    error = refused(path)
    assert reason in error.message
    (key,) = changes
    assert error.place is not None and error.place.line is not None
    assert f'"{key}"' in path.read_text(encoding="utf-8").splitlines()[error.place.line - 1]


def test_keys_that_say_nothing_are_read_over(write: Write) -> None:
    data = config("llama", index_topk=None, mamba_d_state=0, is_encoder_decoder=False, layer_types=None)
    assert count_parameters(read_config(write(data))).total == COUNTED["llama"][0]


# ---- bad values and bad files ----


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("llama", {"hidden_size": ...}, "missing key 'hidden_size'"),
        ("llama", {"num_hidden_layers": None}, "missing key 'num_hidden_layers'"),
        ("gemma3", {"intermediate_size": ...}, "missing key 'intermediate_size'"),
        ("llama", {"vocab_size": ...}, "missing key 'vocab_size'"),
        ("mixtral", {"num_local_experts": ...}, "missing key 'num_local_experts'"),
        ("deepseek_v3", {"kv_lora_rank": None}, "missing key 'kv_lora_rank'"),
        ("deepseek_v2", {"topk_method": "group_limited_greedy", "n_group": ...}, "missing key 'n_group'"),
        ("llama", {"hidden_size": 0}, "hidden_size: 0 is not"),
        ("llama", {"hidden_size": -8}, "hidden_size: -8 is not"),
        ("llama", {"hidden_size": "8"}, "hidden_size: '8' is not"),
        ("llama", {"hidden_size": 8.0}, "hidden_size: 8.0 is not"),
        ("llama", {"hidden_size": True}, "hidden_size: True is not"),
        ("llama", {"hidden_size": [8]}, "hidden_size: a list is not"),
        ("llama", {"hidden_size": 2**24 + 1}, "is not a whole number from 1 to"),
        ("llama", {"num_hidden_layers": 5000}, "to 4,096"),
        ("llama", {"num_hidden_layers": 2**40}, "to 4,096"),
        ("llama", {"hidden_size": 9}, "does not divide"),
        ("llama", {"num_key_value_heads": 3}, "not a multiple of 3"),
        ("llama", {"attention_bias": "no"}, "attention_bias: 'no' is not true or false"),
        ("llama", {"torch_dtype": "int5"}, "'int5' is not known"),
        ("llama", {"torch_dtype": 5}, "5 is not text"),
        ("llama", {"layer_types": ["full_attention"]}, "names 1 layers"),
        ("llama", {"layer_types": [["full_attention"]]}, "not a list of text"),
        ("llama", {"layer_types": ["sliding_attention"] * 2}, "no window in use"),
        ("mixtral", {"num_experts_per_tok": 5}, "more than the 4 experts"),
        ("deepseek_v3", {"first_k_dense_replace": 3}, "more than all layers"),
        ("deepseek_v3", {"first_k_dense_replace": -1}, "whole number from 0"),
        ("llama4", {"moe_layers": [-1, 0, 1, 2, 3]}, "interval"),
    ],
)
def test_bad_values(write: Write, name: str, changes: Config, reason: str) -> None:
    path = write(config(name, **changes))
    error = refused(path)
    assert reason in error.message
    assert error.place is not None and error.place.file == path and error.place.line is not None
    changed = [key for key, value in changes.items() if value is not ... and value is not None]
    if changed and "missing" not in error.message and name != "llama4":
        assert f'"{changed[-1]}"' in path.read_text(encoding="utf-8").splitlines()[error.place.line - 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "mapping of keys"),
        ("[]", "mapping of keys"),
        ("{", "not valid"),
        ("{}", "missing key 'architectures'"),
        ('{"architectures": "LlamaForCausalLM"}', "not a list of text"),
        ('{"architectures": ["LlamaForCausalLM"], "text_config": null}', "missing key 'text_config'"),
        ('{"architectures": ["LlamaForCausalLM"], "text_config": 3}', "3 is not a mapping"),
        ('{"architectures": ["LlamaForCausalLM"], "architectures": []}', "stands twice"),
        ('{"a": ' + "[" * 50 + "]" * 50 + "}", "nested deeper"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "larger than"),
    ],
)
def test_bad_files(write: Write, text: str, reason: str) -> None:
    error = refused(write(text))
    assert reason in error.message and error.place is not None


def test_long_patterns_are_read_in_no_time(write: Write) -> None:
    ignored = ["re:" + "mlp." * 1000, "re:(a+)+$" + "a" * 5000, "layers." * 1000 + "9" * 5000]
    path = write(config("llama", quantization_config={**FP8, "ignore": [*ignored, "mlp", "self_attn"] * 10}))
    assert read_config(path).precision == Precision()


@pytest.mark.parametrize("name", ["nothing.json", "no/folder", "a\0b/", "x" * 300 + "/"])
def test_files_that_do_not_exist(tmp_path: Path, name: str) -> None:
    assert "cannot read" in refused(tmp_path / name).message


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    for path in (tmp_path, tmp_path / "config.json", Path(os.devnull)):
        assert "no regular file" in refused(path).message
    (tmp_path / "empty").mkdir()
    assert "cannot read" in refused(tmp_path / "empty").message


# ---- scenarios and the catalog ----


@pytest.mark.parametrize("name", ["qwen3_moe.json", "./qwen3_moe.json", "sub/config.json", "sub", "sub/", "../d/sub"])
def test_a_scenario_names_a_file_relative_to_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "d"
    (folder / "sub").mkdir(parents=True)
    for copy in (folder / "qwen3_moe.json", folder / "sub" / "config.json"):
        copy.write_text(json.dumps(config("qwen3_moe", quantization_config=FP8)), encoding="utf-8")
    (folder / "s.yaml").write_text(SCENARIO.replace("MODEL", name if "/" in name or "." in name else f"{name}/"))
    monkeypatch.chdir(tmp_path)
    scenario = Scenario.load(folder / "s.yaml")
    assert count_parameters(scenario.model).total == COUNTED["qwen3_moe"][0]
    assert scenario.model.id == ("qwen3_moe" if "qwen" in name else "sub")
    assert scenario.precision == scenario.model.precision == Precision(weights="fp8")
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario


def test_without_a_file_the_current_directory_counts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(config("gpt_oss"))
    monkeypatch.chdir(path.parent)
    base = {"hardware": {"accelerator": "h100-sxm"}, "workload": {"batch": 1, "input_tokens": 10}}
    assert Scenario.model_validate({**base, "model": "config.json"}).precision == Precision(experts="mxfp4")
    overridden = Scenario.model_validate({**base, "model": str(path), "precision": {"weights": "fp8"}})
    assert overridden.precision == Precision(weights="fp8")


def test_an_error_in_the_file_is_shown_at_the_scenario_with_both_places(write: Write) -> None:
    write(config("llama", hidden_size=0))
    path = write(SCENARIO.replace("MODEL", "./config.json"), "s.yaml")
    with pytest.raises(InputError, match=r"config\.json:6:18: hidden_size: 0 is not") as caught:
        Scenario.load(path)
    assert caught.value.place is not None
    assert (caught.value.place.file, caught.value.place.line) == (path, 2)


def test_the_catalog_shows_a_file_like_a_catalog_model(write: Write) -> None:
    shown = entry(str(write(config("qwen3_moe"))))
    assert shown.keys() == (entry("qwen3-8b").keys() | {"experts"}) - {"feed_forward", "checkpoint"}
    assert (shown["parameters"], shown["kv_bytes_per_token"]) == COUNTED["qwen3_moe"]
    assert Transformer.model_validate({k: shown[k] for k in Transformer.model_fields if k in shown}).layers == 2


# ---- real files, where they lie next to the repository ----

# total in 1e9 (counted from tensors or from the shapes by others; cards round them), KV bytes per token at 16 bit
PUBLISHED: dict[str, tuple[float, int]] = {
    "deepseek-r1": (671.03, 70_272),
    "deepseek-v3": (671.03, 70_272),
    "deepseek-v3.2": (671.88, 61 * (1_152 + 132)),  # DeepSeek-V3 and 61 indexers
    "gemma-3-27b": (27.01, 507_904),  # the text model; 27.4 with the vision tower
    "glm-4.5": (352.8, 376_832),  # the card's 355 has the multi-token-prediction layer
    "glm-5": (743.91, 78 * (1_152 + 132)),
    "gpt-oss-120b": (116.83, 73_728),
    "gpt-oss-20b": (20.91, 49_152),
    "kimi-k2": (1026.41, 70_272),
    "llama-3.1-405b": (405.85, 516_096),
    "llama-3.1-70b": (70.55, 327_680),
    "llama-3.1-8b": (8.03, 131_072),
    "llama-4-maverick": (400.71, 196_608),
    "minimax-m2.5": (228.69, 253_952),
    "mixtral-8x22b": (140.62, 229_376),
    "mixtral-8x7b": (46.70, 131_072),
    "qwen3-0.6b": (0.596, 114_688),
    "qwen3-235b-a22b": (235.09, 192_512),
    "qwen3-235b-a22b-fp8": (235.09, 192_512),
    "qwen3-30b-a3b": (30.53, 98_304),
    "qwen3-32b": (32.76, 262_144),
    "qwen3-32b-fp8": (32.76, 262_144),
    "qwen3-8b": (8.19, 147_456),
    "qwen3-coder-480b": (480.15, 253_952),
    "qwen3.5-397b-a17b": (396.35, 15 * 2_048),  # the language model's tensors; 403.4 with vision tower and MTP
    "synthetic-kv6": (2.973, 12_288),  # a fixture: 48 query heads, 6 KV heads
}
NOT_MODELLED = {"gemma-4-26b-a4b"}
FORMATS = {
    **dict.fromkeys(
        (
            "deepseek-r1",
            "deepseek-v3",
            "deepseek-v3.2",
            "kimi-k2",
            "minimax-m2.5",
            "qwen3-235b-a22b-fp8",
            "qwen3-32b-fp8",
        ),
        Precision(weights="fp8", block=128),
    ),
    **dict.fromkeys(("gpt-oss-120b", "gpt-oss-20b"), Precision(experts="mxfp4")),
}


@pytest.mark.skipif(not REAL.is_dir(), reason="no configurations next to the repository")
def test_real_configurations() -> None:
    for path in sorted(REAL.iterdir()):
        if path.name in NOT_MODELLED:
            assert "is not modelled" in refused(path).message
            continue
        model = read_config(path)
        total, kv_bytes = PUBLISHED[path.name]
        assert count_parameters(model).total == pytest.approx(total * 1e9, rel=0.005), path.name
        assert kv_bytes_per_token(model) == kv_bytes, path.name
        assert model.precision == FORMATS.get(path.name, Precision()), path.name
