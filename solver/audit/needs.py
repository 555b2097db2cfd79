"""Does it meet the requirements, and does it say so where it must."""

from __future__ import annotations

from collections.abc import Iterator

from ...models.audit import AuditFinding
from ...models.claimed import What
from ...models.units import show_rate
from .subject import Subject

_CLAIMED_BY: dict[str, tuple[What, ...]] = {
    "ttft": ("ttft",),
    "tpot": ("tpot",),
    "request_latency": ("request_latency",),
    "throughput": ("throughput", "requests"),
    "throughput_per_gpu": ("throughput_per_gpu",),
    "memory_per_gpu": ("memory_per_gpu",),
}
"""Which claims speak of a requirement."""


def unmet(subject: Subject) -> Iterator[AuditFinding]:
    """Requirements that the plan breaks, by the cost model."""
    for check in subject.evaluation.checks:
        if check.ok or not check.name.startswith("requirements."):
            continue
        margin = "" if check.margin is None else f" ({check.margin:+.0%} margin)"
        yield AuditFinding(
            severity="error",
            topic="requirements",
            id=check.name,
            statement=f"asked: {check.statement}",
            stated=f"{check.predicted}{margin}",
            found=check.required,
            source="the scenario; the plan priced by docs/costs.md",
        )


def unlisted(subject: Subject) -> Iterator[AuditFinding]:
    """Requirements of which a plan that makes claims says nothing, and what its own numbers say of them."""
    claims = subject.claimed.claims
    if subject.claimed.form != "markdown" or not claims:
        return
    stated = {claim.what for claim in claims}
    for name, by in _CLAIMED_BY.items():
        wanted = getattr(subject.scenario.requirements, name)
        if wanted is None or stated & set(by):
            continue
        asked = [check for check in subject.evaluation.checks if check.name.startswith(f"requirements.{name}")]
        required = asked[0].required if asked else str(wanted)
        own = _own_words(subject, name)
        yield AuditFinding(
            severity="error",
            topic="requirements",
            id=f"requirements.{name}",
            statement="required, and the plan neither lists it nor says whether it is met" + (own[0] if own else ""),
            stated=own[1] if own else None,
            found=required,
            line=own[2] if own else None,
            source="the scenario; the plan's own numbers",
        )


def _own_words(subject: Subject, name: str) -> tuple[str, str, int] | None:
    """What the plan's own total says per GPU."""
    total = next((claim for claim in subject.claimed.claims if claim.what == "throughput" and claim.value), None)
    if name != "throughput_per_gpu" or total is None or total.value is None:
        return None
    gpus = subject.claimed.gpus
    each = total.value / gpus
    text = f"; its own {show_rate(total.value)} over {gpus:,} GPUs is {show_rate(each)} per GPU"
    return text, f"{show_rate(each)} per GPU", total.line
