"""Where the time of an operator comes from."""

from typing import Literal

KINDS: tuple[Literal["measured", "interpolated", "extrapolated", "estimated"], ...] = (
    "measured",
    "interpolated",
    "extrapolated",
    "estimated",
)
"""The surest first. Times of the data sheet are estimated."""
MEASURED, INTERPOLATED, EXTRAPOLATED, ESTIMATED = range(4)
