"""How far predictions may be off: measured over predicted, from calibration residuals."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from .base import Model

Ratio = Annotated[float, Field(gt=0, le=1e3)]


def _ordered(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] > band[1]:
        raise ValueError(f"the lower end {band[0]:g} is above the upper end {band[1]:g}")
    return band


Band = Annotated[tuple[Ratio, Ratio], AfterValidator(_ordered)]
"""Eight of ten measurements lie between these multiples of the prediction."""


class Bands(Model):
    """Quantiles 10 % and 90 % of measured / predicted, cross-validated."""

    ttft: Band = Field(default=(0.67, 1.48), description="time to first token")
    tpot: Band = Field(default=(0.83, 1.23), description="time per output token")
    throughput: Band = Field(default=(0.77, 1.29), description="tokens per second")
    source: str = Field(
        default="packaged constants against published measurements, docs/accuracy.md", description="what they rest on"
    )

    def of(self, quantity: str, value: float) -> tuple[float, float]:
        """The band around a prediction, in its unit."""
        low, high = getattr(self, quantity)
        return value * low, value * high


WITH_TABLES: dict[str, Any] = {
    "ttft": (0.65, 1.39),
    "tpot": (0.86, 1.29),
    "throughput": (0.81, 1.32),
    "source": "measured tables and packaged constants against published measurements, docs/accuracy.md",
}
"""Defaults where operator times are measured."""


def default_bands(operators: Literal["measured", "datasheet"]) -> Bands:
    """Where nobody states any, beside such times of operators."""
    return Bands.model_validate(WITH_TABLES if operators == "measured" else {})


class Uncertainty(Model):
    """Bands around a plan's predictions, [low, high]."""

    ttft_s: tuple[float, float]
    tpot_s: tuple[float, float] | None = Field(description="null if prefill-only")
    tokens_per_s_per_gpu: tuple[float, float]
    source: str = Field(description="what the bands rest on")

    @classmethod
    def around(cls, bands: Bands, predictions: Any) -> Uncertainty:
        """From a plan's predictions."""
        tpot = predictions.tpot_s
        return cls(
            ttft_s=bands.of("ttft", predictions.ttft_s),
            tpot_s=None if tpot is None else bands.of("tpot", tpot),
            tokens_per_s_per_gpu=bands.of("throughput", predictions.tokens_per_s_per_gpu),
            source=bands.source,
        )
