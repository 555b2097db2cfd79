"""What shardwise says of one rank of a plan: weights, KV cache per token, tokens that fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shardwise.models.strategy import DEGREES
from shardwise.solver.costs.memory import memory_parts
from shardwise.solver.costs.rows import Rows
from shardwise.solver.costs.setting import setting
from shardwise.solver.launch.copies import Kind


@dataclass(frozen=True)
class Held:
    """By one rank of a stage."""

    layers: int
    weights: float
    """Bytes."""
    kv_per_token: float
    """Bytes, where every layer looks back at every token."""
    kv_of_longest: float
    """Bytes of one sequence of the longest."""
    longest: int
    """Its tokens."""


def budget(kind: Kind) -> int:
    """Bytes that the plan leaves for weights and KV cache."""
    return kind.memory.usable - kind.memory.activations - kind.memory.reserve


def held(kind: Kind) -> list[Held]:
    """By a rank of the first stage, and one of the last if there are several."""
    s, strategy = setting(kind.scenario), kind.strategy
    row = np.array([[getattr(strategy, name) for name in DEGREES]])
    rows = Rows.of(s, row, np.array([1]), np.array([strategy.data]))  # one sequence on each data rank
    parts = memory_parts(rows, np.ones(1), np.array([float(kind.token_budget)]))
    width = float(rows.kv_width(s.kv_bytes)[0])
    stages, found = strategy.layers_per_stage, []
    tokens = _tokens(kind)
    for stage in sorted({0, len(stages) - 1}):
        start = sum(stages[:stage])
        mine = s.layer_kinds[start : start + stages[stage]]
        weights = sum(parts.weights[layer, 0] for layer in mine)
        weights += parts.first[0] if stage == 0 else 0
        weights += parts.last[0] if stage == len(stages) - 1 else 0
        kept = sum(min(tokens, s.window) if s.kinds[layer].sliding else tokens for layer in mine)
        found.append(Held(len(mine), float(weights), width * len(mine), width * kept, tokens))
    return found


def _tokens(kind: Kind) -> int:
    work = kind.scenario.workload
    return work.input_tokens.max + (work.output_tokens.max if work.decodes else 0)
