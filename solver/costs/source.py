"""Where operator times come from: one interface, the roofline behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from ...models.constants import Provenance
from ...models.transformer import LayerKind
from .cores import Core, decode_cores, prompt_cores
from .passes import Pass
from .rows import Column, Rows, Shape
from .setting import Setting

Part = Literal["weights", "experts", "shared", "plain"]
Shapes = Sequence[Shape]


class OperatorTimes(Protocol):
    """Seconds of one operator on one rank, per row."""

    provenance: Provenance

    def matrices(self, part: Part, tokens: Column, width: Column | float, shapes: Shapes) -> Column:
        """Multiply `tokens` activations with each of the matrices; `width` is their dimension that ranks share."""

    def prompt_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """The attention cores of the prompt tokens of a pass, in a layer of this mixer."""

    def decode_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """The attention cores of the sequences that decode one token, in a layer of this mixer."""

    def routed_experts(self, rows: Rows, group_tokens: Column) -> Column:
        """The routed experts of the busiest rank, for the tokens of its whole stage group."""

    def traffic(self, size: Column) -> Column:
        """Read and write `size` bytes of activations."""


class Roofline:
    """time = flops / (peak · efficiency) + bytes / (bandwidth · efficiency), figures from the datasheet.

    Matrices add the two: kernels hide little of one behind the other (the sum fits published measurements better than
    the larger, docs/accuracy.md). Efficiency falls for few rows and thin shards (Calculon, InferSim), so that tensor
    parallelism pays for them.
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
        self._bytes = {
            "weights": setting.weight_bytes,
            "experts": setting.expert_bytes,
            "shared": setting.expert_bytes,
            "plain": setting.plain_bytes,
        }

    def matrices(self, part: Part, tokens: Column, width: Column | float, shapes: Shapes) -> Column:
        """See OperatorTimes. `part` names the number format and the efficiencies."""
        weights: Column = np.zeros(len(tokens))
        for inputs, outputs in shapes:
            weights = weights + inputs * outputs
        half = self._s.efficiency.half_rows
        each = self._matrix(2 * tokens * weights, weights * self._bytes[part], part, tokens, half, width)
        if part in self._s.block_parts:
            each = each + np.where(weights > 0, len(shapes) * self._s.latencies.block_matrix, 0.0)
        return np.where(tokens > 0, each, 0.0)

    def _matrix(
        self, flops: Column, size: Column, part: Part, rows: Column, half_rows: float, width: Column | float
    ) -> Column:
        compute, bandwidth = self._peaks[part]
        full = np.maximum(rows, 1e-300)
        slowdown = (full + half_rows) / full * (width + self._s.efficiency.half_width) / width
        return flops / compute * slowdown + size / bandwidth

    def prompt_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """See OperatorTimes."""
        return self._cores(prompt_cores(rows, work, mixer))

    def decode_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """See OperatorTimes."""
        return self._cores(decode_cores(rows, work, mixer))

    def _cores(self, cores: list[Core]) -> Column:
        """One after the other, each as long as the longer of its products and its reads."""
        e = self._s.efficiency
        compute, bandwidth = self._s.rate_plain * e.attention_mfu, self._s.memory_bandwidth * e.kv_bandwidth
        times: list[Column] = [np.maximum(flops / compute, size / bandwidth) for flops, size in cores]
        return sum(times[1:], times[0])

    def routed_experts(self, rows: Rows, group_tokens: Column) -> Column:
        """See OperatorTimes. Only experts that some token chose are read."""
        s, e, slices = self._s, rows.expert, rows.expert_tensor
        hit = 1 - (1 - s.per_token / s.experts) ** group_tokens
        flops = 2 * s.expert_weights * s.per_token * group_tokens * rows.imbalance / (e * slices)
        size = s.experts / e * hit * s.expert_weights / slices * s.expert_bytes
        per_expert, half = group_tokens * s.per_token / s.experts, s.efficiency.expert_half_rows
        time = self._matrix(flops, size, "experts", per_expert, half, s.expert_width / slices)
        return np.where(group_tokens > 0, time, 0.0)

    def traffic(self, size: Column) -> Column:
        """See OperatorTimes."""
        return size / (self._s.memory_bandwidth * self._s.efficiency.bandwidth)
