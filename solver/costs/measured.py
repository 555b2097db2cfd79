"""Operator times from tables measured on the card; the data sheet where there are none (docs/silicon.md)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...models import Precision
from ...models.constants import Provenance
from ...models.hardware import Accelerator
from ...models.operator_times import Operator
from ...models.precision import BYTES
from ...models.transformer import LayerKind
from . import links
from .cores import decode_cores
from .distinct import By, Index, once
from .origins import ESTIMATED
from .passes import Pass
from .rows import Column, Rows
from .setting import Setting
from .silicon import CACHED, PHASES, PROMPT_WIDTH, Answer, Kernel, MissingTableError, Silicon
from .source import PARTS, Part, Roofline, Shapes

Size = Column | float
Kinds = NDArray[np.int8]
Flags = NDArray[np.bool_]
LATENT = (512, 64, 128, 128)
"""KV rank, rotary, plain and value dimensions that latent attention was measured with."""
EXCHANGED = 7168
"""Hidden size that DeepEP was measured with."""
LOW_LATENCY_TOKENS = 128
"""Tokens of a rank up to which DeepEP's low-latency kernels serve (their published settings)."""


class Measured(Roofline):
    """Tables where the card has them; operators that it lacks, or whose constants the scenario states: data sheet."""

    provenance: Provenance = "measured"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        scenario = setting.scenario
        hardware, engine = scenario.hardware, scenario.engine
        links = {"node_link": hardware.inside, "network_link": hardware.between, "gpus_per_node": setting.node}
        card = hardware.accelerator.model_copy(update=links)
        self._silicon = silicon_of(card.model_dump_json(), engine and engine.id, scenario.operator_times.tables)
        self._by_constants = scenario.operator_times.by_constants
        self._formats = {part: _table_format(scenario.precision, part, card) for part in PARTS}
        self._kv_format = "fp8" if scenario.precision.kv_cache == "fp8" else "bf16"
        self._visible = 1 - setting.efficiency.overlap
        model = scenario.model
        latent = model.attention.latent
        self._latent_measured = (
            latent is not None
            and (
                latent.kv_rank,
                latent.rope_dim,
                latent.nope_dim,
                latent.value_dim,
            )
            == LATENT
        )
        self._gated = model.experts is None or model.experts.gated
        matrices = (3 if self._gated else 2) * setting.hidden * setting.expert_width
        self._widened = setting.expert_weights / matrices if matrices else 1.0

    def _asked(
        self,
        operator: Operator,
        measured: str | None,
        rows: Rows,
        by: By,
        table: Callable[[Index], Answer],
        sheet: Callable[[], Column],
    ) -> Column:
        """From the table; where there is none, or nothing `measured` is what runs, from the data sheet."""
        if measured and operator not in self._by_constants:
            try:
                return self.note(*once(rows, by, table))
            except MissingTableError:
                pass
        return sheet()

    def products(self, rows: Rows, part: Part, tokens: Column, width: Size, shapes: Shapes) -> Column:
        """See OperatorTimes.matrices; every matrix of its own, all in one question."""
        held = self._formats[part]
        if held is None or "matrices" in self._by_constants:
            return super().products(rows, part, tokens, width, shapes)
        at, back = rows.alike((tokens, rows.tensor))
        inputs, outputs = (np.array([np.broadcast_to(_at(size[i], at), len(at)) for size in shapes]) for i in (0, 1))
        try:
            seconds, kinds = self._silicon.matrix(held, tokens[at], inputs, outputs)
        except MissingTableError:
            return super().products(rows, part, tokens, width, shapes)
        total: Column = np.zeros(len(at))
        for one, kind in zip(seconds, kinds, strict=True):
            total += self.note(one, kind)
        return total[back]

    def prompt_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """See OperatorTimes. Context ranks share the queries evenly.

        Linear layers, indexers and prompts over picked keys were not measured.
        """
        s, window = self._s, self._s.window if mixer.sliding else 0
        prompt, pairs, prefix = work.prompt, work.pairs[0], work.prefix[0]

        def table(at: Index) -> Answer:
            prompts, new, before = alike_prompts(prompt[at], pairs[at], prefix[at])
            heads = s.heads / rows.tensor[at]
            if s.latent_kv:
                seconds, kind = self._silicon.latent_prompt(prompts, new, before, heads, self._kv_format)
                return self._of_latent(seconds / rows.context[at], kind, s.score_width / PROMPT_WIDTH)
            kv_heads, width = rows.kv_heads[at], s.head_dim
            seconds, kind = self._silicon.prompt_attention(
                prompts, new, before, heads, kv_heads, width, self._kv_format, window
            )
            return seconds / rows.context[at], kind

        def sheet() -> Column:
            return Roofline.prompt_attention(self, rows, work, mixer)

        by = (prompt, pairs, prefix, rows.tensor, rows.context)
        measured = None if mixer.linear or s.sparse else "cores"
        return self._asked("attention", measured, rows, by, table, sheet)

    def decode_attention(self, rows: Rows, work: Pass, mixer: LayerKind) -> Column:
        """See OperatorTimes. An indexer's core is the data sheet's."""
        s, window = self._s, self._s.window if mixer.sliding else 0

        def table(at: Index) -> Answer:
            sequences, seen, heads = work.decoding[at], work.context[at], s.heads / rows.tensor[at]
            if s.sparse:
                seen = np.minimum(seen, s.window)
            if s.latent_kv:
                seconds, kind = self._silicon.latent_decode(sequences, seen, heads, self._kv_format)
                return self._of_latent(seconds, kind, s.latent_kv / CACHED)
            return self._silicon.decode_attention(
                sequences, seen, heads, rows.kv_heads[at], s.head_dim, self._kv_format, window
            )

        def sheet() -> Column:
            return Roofline.decode_attention(self, rows, work, unindexed)

        by, unindexed = (work.decoding, work.context, rows.tensor), mixer._replace(indexed=False)
        core = self._asked("attention", None if mixer.linear else "cores", rows, by, table, sheet)
        if not mixer.indexed:
            return core
        return core + self.note(self._cores(decode_cores(rows, work, mixer)[1:]))

    def _of_latent(self, seconds: Column, kind: Kinds, factor: float) -> Answer:
        """Other widths than the measured ones take time in proportion."""
        if self._latent_measured:
            return seconds, kind
        return seconds * factor, np.full_like(kind, ESTIMATED)

    def routed_experts(self, rows: Rows, group_tokens: Column) -> Column:
        """See OperatorTimes. The busiest rank is one that has as many more tokens."""
        s, held = self._s, self._formats["experts"]
        exchanged = rows.context * rows.data > 1

        def table(at: Index) -> Answer:
            """Each way of its own: one may be in the tables and the other not."""
            seconds, kind = np.zeros(len(at)), np.full(len(at), ESTIMATED, np.int8)
            shape = (s.hidden, s.expert_width, s.per_token, s.experts)
            for sent in (False, True):
                some = np.flatnonzero(exchanged[at] == sent)
                here = at[some]
                tokens = group_tokens[here] * rows.imbalance[here]
                ranks = rows.expert[here], rows.expert_tensor[here]
                try:
                    found, kind[some] = self._silicon.experts(
                        tokens, *shape, *ranks, held or "", exchanged=sent, gated=self._gated
                    )
                    seconds[some] = found * self._widened
                except MissingTableError:
                    seconds[some] = self.grouped(rows, group_tokens)[here]
            return seconds, kind

        def sheet() -> Column:
            return Roofline.routed_experts(self, rows, group_tokens)

        by = (group_tokens, rows.expert, rows.expert_tensor, exchanged)
        return self._asked("experts", held, rows, by, table, sheet)

    def all_reduce(self, rows: Rows, size: Column, ranks: Column) -> Column:
        """See OperatorTimes. Between nodes nothing was measured."""
        by_sheet, across = links.all_reduce(rows, size, ranks), rows.crosses(ranks)

        def table(at: Index) -> Answer:
            seconds, kind = self._silicon.all_reduce(np.where(across[at], 1.0, ranks[at]), size[at])
            outside = across[at] & (ranks[at] > 1)
            return (
                np.where(outside, by_sheet[at], self._visible * seconds),
                np.where(outside, ESTIMATED, kind).astype(np.int8),
            )

        by = (size, ranks, across)
        return self._asked("all_reduce", "sum", rows, by, table, lambda: self.note(by_sheet))

    def dispatch_and_combine(self, rows: Rows, tokens: Column) -> Column:
        """See Roofline.

        DeepEP was measured with 8 bit on the way out, in one hidden size, and on whole nodes: not where slices of
        experts stand between its ranks.
        """
        s, own = self._s, tokens / rows.tensor
        by_sheet, few = links.dispatch_and_combine(rows, tokens), own <= LOW_LATENCY_TOKENS
        whole = rows.expert_nodes == np.ceil(rows.expert / s.node)
        kernels: dict[Kernel, Flags] = {"low_latency": whole & few, "normal": whole & ~few}

        def table(at: Index) -> Answer:
            seconds, kind = by_sheet[at], np.full(len(at), ESTIMATED, np.int8)
            for kernel, served in kernels.items():
                some = np.flatnonzero(served[at])
                with suppress(MissingTableError):
                    seconds[some], kind[some] = self._deep_ep(rows, own, at[some], kernel)
            return seconds, kind

        measured = "sent" if s.dispatch_bytes == 1 and s.hidden == EXCHANGED else None
        by = (tokens, rows.tensor, rows.expert, rows.expert_nodes)
        return self._asked("exchange", measured, rows, by, table, lambda: self.note(by_sheet))

    def _deep_ep(self, rows: Rows, own: Column, at: Index, kernel: Kernel) -> Answer:
        """There and back."""
        s, seconds, kind = self._s, np.zeros(len(at)), np.zeros(len(at), np.int8)
        shape = (s.hidden, s.per_token, s.experts)
        for phase in PHASES:
            more, where = self._silicon.exchange(own[at] * rows.imbalance[at], *shape, rows.expert[at], phase, kernel)
            seconds, kind = seconds + self._visible * more, np.maximum(kind, where)
        return seconds, kind


def alike_prompts(prompt: Column, pairs: Column, prefix: Column) -> tuple[Column, Column, Column]:
    """(prompts, their new tokens, the tokens before these) that have as many tokens, pairs and prefix tokens in all.

    n prompts of L tokens behind p: nL tokens, n(L²/2 + Lp) pairs, np prefix tokens. No tokens: no prompts.
    """
    some = np.maximum(prompt, 1e-300)
    behind = prefix / some
    new = np.maximum(pairs / some / (0.5 + behind), 1.0)
    return np.where(prompt > 0, prompt / new, 0.0), new, new * behind


def _at(size: Size, index: Index) -> Size:
    return size[index] if isinstance(size, np.ndarray) else size


def _table_format(precision: Precision, part: Part, card: Accelerator) -> str | None:
    """The format of a part's matrices as the tables name it (silicon/sheets.py); None: they know none."""
    if part == "plain":
        return "bf16" if precision.activation_bytes == BYTES["bf16"] else None
    held = precision.weights if part == "weights" else precision.experts or precision.weights
    if held == "fp8" and precision.block:
        return "fp8_block"
    if held == "mxfp4" and card.compute.has("fp4"):
        return "mxfp4_fp8"
    if held == "int8" and card.compute.has("int8"):
        return None  # the tables' 8-bit integers are widened to 16 bit first
    return {"fp16": "bf16"}.get(held, held) if held not in ("fp32", "fp4") else None


@lru_cache(maxsize=16)
def silicon_of(card: str, engine: str | None, tables: Path | None) -> Silicon:
    """Tables are read once for a card, which comes as JSON so that equal ones are the same."""
    return Silicon(Accelerator.model_validate_json(card), engine, tables)
