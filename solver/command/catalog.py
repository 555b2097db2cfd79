"""What `catalog show` prints."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from typing import Any

from ...models import Accelerator, InputError, Transformer, catalog, counts


def entry(name: str) -> dict[str, Any]:
    """An accelerator as it is, a language model with what follows from its shapes. Raises InputError if unknown."""
    if name in catalog.ids("accelerators"):
        card = Accelerator.model_validate(catalog.accelerator(name))
        return {"kind": "accelerator", **card.model_dump(mode="json", exclude_none=True)}
    if name in catalog.ids("language_models"):
        model = Transformer.model_validate(catalog.language_model(name))
        parts = counts.count_parameters(model)
        elements = counts.kv_elements(model)
        return {
            "kind": "language model",
            "parameters": parts.total,
            "active_parameters": parts.active,
            "parameters_by_part": {k: v for k, v in asdict(parts).items() if k != "active"},
            "kv_bytes_per_token": int(counts.kv_bytes_per_token(model)),
            "kv_bytes_made_of": {
                "layers": model.layers,
                "elements_per_layer": elements,
                "bytes_per_element": 2,
            },
            **model.model_dump(mode="json", exclude_none=True),
        }
    everything = (*catalog.ids("accelerators"), *catalog.ids("language_models"))
    near = difflib.get_close_matches(name.lower(), everything, n=3, cutoff=0.5)
    help = f"did you mean {' or '.join(near)}?" if near else "`shardwise catalog list` shows all ids"
    raise InputError(f"nothing in the catalog is called '{name[:60]}'", help=help)


def entry_text(found: dict[str, Any], indent: str = "") -> str:
    """An entry as indented lines."""
    lines = []
    for key, value in found.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{key}:")
            lines.append(entry_text(value, indent + "  "))
        elif isinstance(value, int) and not isinstance(value, bool):
            lines.append(f"{indent}{key}: {value:,}")
        elif isinstance(value, float):
            lines.append(f"{indent}{key}: {value:.10g}")
        else:
            lines.append(f"{indent}{key}: {', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}")
    return "\n".join(lines)
