"""What the families of language models have in common: attention, windows, experts, and refusals by key.

Functions of a Config that leave fields of a Transformer; the families state where their classes differ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .hf_fields import Config, shortest

Fields = dict[str, Any]
"""Fields of a Transformer, or of a part of it."""

_MOST_LAYERS = 4096
_KINDS = {"full_attention": "full", "sliding_attention": "sliding", "chunked_attention": "sliding"}


def described(
    c: Config,
    attention: Fields,
    *,
    dense: int | None = None,
    experts: Fields | None = None,
    vocabulary: int | None = None,
    tied: bool = False,
) -> Fields:
    """What all families share. `dense` is the width of dense layers; the last two are the class's defaults."""
    return {
        "layers": layer_count(c),
        "hidden": c.whole("hidden_size"),
        "attention": attention,
        "feed_forward": None if dense is None else {"width": dense},
        "experts": experts,
        "vocabulary": c.whole("vocab_size", default=vocabulary),
        "tied_embeddings": c.owner("tie_word_embeddings").flag("tie_word_embeddings", default=tied),
    }


def layer_count(c: Config) -> int:
    """Layers, few enough to list."""
    return c.whole("num_hidden_layers", most=_MOST_LAYERS)


def grouped(
    c: Config, *, heads: int | None = None, kv_heads: int | None = None, head_dim: int | None = None, **rest: Any
) -> Fields:
    """Grouped-query attention; the three numbers are the class's defaults, None where it has none or derives it."""
    heads = c.whole("num_attention_heads", default=heads)
    stated = "num_key_value_heads" in c.data  # null means as many as query heads, in every family
    keys = c.whole("num_key_value_heads", default=heads if stated else kv_heads or heads)
    if heads % keys:
        raise c.stop(f"num_attention_heads {heads} is not a multiple of {keys} key/value heads", "num_key_value_heads")
    dim = c.optional("head_dim") or head_dim
    if dim is None:
        dim, left = divmod(c.whole("hidden_size"), heads)
        if left or not dim:
            raise c.stop(f"hidden_size does not divide by num_attention_heads {heads}", "hidden_size", "state head_dim")
    return {"heads": heads, "kv_heads": keys, "head_dim": dim, **rest}


def sliding_window(c: Config, size: int | None, rule: Sequence[str]) -> Fields | None:
    """The sliding window: layers as `layer_types` says, else by the family's rule."""
    pattern = _named_layers(c, rule, _KINDS)
    if "sliding" not in pattern:
        return None
    if size is None:
        raise c.stop("layer_types has sliding layers, but there is no window in use", "layer_types")
    return {"size": size, "pattern": shortest(pattern)}


def _named_layers(c: Config, rule: Sequence[str], known: dict[str, str]) -> list[str]:
    """Our names of the layers' kinds: as `layer_types` says, else by the family's rule."""
    kinds = c.items("layer_types", str) or rule
    if len(kinds) != layer_count(c):
        raise c.stop(f"layer_types names {len(kinds)} layers, num_hidden_layers {layer_count(c)}", "layer_types")
    for kind in kinds:
        if kind not in known:
            raise c.refuse(f"layers of type '{kind[:60]}' are not modelled", "layer_types")
    return [known[kind] for kind in kinds]


def sliding_everywhere(c: Config, size: int | None) -> Fields | None:
    """A window on all layers, none without a size."""
    return sliding_window(c, size, ["full_attention" if size is None else "sliding_attention"] * layer_count(c))


def linear_layers(c: Config) -> Fields | None:
    """Layers of linear attention (Qwen3NextConfig's defaults); None where all are full."""
    period = c.whole("full_attention_interval", default=4)
    rule = ["full_attention" if (i + 1) % period == 0 else "linear_attention" for i in range(layer_count(c))]
    kinds = _named_layers(c, rule, {"full_attention": "full", "linear_attention": "linear"})
    if "linear" not in kinds:
        return None
    state = c.text("mamba_ssm_dtype")
    if state is None:
        state = "bfloat16"  # vLLM's `auto`: the format of the activations
        c.assume("linear_attention.state", "mamba_ssm_dtype is not stated; bf16 taken, as vLLM does")
    if state not in ("float32", "bfloat16"):
        raise c.stop(f"mamba_ssm_dtype: '{state[:60]}' is not known", "mamba_ssm_dtype", "known: float32, bfloat16")
    return {
        "key_heads": c.whole("linear_num_key_heads"),
        "value_heads": c.whole("linear_num_value_heads"),
        "key_dim": c.whole("linear_key_head_dim"),
        "value_dim": c.whole("linear_value_head_dim"),
        "convolution": c.whole("linear_conv_kernel_dim"),
        "state": "fp32" if state == "float32" else "bf16",
        "pattern": shortest(kinds),
    }


def indexer(c: Config) -> Fields:
    """The indexer of DeepSeek's sparse attention; layers marked `shared` take the choice of the last `full` one."""
    kinds = c.items("indexer_types", str) or ["full"] * layer_count(c)
    if len(kinds) != layer_count(c) or not {*kinds} <= {"full", "shared"} or kinds[0] != "full":
        raise c.stop("indexer_types names each layer full or shared, the first one full", "indexer_types")
    if "indexer_types" not in c.data and c.whole("index_topk_freq", default=1) > 1:
        raise c.refuse("index_topk_freq without indexer_types is not modelled", "index_topk_freq")
    pattern = shortest(["own" if kind == "full" else "shared" for kind in kinds])
    return {
        "top_k": c.whole("index_topk"),
        "heads": c.whole("index_n_heads"),
        "dim": c.whole("index_head_dim"),
        "pattern": pattern,
    }


def last_of_each_full(c: Config, period: int) -> list[str]:
    """All layers slide but the last of each `period`."""
    return ["sliding_attention" if (i + 1) % period else "full_attention" for i in range(layer_count(c))]


def routed_experts(c: Config, count: str, width: str) -> Fields:
    """The routed experts; `count` and `width` are the family's own keys."""
    names = dict.fromkeys((count, "num_local_experts", "num_experts"))  # the classes' attribute_map knows both
    routed = c.whole(*names)
    visited = c.whole("num_experts_per_tok", "experts_per_token")
    if visited > routed:
        raise c.stop(f"num_experts_per_tok {visited} is more than the {routed} experts", "num_experts_per_tok")
    return {"count": routed, "per_token": visited, "width": c.whole(width)}


_PLAIN: dict[str, tuple[Any, ...]] = {"decoder_sparse_step": (1,), "moe_layer_freq": (1,)}


def plain_only(c: Config, *keys: str) -> None:
    """Refuse keys whose value changes the architecture into one that is not modelled."""
    for key in keys:
        value = c.data.get(key)
        if value not in (None, *_PLAIN.get(key, (False, 0, []))):
            raise c.refuse(f"{key} {json.dumps(value)[:60]} is not modelled", key)
