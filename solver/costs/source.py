"""Where operator times come from: one interface, the roofline behind it. Measured tables will be another source."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from ...models.constants import Provenance
from .rows import Column
from .setting import Setting

Part = Literal["weights", "experts", "shared", "plain"]


class OperatorTimes(Protocol):
    """Seconds of one operator on one rank, per row."""

    provenance: Provenance

    def matrix(self, flops: Column, size: Column, part: Part, rows: Column, width: Column) -> Column:
        """Multiply `rows` activations with weights of `size` bytes; `width` is the shard's output width."""

    def attention(self, flops: Column, size: Column) -> Column:
        """The attention core: `flops`, and `size` bytes of keys and values read."""

    def traffic(self, size: Column) -> Column:
        """Read and write `size` bytes of activations."""


class Roofline:
    """time = max(flops / (peak · efficiency), bytes / (bandwidth · efficiency)) from the datasheet.

    Efficiency falls for few rows and thin shards (Calculon, InferSim), so that tensor parallelism pays for them.
    """

    provenance: Provenance = "fitted"

    def __init__(self, setting: Setting) -> None:
        self._s = setting
        e = setting.efficiency
        self._peaks = {
            "weights": (setting.rate_weights * e.mfu, setting.memory_bandwidth * e.bandwidth),
            "experts": (setting.rate_experts * e.expert_mfu, setting.memory_bandwidth * e.expert_bandwidth),
            "shared": (setting.rate_experts * e.mfu, setting.memory_bandwidth * e.bandwidth),
            "plain": (setting.rate_plain * e.mfu, setting.memory_bandwidth * e.bandwidth),
        }

    def matrix(self, flops: Column, size: Column, part: Part, rows: Column, width: Column) -> Column:
        """See OperatorTimes. `part` names the number format and the efficiencies."""
        e = self._s.efficiency
        compute, bandwidth = self._peaks[part]
        full = np.maximum(rows, 1e-300)
        slowdown = (full + e.half_rows) / full * (width + e.half_width) / width
        return np.where(rows > 0, np.maximum(flops / compute * slowdown, size / bandwidth), 0.0)

    def attention(self, flops: Column, size: Column) -> Column:
        """See OperatorTimes."""
        e = self._s.efficiency
        compute = self._s.rate_plain * e.attention_mfu
        return np.maximum(flops / compute, size / (self._s.memory_bandwidth * e.kv_bandwidth))

    def traffic(self, size: Column) -> Column:
        """See OperatorTimes."""
        return size / (self._s.memory_bandwidth * self._s.efficiency.bandwidth)
