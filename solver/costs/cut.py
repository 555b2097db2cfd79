"""What an engine's stages stand on: the programs price through this interface, here for engines on one card."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .forward import Timed, layer_times
from .ideal import IdealStages
from .memory import MemoryParts
from .passes import Pass
from .rows import Column, Rows
from .source import OperatorTimes
from .stages import Stages, split_stages


class CutStages(Protocol):
    """Layers on stages, or bounds on every way to deal them; columns as long as the rows."""

    def times(self, timed: Timed) -> tuple[Column, Column]:
        """(slowest stage, sum of all stages) of a pass, seconds."""

    def longer(self, full: Timed, decode: Timed, decode_slowest: Column) -> Column:
        """Seconds by which the slowest stage of a full pass exceeds `decode_slowest`, that of the decode pass."""

    def most(self, layers: Column) -> tuple[Column, ...]:
        """The largest stage's sum of something that layers have, on each card; `layers` per kind of layer and row."""

    def fullest(self, memory: MemoryParts) -> tuple[Column, Column, NDArray[np.int64]]:
        """(weights, KV cache, stage) of the stage that counts, whole bytes."""


class Cut(Protocol):
    """Engines, and the card or cards that their stages stand on."""

    @property
    def rows(self) -> Rows:
        """The whole engines."""

    @property
    def parts(self) -> tuple[Rows, ...]:
        """Their stages on each card, as engines of their own."""

    @property
    def ideal(self) -> bool:
        """Bounds in place of splits."""

    def run(self, work: Pass) -> Timed:
        """Price a pass on every card."""

    def split(self, passes: tuple[Timed, ...], memory: MemoryParts) -> tuple[NDArray[np.int16], CutStages]:
        """(stage of each layer, the stages), chosen by these passes in their order; no layers where `ideal`."""


class OneCard:
    """All stages on one card."""

    def __init__(self, rows: Rows, times: OperatorTimes, ideal: bool) -> None:
        self.rows, self.parts, self.ideal = rows, (rows,), ideal
        self._times = times

    def run(self, work: Pass) -> Timed:
        """See Cut."""
        return (layer_times(self.rows, work, self._times),)

    def split(self, passes: tuple[Timed, ...], memory: MemoryParts) -> tuple[NDArray[np.int16], CutStages]:
        """See Cut."""
        if self.ideal:
            return np.empty((len(self.rows), 0), dtype=np.int16), IdealStages(self.rows)
        chosen = split_stages(self.rows, tuple(layer for (layer,) in passes), memory, self.rows.setting.room)
        return chosen, Stages.of(self.rows, chosen)
