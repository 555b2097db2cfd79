"""An audit for a terminal: the verdict, then findings by topic, each with both numbers, its line and its source."""

from __future__ import annotations

from ...models.audit import Audit, AuditFinding
from ...models.units import show_bytes

_TITLES = {
    "runs": "Does it run",
    "requirements": "Does it meet the requirements",
    "claims": "Are its claims true",
    "measures": "Measures that do nothing here",
    "hardware": "Load balance and idle hardware",
    "optimum": "How far it is from the optimum",
    "reading": "What could not be read",
}


def audit_text(audit: Audit) -> str:
    """The whole text."""
    parts = [_verdict(audit) + (f"\n  it reaches {audit.reached}" if audit.reached else "")]
    for topic, title in _TITLES.items():
        found = [one for one in audit.findings if one.topic == topic]
        if found:
            parts.append("\n".join([title, *(_finding(audit, one) for one in found)]))
    if audit.room:
        parts.append("\n".join(_room(audit)))
    return "\n\n".join(parts)


def _verdict(audit: Audit) -> str:
    counts = {name: sum(one.severity == name for one in audit.findings) for name in ("error", "warning", "note")}
    told = ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for name, count in counts.items() if count)
    engines = " + ".join(
        f"{count} × {strategy.describe()}" for count, strategy in zip(audit.engines, audit.strategies, strict=True)
    )
    engine = f" on {audit.engine}" if audit.engine else ""
    verdict = "sound" if audit.sound else "NOT sound"
    what = f"{audit.file}: {engines}{engine}, {audit.gpus_used:,} GPUs, for {audit.scenario}"
    return f"{what}: {verdict} ({told or 'no finding'})"


def _finding(audit: Audit, one: AuditFinding) -> str:
    where = "" if one.line is None else f" [line {one.line}]"
    lines = [f"  {one.severity:7} {one.id}{where}: {one.statement}"]
    if one.stated is not None or one.found is not None:
        plan = f"plan {one.stated}" if one.stated is not None else ""
        if one.text is not None and one.text != one.stated:
            plan = f"{plan} (“{one.text.strip('*- ')[:80]}”)".strip()
        other = f"{_OTHER.get(one.topic, 'found')} {one.found}" if one.found is not None else ""
        lines.append(f"          {'; '.join(part for part in (plan, other) if part)}")
    lines.append(f"          source: {one.source}")
    return "\n".join(lines)


_OTHER = {"runs": "needed", "requirements": "asked", "claims": "computed", "optimum": "optimum"}


def _room(audit: Audit) -> list[str]:
    lines = ["KV cache"]
    for room in audit.room:
        lines.append(
            f"  {room.role}: {show_bytes(room.bytes)} on the fullest GPU, {room.tokens:,} tokens on an attention rank; "
            f"{room.sequences:,} of the longest sequences in all, where the load has {room.needed:,} at once"
        )
    return lines
