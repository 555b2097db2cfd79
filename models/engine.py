"""A priced strategy: what one choice of degrees, engines and batch takes and gives."""

from __future__ import annotations

from pydantic import Field

from .base import Amount, Model, Positive
from .strategy import Strategy


class Memory(Model):
    """Bytes on one GPU of the fullest pipeline stage, all reserves included."""

    weights: Amount = Field(description="parameters held")
    kv_cache: Amount = Field(description="keys and values of the sequences in flight, at full length")
    activations: Amount = Field(description="peak of the largest forward pass")
    reserve: Amount = Field(description="framework and communication buffers")
    total: Amount = Field(description="sum of the above")
    usable: Amount = Field(description="floor(card memory times utilisation)")
    stage: Amount = Field(description="the stage it was found on, from 0")


class Predictions(Model):
    """What the deployment is expected to do. Unknown or meaningless figures are null, never 0."""

    ttft_s: float = Field(description="seconds to the first token, longest prompts, queueing included")
    ttft_mean_s: float = Field(description="the same at the mean prompt length")
    tpot_s: float | None = Field(description="seconds per output token after the first; null if prefill-only")
    request_latency_s: float = Field(description="TTFT + (output − 1)·TPOT at the longest lengths")
    requests_per_s: float = Field(description="finished requests per second, all engines")
    output_tokens_per_s: float | None = Field(description="generated tokens per second; null if prefill-only")
    input_tokens_per_s: float = Field(description="prompt tokens per second")
    tokens_per_s_per_gpu: float = Field(description="per GPU used: input tokens if prefill-only, else output tokens")
    memory_bytes_per_gpu: Memory = Field(description="on the fullest GPU")


class Engine(Model):
    """Engines of one kind: the same role, strategy and load."""

    role: str = Field(description="aggregated, or prefill where nothing is decoded")
    count: Positive = Field(description="engines of this kind")
    gpus_per_engine: Positive = Field(description="product of the degrees")
    accelerator: str = Field(description="catalog id of the card")
    strategy: EngineStrategy = Field(description="degrees, batch and stage split")


class EngineStrategy(Strategy):
    """The degrees together with what each engine runs at."""

    batch: Positive = Field(description="sequences per attention rank and micro-batch, on the busiest rank")
    micro_batches: Positive = Field(description="micro-batches in turn through the pipeline")
    in_flight: Positive = Field(description="sequences the busiest engine holds at once")
    token_budget: Positive = Field(description="tokens of the largest forward pass on one attention rank")
    layers_per_stage: tuple[Positive, ...] = Field(description="consecutive layers of each stage, first to last")


Engine.model_rebuild()
