"""Where the time of an operator comes from."""

KINDS = ("measured", "interpolated", "extrapolated", "estimated")
"""The surest first. Times of the data sheet are estimated."""
MEASURED, INTERPOLATED, EXTRAPOLATED, ESTIMATED = range(4)
