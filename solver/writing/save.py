"""A plan into its files."""

from __future__ import annotations

from pathlib import Path

from ...models import Plan
from ...models.explanation import Explanation
from .explanation import explanation_json, explanation_markdown
from .files import write_text
from .plan_md import plan_markdown


def save_plan(plan: Plan, folder: Path) -> dict[str, str]:
    """Write a plan that has engines; returns the paths by kind. Any other answer writes nothing."""
    if plan.status in ("optimal", "feasible"):
        data, report = plan.model_dump_json(indent=1) + "\n", plan_markdown(plan)
        return {
            "plan": str(write_text(folder / "plan.json", data)),
            "report": str(write_text(folder / "plan.md", report)),
        }
    return {}


def save_explanation(explanation: Explanation, folder: Path) -> dict[str, str]:
    """Write explanation.json and explanation.md; returns the paths by kind."""
    data, report = explanation_json(explanation) + "\n", explanation_markdown(explanation)
    return {
        "explanation": str(write_text(folder / "explanation.json", data)),
        "report": str(write_text(folder / "explanation.md", report)),
    }
