"""The named constants of the cost model: efficiencies, latencies, reserves.

The defaults are the `generic` knowledge: global values fitted once on published serving measurements (docs/costs.md
tells how; they are starting points, not facts about a card). A scenario may set each of them. `stated` lists what
it did set, so that a plan can say where every number comes from.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from .base import Model
from .units import Bytes, Seconds, Share

Provenance = Literal["datasheet", "measured", "fitted", "assumed", "stated", "derived"]


SPREAD = {"expert_mfu": "mfu", "attention_mfu": "mfu", "expert_bandwidth": "bandwidth", "kv_bandwidth": "bandwidth"}
"""Efficiency -> the wider one that sets it where it is not stated itself."""


class Efficiency(Model):
    """Shares of the peak that operators reach.

    `mfu` and `bandwidth` given alone also set the experts' and attention's shares: a stated utilisation speaks for
    the whole model.
    """

    mfu: Share = Field(default=0.79, gt=0, le=1, description="dense matrices, share of peak FLOP/s")
    bandwidth: Share = Field(default=0.67, gt=0, le=1, description="dense matrices, share of peak bytes/s")
    expert_mfu: Share = Field(default=0.27, gt=0, le=1, description="grouped expert matrices, share of peak FLOP/s")
    expert_bandwidth: Share = Field(default=0.84, gt=0, le=1, description="expert matrices, share of peak bytes/s")
    attention_mfu: Share = Field(default=0.50, gt=0, le=1, description="attention core, share of peak 16-bit FLOP/s")
    kv_bandwidth: Share = Field(default=0.84, gt=0, le=1, description="reading the KV cache, share of peak bytes/s")
    link: Share = Field(default=0.57, gt=0, le=1, description="all-reduce, all-gather, point to point: share of link")
    exchange_link: Share = Field(default=0.80, gt=0, le=1, description="expert dispatch and combine: share of link")
    transfer_link: Share = Field(default=0.80, gt=0, le=1, description="KV cache from prefill to decode: share of link")
    fp4: Share = Field(default=0.67, gt=0, le=1, description="4-bit products: share of what others reach of their peak")
    half_rows: float = Field(
        default=0.0, ge=0, le=1e6, description="rows at which a matrix reaches half its mfu; 0: no effect"
    )
    expert_half_rows: float = Field(
        default=1.0, ge=0, le=1e6, description="tokens per expert at which grouped experts reach half their mfu"
    )
    half_width: float = Field(default=64.0, ge=0, le=1e6, description="shard width at which it reaches half its mfu")
    overlap: Share = Field(default=0.0, ge=0, lt=1, description="share of communication hidden behind computation")

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {**{name: data[wider] for name, wider in SPREAD.items() if wider in data}, **data}


BARE = ("all_reduce_growth", "exchange_growth", "token_traffic", "wait_steps", "pace")
"""Constants among the latencies that are plain numbers, not times."""


class Latencies(Model):
    """Times that do not shrink with the work: launches, synchronisation, the host. `none` leaves none of them."""

    layer: Seconds = Field(default=7.4e-6, description="per layer, on a card whose `launches` is 1")
    expert_layer: Seconds = Field(default=39e-6, description="more, per layer with experts, likewise")
    linear_layer: Seconds = Field(default=0.0, description="more, per layer of linear attention, likewise")
    indexer: Seconds = Field(default=105e-6, description="more, per layer with an indexer of its own, likewise")
    block_matrix: Seconds = Field(default=11.6e-6, description="per dense matrix of a block-fp8 checkpoint")
    all_reduce: Seconds = Field(default=23e-6, description="per all-reduce over 4 ranks; grows as below")
    all_reduce_growth: float = Field(default=0.1, ge=0, le=2, description="exponent of (ranks / 4)")
    exchange: Seconds = Field(default=35e-6, description="per dispatch or combine over 8 ranks; grows as below")
    exchange_growth: float = Field(default=0.2, ge=0, le=2, description="exponent of (ranks / 8)")
    iteration: Seconds = Field(default=0.05e-3, description="host time per forward pass and pipeline stage")
    sequence: Seconds = Field(default=5e-6, description="per sequence that needs logits: sampling and the host's work")
    send_token: Seconds = Field(default=8e-6, description="per token that a pipeline stage hands on, beside its bytes")
    eager_layer: Seconds = Field(default=0.097e-3, description="per layer of a pass that carries prompt tokens")
    startup: Seconds = Field(default=15e-3, description="request handling before the first pass")
    prompt_token: Seconds = Field(default=4.7e-6, description="more of it, per prompt token")
    wait_steps: float = Field(
        default=4.1,
        ge=0,
        le=1e3,
        description="iterations of the running batch that a new request waits for, before and after its prompt",
    )
    pace: float = Field(
        default=1.0,
        gt=0,
        le=100,
        description="all of a pass's layers and its head take this many times as long: an engine build on a card",
    )
    token_traffic: float = Field(
        default=2.8,
        ge=0,
        le=1e4,
        description="activation traffic per token and layer, in units of hidden elements",
    )

    @model_validator(mode="before")
    @classmethod
    def _none(cls, data: Any) -> Any:
        if data != "none":
            return data
        plain = {**dict.fromkeys(BARE, 0), "pace": 1}  # it scales the roofline's own times too: 1 changes nothing
        return {name: plain.get(name, "0 s") for name in cls.model_fields}


WITH_TABLES: dict[str, Any] = {
    "layer": "6.8 us",
    "expert_layer": "8.4 us",
    "block_matrix": "5.4 us",
    "linear_layer": "41 us",
    "indexer": "112 us",
    "eager_layer": "70 us",
    "prompt_token": "6.2 us",
    "token_traffic": 6.8,
    "send_token": "38 us",
}
"""Defaults of `latencies` where operator times are measured: kernels' own launches are in the tables."""


def default_latencies(operators: Literal["measured", "datasheet"]) -> Latencies:
    """Where nobody states any, beside such times of operators."""
    return Latencies.model_validate(WITH_TABLES if operators == "measured" else {})


class Reserves(Model):
    """Device memory that is neither weights nor KV cache."""

    activation_dense: Bytes = Field(default=2.2 * 2**30, description="least activation peak of a dense model")
    activation_experts: Bytes = Field(default=2.7 * 2**30, description="least activation peak with experts")
    single_gpu: Bytes = Field(default=0.27 * 2**30, description="framework, engine of one GPU")
    multi_gpu: Bytes = Field(default=2.1 * 2**30, description="framework and communication buffers, several GPUs")


SOURCES: dict[str, tuple[Provenance, str]] = {
    "efficiency.half_rows": (
        "assumed",
        "0: the fitted shares already contain few rows; docs/costs.md",
    ),
    "efficiency.half_width": (
        "assumed",
        "shape of Calculon's and InferSim's efficiency curves; docs/costs.md",
    ),
    "efficiency.exchange_link": (
        "measured",
        "DeepEP README, normal kernels on H800: 153 of 200 and 43 of 50 GB/s",
    ),
    "efficiency.transfer_link": (
        "assumed",
        "as for the expert exchange: one-sided reads of large blocks, which the engines' KV connectors use",
    ),
    "efficiency.overlap": ("assumed", "nothing is hidden unless someone measured it"),
    "latencies.exchange": (
        "fitted",
        "DeepEP README, low-latency kernels, EP 8 to 256, bytes over the link removed",
    ),
    "latencies.exchange_growth": ("fitted", "DeepEP README, low-latency kernels, EP 8 to 256"),
    "latencies.iteration": ("assumed", "the fit does not tell it apart from the times per layer; docs/costs.md"),
    "latencies.startup": (
        "assumed",
        "without an engine: between the fitted 3.4 ms (vLLM), 14 ms (TensorRT-LLM), 138 ms (SGLang)",
    ),
    "latencies.wait_steps": (
        "assumed",
        "without an engine: between the fitted 2.3 (vLLM), 4.1 (SGLang), 6.9 (TensorRT-LLM)",
    ),
    "latencies.sequence": (
        "assumed",
        "without an engine: between the fitted 1.6 us (vLLM), 5 us (SGLang), 11 us (TensorRT-LLM)",
    ),
    "latencies.pace": ("assumed", "1: what one engine build does on one card is for a calibration to find"),
    "reserves": ("measured", "llm-d-planner, vLLM 0.19 on H100"),
    "efficiency": (
        "fitted",
        "846 published points of TPOT and TTFT, 395 of throughput, cross-validated by (model, GPU); docs/accuracy.md",
    ),
    "latencies": (
        "fitted",
        "846 published points of TPOT and TTFT, 395 of throughput, cross-validated by (model, GPU); docs/accuracy.md",
    ),
}
"""Where each default comes from; a group's entry speaks for the constants that have none of their own."""


def source_of(group: str, name: str, operators: str = "datasheet") -> tuple[Provenance, str]:
    """Provenance and source of a constant's default value beside measured or other times of operators."""
    if operators == "measured" and group == "latencies" and name in WITH_TABLES:
        return "fitted", "the same measurements, beside measured times of operators; docs/accuracy.md"
    return SOURCES.get(f"{group}.{name}") or SOURCES[group]
