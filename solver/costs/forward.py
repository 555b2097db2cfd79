"""One forward pass of one micro-batch: seconds per kind of layer, and of the LM head (docs/costs.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...models.transformer import LayerKind
from . import links
from .passes import Pass
from .rows import Column, Rows
from .setting import Setting
from .source import OperatorTimes, Shapes


@dataclass
class LayerTimes:
    """Seconds of one layer by kind, shape (kinds, rows), and what the pass adds at the ends of the stages."""

    layers: Column
    head: Column
    tokens: Column
    """T: tokens on one rank, which is what a stage hands to the next."""


Timed = tuple[LayerTimes, ...]
"""One pass on each card that the engine stands on."""


def blend(first: Timed, second: Timed, share: Column) -> Timed:
    """The average of two kinds of pass, of which `share` are of the second."""
    return tuple(
        LayerTimes(
            one.layers + share * (other.layers - one.layers),
            one.head + share * (other.head - one.head),
            one.tokens + share * (other.tokens - one.tokens),
        )
        for one, other in zip(first, second, strict=True)
    )


def choose(condition: NDArray[np.bool_], first: Timed, second: Timed) -> Timed:
    """`first` where the condition holds, else `second`, row by row."""
    return tuple(
        LayerTimes(*(np.where(condition, getattr(one, name), getattr(other, name)) for name in _PARTS))
        for one, other in zip(first, second, strict=True)
    )


_PARTS = ("layers", "head", "tokens")


def layer_times(rows: Rows, work: Pass, times: OperatorTimes) -> LayerTimes:
    """Price one pass on every row."""
    s = rows.setting
    tokens = work.decoding + work.prompt / rows.context
    traffic = times.traffic(tokens * s.latencies.token_traffic * s.hidden * s.plain_bytes)
    eager = work.prompt_share * s.latencies.eager_layer
    reduce = times.all_reduce(rows, tokens * s.hidden * s.plain_bytes, rows.tensor)
    exchange = links.context_exchange(rows, work.prompt)
    around: dict[LayerKind, Column] = {}
    for kind, count in s.attention.items():
        projections = times.matrices(rows, "weights", tokens, count.width / rows.tensor, rows.attention_shapes[kind])
        around[kind] = projections + traffic + _launches(s, kind) + eager + reduce + exchange
    cores = {
        mixer: times.prompt_attention(rows, work, mixer) + times.decode_attention(rows, work, mixer)
        for mixer in {kind.mixer for kind in s.kinds}
    }
    block: dict[bool, Column] = {}
    for expert in {kind.expert for kind in s.kinds}:
        block[expert] = _experts(rows, tokens, times) if expert else _dense(rows, tokens, times) + reduce
    layers = np.array([around[kind.projects] + cores[kind.mixer] + block[kind.expert] for kind in s.kinds])
    pace = s.latencies.pace
    return LayerTimes(pace * layers, pace * head_times(rows, work.logits, times), tokens)


def _launches(s: Setting, kind: LayerKind) -> float:
    """Seconds that a layer's kernels take beside their work."""
    more = s.latencies.linear_layer * kind.linear + s.latencies.indexer * kind.indexed
    return (s.latencies.layer + more) * s.launches


def _dense(rows: Rows, tokens: Column, times: OperatorTimes) -> Column:
    s = rows.setting
    shapes = _feed_forward(rows, s.dense_weights, s.dense_width)
    return times.matrices(rows, "weights", tokens, s.dense_width / rows.tensor, shapes)


def _feed_forward(rows: Rows, weights: float, width: int) -> Shapes:
    """Up (with the gate) and down; `weights` of all of them on all ranks."""
    s = rows.setting
    return ((s.hidden, (weights / s.hidden - width) / rows.tensor), (width / rows.tensor, s.hidden))


def _experts(rows: Rows, tokens: Column, times: OperatorTimes) -> Column:
    """Router, shared experts, routed experts, and the exchange around them."""
    s = rows.setting
    total = times.matrices(rows, "plain", tokens, float(s.experts), ((s.hidden, s.experts),))
    if s.shared_weights:
        shapes = _feed_forward(rows, s.shared_weights, s.shared_width)
        total += times.matrices(rows, "shared", tokens, s.shared_width / rows.tensor, shapes)
    total += s.latencies.expert_layer * s.launches
    total += times.routed_experts(rows, tokens * rows.context * rows.data)
    return total + times.expert_exchange(rows, tokens)


def head_times(rows: Rows, logits: Column, times: OperatorTimes) -> Column:
    """Seconds of the LM head and of sampling, for so many sequences."""
    s = rows.setting
    if not s.vocabulary:
        return np.zeros(len(rows))
    width = s.vocabulary / rows.tensor
    return times.matrices(rows, "plain", logits, width, ((s.hidden, width),)) + logits * s.latencies.sequence
