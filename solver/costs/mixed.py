"""Prices of engines whose pipeline crosses from one card to another (docs/costs.md, section 7: engines over two cards).

The programs are those of engines on one card; what differs is the cut: every pass is priced on both cards, and layers
are dealt under each stage's own speed, memory and links.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ...models import Scenario
from ...models.rules import Role
from ...models.strategy import DEGREES
from .cut import CutStages
from .engines import QUANTILES, EngineGrid, EnginePrices, joined, priced_blocks
from .forward import Timed, layer_times
from .grid import Integers
from .memory import MemoryParts
from .mixed_ideal import MixedIdeal
from .mixed_layout import Layout, Parts
from .mixed_split import split_mixed
from .mixed_stages import MixedStages
from .passes import Pass
from .rows import Column, Rows
from .setting import Setting, setting
from .source import OperatorTimes, Roofline

BLOCK = 16_384
"""Rows priced at once."""
_PIPELINE = DEGREES.index("pipeline")


@dataclass
class MixedGrid(EngineGrid):
    """Engines over two cards before pricing; `pipeline` counts the stages of both."""

    first: Integers
    """Stages on the first card; 1 to pipeline − 1."""

    @property
    def cuts(self) -> Integers:
        """What tells ways to cut a model apart, shape (rows, columns)."""
        return np.column_stack([self.strategies, self.first])


class MixedPrices(NamedTuple):
    """Priced engines over two cards."""

    prices: EnginePrices
    """Memory is that of the stage that fills the largest share of its card's room. Bounds of the four parts of memory
    hold for their sum."""
    stage_of_layer: NDArray[np.int16]
    """Shape (rows, layers); no layers where only bounds were asked for."""
    fits: NDArray[np.bool_]
    """Every stage fits its own card. Bounds: some split may; where none does, the other bounds are of any split."""
    share: Column
    """Of its card's room, that the fullest stage fills. Bounds: at least."""


def price_mixed(
    parts: tuple[Scenario, Scenario],
    role: Role,
    grid: MixedGrid,
    *,
    sends: bool,
    ideal: bool,
    at: str | None = None,
) -> MixedPrices:
    """Price every engine of the grid.

    `parts` are the conditions of one role as seen on the card of the first stages and on that of the others
    (solver/pools/parts.py). `at` says which TTFT of an open loop is meant (default: as the scenario's limit). With
    `ideal` all figures are optimistic bounds on those of engines that fit.
    """
    settings = setting(parts[0]), setting(parts[1])
    times, share = (Roofline(settings[0]), Roofline(settings[1])), QUANTILES[at or parts[0].requirements.ttft_at]

    def cut(engines: MixedGrid) -> TwoCards:
        return TwoCards(settings, engines, times, ideal)

    blocks = list(priced_blocks(role, grid, cut, sends=sends, share=share, size=BLOCK))
    filled = [cast(_TwoCardStages, program.stages).filled(program.memory) for program, _, _ in blocks]
    return MixedPrices(
        joined([prices for _, prices, _ in blocks]),
        np.concatenate([program.stage_of_layer[back] for program, _, back in blocks]),
        np.concatenate([fits[back] for (_, fits), (_, _, back) in zip(filled, blocks, strict=True)]),
        np.concatenate([full[back] for (full, _), (_, _, back) in zip(filled, blocks, strict=True)]),
    )


class _TwoCardStages(CutStages, Protocol):
    def filled(self, memory: MemoryParts) -> tuple[Column, NDArray[np.bool_]]: ...


class TwoCards:
    """The first stages on one card, the others on another: a Cut."""

    parts: Parts

    def __init__(
        self,
        settings: tuple[Setting, Setting],
        grid: MixedGrid,
        times: tuple[OperatorTimes, OperatorTimes],
        ideal: bool,
    ) -> None:
        one = np.ones(len(grid), dtype=np.int64)
        pipelines = grid.first, grid.strategies[:, _PIPELINE] - grid.first
        if (np.minimum(*pipelines) < 1).any():
            raise ValueError("an engine over two cards has a stage on each")
        if (grid.strategies[:, _PIPELINE] > len(settings[0].layer_kinds)).any():
            raise ValueError("every stage has a layer")
        # Load, degrees and bytes are the same on both cards, so the whole may be read with either setting.
        self.rows, self.ideal = Rows.of(settings[0], grid.strategies, one, grid.load), ideal
        first, second = (
            Rows.of(s, _with_pipeline(grid.strategies, p), one, grid.load)
            for s, p in zip(settings, pipelines, strict=True)
        )
        self.parts = first, second
        self._times = times

    def run(self, work: Pass) -> Timed:
        """See Cut."""
        return tuple(layer_times(part, work, times) for part, times in zip(self.parts, self._times, strict=True))

    def split(self, passes: tuple[Timed, ...], memory: MemoryParts) -> tuple[NDArray[np.int16], CutStages]:
        """See Cut."""
        bounds = MixedIdeal(self.parts, memory, passes[0])
        if self.ideal:
            return np.empty((len(self.rows), 0), dtype=np.int16), bounds
        layout = Layout.of(self.parts)
        chosen = split_mixed(layout, passes, memory, bounds.reachable)
        return chosen, MixedStages.of(layout, chosen)


def _with_pipeline(strategies: Integers, pipeline: Integers) -> Integers:
    changed = strategies.copy()
    changed[:, _PIPELINE] = pipeline
    return changed
