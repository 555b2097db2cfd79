"""Are its own claims true: each against what the degrees, the cost model and plain arithmetic give.

Times and rates rest on a cost model with a known error (docs/costs.md, section 8), so they are called false only where
they are off by a factor of two, or where rounding has made them nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...models import Scenario
from ...models.audit import AuditFinding
from ...models.claimed import Claim, Claimed
from ...models.deployment import DeploymentPlan
from ...models.measures import Severity
from ...models.units import show_bytes, show_rate, show_seconds
from .subject import Subject

NEAR, FALSE = 1.25, 2.0
"""Factors of a time or rate up to which nothing is said, and from which it is called false."""
_COST_MODEL = "the cost model, docs/costs.md"


@dataclass(frozen=True)
class Fact:
    """What shardwise works out for one kind of claim."""

    value: float
    exact: bool
    """Arithmetic; else the cost model's figure."""
    show: Callable[[float], str]
    source: str


def facts_of(subject: Subject) -> dict[str, Fact]:
    """By what is claimed."""
    s, scenario = subject.strategy, subject.scenario
    gpus = s.gpus * subject.engine.count

    def exact(value: float, source: str, show: Callable[[float], str] = lambda x: f"{x:g}") -> Fact:
        return Fact(value, True, show, source)

    found = {
        "gpus": exact(gpus, "the product of the degrees"),
        "gpu_product": exact(gpus, "the product of the degrees"),
        "layers_per_stage": exact(scenario.model.layers / s.pipeline, "the model's layers over the stages"),
    }
    if (experts := scenario.model.experts) is not None:
        found["experts_per_gpu"] = exact(experts.count / s.expert, "the model's experts over the expert degree")
        used = experts.per_token / experts.count
        found["expert_utilization"] = exact(used, "experts per token over experts", lambda x: f"{x:.3%}")
    if (p := subject.evaluation.predictions) is None:
        return found
    held, card = p.memory_bytes_per_gpu.total, scenario.hardware.accelerator.memory
    found["memory_per_gpu"] = Fact(held, False, show_bytes, "docs/costs.md, section 5")
    found["memory_utilization"] = Fact(held / card, False, lambda x: f"{x:.1%}", "docs/costs.md, section 5")
    found["ttft"] = Fact(p.ttft_s, False, show_seconds, _COST_MODEL)
    found["request_latency"] = Fact(p.request_latency_s, False, show_seconds, _COST_MODEL)
    found["requests"] = Fact(p.requests_per_s, False, lambda x: show_rate(x, "requests"), _COST_MODEL)
    if p.tpot_s is not None:
        found["tpot"] = Fact(p.tpot_s, False, show_seconds, _COST_MODEL)
    tokens = p.output_tokens_per_s or p.input_tokens_per_s
    found["throughput"] = Fact(tokens, False, show_rate, _COST_MODEL)
    found["throughput_per_gpu"] = Fact(tokens / gpus, False, show_rate, _COST_MODEL)
    return found


def judged(subject: Subject) -> Iterator[AuditFinding]:
    """Every claim that is not true, or says nothing."""
    yield from against(subject.claimed, facts_of(subject), subject.scenario)
    yield from _promises(subject)


def against(claimed: Claimed, facts: dict[str, Fact], scenario: Scenario) -> Iterator[AuditFinding]:
    """Every claim with a number, against what is worked out."""
    for claim in claimed.claims:
        if claim.value is not None and (fact := facts.get(claim.what)) is not None:
            yield from _judge(claim, fact)
        elif claim.value is not None:
            yield AuditFinding(
                severity="note", topic="claims", id=f"claims.{claim.what}",
                statement="this scenario has nothing to hold the claim against", line=claim.line, text=claim.text,
                source="the scenario",
            )  # fmt: skip
        yield from _limits(claim, scenario)
    yield from _contradictions(claimed, facts)


def facts_of_pools(plan: DeploymentPlan, gpus: int) -> dict[str, Fact]:
    """What a deployment of pools reaches."""
    p = plan.predictions
    assert p is not None
    found = {
        "gpus": Fact(gpus, True, lambda x: f"{x:g}", "the product of the degrees"),
        "ttft": Fact(p.ttft_s, False, show_seconds, _COST_MODEL),
        "request_latency": Fact(p.request_latency_s, False, show_seconds, _COST_MODEL),
        "requests": Fact(p.requests_per_s, False, lambda x: show_rate(x, "requests"), _COST_MODEL),
    }
    if p.tpot_s is not None:
        found["tpot"] = Fact(p.tpot_s, False, show_seconds, _COST_MODEL)
    if (tokens := p.output_tokens_per_s or p.input_tokens_per_s) is not None:
        found["throughput"] = Fact(tokens, False, show_rate, _COST_MODEL)
        found["throughput_per_gpu"] = Fact(tokens / gpus, False, show_rate, _COST_MODEL)
    return found


def _judge(claim: Claim, fact: Fact) -> Iterator[AuditFinding]:
    value, what = claim.value, claim.what.replace("_", " ")
    assert value is not None
    if value == 0 and fact.value > 0:
        yield _finding(claim, fact, "error", f"{what} is printed as {fact.show(0.0)}, which says nothing", rounded=True)
        return
    if fact.exact:
        half = 0.0 if float(value).is_integer() and claim.half_step >= 0.5 else claim.half_step
        if abs(value - fact.value) > half * (1 + 1e-9) + 1e-9:
            yield _finding(claim, fact, "error", f"{what} is not what its own degrees give")
        return
    if abs(value - fact.value) <= claim.half_step:
        return
    off = max(value / fact.value, fact.value / value) if value > 0 and fact.value > 0 else math.inf
    if off <= NEAR:
        return
    times = f"{off:.1f} times" if off < 10 else f"{off:,.0f} times"
    way = "too high" if value > fact.value else "too low"
    yield _finding(claim, fact, "error" if off >= FALSE else "warning", f"{what} is {times} {way}")


def _finding(claim: Claim, fact: Fact, severity: Severity, statement: str, *, rounded: bool = False) -> AuditFinding:
    stated = fact.show(claim.value or 0.0)
    return AuditFinding(
        severity=severity,
        topic="claims",
        id=f"claims.{claim.what}",
        statement=statement,
        stated=f"{stated} (± {fact.show(claim.half_step)})" if rounded and claim.half_step else stated,
        found=fact.show(fact.value),
        line=claim.line,
        text=claim.text,
        source=fact.source,
    )


def _limits(claim: Claim, scenario: Scenario) -> Iterator[AuditFinding]:
    """What the plan holds a claim against, and what is asked in fact."""
    wanted, hardware = scenario.requirements, scenario.hardware
    asked = {"ttft": wanted.ttft, "tpot": wanted.tpot, "memory_per_gpu": float(hardware.accelerator.memory)}.get(
        claim.what
    )
    if claim.limit is None or asked is None or math.isclose(claim.limit, asked, rel_tol=1e-3):
        return
    show = show_bytes if claim.what == "memory_per_gpu" else show_seconds
    yield AuditFinding(
        severity="warning", topic="claims", id=f"claims.{claim.what}",
        statement="the plan holds this against another limit than the one asked for", stated=show(claim.limit),
        found=show(asked), line=claim.line, text=claim.text, source="the scenario",
    )  # fmt: skip


def _contradictions(claimed: Claimed, facts: dict[str, Fact]) -> Iterator[AuditFinding]:
    """The same thing said twice with different numbers, and numbers that do not go together."""
    by: dict[str, list[Claim]] = defaultdict(list)
    for claim in claimed.claims:
        if claim.value is not None:
            by[claim.what].append(claim)
    for what, claims in by.items():
        first = claims[0]
        for other in claims[1:]:
            if abs((first.value or 0) - (other.value or 0)) > first.half_step + other.half_step + 1e-12:
                show = facts[what].show if what in facts else (lambda x: f"{x:g}")
                yield AuditFinding(
                    severity="warning", topic="claims", id=f"claims.{what}",
                    statement=f"{what.replace('_', ' ')} is stated twice, differently (line {first.line})",
                    stated=show(other.value or 0), found=show(first.value or 0), line=other.line, text=other.text,
                    source="the plan itself",
                )  # fmt: skip
                break
    whole, each = by.get("throughput"), by.get("throughput_per_gpu")
    gpus = claimed.gpus
    if whole and each and not math.isclose((whole[0].value or 0) / gpus, each[0].value or 0, rel_tol=0.05):
        yield AuditFinding(
            severity="error", topic="claims", id="claims.throughput",
            statement=f"its throughput over its {gpus:,} GPUs is not its throughput per GPU",
            stated=show_rate(each[0].value or 0), found=show_rate((whole[0].value or 0) / gpus), line=each[0].line,
            text=each[0].text, source="arithmetic",
        )  # fmt: skip


def _promises(subject: Subject) -> Iterator[AuditFinding]:
    """Promises without a number."""
    structural = [
        c for c in subject.evaluation.checks if not c.ok and not c.name.startswith(("requirements.", "memory."))
    ]
    for claim in subject.claimed.claims:
        if claim.what == "compatible" and structural:
            yield AuditFinding(
                severity="error", topic="claims", id="claims.compatible", statement="the degrees are not compatible",
                found="; ".join(check.statement for check in structural[:3]), line=claim.line, text=claim.text,
                source="the conditions",
            )  # fmt: skip
        if claim.what == "balanced" and subject.scenario.model.experts is not None and subject.strategy.expert > 1:
            yield AuditFinding(
                severity="note", topic="claims", id="claims.balanced",
                statement="balance over experts depends on the routing, which no choice of degrees sets; nothing here "
                "measures it (workload.routing states it)", line=claim.line, text=claim.text,
                source="docs/costs.md, section 3",
            )  # fmt: skip
