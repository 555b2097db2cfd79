"""plan.md: the plan for people. The sections of a deployment plan, every sentence taken from the plan's numbers."""

from __future__ import annotations

from ...models import Plan
from .given_md import (
    engine_section,
    hardware_section,
    knowledge_section,
    load_section,
    model_section,
    requirements_section,
)
from .layout_md import layout_section
from .readings_md import readings_section, warnings_of
from .results_md import (
    balance_section,
    checklist_section,
    memory_section,
    passes_section,
    performance_section,
    proof_section,
    sources_section,
)
from .strategy_md import reasons_section, strategy_section
from .text import bullets, plural, section, show_rate, show_seconds


def plan_markdown(plan: Plan) -> str:
    """The report of a plan with engines."""
    parts = [
        f"# Deployment plan: {plan.scenario.name}",
        *warnings_of(plan),
        headline(plan),
        readings_section(plan),
        hardware_section(plan.scenario),
        model_section(plan.scenario),
        load_section(plan.scenario),
        requirements_section(plan),
        engine_section(plan),
        knowledge_section(plan.scenario),
        strategy_section(plan),
        reasons_section(plan),
        performance_section(plan),
        memory_section(plan),
        balance_section(plan),
        layout_section(plan),
        checklist_section(plan),
        proof_section(plan),
        section("Assumptions", bullets(plan.assumptions)),
        passes_section(plan.passes) if plan.passes else "",
        sources_section(plan.provenance),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain_headline(plan: Plan) -> str:
    """The verdict in one line, for a terminal."""
    return headline(plan).replace("**", "")


def headline(plan: Plan) -> str:
    """The verdict in one line."""
    entry, predicted = plan.engines[0], plan.predictions
    assert predicted is not None
    verdict = "proved optimal" if plan.status == "optimal" else "legal, NOT proved optimal (stopped early)"
    engines = f"{plural(entry.count, 'engine')} of {plural(entry.gpus_per_engine, 'GPU')}"
    output = predicted.output_tokens_per_s
    rate, thing = (predicted.input_tokens_per_s, "input tokens") if output is None else (output, "output tokens")
    tpot = f", TPOT {show_seconds(predicted.tpot_s)}" if predicted.tpot_s is not None else ""
    return (
        f"**{entry.strategy.describe()}**, {engines}, {plan.gpus_used} of {plan.gpus_used + plan.gpus_idle} GPUs: "
        f"TTFT {show_seconds(predicted.ttft_s)}{tpot}, {show_rate(rate, thing)} "
        f"({show_rate(predicted.tokens_per_s_per_gpu, thing)} per GPU); {verdict}."
    )
