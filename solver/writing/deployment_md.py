"""plan.md of a deployment of pools: every sentence taken from the plan's numbers."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import Scenario
from ...models.deployment import DeploymentPlan, PoolEngine
from ...models.plan import Proof
from ...models.table_scenario import TableScenario
from .checks import checks_table
from .explanation import conflict_section
from .given_md import knowledge_section, load_section, model_section, stocks_section
from .layout_md import ranks_section
from .results_md import balance_rows, certainty_words, passes_section, proof_table, sources_section
from .text import bullets, plural, section, show_bytes, show_rate, show_seconds, table


def deployment_markdown(plan: DeploymentPlan) -> str:
    """The report of a deployment with engines."""
    own = plan.scenario if isinstance(plan.scenario, Scenario) else None
    parts = [
        f"# Deployment plan: {plan.scenario.name}",
        *(f"> **Warning.** {text}" for text in plan.warnings),
        deployment_headline(plan),
        stocks_section(own) if own else _table_cluster(plan),
        model_section(own) if own else "",
        load_section(own) if own else "",
        _pools_section(plan),
        _feeds_section(plan),
        _restrictions_section(plan),
        _performance_section(plan),
        _memory_section(plan),
        section("Load balance", "Counted GPU by GPU by the verifier; 1 is perfect.", balance_rows(plan.balance))
        if plan.balance
        else "",
        ranks_section(plan.placement, own.model) if own else "",
        section("Validation checklist", checks_table(plan), _verified(plan)),
        section("Proof", *proof_table(plan.proof, "engines")),
        knowledge_section(own) if own else "",
        section("Assumptions", bullets(plan.assumptions)),
        passes_section(plan.passes) if plan.passes else "",
        sources_section(plan.provenance) if plan.provenance else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def no_deployment_markdown(plan: DeploymentPlan) -> str:
    """Why there is none."""
    parts = [section(f"No deployment exists: {plan.scenario.name}", *plan.warnings, level=1)]
    parts += [conflict_section(number, conflict, "deployment") for number, conflict in enumerate(plan.conflicts, 1)]
    if not plan.conflicts:
        parts.append("Which conditions collide was not found in the time given.")
    return "\n\n".join([*parts, section("Proof", *proof_table(plan.proof, "engines"))]) + "\n"


def deployment_headline(plan: DeploymentPlan) -> str:
    """The verdict in one line."""
    p = plan.predictions
    assert p is not None
    pools = "; ".join(f"{pool.role} {', '.join(_copies(pool.engines))}" for pool in plan.pools)
    at = (
        f" at {plan.scenario.requirements.ttft_at}"
        if p.ttft_quantiles_s and isinstance(plan.scenario, Scenario)
        else ""
    )
    tpot = f", TPOT {show_seconds(p.tpot_s)}" if p.tpot_s is not None else ""
    tokens = ""
    if (generated := p.output_tokens_per_s or p.input_tokens_per_s) is not None:
        tokens = f" ({show_rate(generated)})"
    money = f", {p.cost_per_hour:,.2f} per hour" if p.cost_per_hour else ""
    rate = f"{show_rate(p.requests_per_s, 'requests')}{tokens}"
    if p.ttft_quantiles_s:  # an open loop: what it could carry, and the times it has then
        asked = p.offered_requests_per_s
        rate = f"carries up to {rate}" + (f", asked {show_rate(asked, 'requests')}" if asked is not None else "")
    return (
        f"**{pools}**, {plan.gpus_used} of {plan.gpus_used + plan.gpus_idle} GPUs: "
        f"{rate}, TTFT {show_seconds(p.ttft_s)}{at}{tpot}{money}; {_verdict(plan.proof)}."
    )


def _copies(engines: Sequence[PoolEngine]) -> list[str]:
    """How many of which; the load where it alone tells two apart."""
    names = [e.name for e in engines]
    return [
        f"{e.count} × {e.name}" + (f" ({_load(e)})" if names.count(e.name) > 1 and e.strategy else "") for e in engines
    ]


def _verdict(proof: Proof) -> str:
    """Which objectives are proved."""
    if proof.status == "optimal":
        return "proved optimal"
    proved = [stage.objective for stage in proof.stages if stage.status == "optimal"]
    if not proved:
        return "legal, NOT proved optimal (stopped early)"
    return f"proved: {'; '.join(proved)}; NOT proved (stopped early): what comes after"


def _table_cluster(plan: DeploymentPlan) -> str:
    assert isinstance(plan.scenario, TableScenario)
    counts = ", ".join(f"{gpus:,} {name or 'GPUs'}" for name, gpus in plan.scenario.hardware.counts.items())
    return section("Hardware and engines", bullets((f"GPUs: {counts}", f"Engine table: {plan.scenario.engines.table}")))


def _pools_section(plan: DeploymentPlan) -> str:
    header = (
        "pool",
        "engines",
        "strategy",
        "card",
        "GPUs each",
        "runs at",
        "requests/s each",
        "TTFT or its part",
        "TPOT",
    )
    rows = [
        (
            pool.role,
            e.count,
            e.name,
            e.accelerator,
            e.gpus_per_engine,
            _load(e),
            f"{e.requests_per_s:.4g}",
            show_seconds(e.ttft_s) if e.ttft_s else "",
            "" if e.tpot_s is None else show_seconds(e.tpot_s),
        )
        for pool in plan.pools
        for e in pool.engines
    ]
    totals = [
        (
            pool.role,
            pool.gpus,
            show_rate(pool.requests_per_s, "requests"),
            show_rate(pool.rating_requests_per_s, "requests"),
            f"{pool.utilization:.1%}",
        )
        for pool in plan.pools
    ]
    idle = plan.idle_reason[0].upper() + plan.idle_reason[1:] + "." if plan.idle_reason else "No GPU is idle."
    return section(
        "Pools",
        table(header, rows),
        table(("pool", "GPUs", "carries", "could carry", "utilisation"), totals),
        idle,
    )


def _load(e: PoolEngine) -> str:
    """What the engine runs at."""
    s, parts = e.strategy, []
    if e.load is not None:
        parts.append(f"{e.load:,} requests in flight")
    elif e.batch is not None:
        parts.append(f"batch {e.batch:,}")
    if s is not None and e.role == "prefill":
        parts.append(plural(s.batch, "prompt") + " a pass")
    if s is not None and e.role == "aggregated":
        parts.append(f"token budget {s.token_budget:,}")
    if s is not None and s.pipeline > 1:
        parts.append(f"layers {', '.join(map(str, s.layers_per_stage))}")
    if e.utilization is not None and e.role != "decode":
        parts.append(f"busy with prompts {e.utilization:.0%}")
    return ", ".join(parts)


def _feeds_section(plan: DeploymentPlan) -> str:
    if not plan.feeds:
        return ""
    by_role = {pool.role: pool.engines for pool in plan.pools}
    rows = [
        (
            by_role["prefill"][feed.prefill].name,
            by_role["decode"][feed.decode].name,
            show_rate(feed.requests_per_s, "requests"),
            show_seconds(feed.transfer_s) if feed.transfer_s else "in the table's figures",
        )
        for feed in plan.feeds
    ]
    return section("Who feeds whom", table(("prefill", "decode", "requests", "moving the KV cache"), rows))


def _restrictions_section(plan: DeploymentPlan) -> str:
    if not plan.restrictions:
        return ""
    rows = [(one.name, one.stated, one.costs) for one in plan.restrictions]
    text = "The same conditions solved without each restriction, by the first objective:"
    return section("What the restrictions cost", text, table(("restriction", "stated", "costs"), rows))


def _performance_section(plan: DeploymentPlan) -> str:
    p = plan.predictions
    assert p is not None
    rows = [("requests", show_rate(p.requests_per_s, "requests"))]
    if p.offered_requests_per_s is not None and p.utilization is not None:
        rows.append(("offered", f"{show_rate(p.offered_requests_per_s, 'requests')}, utilisation {p.utilization:.1%}"))
    if p.output_tokens_per_s is not None:
        rows.append(("output", show_rate(p.output_tokens_per_s)))
    if p.input_tokens_per_s is not None:
        rows.append(("input", show_rate(p.input_tokens_per_s)))
    rows.append(("TTFT, slowest engine or pair", show_seconds(p.ttft_s)))
    rows += [(f"TTFT {name}", show_seconds(value)) for name, value in p.ttft_quantiles_s.items()]
    if p.tpot_s is not None:
        rows.append(("TPOT, slowest engine", show_seconds(p.tpot_s)))
    if p.request_latency_s is not None:
        rows.append(("request latency, slowest", show_seconds(p.request_latency_s)))
    rows.append(("requests per GPU used", f"{p.requests_per_s_per_gpu:.4g} requests/s"))
    if p.cost_per_hour is not None:
        rows.append(("price", f"{p.cost_per_hour:,.2f} per hour"))
    note = ""
    if p.ttft_quantiles_s:
        note = (
            "At the rate under *requests*, the most that the deployment carries within the limits; below it waits "
            "are shorter. Beyond 95 % of an engine's time no figure is given."
        )
    certainty = certainty_words(plan.uncertainty, plan.scenario.requirements.tightened_by)
    return section("Expected performance", table(("figure", "value"), rows), note, *certainty)


def _memory_section(plan: DeploymentPlan) -> str:
    rows = []
    for e in plan.engines:
        if (m := e.memory_bytes_per_gpu) is not None:
            parts = [
                show_bytes(getattr(m, name)) for name in ("weights", "kv_cache", "activations", "reserve", "total")
            ]
            rows.append((f"{e.role} {e.name}", *parts, f"{m.total / m.usable:.1%}"))
    header = ("engine", "weights", "KV cache", "activations", "reserve", "total", "of usable")
    return section("Memory per GPU", "On the fullest GPU of each engine.", table(header, rows)) if rows else ""


def _verified(plan: DeploymentPlan) -> str:
    if plan.verification is None:
        return ""
    findings = plan.verification.findings
    return (
        f"Second route: {sum(f.ok for f in findings)} of {len(findings)} comparisons agree within "
        f"{plan.verification.tolerance:g}. It recomputes everything from plan.json and shares no formula code with the "
        "pricing."
    )
