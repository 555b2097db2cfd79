"""Small silicon tables of one card, made by a law: time = start + hypot(flops / 0.7 peak, bytes / 0.8 bandwidth)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from numpy import hypot
from shardwise.models import catalog
from shardwise.models.hardware import Accelerator

Row = dict[str, Any]
NARROW = {"bfloat16": 2.0, "fp8": 1.0, "fp8_block": 1.0}
GROUPS = ((8, 1), (8, 8), (32, 8), (64, 8), (16, 4))
MIXTURES = ((7168, 2048, 8, 256), (4096, 1536, 8, 128), (2880, 2880, 4, 128))


def card(name: str = "h100-sxm", /, **changed: Any) -> Accelerator:
    """A card of the catalog."""
    return Accelerator.model_validate({**catalog.accelerator(name), "id": name, **changed})


def took(flops: float, size: float, start: float = 4e-6, rate: float = 989e12) -> float:
    """Milliseconds."""
    return float(1e3 * (start + hypot(flops / (0.7 * rate), size / (0.8 * 3.35e12))))


def gemm(formats: Iterable[str] = ("bfloat16", "fp8")) -> list[Row]:
    """Products."""
    rows = []
    for held, m, n, k in product(formats, (1, 8, 64, 512, 4096), (256, 2048, 8192), (256, 2048, 8192)):
        wide = NARROW[held]
        time = took(2 * m * n * k, (n * k + m * k) * wide + 2 * m * n, rate=989e12 * 2 / wide)
        rows.append({"gemm_dtype": held, "m": m, "n": n, "k": k, "latency": time})
    return rows


def attention(phase: str) -> list[Row]:
    """Cores; batch times length is bounded, so that a corner of every slice is empty."""
    rows = []
    places = product(("bfloat16", "fp8"), (0, 128), (64, 128), GROUPS, (1, 4, 16, 64), (128, 1024, 8192))
    for kv, window, dim, (heads, kv_heads), n, length in places:
        if n * length > 65536:
            continue
        seen = min(length, window) if window else length
        cache = 2 * seen * kv_heads * dim * NARROW[kv]
        row = {"attn_dtype": "bfloat16", "kv_cache_dtype": kv, "head_dim": dim, "window_size": window}
        row |= {"batch_size": n, "num_heads": heads, "num_key_value_heads": kv_heads}
        if phase == "context":
            pairs = seen * (seen + 1) / 2 + (length - seen) * seen
            time = took(4 * n * heads * dim * pairs, n * (4 * length * heads * dim + cache), 14e-6)
            row |= {"isl": length, "step": 0}
        else:
            time = took(4 * n * heads * dim * seen, n * (cache + 4 * heads * dim), 10e-6)
            row |= {"isl": 1, "step": length - 1}
        rows.append(row | {"latency": time})
    return rows


def latent(phase: str) -> list[Row]:
    """Cores of latent attention."""
    rows = []
    for kv, heads, n, length in product(("bfloat16", "fp8"), (16, 64, 128), (1, 8, 64), (128, 1024, 8192)):
        row = {"kv_cache_dtype": kv, "num_heads": heads, "batch_size": n}
        if phase == "context":
            time = took(320 * n * heads * length**2, n * heads * 320 * 4 * length, 15e-6)
            row |= {"isl": length, "step": 0}
        else:
            size = n * (length * 576 * NARROW[kv] + heads * 2176)
            time = took(2 * n * heads * 1088 * length, size, 14e-6)
            row |= {"isl": 1, "step": length - 1}
        rows.append(row | {"latency": time})
    return rows


def absorb() -> list[Row]:
    """Both absorb products."""
    rows = []
    for name, heads, tokens in product(("mla_gen_pre", "mla_gen_post"), (16, 128), (1, 16, 256, 4096)):
        time = took(2 * tokens * heads * 65536, heads * (131072 + tokens * 1280))
        rows.append(
            {"op_name": name, "bmm_dtype": "bfloat16", "num_heads": heads, "num_tokens": tokens, "latency": time}
        )
    return rows


SKEWED = "power_law_1.01"


def moe(
    formats: Iterable[str] = ("bfloat16", "fp8_block"), mixtures: Iterable[Any] = MIXTURES, spread: str = SKEWED
) -> list[Row]:
    """Routed experts, every (tensor, expert) split; `spread` says how tokens fall on them."""
    rows = []
    splits = product(formats, mixtures, (1, 2), (1, 8), (1, 16, 256, 4096))
    for held, (hidden, width, per_token, count), slices, ranks, tokens in splits:
        hit = count / ranks * (1 - (1 - per_token / count) ** tokens)
        copies, shard = tokens * per_token / ranks, width / slices
        size = 3 * hidden * shard * hit * NARROW[held] + copies * (4 * hidden + 6 * shard)
        time = took(6 * hidden * shard * copies, size, 30e-6, 989e12 * 2 / NARROW[held])
        shape = {"hidden_size": hidden, "inter_size": width, "topk": per_token, "num_experts": count}
        split = {"moe_tp_size": slices, "moe_ep_size": ranks, "num_tokens": tokens}
        row = {"moe_dtype": held, "distribution": spread, "kernel_source": "triton"}
        rows.append(row | shape | split | {"latency": time})
    return rows


def reduces() -> list[Row]:
    """The engine's all-reduce, from graphs and launched."""
    rows = []
    for source, ranks, size in product(
        ("vLLM_custom_graph", "vLLM_custom_eager"), (2, 4, 8), (128, 8192, 2**19, 2**25)
    ):
        time = 5e-3 + 2e3 * (ranks - 1) / ranks * 2 * size / 350e9 + (0.02 if source.endswith("eager") else 0)
        rows.append({"kernel_source": source, "num_gpus": ranks, "message_size": size, "latency": time})
    return rows


def library() -> list[Row]:
    """NCCL's collectives."""
    rows = []
    names = ("all_reduce", "all_gather", "reduce_scatter", "alltoall")
    for name, held, ranks, size in product(names, ("half", "int8"), (2, 4, 8), (256, 2**14, 2**20, 2**26)):
        moved = (2 if name == "all_reduce" else 1) * (ranks - 1) / ranks * size * (2 if held == "half" else 1)
        time = 9e-3 + 1e3 * moved / 360e9
        rows.append({"op_name": name, "nccl_dtype": held, "num_gpus": ranks, "message_size": size, "latency": time})
    return rows


def deep_ep(kernel: str) -> list[Row]:
    """Dispatch and combine in one node; the normal kernels with two counts of SMs."""
    name = "avg_t" if kernel == "ll" else "transmit"
    rows = []
    for (hidden, per_token, count), tokens, slower in product(((7168, 8, 256), (4096, 8, 128)), (1, 16, 128), (1, 1.2)):
        moved = tokens * per_token * hidden * 7 / 8
        shape = {"node_num": 1, "hidden_size": hidden, "num_topk": per_token, "num_experts": count}
        times = {
            f"{phase}_{name}_us": slower * (20 + wide * moved / 3e5)
            for phase, wide in (("dispatch", 1), ("combine", 2))
        }
        rows.append(shape | {"num_token": tokens} | times)
    return rows


TABLES = {
    ("gemm", "gemm"): gemm,
    ("attention", "context_attention"): lambda: attention("context"),
    ("attention", "generation_attention"): lambda: attention("generation"),
    ("mla", "context_mla"): lambda: latent("context"),
    ("mla", "generation_mla"): lambda: latent("generation"),
    ("mla_bmm", "mla_bmm"): absorb,
    ("moe", "moe"): moe,
    ("comm", "custom_allreduce"): reduces,
}


def place(
    root: Path, operator: str, table: str, engine: str = "vllm", version: str = "0.24.0", of: str = "h100_sxm"
) -> Path:
    """Where a table lies."""
    return root / of / operator / engine / version / f"{table}_perf.parquet"


def write(path: Path, rows: list[Row], **options: Any) -> Path:
    """A Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)
    return path


def write_card(root: Path, of: str = "h100_sxm", engine: str = "vllm") -> Path:
    """Every table that the reader knows."""
    for (operator, table), rows in TABLES.items():
        write(place(root, operator, table, engine, of=of), rows())
    write(place(root, "comm", "nccl", "nccl", "2.29.2", of=of), library())
    for kernel, table in (("ll", "wideep_deepep_ll"), ("normal", "wideep_deepep_normal")):
        write(place(root, "comm", table, "sglang", "0.5.12", of=of), deep_ep(kernel))
    return root
