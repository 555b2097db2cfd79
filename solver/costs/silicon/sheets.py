"""Data sheets and number formats: what the roofs of the tables are made of."""

from __future__ import annotations

from dataclasses import dataclass

from ....models.errors import InputError
from ....models.hardware import Accelerator


@dataclass(frozen=True)
class Sheet:
    """FLOP/s and bytes/s of one card."""

    peaks: dict[str, float]
    memory: float
    link: float
    """Inside a node, one direction."""
    network: float
    node: int

    @classmethod
    def of(cls, card: Accelerator) -> Sheet:
        """A format that the card lacks runs as the next wider one."""
        plain = card.compute.bf16
        eight = card.compute.fp8 or plain
        peaks = {"bf16": plain, "fp8": eight, "fp4": card.compute.fp4 or eight}
        link, network = card.node_link.bandwidth, card.network_link.bandwidth
        return cls(peaks, card.memory_bandwidth, link, network, card.gpus_per_node)


@dataclass(frozen=True)
class Format:
    """How a matrix is held and multiplied."""

    table: str
    """Its name in the tables."""
    weight: float
    """Bytes per weight, scales included."""
    activation: float
    peak: str
    nearest: tuple[str, ...]
    """Formats whose efficiency stands in where a card has no table of this one, best first."""


FORMATS = {
    "bf16": Format("bfloat16", 2.0, 2.0, "bf16", ()),
    "fp8": Format("fp8", 1.0, 1.0, "fp8", ("fp8_block", "bf16")),
    "fp8_block": Format("fp8_block", 1.0, 1.0, "fp8", ("fp8", "bf16")),
    "nvfp4": Format("nvfp4", 0.5625, 0.5625, "fp4", ("fp8_block", "fp8", "bf16")),
    "int8": Format("int8_wo", 1.0, 2.0, "bf16", ("int4", "bf16")),
    "int4": Format("int4_wo", 0.5, 2.0, "bf16", ("mxfp4", "int8", "bf16")),
    "mxfp4": Format("w4a16_mxfp4", 0.53125, 2.0, "bf16", ("int4", "bf16")),
    "mxfp4_fp8": Format("w4a8_mxfp4_mxfp8", 0.53125, 1.0, "fp8", ("nvfp4", "mxfp4", "fp8_block", "fp8", "bf16")),
}
KV_FORMATS = {"bf16": ("bfloat16", 2.0), "fp8": ("fp8", 1.0)}
"""Format of the KV cache -> its name in the tables, bytes per element."""


def format_of(name: str) -> Format:
    """Raises InputError for a format that the tables do not know."""
    if name not in FORMATS:
        raise InputError(f"measured times know no format '{name}'", help=f"formats: {', '.join(FORMATS)}")
    return FORMATS[name]


def kv_format_of(name: str) -> tuple[str, float]:
    """Raises InputError for a format that the tables do not know."""
    if name not in KV_FORMATS:
        raise InputError(f"measured times know no KV cache in '{name}'", help=f"formats: {', '.join(KV_FORMATS)}")
    return KV_FORMATS[name]
