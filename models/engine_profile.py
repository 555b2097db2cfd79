"""Serving engines: how they place weights and which strategies they can express. Data of one version, with sources."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Model, Natural
from .units import Seconds, Share

CONSTANTS = ("startup", "wait_steps", "sequence")
"""Constants of the cost model (`latencies`) that an engine brings."""


class EngineProfile(Model):
    """One serving engine. Without one (`generic`) every legal strategy counts as expressible."""

    id: str = Field(default="inline", description="catalog id, as in vllm")
    name: str = Field(description="published name")
    version: str = Field(description="the version these facts were read from")
    memory_utilization: Share = Field(gt=0, le=1, description="share of the card it may fill, unless the scenario says")
    startup: Seconds = Field(description="request handling before the first pass, unless the scenario says")
    wait_steps: float = Field(ge=0, description="iterations a new request waits, unless the scenario says")
    sequence: Seconds = Field(description="per sequence that needs logits, unless the scenario says")
    dense_ranks: Literal["attention", "stage"] = Field(
        default="attention",
        description="ranks that share dense feed-forward, shared experts and LM head: the tensor ranks of an attention "
        "group (each data replica holds its own copy), or all ranks of a stage",
    )
    expert_split: Literal["free", "whole-stage"] = Field(
        default="free",
        description="whole-stage: experts are dealt over all ranks of a stage or sliced over all of them",
    )
    attention_data: Literal["free", "all-or-nothing"] = Field(
        default="free", description="all-or-nothing: with attention data parallelism, tensor is 1"
    )
    attention_data_ignored_by: tuple[str, ...] = Field(
        default=(), description="model classes that accept attention data parallelism and do nothing with it"
    )
    context: bool = Field(default=False, description="prompts can be split over context ranks")
    even_nodes: bool = Field(default=False, description="an engine of several nodes takes as many GPUs on each of them")
    data_ranks_apart: bool = Field(
        default=False,
        description="each data rank has its whole pipeline side by side (data × pipeline × tensor), so that over "
        "several nodes the ranks of a stage would lie apart",
    )
    crosses_cards: bool = Field(default=False, description="one pipeline can run over two types of card")
    shared_experts_whole: bool = Field(
        default=False,
        description="where tensor, data and expert degrees are all above 1, every rank holds the shared experts whole",
    )
    transfer_stages: tuple[Literal["prefill", "decode"], ...] = Field(
        default=(), description="roles whose engines must have one pipeline stage, or the KV cache cannot be moved"
    )
    fp8_block_linear: bool = Field(default=False, description="blocks of fp8 scales divide every dense shard")
    fp8_block_experts: bool = Field(default=False, description="blocks of fp8 scales divide every expert shard")
    expert_padding: Natural = Field(default=0, description="a sliced mxfp4 expert's columns are padded to a multiple")
    head_on_first_stage: tuple[str, ...] = Field(default=(), description="model classes with an LM head on stage 0 too")
    tables_on_both_ends: tuple[str, ...] = Field(
        default=(), description="model classes with embedding and LM head on both the first and the last stage"
    )
    spare_layers: Literal["late", "last", "first"] = Field(
        default="last",
        description="stages that get one layer more where layers do not divide, unless the split is stated: the last "
        "ones but never the very last (late), the last ones, or the first ones",
    )
    token_budget_default: Natural = Field(
        default=0, description="tokens per pass unless stated; on cards of 80 GB or more"
    )
    sequences_default: Natural = Field(
        default=0, description="sequences at once unless stated; on cards of 80 GB or more"
    )
    layer_partition: str | None = Field(default=None, description="what states an uneven stage split")

    def default_split(self, layers: int, stages: int) -> tuple[int, ...]:
        """Layers per stage where nobody states them."""
        base, spare = divmod(layers, stages)
        first = {"late": max(0, stages - 1 - spare), "last": stages - spare, "first": 0}[self.spare_layers]
        return tuple(base + (first <= stage < first + spare) for stage in range(stages))

    assumed: tuple[str, ...] = Field(default=(), description="figures without a source")
    sources: dict[str, str] = Field(default_factory=dict, description="figure -> where it was read")
