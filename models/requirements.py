"""What the deployment must reach: limits on latency, throughput and memory."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator

from .base import Model
from .units import Bytes, RequestsPerSecond, Seconds, Share, TokensPerSecond

Quantile = Literal["mean", "p50", "p95", "p99"]
"""Which TTFT of an open loop is meant: of the average request, or of the one that so many per cent stay below."""


class Throughput(Model):
    """Least rates. A plain rate ("100 tokens/s") counts input tokens for prefill-only work, else output tokens."""

    tokens: TokensPerSecond | None = Field(default=None, gt=0, description="unqualified: see above")
    input: TokensPerSecond | None = Field(default=None, gt=0, description="prompt tokens per second")
    output: TokensPerSecond | None = Field(default=None, gt=0, description="generated tokens per second")
    requests: RequestsPerSecond | None = Field(default=None, gt=0, description="finished requests per second")

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, data: Any) -> Any:
        return data if isinstance(data, (dict, Throughput)) else {"tokens": data}


class Requirements(Model):
    """Limits; each is one named condition of the model."""

    ttft: Seconds | None = Field(default=None, gt=0, description="time to first token, at most; longest prompts")
    ttft_at: Quantile = Field(
        default="p95", description="which TTFT the limit and the objectives mean where requests arrive at a rate"
    )
    tpot: Seconds | None = Field(default=None, gt=0, description="time per output token, at most")
    request_latency: Seconds | None = Field(default=None, gt=0, description="TTFT + (output − 1)·TPOT, at most")
    throughput: Throughput | None = Field(default=None, description="of the whole deployment, at least")
    throughput_per_gpu: Throughput | None = Field(default=None, description="divided by the GPUs used, at least")
    memory_per_gpu: Bytes | None = Field(default=None, gt=0, description="bytes used on the fullest GPU, at most")
    tightened_by: Share = Field(
        default=0.0, ge=0, le=10, description="share by which `--margin` has tightened these limits already"
    )


_TIMES = ("ttft", "tpot", "request_latency")
_RATES = ("throughput", "throughput_per_gpu")
_Limits = TypeVar("_Limits", bound=Model)


def tightened(limits: _Limits, share: float) -> _Limits:
    """Times at most 1/(1 + share) of the limits, rates at least (1 + share) times them; memory as it is."""
    factor = 1 + share
    stricter: dict[str, Any] = {"tightened_by": share}
    for name in _TIMES:
        if (value := getattr(limits, name, None)) is not None:
            stricter[name] = value / factor
    for name in _RATES:
        if (rates := getattr(limits, name)) is not None:
            stated = {key: value * factor for key, value in rates if value is not None}
            stricter[name] = rates.model_copy(update=stated)
    return limits.model_copy(update=stricter)
