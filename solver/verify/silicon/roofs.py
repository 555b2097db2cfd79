"""What work takes by the data sheet, in seconds, and how formats are held (docs/silicon.md, section 4)."""

from __future__ import annotations

import math

from ....models.hardware import Accelerator

COLD = 0.92
FORMATS: dict[str, tuple[str, float, float, str, tuple[str, ...]]] = {
    # name: in the tables, bytes per weight, bytes per activation, unit, formats that may stand in
    "bf16": ("bfloat16", 2, 2, "bf16", ()),
    "fp8": ("fp8", 1, 1, "fp8", ("fp8_block", "bf16")),
    "fp8_block": ("fp8_block", 1, 1, "fp8", ("fp8", "bf16")),
    "nvfp4": ("nvfp4", 0.5625, 0.5625, "fp4", ("fp8_block", "fp8", "bf16")),
    "int8": ("int8_wo", 1, 2, "bf16", ("int4", "bf16")),
    "int4": ("int4_wo", 0.5, 2, "bf16", ("mxfp4", "int8", "bf16")),
    "mxfp4": ("w4a16_mxfp4", 0.53125, 2, "bf16", ("int4", "bf16")),
    "mxfp4_fp8": ("w4a8_mxfp4_mxfp8", 0.53125, 1, "fp8", ("nvfp4", "mxfp4", "fp8_block", "fp8", "bf16")),
}
KV = {"bf16": ("bfloat16", 2.0), "fp8": ("fp8", 1.0)}


def peak(card: Accelerator, unit: str) -> float:
    """FLOP/s; a unit that the card lacks is the next wider one."""
    wider = {"fp4": "fp8", "fp8": "bf16"}
    while unit != "bf16" and getattr(card.compute, unit) is None:
        unit = wider[unit]
    return float(getattr(card.compute, unit))


def product(card: Accelerator, format: str, rows: float, outputs: float, inputs: float) -> float:
    """A matrix product."""
    _, weight, activation, unit, _ = FORMATS[format]
    size = inputs * outputs * weight + rows * inputs * activation + rows * outputs * 2
    return max(2 * rows * inputs * outputs / peak(card, unit), size / card.memory_bandwidth)


def pairs(new: float, prefix: float, window: float) -> float:
    """Query-key pairs of a causal core."""

    def up_to(length: float) -> float:
        if not window or length <= window:
            return length * (length + 1) / 2
        return window * (window + 1) / 2 + (length - window) * window

    return up_to(new + prefix) - up_to(prefix)


def prompt(
    card: Accelerator,
    compute: str,
    n: float,
    new: float,
    prefix: float,
    heads: float,
    kv_heads: float,
    dim: float,
    element: float,
    window: float,
) -> float:
    """Prompts in grouped attention; the tables name what they compute in."""
    seen = new + min(prefix, window) if window else new + prefix
    size = n * (4 * new * heads * dim + 2 * seen * kv_heads * dim * element)
    flops = 4 * n * heads * dim * pairs(new, prefix, window)
    return max(flops / peak(card, "fp8" if compute == "fp8" else "bf16"), size / card.memory_bandwidth)


def decode(
    card: Accelerator,
    n: float,
    context: float,
    heads: float,
    kv_heads: float,
    dim: float,
    element: float,
    window: float,
) -> float:
    """Decoding in grouped attention."""
    seen = min(context, window) if window else context
    size = n * dim * (2 * seen * kv_heads * element + 4 * heads)
    return max(4 * n * heads * dim * seen / card.compute.bf16, size / card.memory_bandwidth)


def latent_prompt(card: Accelerator, n: float, new: float, prefix: float, heads: float) -> float:
    """Prompts in latent attention: a key of 192 and a value of 128 per head."""
    size = n * heads * 320 * 2 * (2 * new + prefix)
    return max(2 * n * heads * 320 * pairs(new, prefix, 0) / card.compute.bf16, size / card.memory_bandwidth)


def latent_decode(card: Accelerator, n: float, context: float, heads: float, element: float) -> float:
    """Decoding in latent attention: 576 compressed elements per token, 576 + 512 per head."""
    size = n * (context * 576 * element + heads * 1088 * 2)
    return max(2 * n * heads * 1088 * context / card.compute.bf16, size / card.memory_bandwidth)


def absorb(card: Accelerator, format: str, tokens: float, heads: float) -> float:
    """One absorb product, 128 × 512 per head."""
    _, weight, _, unit, _ = FORMATS[format]
    size = heads * (128 * 512 * weight + tokens * 640 * 2)
    return max(2 * tokens * heads * 128 * 512 / peak(card, unit), size / card.memory_bandwidth)


def experts(
    card: Accelerator,
    format: str,
    tokens: float,
    hidden: float,
    shard: float,
    per_token: float,
    count: float,
    ranks: float,
    matrices: float,
) -> float:
    """One rank's experts."""
    _, weight, _, unit, _ = FORMATS[format]
    share = min(per_token / count, 1 - 1e-9)
    hit = count / ranks * (1 - math.exp(tokens * math.log1p(-share)))
    copies = tokens * per_token / ranks
    size = matrices * hidden * shard * hit * weight + 2 * copies * (2 * hidden + 3 * shard)
    return max(2 * matrices * hidden * shard * copies / peak(card, unit), size / card.memory_bandwidth)


def collective(card: Accelerator, operation: str, ranks: float, size: float) -> float:
    """A ring, passed twice to sum."""
    passes = 2 if operation == "all_reduce" else 1
    return passes * (ranks - 1) / ranks * size / card.node_link.bandwidth


def exchange(
    card: Accelerator, tokens: float, hidden: float, per_token: float, ranks: float, nodes: float, element: float
) -> float:
    """Copies over the node's link, or one for each other node over the network."""
    inside = tokens * per_token * hidden * element * (ranks - 1) / ranks / card.node_link.bandwidth
    others: float = nodes * (1 - ((nodes - 1) / nodes) ** per_token) * (nodes - 1) / nodes
    return max(inside, tokens * hidden * element * others / card.network_link.bandwidth)
