"""What the plan is expected to do, and why that can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from ...models import Plan
from ...models.bands import Uncertainty
from ...models.pass_time import Origin, PassTime
from ...models.plan import Balance, Figure, Proof
from .checks import checks_table
from .text import bullets, section, show_bytes, show_rate, show_seconds, table


def performance_section(plan: Plan) -> str:
    """Latency and throughput."""
    p = plan.predictions
    assert p is not None
    rows = [("TTFT, longest prompts", show_seconds(p.ttft_s)), ("TTFT, mean prompts", show_seconds(p.ttft_mean_s))]
    if p.tpot_s is not None:
        rows.append(("TPOT", show_seconds(p.tpot_s)))
    rows.append(("request latency", show_seconds(p.request_latency_s)))
    rows.append(("requests", show_rate(p.requests_per_s, "requests")))
    if p.output_tokens_per_s is not None:
        rows.append(("output", show_rate(p.output_tokens_per_s)))
    rows += [("input", show_rate(p.input_tokens_per_s)), ("per GPU used", show_rate(p.tokens_per_s_per_gpu))]
    certainty = certainty_words(plan.uncertainty, plan.scenario.requirements.tightened_by)
    return section("Expected performance", table(("figure", "value"), rows), *certainty)


def certainty_words(band: Uncertainty | None, tightened_by: float) -> list[str]:
    """How far off the figures may be, and the margin that was kept for that."""
    words = [] if band is None else [f"{band_words(band)}."]
    if tightened_by:
        words.append(f"The requirements were tightened by {tightened_by * 100:,.4g}% for that (`--margin`).")
    return words


def band_words(band: Uncertainty) -> str:
    """Where measurements are expected."""
    ranges = [("TTFT", show_seconds, band.ttft_s), ("per GPU", show_rate, band.tokens_per_s_per_gpu)]
    if band.tpot_s is not None:
        ranges.insert(1, ("TPOT", show_seconds, band.tpot_s))
    words = ", ".join(f"{name} {show(low)} to {show(high)}" for name, show, (low, high) in ranges)
    return f"Eight of ten measurements are expected within {words} ({band.source})"


def memory_section(plan: Plan) -> str:
    """Where the bytes of the fullest GPU go."""
    assert plan.predictions is not None
    m = plan.predictions.memory_bytes_per_gpu
    parts = {name: getattr(m, name) for name in ("weights", "kv_cache", "activations", "reserve", "total")}
    rows = [(name, show_bytes(size), f"{size / m.usable:.1%}") for name, size in parts.items()]
    free = show_bytes(m.usable - m.total)
    text = f"On the fullest GPU (stage {m.stage}); {show_bytes(m.usable)} may be used, {free} are free."
    return section("Memory per GPU", text, table(("part", "bytes", "of usable"), rows))


def balance_section(plan: Plan) -> str:
    """Busiest over mean, as the verifier counted."""
    if plan.verification is None:
        return ""
    text = "Counted GPU by GPU by the verifier; 1 is perfect."
    return section("Load balance", text, balance_rows(plan.verification.balance))


def balance_rows(balance: Sequence[Balance]) -> str:
    """The table of loads."""
    rows = [(b.resource, f"{b.mean:.4g}", f"{b.busiest:.4g}", b.unit, f"{b.ratio:.3f}") for b in balance]
    return table(("load", "mean", "busiest", "unit", "busiest / mean"), rows)


def checklist_section(plan: Plan) -> str:
    """Every condition, and the second route."""
    verified = ""
    if plan.verification is not None:
        findings = plan.verification.findings
        verified = (
            f"Second route: {sum(f.ok for f in findings)} of {len(findings)} comparisons agree within "
            f"{plan.verification.tolerance:g}. It recomputes everything from plan.json and shares no formula code with "
            "the pricing."
        )
    return section("Validation checklist", checks_table(plan), verified)


def proof_section(plan: Plan) -> str:
    """What was proved, over what, and how it was cross-checked."""
    return section("Proof", *proof_table(plan.proof, "combinations"))


def proof_table(proof: Proof, things: str) -> tuple[str, ...]:
    """The paragraphs of a proof over so many priced things."""
    rows = [(s.objective, s.status, _number(s.value, s.unit), _number(s.bound, s.unit)) for s in proof.stages]
    return (
        f"{proof.strategies:,} legal strategies, {proof.candidates:,} priced {things}, {proof.rows:,} of them "
        f"given to the solver; {proof.wall_s:.2f} s.",
        table(("objective, in order", "status", "value", "proved bound"), rows),
        "Left out before the solver, by rules that cannot remove the optimum:",
        bullets(proof.pruned_by),
        "The proof is over this grid:",
        bullets(f"{name}: {text}" for name, text in proof.grid.items()),
        f"Second route: {proof.second_route}.",
    )


def _number(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:,.6g} {unit}"


def passes_section(passes: Sequence[PassTime]) -> str:
    """Where the time of every kind of pass comes from."""
    origins: tuple[Origin, ...] = get_args(Origin)
    rows = [
        (one.engine, one.carries, show_seconds(one.seconds), *(f"{one.shares[origin]:.0%}" for origin in origins))
        for one in passes
    ]
    return section(
        "Where the time comes from",
        table(("engine", "pass", "time", *origins), rows),
        "Operators at points of measured tables, between them, beyond them, or estimated (data sheet, related card); "
        "fitted are launches and the host.",
    )


def measured_words(passes: Sequence[PassTime]) -> str | None:
    """How much of the passes' time was measured; None where operators are priced from data sheets."""
    told = {one.carries: one.shares["measured"] + one.shares["interpolated"] for one in passes}
    if not any(told.values()):
        return None
    said = " and ".join(f"{share:.0%} of a {carries} pass" for carries, share in told.items())
    return f"Measured tables, or points between theirs, make up {said}"


def sources_section(provenance: Sequence[Figure]) -> str:
    """Every figure that the predictions rest on."""
    rows = [(figure.name, figure.value, figure.provenance, figure.source) for figure in provenance]
    return section("Where the numbers come from", table(("figure", "value", "provenance", "source"), rows))
