"""explanation.json and explanation.md: why no plan exists."""

from __future__ import annotations

import json

from ...models import Plan
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
        "scenario": plan.scenario.model_dump(mode="json"),
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def because(plan: Plan) -> str:
    """One sentence that says what collides."""
    if len(plan.conflicts) == 1:
        only = plan.conflicts[0]
        best = f"; the best that any combination reaches is {only.best_possible}" if only.best_possible else ""
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
        f"{because(plan)[0].upper()}{because(plan)[1:]}.",
        *(f"> **Warning.** {warning}" for warning in plan.warnings),
        table(header, rows),
        "Together these conditions exclude every strategy; without any one of them some strategy remains.",
        level=1,
    )
    searched = f"{plan.proof.strategies:,} legal strategies, {plan.proof.candidates:,} priced combinations"
    return text + "\n\n" + section("Proof", bullets((searched, plan.proof.second_route))) + "\n"
