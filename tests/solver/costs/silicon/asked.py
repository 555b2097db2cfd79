"""What a row of a table asks of `Silicon`: the operator, the same work, the seconds that were measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from shardwise.solver.costs.silicon import Silicon
from shardwise.solver.costs.silicon.experts import SKEWED
from shardwise.solver.costs.silicon.grids import Answer
from shardwise.solver.costs.silicon.sheets import FORMATS, KV_FORMATS
from shardwise.solver.costs.silicon.tables import Table

Asked = tuple[np.ndarray, Answer]
"""Measured seconds of the rows, the answer."""


def alike(table: Table, *columns: str) -> Iterator[tuple[tuple[Any, ...], np.ndarray]]:
    """(values, rows) of each combination that occurs in some columns."""
    held = [table.codes[name] if name in table.codes else table.numbers[name] for name in columns]
    for key in sorted(set(zip(*held, strict=True))):
        chosen = np.logical_and.reduce([column == value for column, value in zip(held, key, strict=True)])
        words = (
            table.texts[name][int(value)] if name in table.codes else float(value)
            for name, value in zip(columns, key, strict=True)
        )
        yield tuple(words), np.flatnonzero(chosen)


def products(silicon: Silicon, table: Table) -> Iterator[Asked]:
    """GEMM."""
    names = {held.table: name for name, held in FORMATS.items()}
    x = table.numbers
    for (held,), rows in alike(table, "gemm_dtype"):
        if held in names:
            yield table.times["latency"][rows], silicon.matrix(names[held], x["m"][rows], x["k"][rows], x["n"][rows])


def cores(silicon: Silicon, table: Table, phase: str) -> Iterator[Asked]:
    """Grouped attention that computes in 16 bit, without prefixes."""
    names = {text: name for name, (text, _) in KV_FORMATS.items()}
    x = table.numbers
    for (compute, kv, dim, window), rows in alike(table, "attn_dtype", "kv_cache_dtype", "head_dim", "window_size"):
        if compute != "bfloat16" or kv not in names:
            continue
        n, heads, kv_heads = x["batch_size"][rows], x["num_heads"][rows], x["num_key_value_heads"][rows]
        kv_heads = np.where(kv_heads > 0, kv_heads, heads)
        length = (x["isl"] + x["step"])[rows]
        of = (dim, names[kv], window)
        if phase == "context":
            answer = silicon.prompt_attention(n, length, 0, heads, kv_heads, *of)
        else:
            answer = silicon.decode_attention(n, length, heads, kv_heads, *of)
        yield table.times["latency"][rows], answer


def latents(silicon: Silicon, table: Table, phase: str) -> Iterator[Asked]:
    """Latent attention."""
    x = table.numbers
    for (kv,), rows in alike(table, "kv_cache_dtype"):
        name = "fp8" if kv == "fp8" else "bf16"
        n, length, heads = x["batch_size"][rows], (x["isl"] + x["step"])[rows], x["num_heads"][rows]
        if phase == "context":
            yield table.times["latency"][rows], silicon.latent_prompt(n, length, 0, heads, name)
        else:
            yield table.times["latency"][rows], silicon.latent_decode(n, length, heads, name)


def mixtures(silicon: Silicon, table: Table) -> Iterator[Asked]:
    """Routed experts with all tokens on all ranks: the work that every row of every engine did."""
    names = {held.table: name for name, held in FORMATS.items()}
    x = table.numbers
    for (held, spread, hidden, width, per_token, count), rows in alike(
        table, "moe_dtype", "distribution", "hidden_size", "inter_size", "topk", "num_experts"
    ):
        if held in names and spread == SKEWED:
            tokens, ranks, slices = x["num_tokens"][rows], x["moe_ep_size"][rows], x["moe_tp_size"][rows]
            shape = (hidden, width, per_token, count, ranks, slices)
            yield table.times["latency"][rows], silicon.experts(tokens, *shape, names[held], exchanged=False)
