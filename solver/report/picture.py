"""What is needed to draw a deployment, from its plan.json: little, since thousands of plans share one page."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

_DEGREES = ("tensor", "context", "data", "pipeline", "expert", "expert_tensor")


def picture_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Kinds of engines, where their ranks stand, cards and links of the nodes, who feeds whom."""
    model = plan["scenario"].get("model") or {}
    entries = plan.get("engines") or [entry for pool in plan.get("pools", ()) for entry in pool["engines"]]
    seats: dict[int, list[list[int]]] = {}
    for rank in plan.get("placement", ()):
        seats.setdefault(rank["engine"], []).append([rank["node"], rank["gpu"]])
    return {
        "kinds": [_kind(entry, model) for entry in entries],
        "seats": [_runs(seats[engine]) for engine in sorted(seats)],
        "heads": (model.get("attention") or {}).get("heads"),
        "experts": (model.get("experts") or {}).get("count"),
        "cards": _cards(plan, entries),
        "links": _links(plan["scenario"].get("hardware") or {}),
        "feeds": _feeds(plan, entries),
    }


def _kind(entry: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    s = entry.get("strategy")
    return {
        "role": entry["role"],
        "count": entry["count"],
        "name": entry.get("name"),
        "degrees": None if s is None else [s[name] for name in _DEGREES],
        "layers": None if s is None else s["layers_per_stage"],
        "linear": None if s is None else _linear(model, s["layers_per_stage"]),
    }


def _linear(model: Mapping[str, Any], split: list[int]) -> list[int] | None:
    """Linear layers of each stage; None where the model has none."""
    pattern = (model.get("linear_attention") or {}).get("pattern")
    if not pattern:
        return None
    ends = list(accumulate(split, initial=0))
    return [sum(pattern[i % len(pattern)] == "linear" for i in range(*stage)) for stage in pairwise(ends)]


def _runs(seats: list[list[int]]) -> list[list[int]]:
    """[node, first GPU, GPUs] of neighbours, in the order of the ranks."""
    runs: list[list[int]] = []
    for node, gpu in seats:
        if runs and runs[-1][0] == node and runs[-1][1] + runs[-1][2] == gpu:
            runs[-1][2] += 1
        else:
            runs.append([node, gpu, 1])
    return runs


def _cards(plan: Mapping[str, Any], entries: list[Mapping[str, Any]]) -> dict[int, str]:
    """Card of each node: an engine whose pipeline crosses cards stands on several."""
    by_engine = [_by_stage(entry) for entry in entries for _ in range(entry["count"])]
    return {
        rank["node"]: by_engine[rank["engine"]][min(rank["stage"], len(by_engine[rank["engine"]]) - 1)]
        for rank in plan.get("placement", ())
    }


def _by_stage(entry: Mapping[str, Any]) -> list[str]:
    parts = [part["accelerator"] for part in entry.get("parts", ()) for _ in range(part["stages"])]
    return parts or [entry["accelerator"]]


def _links(hardware: Mapping[str, Any]) -> dict[str, list[str]]:
    """Card -> its link inside a node and between nodes, in words."""
    found = {}
    for stock in hardware.get("inventory") or [hardware]:
        card = stock.get("accelerator") or {}
        links: list[dict[str, float]] = [
            stock.get(name) or card.get(name) or {} for name in ("node_link", "network_link")
        ]
        if all(links):
            found[card["id"]] = [f"{link['bandwidth'] / 1e9:g} GB/s, {link['latency'] * 1e6:g} µs" for link in links]
    return found


def _feeds(plan: Mapping[str, Any], entries: list[Mapping[str, Any]]) -> list[list[float]]:
    """[prefill kind, decode kind, requests/s, seconds for the KV cache of a prompt]."""
    kinds = {role: [i for i, entry in enumerate(entries) if entry["role"] == role] for role in ("prefill", "decode")}
    return [
        [kinds["prefill"][one["prefill"]], kinds["decode"][one["decode"]], one["requests_per_s"], one["transfer_s"]]
        for one in plan.get("feeds", ())
    ]
