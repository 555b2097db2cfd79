"""What `catalog show` prints."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from typing import Any

from ...models import Accelerator, InputError, Transformer, catalog, counts
from ...models.engine_profile import EngineProfile
from ...models.scenario import named_model
from ...models.units import show_bytes, show_seconds


def entry(name: str) -> dict[str, Any]:
    """An accelerator as it is, a language model with what follows from its shapes. Raises InputError if unknown.

    A language model is a catalog id or the path of a Hugging Face config.json.
    """
    if name in catalog.ids("accelerators"):
        card = Accelerator.model_validate(catalog.accelerator(name))
        return {"kind": "accelerator", **card.model_dump(mode="json", exclude_none=True)}
    if name in catalog.ids("language_models") or "/" in name or name.endswith(".json"):
        model = named_model(name)
        parts = counts.count_parameters(model)
        elements = counts.kv_elements(model)
        return {
            "kind": "language model",
            "parameters": parts.total,
            "active_parameters": parts.active,
            "parameters_by_part": {k: v for k, v in asdict(parts).items() if k != "active"},
            "kv_bytes_per_token": int(counts.kv_bytes_per_token(model)),
            "kv_bytes_made_of": {
                "layers": counts.kv_layers(model),
                "elements_per_layer": elements,
                "bytes_per_element": 2,
                **_indexer(model),
            },
            **_states(model),
            **model.model_dump(mode="json", exclude_none=True),
        }
    if name in catalog.ids("engines"):
        profile = EngineProfile.model_validate(catalog.engine(name))
        return {"kind": "engine", **profile.model_dump(mode="json", exclude_none=True)}
    everything = [*catalog.ids("accelerators"), *catalog.ids("language_models"), *catalog.ids("engines")]
    near = difflib.get_close_matches(name.lower(), everything, n=3, cutoff=0.5)
    help = f"did you mean {' or '.join(near)}?" if near else "`shardwise catalog list` shows all ids"
    raise InputError(f"nothing in the catalog is called '{name[:60]}'", help=help)


def _indexer(model: Transformer) -> dict[str, int]:
    """What indexers cache beside keys and values, if there are any."""
    layers = sum(kind.indexed for kind in model.kinds)
    return {"indexers": layers, "bytes_per_indexer": counts.index_bytes(model)} if layers else {}


def _states(model: Transformer) -> dict[str, int]:
    """What linear layers keep of a sequence, if there are any."""
    layers = model.layers - counts.kv_layers(model)
    return {"state_bytes_per_sequence": layers * int(counts.state_bytes(model))} if layers else {}


def entry_text(found: dict[str, Any], indent: str = "", within: str = "") -> str:
    """An entry as indented lines, numbers with their units."""
    lines = []
    for key, value in found.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", entry_text(value, indent + "  ", key)]
        else:
            lines.append(f"{indent}{key}: {_shown(key, value, within)}")
    return "\n".join(lines)


def _shown(key: str, value: object, within: str) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    if within == "compute":
        return f"{value / 1e12:,g} TFLOPS"
    if key in ("latency", "startup"):
        return show_seconds(value)
    if key == "memory" or key.endswith("bandwidth"):
        return show_bytes(value) + ("/s" if key.endswith("bandwidth") else "")
    return f"{value:,}"
