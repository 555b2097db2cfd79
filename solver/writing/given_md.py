"""What was given: hardware, model, load, requirements."""

from __future__ import annotations

from ...models import Lengths, Plan, Scenario, Transformer
from ...models.counts import count_parameters
from .text import bullets, section, show_bytes, show_count, show_rate, table


def hardware_section(scenario: Scenario) -> str:
    """The machine."""
    h = scenario.hardware
    card = h.accelerator
    rates = ", ".join(f"{name} {rate / 1e12:,.0f} TFLOPS" for name, rate in card.compute.model_dump().items() if rate)
    memory, usable = show_bytes(card.memory), show_bytes(h.usable_memory)
    inside, between = show_bytes(h.inside.bandwidth), show_bytes(h.between.bandwidth)
    lines = [
        f"Accelerator: {card.name} (`{card.id}`)",
        f"GPUs: up to {h.gpu_range.max}, {h.node_size} per node",
        f"Compute, dense: {rates}",
        f"Memory: {memory} per card, of which {usable} ({h.memory_utilization:.0%}) may be used; "
        f"{show_bytes(card.memory_bandwidth)}/s",
        f"Links per GPU and direction: {inside}/s inside a node, {between}/s between nodes",
        _operators(scenario),
    ]
    return section("Hardware environment", bullets(lines))


def _operators(scenario: Scenario) -> str:
    if scenario.operator_times.source == "measured":
        return "Times of operators: tables measured on this card, where it has them; all constants stand at the end"
    efficiency = scenario.efficiency
    return (
        f"Dense matrices reach {efficiency.mfu:.0%} of the peak rate and {efficiency.bandwidth:.0%} of the memory "
        "bandwidth; all constants stand at the end"
    )


def stocks_section(scenario: Scenario) -> str:
    """The machine of a deployment of pools: its GPU types."""
    h, lines = scenario.hardware, []
    for stock in h.stocks:
        card, here = stock.accelerator, h.on(stock)
        price = "" if stock.price_per_hour is None else f", {stock.price_per_hour:g} per GPU-hour"
        lines.append(
            f"{card.name} (`{card.id}`): up to {stock.gpus:,}, {here.node_size} per node; "
            f"{show_bytes(here.usable_memory)} usable each, {show_bytes(card.memory_bandwidth)}/s; links "
            f"{show_bytes(here.inside.bandwidth)}/s inside a node, {show_bytes(here.between.bandwidth)}/s between "
            f"nodes{price}"
        )
    if h.pool_link is not None:
        lines.append(f"Between pools: {show_bytes(h.pool_link.bandwidth)}/s per GPU")
    return section("Hardware environment", bullets(lines))


def model_section(scenario: Scenario) -> str:
    """The model and its formats."""
    m, parts, p = scenario.model, count_parameters(scenario.model), scenario.precision
    latent = m.attention.latent
    cached = f"{m.attention.key_heads} KV heads of {m.attention.head_dim}"
    if latent is not None:
        cached = f"latent, {latent.kv_rank} + {latent.rope_dim} elements cached per token and layer"
    lines = [
        f"Model: {m.name} (`{m.id}`)",
        f"Parameters from the shapes: {show_count(parts.total)}, of which {show_count(parts.active)} active per token",
        f"Layers: {m.layers}{_mixed(m)}, hidden size {m.hidden:,}, vocabulary {m.vocabulary:,}",
        f"Attention: {m.attention.heads} heads, {cached}",
    ]
    if (linear := m.linear_attention) is not None:
        states = f"{linear.value_heads} states of {linear.key_dim} × {linear.value_dim} ({linear.state})"
        lines.append(f"Linear attention: {linear.key_heads} key heads, {states} kept per sequence and layer")
    if (sparse := m.attention.sparse) is not None:
        indexers = sum(kind.indexed for kind in m.kinds)
        lines.append(f"Sparse attention: at most {sparse.top_k:,} keys, picked by {indexers} indexers")
    if m.experts:
        e = m.experts
        dense = f", {e.leading_dense_layers} leading dense layers" if e.leading_dense_layers else ""
        lines.append(f"Experts: {e.count} per layer of width {e.width:,}, {e.per_token} per token{dense}")
    if m.feed_forward:
        lines.append(f"Dense feed-forward: width {m.feed_forward.width:,}")
    if scenario.widening != 1.0:
        declared = show_count(m.declared_parameters or 0)
        lines.append(f"Declared total {declared}: matrices taken {scenario.widening:.3g} times as wide")
    experts = f", experts {p.experts}" if p.experts else ""
    lines.append(f"Precision: weights {p.weights}{experts}, activations {p.activations}, KV cache {p.kv_cache}")
    return section("Model configuration", bullets(lines))


def _mixed(model: Transformer) -> str:
    """Kinds of attention where layers differ."""
    linear, sliding = (sum(getattr(kind, name) for kind in model.kinds) for name in ("linear", "sliding"))
    counts = {"linear": linear, "sliding": sliding, "full": model.layers - linear - sliding}
    return f" ({', '.join(f'{n} {name}' for name, n in counts.items() if n)})" if linear or sliding else ""


def engine_section(plan: Plan) -> str:
    """The serving engine whose rules count."""
    profile = plan.scenario.engine
    if profile is None:
        text = "Not stated: every legal strategy counts. `engine: vllm`, `sglang` or `trtllm` adds that engine's rules."
        return section("Serving engine", text)
    text = f"{profile.name} {profile.version}: its rules are conditions of this plan, its placement counts for memory."
    s = plan.engines[0].strategy
    stated = [f"token budget {s.token_budget:,} per rank (its default is {profile.token_budget_default:,})"]
    split = ",".join(map(str, s.layers_per_stage))
    if profile.default_split(plan.scenario.model.layers, s.pipeline) != s.layers_per_stage:
        stated.append(f"stages `{profile.layer_partition}={split}` (its own split would differ)")
    return section("Serving engine", text, f"State: {'; '.join(stated)}.")


def load_section(scenario: Scenario) -> str:
    """The load."""
    work = scenario.workload
    load = f"Batch: {work.sequences:,} at once"
    if work.concurrency is not None:
        load = f"Concurrency: {work.sequences:,} requests in flight"
    elif work.request_rate is not None:
        rate = (
            "as many requests as can be carried"
            if work.request_rate == "max"
            else show_rate(work.request_rate, "requests")
        )
        load = f"Arrivals: {rate}, burstiness {work.burstiness:g}"
    answer = _lengths(work.output_tokens) if work.decodes else "nothing beyond the first token (prefill only)"
    return section("Input data", bullets((load, f"Prompt: {_lengths(work.input_tokens)}", f"Answer: {answer}")))


def _lengths(lengths: Lengths) -> str:
    if lengths.min == lengths.max:
        return f"{lengths.max:,} tokens"
    return f"{lengths.min:,} to {lengths.max:,} tokens, uniform (assumed), mean {lengths.mean:,.0f}"


def requirements_section(plan: Plan) -> str:
    """The requirements, and how far the plan is from each."""
    wanted = [check for check in plan.checks if check.name.startswith("requirements.")]
    if not wanted:
        return section("Performance requirements", "Nothing is required.")
    rows = [(c.statement, c.predicted, "" if c.margin is None else f"{c.margin:+.1%}") for c in wanted]
    return section("Performance requirements", table(("required", "predicted", "margin"), rows))


def knowledge_section(scenario: Scenario) -> str:
    """What was taken from knowledge files, and from which."""
    if not scenario.knowledge:
        return ""
    return section("Supplementary knowledge", table(("used for", "file"), scenario.knowledge.items()))
