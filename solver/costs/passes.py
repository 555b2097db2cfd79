"""What a forward pass carries, and what prompts bring into it (docs/costs.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .rows import Column
from .setting import Setting


@dataclass
class Pass:
    """What a pass carries, seen from one attention group. Columns as long as the rows."""

    decoding: Column
    """D: sequences that decode one token each."""
    context: Column
    """X: their mean context."""
    prompt: Column
    """P: prompt tokens."""
    pairs: tuple[Column, Column]
    """Query-key pairs of the prompts, (full, sliding or sparse) layer."""
    prefix: tuple[Column, Column]
    """Prefix tokens read again, (full, sliding) layer."""
    logits: Column
    """Y: sequences that need logits."""
    prompt_share: Column
    """Phi: share of such passes that carry prompt tokens."""


def pairs_of(s: Setting, length: float, mean_square: float) -> tuple[float, float]:
    """Query-key pairs of one prompt in a (full, sliding or sparse) layer."""
    window = s.window
    sliding = length**2 / 2 if length <= window else length * window - window**2 / 2
    return mean_square / 2, sliding


def prefix_of(s: Setting, length: float, chunks: Column) -> tuple[Column, Column]:
    """Prefix tokens that one prompt reads again in so many chunks, in a (full, sliding) layer."""
    full = length * (chunks - 1) / 2
    return full, np.minimum(full, (chunks - 1) * s.window)
