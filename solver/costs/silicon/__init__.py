"""Operator times measured on silicon, from open tables: read, interpolated, extrapolated (docs/silicon.md)."""

from .grids import ESTIMATED, EXTRAPOLATED, INTERPOLATED, KINDS, MEASURED, Answer
from .latent import CACHED, PROMPT_WIDTH
from .silicon import Silicon
from .store import NoTable

__all__ = [
    "CACHED",
    "ESTIMATED",
    "EXTRAPOLATED",
    "INTERPOLATED",
    "KINDS",
    "MEASURED",
    "PROMPT_WIDTH",
    "Answer",
    "NoTable",
    "Silicon",
]
