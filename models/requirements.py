"""What the deployment must reach: limits on latency, throughput and memory."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args

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


def tightened(limits: _Limits, share: float, arriving: float | str | None = None) -> _Limits:
    """Times at most 1/(1 + share) of the limits, rates at least (1 + share) times them; memory as it is.

    `arriving`: requests/s that arrive, where that is a number; so many more must be carried.
    """
    factor = 1 + share
    if isinstance(arriving, float) and share:
        limits = _carrying(limits, arriving)
    already: float = getattr(limits, "tightened_by", 0.0)
    stricter: dict[str, Any] = {"tightened_by": already + share + already * share}
    for name in _TIMES:
        if (value := getattr(limits, name, None)) is not None:
            stricter[name] = value / factor
    for name in _RATES:
        if (rates := getattr(limits, name)) is not None:
            stated = {key: value * factor for key, value in rates if value is not None}
            stricter[name] = rates.model_copy(update=stated)
    return limits.model_copy(update=stricter)


_Conditions = TypeVar("_Conditions", bound=Model)


def with_margin(conditions: _Conditions, share: float) -> _Conditions:
    """A scenario, or one over an engine table, with requirements that leave a margin.

    A rate of requests is to be carried with a margin too: the arrivals stay, a throughput above them is required.
    """
    asked: Any = conditions
    limits = tightened(asked.requirements, share, asked.workload.request_rate)
    return conditions.model_copy(update={"requirements": limits})


def _carrying(limits: Any, rate: float) -> Any:
    """With a rate among the throughputs that are required."""
    field = type(limits).model_fields["throughput"].annotation
    stated = limits.throughput
    if stated is None:
        kind = next(one for one in get_args(field) if one is not type(None))
        return limits.model_copy(update={"throughput": kind(requests=rate)})
    most = max(rate, stated.requests or 0.0)
    return limits.model_copy(update={"throughput": stated.model_copy(update={"requests": most})})
