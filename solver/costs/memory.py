"""Bytes on one GPU, by kind of layer and at the ends of the pipeline (docs/costs.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models.transformer import LayerKind
from .rows import Column, Rows


@dataclass
class MemoryParts:
    """What each GPU of a stage holds. `weights` and `kv` are per layer, shape (kinds, rows)."""

    weights: Column
    kv: Column
    first: Column
    """More weights on the first stage: the embedding."""
    last: Column
    """More weights on the last stage: final norm and LM head."""
    activations: Column
    reserve: Column


def memory_parts(rows: Rows, sequences: Column, budget: Column) -> MemoryParts:
    """Bytes for `sequences` full-length sequences per attention group and passes of `budget` tokens per rank."""
    s = rows.setting
    weights = np.array([_layer_weights(rows, kind) for kind in s.kinds])
    tokens = s.prompt.max + (s.answer.max if s.scenario.workload.decodes else 0)
    kv = np.array([sequences * rows.cached(kind, tokens) for kind in s.kinds])
    first, last = _ends(rows)
    return MemoryParts(weights, kv, first, last, _activations(rows, budget), _reserve(rows))


def _ends(rows: Rows) -> tuple[Column, Column]:
    """Weights beside the layers: embedding, final norm, LM head, where the engine puts them."""
    s, model, engine = rows.setting, rows.setting.scenario.model, rows.setting.scenario.engine
    table = s.vocabulary * s.hidden * s.plain_bytes
    embedding, head = table / rows.tensor, table / rows.dense_ranks
    again = rows.pipeline > 1  # with one stage, first and last are the same GPU
    first, last = embedding, s.hidden * s.plain_bytes + (head * again if model.tied_embeddings else head)
    if engine is not None and model.architecture in engine.tables_on_both_ends:
        return first + head * again, last + embedding * again
    if engine is not None and model.architecture in engine.head_on_first_stage:
        return first + head * again, last
    return first, last


def _layer_weights(rows: Rows, kind: LayerKind) -> Column:
    s, attention = rows.setting, rows.setting.attention[kind.projects]
    plain = (attention.small + s.scenario.model.norms_per_layer * s.hidden) * s.plain_bytes
    total = rows.attention_matrices(attention) * s.weight_bytes + plain
    if not kind.expert:
        return total + s.dense_weights / rows.dense_ranks * s.weight_bytes
    one = s.expert_weights * _slice(rows) * s.expert_bytes + s.expert_biases * s.plain_bytes
    total = total + s.experts / rows.expert * one + s.router_weights * s.plain_bytes
    return total + s.shared_weights / _shared_ranks(rows) * s.expert_bytes


def _shared_ranks(rows: Rows) -> Column:
    """Ranks that share the shared experts; vLLM keeps them whole where tensor, data and expert degrees meet."""
    engine = rows.setting.scenario.engine
    if engine is None or not engine.shared_experts_whole:
        return rows.dense_ranks
    whole = (rows.tensor > 1) & (rows.data > 1) & (rows.expert > 1)
    return np.where(whole, 1, rows.dense_ranks)


def _slice(rows: Rows) -> Column:
    """Share of an expert's columns on one rank; engines pad the slices of mxfp4 experts."""
    s, engine, share = rows.setting, rows.setting.scenario.engine, 1 / rows.expert_tensor
    precision = s.scenario.precision
    if engine is None or not engine.expert_padding or (precision.experts or precision.weights) != "mxfp4":
        return share
    padded = np.ceil(s.expert_width * share / engine.expert_padding) * engine.expert_padding / s.expert_width
    return np.where(rows.expert_tensor > 1, padded, share)


def _activations(rows: Rows, budget: Column) -> Column:
    """Peak of the largest pass: residual stream, widest projection, tokens routed to this rank; or the floor."""
    s, reserves = rows.setting, rows.setting.scenario.reserves
    widest = max(*(kind.width for kind in s.attention.values()), s.dense_width) / rows.tensor
    peak = budget * s.plain_bytes * (6 * s.hidden + 2 * widest)
    if not s.experts:
        return np.maximum(peak, reserves.activation_dense)
    arriving = budget * rows.context * rows.data * s.per_token * rows.imbalance / rows.expert
    peak = peak + arriving * s.plain_bytes * (s.hidden + 2 * s.expert_width / rows.expert_tensor)
    return np.maximum(peak, reserves.activation_experts)


def _reserve(rows: Rows) -> Column:
    reserves = rows.setting.scenario.reserves
    return np.where(rows.engine_gpus == 1, reserves.single_gpu, reserves.multi_gpu)
