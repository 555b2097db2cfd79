"""What layers put on pipeline stages, and the rows that stages are chosen for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .rows import Column, Rows


@dataclass
class Load:
    """What the layers put on a stage: one additive quantity (seconds or bytes) and its bound."""

    layers: Column
    """Per kind of layer, shape (kinds, rows)."""
    first: Column
    last: Column
    send: tuple[Column, Column]
    """Per stage that is not the last: (inside a node, across nodes)."""

    def longest(self) -> Column:
        """The most that a stage of one layer can carry."""
        beside = np.maximum(self.last, np.maximum(*self.send)) + self.first
        longest: Column = self.layers.max(axis=0) + beside
        return longest

    def take(self, index: NDArray[np.intp]) -> Load:
        """The same for some of the rows."""
        inside, across = self.send
        return Load(self.layers[:, index], self.first[index], self.last[index], (inside[index], across[index]))


@dataclass
class LayerGrid:
    """The rows of one search: stages, and which boundaries leave a node."""

    kinds: tuple[int, ...]
    pipeline: NDArray[np.int64]
    leaves: NDArray[np.bool_]
    """Shape (stages, rows)."""

    @classmethod
    def of(cls, rows: Rows, index: NDArray[np.intp]) -> LayerGrid:
        """Some of the rows, each of several stages."""
        pipeline = rows.pipeline[index].astype(np.int64)
        leaves = np.array([rows.boundary_crosses(stage, index) for stage in range(int(pipeline.max()))])
        return cls(rows.setting.layer_kinds, pipeline, leaves)

    def take(self, index: NDArray[np.intp]) -> LayerGrid:
        """Some of the rows."""
        return LayerGrid(self.kinds, self.pipeline[index], self.leaves[:, index])


Caps = list[tuple[Load, Column]]
"""Loads that every stage must keep within a bound."""
