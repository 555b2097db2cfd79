"""Number formats: how many bytes an element takes and which unit of the card computes with it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from .base import Model, Positive
from .hardware import Accelerator, Number

Format = Literal["fp32", "bf16", "fp16", "fp8", "int8", "fp4", "int4", "mxfp4", "nvfp4"]

BYTES: dict[str, float] = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp4": 0.5,
    "int4": 0.5,
    "mxfp4": 0.5 + 1 / 32,  # one shared 8-bit scale for 32 elements (OCP Microscaling 1.0)
    "nvfp4": 0.5 + 1 / 16,  # one 8-bit scale for 16 elements
}


class Precision(Model):
    """The formats in which a model is served."""

    weights: Format = Field(default="bf16", description="linear layers; embeddings, norms and routers stay 16 bit")
    experts: Format | None = Field(default=None, description="routed and shared expert matrices; absent: as weights")
    activations: Format = Field(default="bf16", description="residual stream and what ranks exchange")
    kv_cache: Format = Field(default="bf16", description="keys and values")
    block: Positive | None = Field(default=None, description="columns that share one scale in a block-fp8 checkpoint")

    @model_validator(mode="before")
    @classmethod
    def _a_mapping(cls, data: Any) -> Any:
        if isinstance(data, str):
            raise ValueError(f"name what is {data[:20]}: {{weights: {data[:20]}}}, or with kv_cache: {data[:20]} too")
        return data

    @property
    def weight_bytes(self) -> float:
        """Bytes per weight of the linear layers."""
        return BYTES[self.weights]

    @property
    def expert_bytes(self) -> float:
        """Bytes per weight of the experts."""
        return BYTES[self.experts or self.weights]

    @property
    def activation_bytes(self) -> float:
        """Bytes per activation on the residual stream, and per weight that is never quantised: 16 bit or more.

        A narrower activation format is the matrices' input format; engines keep the stream between them in 16 bit.
        """
        return max(2.0, BYTES[self.activations])

    @property
    def kv_bytes(self) -> float:
        """Bytes per element of the KV cache."""
        return BYTES[self.kv_cache]

    def compute_format(self, part: Literal["weights", "experts"], card: Accelerator) -> Number:
        """The unit that multiplies a matrix: natively where the card can, else 16 bit.

        nvfp4 is multiplied in 4 bit, mxfp4 against 8-bit activations, on cards with a 4-bit unit (Blackwell). Elsewhere
        4-bit weights are widened before the multiplication (weight-only kernels): they run at the 16-bit rate.
        """
        held = self.experts or self.weights if part == "experts" else self.weights
        if held in ("fp8", "int8") and card.compute.has(held):
            return held
        if held == "nvfp4" and card.compute.has("fp4"):
            return "fp4"
        if held == "mxfp4" and card.compute.has("fp4") and card.compute.has("fp8"):
            return "fp8"
        return "bf16"
