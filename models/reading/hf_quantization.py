"""Number formats of a checkpoint, as `quantization_config` and the dtype of its configuration state them.

Sources: the quantisation methods of the transformers library (`quantizers/`, `utils/quantization_config.py`) and of
vLLM (`model_executor/layers/quantization/`): which method stores what, and the keys that list modules left alone.
"""

from __future__ import annotations

import re
from typing import Any

from ..transformer import Transformer
from .hf_fields import Config
from .hf_parts import Fields

_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_BITS = {("int", 4): "int4", ("int", 8): "int8", ("float", 8): "fp8"}
_MODELOPT = {
    "FP8": "fp8",
    "FP8_PER_CHANNEL_PER_TOKEN": "fp8",
    "FP8_PB_WO": "fp8",
    "NVFP4": "nvfp4",
    "NVFP4_AWQ": "nvfp4",
    "W4A16_AWQ": "int4",
}
_METHODS = "fp8, fbgemm_fp8, compressed-tensors, modelopt, modelopt_fp4, nvfp4, awq, gptq, mxfp4"
_LONGEST_NAME = 300
_OUT = "delete quantization_config in a copy of the file and state `precision` in the scenario"

_KEPT = ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules")
"""Keys under which methods list what they leave alone: names, name patterns or regular expressions, never run here."""
_NEVER = re.compile(
    r"lm_head|embed|norm|router|gate(\.weight)?$|e_score|vision|visual|audio|projector|mtp|eh_proj|indexer|conv1d"
    r"|linear_attn\.(in_proj_(a|b|ba)|A_log|dt_bias)\b"
)
"""Modules that no method quantises, or that are not counted."""
_PARTS = (
    ("shared", re.compile(r"shared_experts?")),
    ("experts", re.compile(r"experts|block_sparse_moe")),
    ("attention", re.compile(r"attn|attention|\b([qkvo]|qkv|q_[ab]|kv_[ab])(\b|_proj)|\[[qkvo]+\]")),
    ("dense", re.compile(r"(mlp|feed_forward)\W.*(proj|w[123])")),
    ("any", re.compile(r"mlp|feed_forward|\b(gate|up|gate_up|down)(\b|_proj)")),
)
_LAYER = re.compile(r"layers\.(\d{1,6})(?!\d)")
_PROJECTION = re.compile(r"_proj|\bw[123]\b")
_LAST = re.compile(r"\bo(\b|_proj)|o\]|\bdown|\bw2\b")
"""The projection that every block ends with; who leaves that one alone leaves the block alone."""


def precision(c: Config, model: Transformer) -> Fields:
    """The fields of a Precision for a model of these shapes."""
    plain = _dtype(c)
    owner = c.owner("quantization_config")
    formats: dict[str, Any] = {"weights": plain, "activations": plain, "kv_cache": plain}
    if owner.data.get("quantization_config") is None:
        return formats
    q = owner.inner("quantization_config")
    if q.text("quant_method") == "mxfp4":  # transformers' Mxfp4HfQuantizer: the experts, nothing else
        if model.experts is None:
            raise q.refuse("mxfp4 quantises experts, and this model has none")
        c.sources["precision"] = "quantization_config mxfp4: the experts alone"
        return {**formats, "experts": "mxfp4"}
    held = _format(q)
    kept = _kept(c, q, model)
    c.sources["precision"] = f"quantization_config {q.text('quant_method')}" + (
        f"; not quantised: {', '.join(sorted(kept))}" if kept else ""
    )
    formats |= {"weights": plain if "attention" in kept else held, "kv_cache": _kv_cache(q) or plain}
    blocks = q.items("weight_block_size", int)
    if held == "fp8" and len(set(blocks)) == 1:
        formats["block"] = blocks[0]
    if model.experts is None:
        if len(kept & {"attention", "dense"}) == 1:
            raise q.stop("attention and feed-forward in different formats are not modelled", None, _OUT)
        return formats
    if model.feed_forward is not None and ("attention" in kept) != ("dense" in kept):
        c.assume("precision.weights", "dense layers counted in the format of the attention")
    if model.experts.shared_width and ("experts" in kept) != ("shared" in kept):
        c.assume("precision.experts", "shared experts counted in the format of the routed ones")
    experts = plain if "experts" in kept else held
    return formats if experts == formats["weights"] else {**formats, "experts": experts}


def _dtype(c: Config) -> str:
    for key in ("dtype", "torch_dtype"):
        owner = c.owner(key)
        if (name := owner.text(key)) is None:
            continue
        if (known := _DTYPES.get(name.removeprefix("torch."))) is None:
            raise owner.stop(f"{key}: '{name[:60]}' is not known", key, f"known: {', '.join(_DTYPES)}")
        return known
    c.assume("precision.activations", "the file states no dtype; bf16 taken")
    return "bf16"


def _format(q: Config) -> str:
    """The format of the quantised matrices."""
    method = q.text("quant_method")
    if method in ("fp8", "fbgemm_fp8"):
        return "fp8"
    if method in ("awq", "gptq"):
        if q.data.get("dynamic"):
            raise q.stop("gptq with formats per module (dynamic) is not modelled", "dynamic", _OUT)
        return _bits(q, "int", q.whole("bits", "w_bit"), "bits")
    if method in ("modelopt", "modelopt_fp4", "nvfp4", "compressed-tensors"):
        if (algorithm := q.text("quant_algo")) is None:
            return "nvfp4" if method == "nvfp4" else _groups(q)
        if (known := _MODELOPT.get(algorithm.upper())) is None:
            raise q.stop(f"quant_algo '{algorithm[:60]}' is not known", "quant_algo", f"known: {', '.join(_MODELOPT)}")
        return known
    if method is None:
        raise q.stop("missing key 'quant_method'", None, f"known: {_METHODS}")
    raise q.stop(f"quantisation method '{method[:60]}' is not known", "quant_method", f"known: {_METHODS}; or {_OUT}")


def _groups(q: Config) -> str:
    """The one format of all `config_groups`, which apply to all linear layers."""
    groups = q.inner("config_groups")
    found = set()
    for name in groups.data:
        group = groups.inner(name)
        found.add(_scheme(group.inner("weights")))
        if other := [target for target in group.items("targets", str) if target != "Linear"]:
            raise group.stop(f"quantisation of '{other[0][:60]}' alone is not modelled", "targets", _OUT)
    if len(found) != 1:
        raise q.stop(f"config_groups in {len(found)} formats are not modelled", "config_groups", _OUT)
    if q.data.get("sparsity_config") and q.inner("sparsity_config").text("format") not in (None, "dense"):
        raise q.stop("sparse weights (sparsity_config) are not modelled", "sparsity_config", _OUT)
    return found.pop()


def _scheme(weights: Config) -> str:
    """compressed-tensors' QuantizationArgs."""
    bits, kind = weights.whole("num_bits"), weights.text("type") or "int"
    if (kind, bits) == ("float", 4):
        size = weights.whole("group_size")
        if size in (16, 32):
            return "nvfp4" if size == 16 else "mxfp4"
        raise weights.stop(f"4-bit floats in groups of {size} are not known", "group_size", "known: 16 and 32")
    return _bits(weights, kind, bits, "num_bits")


def _bits(c: Config, kind: str, bits: int, key: str) -> str:
    if (known := _BITS.get((kind, bits))) is None:
        raise c.stop(f"{kind[:20]} of {bits} bits is not a known format", key, "known: int 4 and 8, float 4 and 8")
    return known


def _kv_cache(q: Config) -> str | None:
    """The format that the checkpoint prescribes for keys and values, if any."""
    if q.data.get("kv_cache_scheme") is not None:
        return _scheme(q.inner("kv_cache_scheme"))
    if (algorithm := q.text("kv_cache_quant_algo")) is None:
        return None
    if (known := _MODELOPT.get(algorithm.upper())) is None:
        raise q.stop(f"kv_cache_quant_algo '{algorithm[:60]}' is not known", "kv_cache_quant_algo", "known: FP8, NVFP4")
    return known


def _kept(c: Config, q: Config, model: Transformer) -> set[str]:
    """Parts of the model ("attention", "dense", "experts", "shared") that are left unquantised in all their layers.

    A projection alone (DeepSeek's down-projections in some recipes) is too small to speak for its part.
    """
    sparse = {i for i, kind in enumerate(model.kinds) if kind.expert}
    dense = set(range(model.layers)) - sparse
    shared = sparse if model.experts and model.experts.shared_width else set()
    has = {"attention": dense | sparse, "dense": dense, "experts": sparse, "shared": shared}
    left: dict[str, set[int]] = {part: set() for part in has}
    alone: dict[str, str] = {}
    for entry in (entry for key in _KEPT for entry in q.items(key, str)):
        name = entry[:_LONGEST_NAME].removeprefix("re:").replace("\\", "").strip(".*$^")
        layer = _LAYER.search(name)
        for part in _parts(name):
            if _PROJECTION.search(name) and not _LAST.search(name):
                alone[part] = name[:60]
            else:
                left[part] |= has[part] & {int(layer[1])} if layer else has[part]
    for part, layers in left.items():
        if layers and layers != has[part]:
            raise q.stop(f"{part} unquantised in {len(layers)} of {len(has[part])} layers is not modelled", None, _OUT)
        if part in alone and has[part] and not layers:
            figure = "weights" if part in ("attention", "dense") else "experts"
            c.assume(f"precision.{figure}", f"'{alone[part]}' is not quantised, but counted as if it were")
    return {part for part, layers in left.items() if layers}


def _parts(name: str) -> tuple[str, ...]:
    """The parts that a module's name or pattern means; none for what is never quantised or not counted."""
    if _NEVER.search(name):
        return ()
    part = next((part for part, pattern in _PARTS if pattern.search(name)), None)
    if part == "any":
        return ("dense", "experts", "shared")
    if part is not None:
        return (part,)
    return ("attention", "dense", "experts", "shared") if re.search(r"layers\.\d{1,6}$", name) else ()
