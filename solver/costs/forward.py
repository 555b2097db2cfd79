"""One forward pass of one micro-batch: seconds per kind of layer, and of the LM head (docs/costs.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models.counts import AttentionCount
from ...models.transformer import LayerKind
from . import links
from .mixers import indexer, linear_attention
from .rows import Column, Rows
from .setting import Setting
from .source import OperatorTimes


@dataclass
class Pass:
    """What a pass carries, seen from one attention group. Columns as long as the rows."""

    decoding: Column
    """D: sequences that decode one token each."""
    context: Column
    """X: their mean context."""
    prompt: Column
    """P: prompt tokens."""
    pairs: tuple[Column, Column]
    """Query-key pairs of the prompts, (full, sliding or sparse) layer."""
    prefix: tuple[Column, Column]
    """Prefix tokens read again, (full, sliding) layer."""
    logits: Column
    """Y: sequences that need logits."""
    prompt_share: Column
    """Phi: share of such passes that carry prompt tokens."""


@dataclass
class LayerTimes:
    """Seconds of one layer by kind, shape (kinds, rows), and what the pass adds at the ends of the stages."""

    layers: Column
    head: Column
    tokens: Column
    """T: tokens on one rank, which is what a stage hands to the next."""


Timed = tuple[LayerTimes, ...]
"""One pass on each card that the engine stands on."""


def layer_times(rows: Rows, work: Pass, times: OperatorTimes) -> LayerTimes:
    """Price one pass on every row."""
    s = rows.setting
    tokens = work.decoding + work.prompt / rows.context
    shared = times.traffic(tokens * s.latencies.token_traffic * s.hidden * s.plain_bytes)
    shared = shared + s.latencies.layer + work.prompt_share * s.latencies.eager_layer
    reduce = links.all_reduce(rows, tokens * s.hidden * s.plain_bytes, rows.tensor)
    shared = shared + reduce + links.context_exchange(rows, work.prompt)
    projections = {weights: _projections(rows, tokens, weights, times) for weights in {*s.mixers.values()}}
    attention = {
        mixer: projections[weights] + _attention(rows, work, mixer, times) for mixer, weights in s.mixers.items()
    }
    block: dict[bool, Column] = {}
    for expert in {kind.expert for kind in s.kinds}:
        block[expert] = _experts(rows, tokens, times) if expert else _dense(rows, tokens, times) + reduce
    layers = np.array([shared + attention[kind.mixer] + block[kind.expert] for kind in s.kinds])
    return LayerTimes(layers, _head(rows, work.logits, times), tokens)


def _projections(rows: Rows, tokens: Column, attention: AttentionCount, times: OperatorTimes) -> Column:
    s, weights = rows.setting, rows.attention_matrices(attention)
    width = attention.width / rows.tensor
    return times.matrix(2 * tokens * weights, weights * s.weight_bytes, "weights", tokens, width)


def _attention(rows: Rows, work: Pass, mixer: LayerKind, times: OperatorTimes) -> Column:
    if mixer.linear:
        return linear_attention(rows, work.decoding, work.prompt, times)
    s, sliding = rows.setting, mixer.sliding
    heads, width = s.heads / rows.tensor, rows.kv_width(s.kv_bytes)
    pairs, prefix = work.pairs[sliding], work.prefix[sliding]
    scores = s.score_width * pairs
    if s.sparse:  # all keys as the heads see them, or the picked ones in the compressed space
        scores = np.minimum(scores, s.decode_score_width * work.pairs[True])
    prompt = times.attention(2 * heads * scores / rows.context, prefix * width / rows.context)
    context = np.minimum(work.context, s.window) if sliding or s.sparse else work.context
    read = work.decoding * context
    core = prompt + times.attention(2 * heads * s.decode_score_width * read, read * width)
    if not mixer.indexed:
        return core
    return core + indexer(rows, pairs, prefix, work.decoding * work.context, times)


def _dense(rows: Rows, tokens: Column, times: OperatorTimes) -> Column:
    s = rows.setting
    weights = s.dense_weights / rows.tensor
    return times.matrix(2 * tokens * weights, weights * s.weight_bytes, "weights", tokens, s.dense_width / rows.tensor)


def _experts(rows: Rows, tokens: Column, times: OperatorTimes) -> Column:
    """Router, shared experts, routed experts, and the exchange around them."""
    s, e, slices = rows.setting, rows.expert, rows.expert_tensor
    router = s.hidden * s.experts
    total = times.matrix(
        2 * tokens * router,
        np.full(len(rows), router * s.plain_bytes),
        "plain",
        tokens,
        np.full(len(rows), float(s.experts)),
    )
    if s.shared_weights:
        weights = s.shared_weights / rows.tensor
        total += times.matrix(
            2 * tokens * weights, weights * s.expert_bytes, "shared", tokens, s.shared_width / rows.tensor
        )
    group_tokens = tokens * rows.context * rows.data
    total += s.latencies.expert_layer
    hit = 1 - (1 - s.per_token / s.experts) ** group_tokens
    flops = 2 * s.expert_weights * s.per_token * group_tokens * rows.imbalance / (e * slices)
    size = s.experts / e * hit * s.expert_weights / slices * s.expert_bytes
    total += times.matrix(flops, size, "experts", group_tokens * s.per_token / s.experts, s.expert_width / slices)
    return total + links.expert_exchange(rows, tokens)


def _head(rows: Rows, logits: Column, times: OperatorTimes) -> Column:
    s = rows.setting
    if not s.vocabulary:
        return np.zeros(len(rows))
    weights, width = s.hidden * s.vocabulary / rows.tensor, s.vocabulary / rows.tensor
    return times.matrix(2 * logits * weights, weights * s.plain_bytes, "plain", logits, width)


def pairs_of(s: Setting, length: float, mean_square: float) -> tuple[float, float]:
    """Query-key pairs of one prompt in a (full, sliding or sparse) layer."""
    window = s.window
    sliding = length**2 / 2 if length <= window else length * window - window**2 / 2
    return mean_square / 2, sliding


def prefix_of(s: Setting, length: float, chunks: Column) -> tuple[Column, Column]:
    """Prefix tokens that one prompt reads again in so many chunks, in a (full, sliding) layer."""
    full = length * (chunks - 1) / 2
    return full, np.minimum(full, (chunks - 1) * s.window)
