"""Where operator times come from: one interface, the data sheet behind it (tables: measured.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from ...models.constants import Provenance
from ...models.transformer import LayerKind
from . import links
from .cores import Core, decode_cores, prompt_cores
from .origins import ESTIMATED
from .passes import Pass
from .rows import Column, Rows, Shape
from .setting import Setting

Part = Literal["weights", "experts", "shared", "plain"]
PARTS: tuple[Part, ...] = get_args(Part)
Shapes = Sequence[Shape]


class OperatorTimes(Protocol):
    """Seconds of one operator on one rank, per row."""

    provenance: Provenance

    def matrices(self, rows: Rows, part: Part, tokens: Column, width: Column | float, shapes: Shapes) -> Column:
        """Multiply `tokens` activations with each of the matrices; `width` is their dimension that ranks share."""

    def prompt_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """The attention cores of the prompt tokens of a pass, in a layer of this mixer."""

    def decode_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """The attention cores of the sequences that decode one token, in a layer of this mixer."""

    def routed_experts(self, rows: Rows, group_tokens: Column) -> Column:
        """The routed experts of the busiest rank, for the tokens of its whole stage group."""

    def traffic(self, size: Column) -> Column:
        """Read and write `size` bytes of activations."""

    def all_reduce(self, rows: Rows, size: Column, ranks: Column) -> Column:
        """Sum `size` bytes over so many contiguous ranks."""

    def expert_exchange(self, rows: Rows, tokens: Column) -> Column:
        """Bring `tokens` on each attention rank to their experts, and the results back."""


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

    def note(self, seconds: Column, origins: NDArray[np.int8] | int = ESTIMATED) -> Column:
        """Every time of an operator passes here with its origin; a ledger writes it down (ledger.py)."""
        return seconds

    def matrices(self, rows: Rows, part: Part, tokens: Column, width: Column | float, shapes: Shapes) -> Column:
        """See OperatorTimes. `part` names the number format and the efficiencies."""
        each = self.products(rows, part, tokens, width, shapes)
        if part not in self._s.block_parts:
            return each
        return each + np.where((tokens > 0) & (each > 0), len(shapes) * self._s.latencies.block_matrix, 0.0)

    def products(self, rows: Rows, part: Part, tokens: Column, width: Column | float, shapes: Shapes) -> Column:
        """The multiplications alone."""
        weights: Column = np.zeros(len(tokens))
        for inputs, outputs in shapes:
            weights = weights + inputs * outputs
        half = self._s.efficiency.half_rows
        each = self._matrix(2 * tokens * weights, weights * self._bytes[part], part, tokens, half, width)
        return self.note(np.where(tokens > 0, each, 0.0))

    def _matrix(
        self, flops: Column, size: Column, part: Part, rows: Column, half_rows: float, width: Column | float
    ) -> Column:
        compute, bandwidth = self._peaks[part]
        full = np.maximum(rows, 1e-300)
        slowdown = (full + half_rows) / full * (width + self._s.efficiency.half_width) / width
        return flops / compute * slowdown + size / bandwidth

    def prompt_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """See OperatorTimes."""
        return self.note(self._cores(prompt_cores(rows, work, mixer)))

    def decode_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """See OperatorTimes."""
        return self.note(self._cores(decode_cores(rows, work, mixer)))

    def _cores(self, cores: list[Core]) -> Column:
        """One after the other, each as long as the longer of its products and its reads."""
        e = self._s.efficiency
        compute, bandwidth = self._s.rate_plain * e.attention_mfu, self._s.memory_bandwidth * e.kv_bandwidth
        times: list[Column] = [np.maximum(flops / compute, size / bandwidth) for flops, size in cores]
        return sum(times[1:], times[0])

    def routed_experts(self, rows: Rows, group_tokens: Column) -> Column:
        """See OperatorTimes."""
        return self.note(self.grouped(rows, group_tokens))

    def grouped(self, rows: Rows, group_tokens: Column) -> Column:
        """The grouped products of the routed experts. Only experts that some token chose are read."""
        s, e, slices = self._s, rows.expert, rows.expert_tensor
        hit = 1 - (1 - s.per_token / s.experts) ** group_tokens
        flops = 2 * s.expert_weights * s.per_token * group_tokens * rows.imbalance / (e * slices)
        size = s.experts / e * hit * s.expert_weights / slices * s.expert_bytes
        per_expert, half = group_tokens * s.per_token / s.experts, s.efficiency.expert_half_rows
        time = self._matrix(flops, size, "experts", per_expert, half, s.expert_width / slices)
        return np.where(group_tokens > 0, time, 0.0)

    def traffic(self, size: Column) -> Column:
        """See OperatorTimes."""
        return self.note(size / (self._s.memory_bandwidth * self._s.efficiency.bandwidth))

    def all_reduce(self, rows: Rows, size: Column, ranks: Column) -> Column:
        """See OperatorTimes."""
        return self.note(links.all_reduce(rows, size, ranks))

    def expert_exchange(self, rows: Rows, tokens: Column) -> Column:
        """See OperatorTimes.

        Where all ranks of the stage hold the same tokens, their results are summed. Else the quicker of two ways that
        engines offer: every rank gathers all tokens and results are summed, or tokens travel to their experts only.
        """
        alike = rows.context * rows.data == 1
        summed = self.gathered(rows, tokens)
        return np.where(alike, summed, np.minimum(summed, self.sent(rows, tokens)))

    def gathered(self, rows: Rows, tokens: Column) -> Column:
        """Every rank of the stage gets all tokens, or has them, and the results are summed."""
        s = self._s
        return self.all_reduce(rows, tokens * rows.context * rows.data * s.hidden * s.plain_bytes, rows.stage_group)

    def sent(self, rows: Rows, tokens: Column) -> Column:
        """Tokens travel to their experts only, and the results back."""
        return self.dispatch_and_combine(rows, tokens) + self.note(links.slices_exchange(rows, tokens))

    def dispatch_and_combine(self, rows: Rows, tokens: Column) -> Column:
        """The way over the expert ranks, there and back."""
        return self.note(links.dispatch_and_combine(rows, tokens))


def operator_times(setting: Setting) -> Roofline:
    """The source that the scenario is priced from."""
    if setting.scenario.operator_times.source == "datasheet":
        return Roofline(setting)
    from .measured import Measured  # with it come the tables, which most runs do without

    return Measured(setting)
