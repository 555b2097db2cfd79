"""One published or own measurement of a serving engine: what ran, under which load, and the figure that was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Engine = Literal["vllm", "sglang", "trtllm"]
Load = Literal["concurrency", "static_batch", "request_rate", "offline_max"]
Quantity = Literal["ttft", "tpot", "throughput"]


@dataclass(frozen=True)
class Setup:
    """What ran, and under which load; degrees as the engine's own flags count them."""

    model: str
    accelerator: str
    """As the source calls it: H100, or a catalog id."""
    gpus: int
    tensor: int
    pipeline: int
    data: int
    expert: int
    attention_data: int
    precision: str
    """As the source calls the weights' format: FP8, NVFP4; blank: the checkpoint's own."""
    input_tokens: int
    output_tokens: int
    load: Load
    amount: float | None
    """Requests in flight, sequences of the batch, or requests/s; None where all requests are queued at once."""
    framework: str
    """Engine and version, as in vLLM 0.19.0."""

    @property
    def engine(self) -> Engine | None:
        """The family of the engine; None where it is another one."""
        name = self.framework.lower()
        families: tuple[tuple[str, Engine], ...] = (("vllm", "vllm"), ("sglang", "sglang"), ("tensorrt", "trtllm"))
        return next((family for start, family in families if name.startswith(start)), None)


@dataclass(frozen=True)
class Measurement:
    """A figure of a setup, in SI units; throughput is that of the whole deployment."""

    id: str
    line: int
    setup: Setup
    quantity: Quantity
    value: float
    """Seconds, or tokens/s (`requests`: requests/s)."""
    counts: Literal["output", "all", "requests"] = "output"
    """What a throughput counts: output tokens, input and output tokens, or requests."""
    source: str = ""
    quality: str = ""
    """A: lengths, layout and load stated; B: one of them is not."""
    group: str = ""
    """Measurements that differ only in their layout share one."""
    speculative: bool = False
    mode: str = "aggregated"
