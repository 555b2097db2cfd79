"""What was chosen, and why: degrees, communication, runners-up."""

from __future__ import annotations

from ...models import EngineStrategy, Plan
from .text import bullets, plural, section, show_seconds, table


def strategy_section(plan: Plan) -> str:
    """The degrees, how they multiply to the GPUs, and what ranks exchange."""
    entry = plan.engines[0]
    s, experts = entry.strategy, plan.scenario.model.experts
    identity = f"{s.tensor}·{s.context}·{s.data} (tensor·context·data) = {s.stage_group} GPUs per stage"
    if experts:
        identity += f" = {s.expert}·{s.expert_tensor} (expert·expert_tensor)"
    stages, engines = plural(s.pipeline, "stage"), plural(entry.count, "engine")
    facts = [
        identity,
        f"{s.stage_group} · {stages} · {engines} = {plan.gpus_used} GPUs used",
        f"Batch: {plural(s.batch, 'sequence')} per attention replica and micro-batch, "
        f"{plural(s.micro_batches, 'micro-batch', 'micro-batches')}, up to {s.in_flight:,} sequences per engine",
        f"Token budget: {s.token_budget:,} tokens in the largest forward pass of a rank",
    ]
    if plan.idle_reason:
        facts.append(plan.idle_reason)
    degrees = table(("degree", "ways", "meaning"), _degrees(plan))
    return section("Recommended parallel strategy", degrees, bullets(facts), _communication(plan, s))


def _degrees(plan: Plan) -> list[tuple[str, int, str]]:
    entry, model = plan.engines[0], plan.scenario.model
    s, heads = entry.strategy, model.attention.heads
    replicas = "attention replicas inside an engine, each with its own sequences"
    rows = [
        ("engines", entry.count, "copies of the model, each with its own requests"),
        ("tensor", s.tensor, f"each rank has {heads // s.tensor} of {heads} query heads"),
        ("context", s.context, "ranks that share one prompt's tokens" if s.context > 1 else "prompts are not split"),
        ("data", s.data, replicas if s.data > 1 else "one attention group per stage"),
        ("pipeline", s.pipeline, f"layers per stage: {', '.join(map(str, s.layers_per_stage))}"),
    ]
    if (e := model.experts) is not None:
        rows.append(("expert", s.expert, f"each rank has {e.count // s.expert} of {e.count} experts"))
        rows.append(("expert_tensor", s.expert_tensor, f"an expert's {e.width:,} columns over {s.expert_tensor} ranks"))
    return rows


def _communication(plan: Plan, s: EngineStrategy) -> str:
    node, lines = plan.scenario.hardware.node_size, []
    where = "inside a node" if s.gpus <= node else f"over {-(-s.gpus // node)} nodes"
    if s.tensor > 1:
        lines.append(f"all-reduce over {s.tensor} tensor ranks in every layer, twice where the layer is dense")
    if s.expert > 1:
        lines.append(f"expert dispatch and combine over {s.expert} expert ranks in every expert layer")
    if s.expert_tensor > 1:
        lines.append(f"all-gather and reduce-scatter over {s.expert_tensor} expert-tensor ranks in every expert layer")
    if s.context > 1:
        lines.append(f"keys and values exchanged over {s.context} context ranks in every layer")
    if s.pipeline > 1:
        lines.append(f"point to point between {s.pipeline} stages")
    if not lines:
        return "No communication between GPUs: every engine is one GPU."
    return f"Communication, each engine {where}:\n\n{bullets(lines)}"


def reasons_section(plan: Plan) -> str:
    """The best plans with other degrees, and what each would give."""
    objectives = ", then ".join(stage.objective for stage in plan.proof.stages)
    if not plan.alternatives:
        return section("Why this strategy", f"Objectives in order: {objectives}. No other degrees meet the conditions.")
    rows = []
    for a in plan.alternatives:
        tpot = "" if a.tpot_s is None else show_seconds(a.tpot_s)
        rates = f"{a.tokens_per_s:,.0f}", f"{a.tokens_per_s_per_gpu:,.0f}"
        rows.append((a.strategy.describe(), a.engines, a.gpus_used, show_seconds(a.ttft_s), tpot, *rates, a.why_not))
    header = ("strategy", "engines", "GPUs", "TTFT", "TPOT", "tokens/s", "per GPU", "against the plan")
    text = (
        f"Objectives in order: {objectives}. The best legal plans with other degrees, by the same objectives, and what "
        "each gives against the chosen one (what looks better there lost on an earlier objective):"
    )
    close = [a.strategy.describe() for a in plan.alternatives if a.inside_band]
    notes = []
    if close:
        notes.append(
            f"Within the band of the prediction, so that a measurement may turn the order: {', '.join(close)}."
        )
    return section("Why this strategy", text, table(header, rows), *notes)
