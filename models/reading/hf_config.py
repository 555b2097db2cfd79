"""The `config.json` of a Hugging Face checkpoint into a Transformer.

Enters: a path. Leaves: the decoder's shapes and the checkpoint's formats; vision towers and multi-token-prediction
layers are not counted. What the model description cannot express is refused by name.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from pydantic import ValidationError

from ..errors import InputError, Place
from ..transformer import Transformer
from .hf_families import FAMILIES
from .hf_fields import INLINE, Config
from .hf_quantization import precision
from .tree import read_file_tree

_SPARSE = "sparse attention with an indexer (DSA)"
_HYBRID = "hybrid attention (linear or state-space layers beside full ones)"
_REFUSED = (
    (r"DeepseekV4", "compressed sparse attention"),
    (r"MiniMaxM1|MiniMaxText01|MiniMaxFor|KimiLinear", _HYBRID),
    (r"NemotronH|Jamba|Bamba|Zamba|FalconH1|GraniteMoeHybrid|RecurrentGemma|Lfm2", _HYBRID),
    (r"Mamba|RWKV|Rwkv", "a state-space model"),
    (r"Gemma4|Gemma3n|MiMoV2|MiniMaxM3", "attention whose shapes or sparsity differ between layers"),
    (r"DeciLM", "layers that differ in shape"),
    (r"^T5|^MT5|UMT5|Bart|Whisper|Pegasus|Marian|NllbMoe|M2M100", "an encoder-decoder model"),
    (r"^ViT|CLIP|Siglip|Dinov2|^Swin|^Beit|ConvNext|SamModel", "a vision model without a text decoder"),
    (r"Bert|Electra|Deberta", "an encoder without a decoder"),
)
"""Architectures (by part of the name) that are refused with a reason of their own."""

_READ = (
    (r"^(DeepseekV32|GlmMoeDsa)", r"index(er)?_"),
    (r"^(Qwen3Next|Qwen3_5)", r"linear_(num_(key|value)_heads|(key|value)_head_dim|conv_kernel_dim)$"),
    (r"^(Qwen3Next|Qwen3_5)", r"full_attention_interval$|mamba_ssm_dtype$"),
)
"""Architectures, and the keys that only they may state."""

_FOREIGN = (
    (r"index_|indexer_", _SPARSE),
    (r"linear_|ssm_|mamba_|lightning_|hybrid_|layers_block_type$|full_attention_interval$|conv_kernel$", _HYBRID),
    (r"sparse_attention|nsa_|compress_ratio|compress_", "sparse or compressed attention"),
    (r"num_global_key_value_heads$|global_head_dim$|attention_k_eq_v$|num_kv_shared_layers$", "shapes that differ"),
    (r"block_configs$|hidden_size_per_layer_input$", "layers that differ in shape"),
    (r"is_encoder_decoder$", "an encoder-decoder model"),
)
"""Keys (by their beginning) that say the same in whatever architecture; null, false, 0 and empty say nothing."""


def read_config(path: Path) -> Transformer:
    """Read a `config.json`, or the one in a folder. Raises InputError with file, line and key."""
    path = regular_config(path)
    tree = read_file_tree(path)
    if not isinstance(tree.data, dict):
        raise InputError("a config.json is a mapping of keys to values", place=tree.place(()))
    outer = Config(tree)
    architecture = _architecture(outer)
    c = outer.inner("text_config") if "text_config" in outer.data else outer
    for part in (outer, c):
        _refuse_foreign(part, architecture)
    fields = FAMILIES[architecture][0](c)
    name = path.resolve().parent.name if path.name == "config.json" else path.stem
    shapes = {
        "id": name or "config",
        "name": f"{name or 'config'} ({architecture})",
        "architecture": architecture,
        **fields,
    }
    try:
        formats = precision(c, Transformer.model_validate(shapes))
        _no_second_statement(path, c)
        sources = {"shapes": f"{path.parent.name}/{path.name}".lstrip("/"), "precision": "the same file", **c.sources}
        return Transformer.model_validate({**shapes, "precision": formats, "assumed": c.assumed, "sources": sources})
    except ValidationError as error:  # every key has been checked; what is left is a contradiction between keys
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the model"
        raise InputError(f"{where}: {first['msg']}", place=tree.place(c.within)) from None


def regular_config(path: Path) -> Path:
    """The file meant by `path`: itself or its config.json, a regular file (opening a pipe would wait for ever)."""
    try:
        if path.is_dir():
            path = path / "config.json"
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        help = "a model with a / or .json in its name is a local config.json, or the folder that holds one"
        raise InputError(f"cannot read the model's configuration: {reason}", place=Place(path), help=help) from None
    if not stat.S_ISREG(mode):
        raise InputError("this is no regular file", place=Place(path), help="name a config.json")
    return path


def _architecture(outer: Config) -> str:
    """The architecture that the file names, by `architectures` or else by `model_type`."""
    named = outer.items("architectures", str)
    kind = outer.text("model_type")
    for name in map(str, named):
        if name in FAMILIES:
            return name
    for name in named:
        for pattern, reason in _REFUSED:
            if re.search(pattern, name):
                raise outer.refuse(f"{name[:60]} is not modelled: {reason}", "architectures")
    if named:
        key, unknown = "architectures", named[0]
    elif kind is not None:
        for name, (_, model_type) in FAMILIES.items():
            if kind == model_type:
                return name
        key, unknown = "model_type", kind
    else:
        raise outer.stop("missing key 'architectures'", None, "is this the config.json of a language model?")
    if outer.flag("is_encoder_decoder"):
        raise outer.refuse(f"{unknown[:60]} is not modelled: an encoder-decoder model", key)
    raise outer.stop(f"unknown architecture '{unknown[:60]}'", key, f"known: {', '.join(FAMILIES)}; else {INLINE}")


def _refuse_foreign(c: Config, architecture: str) -> None:
    own = [keys for named, keys in _READ if re.match(named, architecture)]
    for key, value in c.data.items():
        if any(re.match(pattern, key) for pattern in own):
            continue
        for pattern, reason in _FOREIGN:
            if value and re.match(pattern, key):
                raise c.refuse(f"{architecture} with {key[:60]} is not modelled: {reason}", key)


def _no_second_statement(path: Path, c: Config) -> None:
    """ModelOpt's older checkpoints state their formats in a file of their own, which is not read."""
    beside = path.parent / "hf_quant_config.json"
    if c.owner("quantization_config").data.get("quantization_config") is None and beside.exists():
        help = "state `precision` in the scenario, and leave that file out of the folder"
        raise InputError("the formats stand in hf_quant_config.json, which is not read", place=Place(beside), help=help)
