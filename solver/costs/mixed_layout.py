"""Where the stages of an engine over two cards stand, and what each carries beside layers (docs/costs.md, 7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .forward import Timed
from .links import bridge_send, stage_send
from .rows import Column, Rows

Parts = tuple[Rows, Rows]
"""The stages on each card, as engines of their own: `pipeline` is how many stages stand there."""


def room_of(part: Rows) -> float:
    """Bytes that a GPU of the card may hold; at least one, to take shares of."""
    return max(float(part.setting.room), 1.0)


@dataclass
class Group:
    """The rows whose engines have equally many stages; arrays of shape (rows, stages)."""

    index: NDArray[np.intp]
    """Shape (rows,)."""
    second: NDArray[np.intp]
    """1 for a stage on the second card."""
    leaves: NDArray[np.bool_]
    """Whether the stage sends to another node of its card."""
    bridge: NDArray[np.bool_]
    """Whether it sends to the other card."""

    @property
    def stages(self) -> int:
        """Of each engine."""
        return int(self.second.shape[1])


@dataclass
class Layout:
    """Engines over two cards, grouped by their number of stages."""

    parts: Parts
    groups: list[Group]

    @classmethod
    def of(cls, parts: Parts) -> Layout:
        """Lay the first card's stages before the second's; within a card as an engine of its own."""
        first, second = (part.pipeline.astype(np.int64) for part in parts)
        stages = first + second
        order = np.argsort(first, kind="stable")  # neighbours that are alike are quicker to split
        return cls(parts, [_group(parts, first, order[stages[order] == degree]) for degree in np.unique(stages)])

    def beside(self, timed: Timed, group: Group) -> Column:
        """Seconds of each stage beside iteration and layers, shape (rows, stages): what it sends, the last one's head.

        Every send is paid by the stage that sends.
        """
        sends = []
        for part, layer in zip(self.parts, timed, strict=True):
            inside, across = (stage_send(part, layer.tokens, np.full(len(part), x))[group.index] for x in (False, True))
            sends.append(np.where(group.leaves, across[:, None], inside[:, None]))
        bridge = bridge_send(self.parts[0].setting, self.parts[1].setting, timed[0].tokens)[group.index]
        beside = np.where(group.bridge, bridge[:, None], np.where(group.second == 1, sends[1], sends[0]))
        beside[:, -1] = timed[1].head[group.index]
        return beside


def _group(parts: Parts, first: NDArray[np.int64], index: NDArray[np.intp]) -> Group:
    stages = int(parts[0].pipeline[index[0]] + parts[1].pipeline[index[0]])
    stage, begins = np.arange(stages)[:, None], first[index][None, :]
    own = parts[0].boundary_crosses(stage, index), parts[1].boundary_crosses(stage - begins, index)
    second = stage >= begins
    leaves, bridge = np.where(second, own[1], own[0]), stage == begins - 1
    return Group(index, second.astype(np.intp).T, leaves.T, bridge.T)
