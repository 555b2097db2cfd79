"""Operator times measured on silicon, from open tables: read, interpolated, extrapolated (docs/silicon.md)."""

from ..origins import ESTIMATED, EXTRAPOLATED, INTERPOLATED, KINDS, MEASURED
from .exchange import PHASES, Kernel
from .grids import Answer
from .latent import CACHED, PROMPT_WIDTH
from .silicon import Silicon
from .store import MissingTableError

__all__ = [
    "CACHED",
    "ESTIMATED",
    "EXTRAPOLATED",
    "INTERPOLATED",
    "KINDS",
    "MEASURED",
    "PHASES",
    "PROMPT_WIDTH",
    "Answer",
    "Kernel",
    "MissingTableError",
    "Silicon",
]
