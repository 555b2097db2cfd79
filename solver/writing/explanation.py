"""explanation.json and explanation.md: why no plan exists."""

from __future__ import annotations

import json

from ...models import Plan
from .readings_md import readings_section, warnings_of
from .text import bullets, section, table


def explanation_json(plan: Plan) -> str:
    """The conflict, its members with what was asked and what is possible, and the proof."""
    members = [
        {
            "id": c.name,
            "statement": c.statement,
            "asked": c.asked,
            "best_possible": c.best_possible,
            "excludes": c.excludes,
        }
        for c in plan.conflicts
    ]
    document = {
        "schema_version": plan.schema_version,
        "status": plan.status,
        "conflicts": [{"proved": True, "members": members, "because": because(plan)}],
        "proof": plan.proof.model_dump(mode="json"),
        "warnings": list(plan.warnings),
        "readings": [reading.model_dump(mode="json") for reading in plan.readings],
        "scenario": plan.scenario.model_dump(mode="json"),
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def because(plan: Plan) -> str:
    """One sentence that says what collides."""
    if len(plan.conflicts) == 1:
        only = plan.conflicts[0]
        best = f"; the best under all other conditions is {only.best_possible}" if only.best_possible else ""
        return f"no strategy reaches {only.asked}{best}"
    parts = [
        f"{c.asked} ({c.best_possible} is possible under the others)" if c.best_possible else c.asked
        for c in plan.conflicts
    ]
    return "these cannot hold together: " + "; ".join(parts)


def explanation_markdown(plan: Plan) -> str:
    """The same for people."""
    rows = [(c.name, c.asked, c.best_possible or "", c.excludes) for c in plan.conflicts]
    header = ("condition", "asked", "best possible under the others", "excludes")
    text = section(
        f"No plan exists: {plan.scenario.name}",
        *warnings_of(plan),
        f"{because(plan)[0].upper()}{because(plan)[1:]}.",
        table(header, rows),
        _together(len(rows)),
        level=1,
    )
    searched = f"{plan.proof.strategies:,} legal strategies, {plan.proof.candidates:,} priced combinations"
    proof = section("Proof", bullets((searched, plan.proof.second_route)))
    return "\n\n".join(part for part in (text, readings_section(plan), proof) if part) + "\n"


def _together(count: int) -> str:
    if count == 1:
        return "This condition alone excludes every strategy on the hardware that the scenario allows."
    return "Together these conditions exclude every strategy; without any one of them some strategy remains."
