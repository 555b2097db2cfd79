"""The sections and keys of a deployment document in Markdown: what each is called, where it goes, how it is read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import catalog
from .markdown_values import (
    Read,
    as_written,
    at_most,
    choice,
    gated,
    head_counts,
    number_format,
    number_formats,
    objective,
    rate,
    span,
    top_k,
    whole,
    yes_or_no,
)
from .tree import Path_

_TOKENS = "tokens?"
_GPUS = "gpus?|cards?|accelerators?"


@dataclass(frozen=True)
class Key:
    """One condition: its usual name, its path in the scenario, its reader and its other names."""

    label: str
    path: Path_
    read: Read
    names: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One section: its usual title, its other titles, its keys."""

    title: str
    titles: tuple[str, ...]
    keys: tuple[Key, ...]


def plain(text: str) -> str:
    """A key or title without case, punctuation and emphasis."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def catalog_id(kind: str, text: str) -> str | None:
    """The catalog id that `text` means: the id itself or the published name, in any case."""
    wanted = re.sub(r"[\s_]+", "-", text.casefold())
    ids = catalog.ids(kind)
    if wanted in ids:
        return wanted
    entry = catalog.accelerator if kind == "accelerators" else catalog.language_model
    return next((name for name in ids if str(entry(name).get("name")).casefold().replace(" ", "-") == wanted), None)


def _key(label: str, path: str, read: Read, others: str = "") -> Key:
    names = (plain(label), *(name.strip() for name in others.split(",") if name))
    return Key(label, tuple(path.split(".")), read, names)


SECTIONS: dict[str, Section] = {
    "hardware": Section(
        "Hardware Environment",
        ("hardware", "hardware conditions", "hardware configuration"),
        (
            _key(
                "Accelerator", "hardware.accelerator.name", as_written, "gpu, gpu model, gpu type, gpu name, npu, card"
            ),
            _key(
                "GPU Compute Power",
                "hardware.accelerator.compute.bf16",
                as_written,
                "compute power, computing power, gpu compute, peak compute, fp16 compute power, bf16 compute power",
            ),
            _key("FP8 Compute Power", "hardware.accelerator.compute.fp8", as_written),
            _key("INT8 Compute Power", "hardware.accelerator.compute.int8", as_written),
            _key(
                "Single-card VRAM",
                "hardware.accelerator.memory",
                as_written,
                "vram, gpu vram, vram per gpu, vram per card, gpu memory, single card memory, memory per gpu, "
                "memory per card",
            ),
            _key(
                "VRAM Bandwidth",
                "hardware.accelerator.memory_bandwidth",
                as_written,
                "memory bandwidth, gpu memory bandwidth, hbm bandwidth",
            ),
            _key("MFU Utilization", "efficiency.mfu", as_written, "mfu, mfu utilisation, model flops utilization"),
            _key(
                "Bandwidth Utilization",
                "efficiency.bandwidth",
                as_written,
                "bandwidth utilisation, memory bandwidth utilization, vram bandwidth utilization, mbu",
            ),
            _key(
                "Memory Utilization", "hardware.memory_utilization", as_written, "memory utilisation, vram utilization"
            ),
            _key("GPUs", "hardware.gpus", span(_GPUS), "total gpus, number of gpus, gpu count, num gpus"),
            _key(
                "GPUs per Node",
                "hardware.gpus_per_node",
                whole(_GPUS),
                "gpus per server, cards per node, accelerators per node, node size",
            ),
            _key("Use All GPUs", "hardware.use_all_gpus", yes_or_no),
            _key(
                "Node Link",
                "hardware.node_link.bandwidth",
                as_written,
                "node link bandwidth, intra node link, intra node bandwidth, nvlink, nvlink bandwidth",
            ),
            _key("Node Link Latency", "hardware.node_link.latency", as_written, "intra node latency, nvlink latency"),
            _key(
                "Network Link",
                "hardware.network_link.bandwidth",
                as_written,
                "network link bandwidth, network bandwidth, inter node link, inter node bandwidth",
            ),
            _key(
                "Network Link Latency",
                "hardware.network_link.latency",
                as_written,
                "network latency, inter node latency",
            ),
        ),
    ),
    "model": Section(
        "Model Configuration",
        ("model", "model parameters", "model conditions"),
        (
            _key("Model", "model.name", as_written, "model name, model id, model config, name"),
            _key(
                "Parameters",
                "model.declared_parameters",
                as_written,
                "total parameters, parameter count, number of parameters, declared parameters, params, model size",
            ),
            _key("Parameters Reading", "parameters", choice, "parameter reading, reading of the parameters"),
            _key("Layers", "model.layers", whole("layers"), "number of layers, num layers, transformer layers"),
            _key(
                "Token Dimension",
                "model.hidden",
                whole(),
                "token dim, hidden size, hidden dimension, model dimension, embedding dimension, d model",
            ),
            _key("Attention Heads", "model.attention", head_counts, "heads, query heads, number of attention heads"),
            _key("Head Dimension", "model.attention.head_dim", whole(), "head dim, head size"),
            _key(
                "KV Heads", "model.attention.kv_heads", whole("heads"), "key value heads, number of kv heads, kv head"
            ),
            _key(
                "FFN Hidden Size",
                "model.feed_forward.width",
                whole(),
                "ffn size, ffn dimension, ffn intermediate size, feed forward size, feed forward hidden size, "
                "intermediate size, mlp hidden size",
            ),
            _key("Matrices per FFN", "model.feed_forward.gated", gated),
            _key(
                "Experts per Layer",
                "model.experts.count",
                whole("experts"),
                "experts, number of experts, num experts, routed experts",
            ),
            _key(
                "Experts per Token",
                "model.experts.per_token",
                top_k,
                "experts token, experts per tok, top k, topk, top k experts, active experts, activated experts",
            ),
            _key(
                "MoE Hidden Size",
                "model.experts.width",
                whole(),
                "moe intermediate size, expert hidden size, expert intermediate size, expert width",
            ),
            _key("Matrices per Expert", "model.experts.gated", gated),
            _key("Shared Expert Hidden Size", "model.experts.shared_width", whole(), "shared expert width"),
            _key("Leading Dense Layers", "model.experts.leading_dense_layers", whole("layers"), "first dense layers"),
            _key("Vocabulary", "model.vocabulary", whole(_TOKENS), "vocabulary size, vocab, vocab size"),
            _key("Precision", "precision", number_formats, "data type, dtype, number format"),
            _key("Weight Precision", "precision.weights", number_format, "weights precision, weights"),
            _key("Expert Precision", "precision.experts", number_format, "experts precision"),
            _key("Activation Precision", "precision.activations", number_format, "activations precision, activations"),
            _key("KV Cache Precision", "precision.kv_cache", number_format, "kv precision, kv cache"),
        ),
    ),
    "workload": Section(
        "Input Data",
        ("input", "input conditions", "workload"),
        (
            _key("Batch Size", "workload.batch", whole("sequences|requests|prompts"), "batch"),
            _key(
                "Concurrency",
                "workload.concurrency",
                whole("sequences|requests"),
                "concurrent requests, concurrent sequences, requests in flight",
            ),
            _key(
                "Sequence Length",
                "workload.input_tokens",
                span(_TOKENS),
                "input length, input tokens, input sequence length, prompt length, prompt tokens, isl",
            ),
            _key(
                "Output Length",
                "workload.output_tokens",
                span(_TOKENS),
                "output tokens, output sequence length, answer length, generated tokens, generation length, osl",
            ),
        ),
    ),
    "requirements": Section(
        "Performance Requirements",
        ("requirements", "performance requirement", "performance targets"),
        (
            _key("TTFT", "requirements.ttft", at_most, "time to first token, first token latency"),
            _key("TPOT", "requirements.tpot", at_most, "time per output token, inter token latency, itl"),
            _key("Request Latency", "requirements.request_latency", at_most, "end to end latency, e2e latency"),
            _key(
                "Throughput per GPU",
                "requirements.throughput_per_gpu",
                rate,
                "per gpu throughput, throughput gpu, throughput per card, single card throughput",
            ),
            _key("Throughput", "requirements.throughput", rate, "total throughput, system throughput"),
            _key("Memory per GPU", "requirements.memory_per_gpu", at_most, "memory limit per gpu"),
            _key("Objective", "objective", objective, "objectives, optimize for, optimise for"),
            _key("Balance", "balance", as_written),
        ),
    ),
}

PLAN_TITLES = frozenset(
    (
        "recommended parallel strategy",
        "recommended strategy",
        "strategy composition",
        "resource allocation",
        "implementation strategy",
        "communication pattern",
        "memory optimization",
        "performance optimization",
        "expected performance",
        "scalability notes",
        "validation checklist",
    )
)
"""Sections of a plan: results, not conditions."""
TITLES = {name: id for id, section in SECTIONS.items() for name in (plain(section.title), *section.titles)}
KEYS = {id: {name: key for key in section.keys for name in key.names} for id, section in SECTIONS.items()}
