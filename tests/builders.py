"""Small scenarios: a slow card, tiny models, every constant within reach of a pencil."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from shardwise.models import Scenario

CARD: dict[str, Any] = {
    "memory": 1e9,
    "memory_bandwidth": 1e9,
    "compute": 1e12,
    "node_link": {"bandwidth": 1e8, "latency": 1e-6},
    "network_link": {"bandwidth": 1e7, "latency": 1e-5},
}
NO_RESERVES = dict.fromkeys(("activation_dense", "activation_experts", "single_gpu", "multi_gpu"), 0)
GROUPED: dict[str, Any] = {"heads": 4, "kv_heads": 4, "head_dim": 16}
LATENT: dict[str, Any] = {
    "heads": 4,
    "latent": {"query_rank": 24, "kv_rank": 16, "nope_dim": 8, "rope_dim": 8, "value_dim": 8},
}
LINEAR: dict[str, Any] = {
    "key_heads": 2,
    "value_heads": 4,
    "key_dim": 8,
    "value_dim": 12,
    "convolution": 4,
    "pattern": ("linear", "full"),
}
DENSE: dict[str, Any] = {"layers": 4, "hidden": 64, "attention": GROUPED, "feed_forward": {"width": 128}}
EXPERTS: dict[str, Any] = {
    "layers": 4,
    "hidden": 64,
    "attention": GROUPED,
    "experts": {"count": 4, "per_token": 2, "width": 32},
}
PROMPTS: dict[str, Any] = {"batch": 4, "input_tokens": 100}
CHAT: dict[str, Any] = {"concurrency": 4, "input_tokens": 100, "output_tokens": 50}


def scenario(
    model: dict[str, Any] = DENSE,
    workload: dict[str, Any] = PROMPTS,
    *,
    gpus: int | dict[str, int] = 4,
    node: int = 4,
    **more: Any,
) -> Scenario:
    """A scenario without memory reserves; `hardware` and `card` are merged into the defaults."""
    card = CARD | more.pop("card", {})
    hardware = {"accelerator": card, "gpus": gpus, "gpus_per_node": node, "memory_utilization": 1.0}
    hardware |= more.pop("hardware", {})
    given = {"hardware": hardware, "model": model, "workload": workload, "reserves": NO_RESERVES}
    return Scenario.model_validate(given | more)


def _attention(draw: st.DrawFn, latent: bool) -> dict[str, Any]:
    heads = draw(st.sampled_from([3, 4, 5, 6, 8, 12]))
    window = draw(st.none() | st.just({"size": 40, "pattern": ("sliding", "full")}))
    if latent:
        pattern = draw(st.sampled_from([("own",), ("own", "shared")]))
        sparse = draw(st.none() | st.just({"top_k": 30, "heads": 2, "dim": 4, "pattern": pattern}))
        return LATENT | {"heads": heads, "latent": LATENT["latent"] | {"sparse": sparse}}
    kv_heads = draw(st.sampled_from([k for k in range(1, heads + 1) if heads % k == 0]))
    return {"heads": heads, "kv_heads": kv_heads, "head_dim": 16, "window": window}


@st.composite
def models(draw: st.DrawFn, layers: int = 5) -> dict[str, Any]:
    """Dense, experts, latent, sparse or linear attention; odd head counts, widths and vocabularies among them."""
    kind = draw(st.sampled_from(["dense", "experts", "latent"]))
    depth = draw(st.integers(1, layers))
    model: dict[str, Any] = {
        "layers": depth,
        "hidden": 64,
        "attention": _attention(draw, kind == "latent"),
        "vocabulary": draw(st.sampled_from([0, 100, 200, 500])),
        "tied_embeddings": draw(st.booleans()),
    }
    if kind != "latent" and model["attention"]["window"] is None:
        model["linear_attention"] = draw(st.none() | st.none() | st.sampled_from([LINEAR, LINEAR | {"key_heads": 4}]))
    dense_layers = depth
    if kind == "experts" or (kind == "latent" and draw(st.booleans())):
        count = draw(st.sampled_from([3, 4, 6, 8]))
        dense_layers = draw(st.integers(0, min(2, depth)))
        model["experts"] = {
            "count": count,
            "per_token": draw(st.integers(1, 3)),
            "width": draw(st.sampled_from([32, 48, 54])),
            "shared_width": draw(st.sampled_from([0, 0, 24, 32])),
            "leading_dense_layers": dense_layers,
        }
    if dense_layers:
        model["feed_forward"] = {"width": draw(st.sampled_from([96, 120, 128, 180]))}
    return model


@st.composite
def workloads(draw: st.DrawFn) -> dict[str, Any]:
    """Prefill only, static batch or closed loop."""
    load = draw(st.sampled_from(["batch", "concurrency"]))
    shortest = draw(st.sampled_from([2, 30, 100, 700]))
    inputs = {"min": shortest, "max": shortest * draw(st.sampled_from([1, 1, 3]))}
    outputs = draw(st.sampled_from([1, 1, 2, 40, 200]))
    return {load: draw(st.integers(1, 12)), "input_tokens": inputs, "output_tokens": outputs}


@st.composite
def clusters(draw: st.DrawFn, gpus: int) -> dict[str, Any]:
    """Nodes of 2 to 8 GPUs; counts that are no multiple of the node; ranges; machines to be used whole."""
    most = draw(st.sampled_from([*range(1, gpus + 1), *range(gpus // 2, gpus + 1)]))
    form = draw(st.sampled_from(["most", "most", "range", "all"]))
    count: int | dict[str, int] = most
    if form == "range":
        count = {"min": draw(st.integers(1, most)), "max": most}
    return {"gpus_per_node": draw(st.integers(2, 8)), "gpus": count, "use_all_gpus": form == "all"}


@st.composite
def pins(draw: st.DrawFn, share: int = 7) -> dict[str, Any]:
    """No pin at all, or one on each degree with a chance of one in `share`."""
    values = st.one_of(
        st.sampled_from([1, 2, 3, 4]),
        st.sampled_from([{"max": 2}, {"min": 2}, {"min": 2, "max": 3}, [1, 3], [2, 4, 8]]),
    )
    names = ("tensor", "context", "data", "pipeline", "expert", "expert_tensor")
    if draw(st.booleans()):
        return {}
    return {name: draw(values) for name in names if draw(st.integers(1, share)) == 1}


@st.composite
def requirements(draw: st.DrawFn, *, decodes: bool) -> dict[str, Any]:
    """Limits that exclude nothing, something or everything."""
    limits = {
        "ttft": st.sampled_from([0.08, 0.2, 1.0]),
        "request_latency": st.sampled_from([0.1, 0.5, 3.0]),
        "throughput": st.sampled_from([{"tokens": 100}, {"tokens": 3000}, {"requests": 5}, {"input": 1000}]),
        "throughput_per_gpu": st.sampled_from([{"tokens": 50}, {"tokens": 1000}, {"requests": 2}]),
    }
    if decodes:
        limits["tpot"] = st.sampled_from([0.002, 0.004, 0.02])
    return {name: draw(values) for name, values in limits.items() if draw(st.integers(1, 6)) == 1}


OBJECTIVES = ("balanced", "latency", "throughput", "throughput-per-gpu", "fewest-gpus")


@st.composite
def scenarios(draw: st.DrawFn, *, gpus: int, layers: int = 5, limited: bool = False) -> Scenario:
    """Any small scenario; with `limited`, also requirements, scarce memory and objectives."""
    workload = draw(workloads())
    more: dict[str, Any] = {"strategy": draw(pins()), "hardware": draw(clusters(gpus))}
    if limited:
        memory = draw(st.sampled_from([1e6, 3e6, 1e9, 1e9]))
        more |= {
            "card": {"memory": memory},
            "requirements": draw(requirements(decodes=workload["output_tokens"] > 1)),
            "objective": draw(
                st.just("balanced")
                | st.sampled_from(OBJECTIVES)
                | st.lists(st.sampled_from(OBJECTIVES), min_size=1, max_size=3, unique=True)
            ),
            "balance": draw(st.sampled_from([0.0, 0.01, 0.3])),
            "latencies": draw(st.sampled_from(["none", {}, {"startup": 0.01, "iteration": 1e-4}])),
        }
    return scenario(draw(models(layers)), workload, **more)
