"""Operator times measured on silicon, from open tables: read, interpolated, extrapolated (docs/silicon.md)."""

from .grids import ESTIMATED, EXTRAPOLATED, INTERPOLATED, KINDS, MEASURED
from .silicon import Silicon

__all__ = ["ESTIMATED", "EXTRAPOLATED", "INTERPOLATED", "KINDS", "MEASURED", "Silicon"]
