"""Operator times of one card as one engine runs it, from tables measured on silicon (docs/silicon.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ....models import catalog
from ....models.hardware import Accelerator
from ....models.silicon_folder import RELATIVES, is_estimated, tables_folder
from ..origins import ESTIMATED
from . import attention, collectives, exchange, experts, latent, matrix
from .grids import Answer, Column
from .sheets import Sheet, format_of, kv_format_of
from .store import Store

Time = Callable[..., Answer]


class Silicon:
    """Seconds and kinds of operators on one rank.

    Counts may be columns or numbers, fractions too; they are broadcast. Kinds are indices into `KINDS`. No work takes
    no time. An operator that the card has no table of raises InputError.
    """

    def __init__(self, card: Accelerator, engine: str | None = None, folder: Path | None = None) -> None:
        """`engine`: vllm, sglang, trtllm or one without tables; none: any, in order of preference. Reads nothing."""
        root = tables_folder(folder)
        card = card.model_copy(update={"id": card.measured_as or card.id})
        self.sheet = Sheet.of(card)
        self.relative: str | None = None
        """The card whose efficiencies stand in, if this one was not measured."""
        computes = moves = card.id
        if is_estimated(card.id, root):
            computes, moves = RELATIVES[card.id]
            self.relative = computes
        self._computes = self._store(root, computes, card, engine)
        self._moves = self._computes if moves == computes else self._store(root, moves, card, engine)

    @property
    def sources(self) -> dict[str, str]:
        """Operator -> the file that served it so far."""
        return {**self._computes.sources, **self._moves.sources}

    def matrix(self, format: str, rows: ArrayLike, inputs: ArrayLike, outputs: ArrayLike) -> Answer:
        """Multiply `rows` activations with a matrix of inputs × outputs."""
        format_of(format)
        return self._timed(lambda *x: matrix.matrix(self._computes, self.sheet, format, *x), rows, inputs, outputs)

    def prompt_attention(
        self,
        prompts: ArrayLike,
        tokens_per_prompt: ArrayLike,
        prefix_per_prompt: ArrayLike,
        heads: ArrayLike,
        kv_heads: ArrayLike,
        head_dim: float,
        kv_format: str = "bf16",
        window: float = 0,
    ) -> Answer:
        """The causal core; heads of this rank; `window` 0 is full attention."""
        kv_format_of(kv_format)
        return self._timed(
            lambda n, new, prefix, q, kv: attention.prompt_attention(
                self._computes, self.sheet, n, new, prefix, q, kv, float(head_dim), kv_format, float(window)
            ),
            prompts,
            tokens_per_prompt,
            prefix_per_prompt,
            heads,
            kv_heads,
            work=2,
        )

    def decode_attention(
        self,
        sequences: ArrayLike,
        context: ArrayLike,
        heads: ArrayLike,
        kv_heads: ArrayLike,
        head_dim: float,
        kv_format: str = "bf16",
        window: float = 0,
    ) -> Answer:
        """One token for each of the sequences; `context` includes it."""
        kv_format_of(kv_format)
        return self._timed(
            lambda n, seen, q, kv: attention.decode_attention(
                self._computes, self.sheet, n, seen, q, kv, float(head_dim), kv_format, float(window)
            ),
            sequences,
            context,
            heads,
            kv_heads,
            work=2,
        )

    def latent_prompt(
        self,
        prompts: ArrayLike,
        tokens_per_prompt: ArrayLike,
        prefix_per_prompt: ArrayLike,
        heads: ArrayLike,
        kv_format: str = "bf16",
    ) -> Answer:
        """The causal core of latent attention, keys and values expanded; DeepSeek's sizes."""
        kv_format_of(kv_format)
        return self._timed(
            lambda n, new, prefix, q: latent.latent_prompt(self._computes, self.sheet, n, new, prefix, q, kv_format),
            prompts,
            tokens_per_prompt,
            prefix_per_prompt,
            heads,
            work=2,
        )

    def latent_decode(
        self, sequences: ArrayLike, context: ArrayLike, heads: ArrayLike, kv_format: str = "bf16"
    ) -> Answer:
        """The absorbed core of latent attention; DeepSeek's sizes."""
        kv_format_of(kv_format)
        return self._timed(
            lambda n, seen, q: latent.latent_decode(self._computes, self.sheet, n, seen, q, kv_format),
            sequences,
            context,
            heads,
            work=2,
        )

    def latent_absorb(self, tokens: ArrayLike, heads: ArrayLike, format: str = "bf16") -> Answer:
        """Both absorb products of a decode step."""
        format_of(format)
        return self._timed(lambda *x: latent.latent_absorb(self._computes, self.sheet, format, *x), tokens, heads)

    def experts(
        self,
        tokens_of_group: ArrayLike,
        hidden: float,
        width: float,
        per_token: float,
        experts_: float,
        expert_ranks: ArrayLike,
        tensor_ranks: ArrayLike,
        format: str,
        *,
        exchanged: bool = True,
        gated: bool = True,
    ) -> Answer:
        """One rank's routed experts, tokens falling on experts as a power law.

        `exchanged`: an all-to-all brings a rank only the copies meant for its experts; otherwise it sorts out those of
        the whole group, as vLLM and SGLang do without one.
        """
        format_of(format)
        shape = (float(hidden), float(width), float(per_token), float(experts_))
        return self._timed(
            lambda tokens, ranks, slices: experts.experts(
                self._computes, self.sheet, format, tokens, *shape, ranks, slices, exchanged, gated
            ),
            tokens_of_group,
            expert_ranks,
            tensor_ranks,
        )

    def all_reduce(self, ranks: ArrayLike, size: ArrayLike) -> Answer:
        """Sum `size` bytes over GPUs of one node with the engine's own kernel; 0 for one rank."""
        return self._timed(
            lambda *x: collectives.all_reduce(self._moves, self.sheet, *x), ranks, size, work=2, alone=ranks
        )

    def collective(self, operation: collectives.Operation, ranks: ArrayLike, size: ArrayLike) -> Answer:
        """NCCL's (Intel: oneCCL's) over GPUs of one node; 0 for one rank.

        `size` is in bytes: what each rank adds to an all_reduce, the whole that all_gather puts together and
        reduce_scatter takes apart, all that one rank sends in an all_to_all, with what it sends itself.
        """
        known = collectives.operation_of(operation)
        return self._timed(
            lambda *x: collectives.collective(self._moves, self.sheet, known, *x), ranks, size, work=2, alone=ranks
        )

    def point_to_point(self, size: ArrayLike) -> Answer:
        """Send `size` bytes to another GPU of the node. No table has it: estimated from an all-to-all of two."""
        return self._timed(lambda x: collectives.point_to_point(self._moves, self.sheet, x), size)

    def exchange(
        self,
        tokens_per_rank: ArrayLike,
        hidden: float,
        per_token: float,
        experts_: float,
        ranks: ArrayLike,
        phase: exchange.Phase,
        kernel: exchange.Kernel = "low_latency",
    ) -> Answer:
        """Dispatch or combine of DeepEP; 0 for one rank."""
        shape = (float(hidden), float(per_token), float(experts_))
        return self._timed(
            lambda tokens, n: exchange.exchange(self._moves, self.sheet, tokens, *shape, n, phase, kernel),
            tokens_per_rank,
            ranks,
            alone=ranks,
        )

    def _timed(self, time: Time, *counts: ArrayLike, work: int = 1, alone: ArrayLike = 2) -> Answer:
        """Broadcast, price, and put 0 where one of the first `work` counts is 0 or `alone` is 1.

        Where all is 0 the tables are not asked for: a card without an operator may stand where there is none.
        """
        columns: list[Column] = list(
            np.broadcast_arrays(*(np.asarray(count, np.float64) for count in (*counts, alone)))
        )
        shape = columns[0].shape
        *flat, ranks = [np.ascontiguousarray(column).ravel() for column in columns]
        idle = ranks <= 1
        for column in flat[:work]:
            idle |= column <= 0
        if idle.all():
            return np.zeros(shape), np.zeros(shape, np.int8)
        seconds, kind = time(*(np.where(idle, np.maximum(column, 1.0), column) for column in flat))
        if self.relative:
            kind = np.full_like(kind, ESTIMATED)
        seconds, kind = np.where(idle, 0.0, seconds), np.where(idle, 0, kind).astype(np.int8)
        return seconds.reshape(shape), kind.reshape(shape)

    @staticmethod
    def _store(root: Path, name: str, card: Accelerator, engine: str | None) -> Store:
        """Efficiencies are those of the measured card's own data sheet."""
        own = card if name == card.id else Accelerator.model_validate({**catalog.accelerator(name), "id": name})
        return Store(root, name, Sheet.of(own), engine)
