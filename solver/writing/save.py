"""A plan into its files."""

from __future__ import annotations

from pathlib import Path

from ...models import Plan
from ...models.deployment import DeploymentPlan
from ...models.explanation import Explanation
from .deployment_md import deployment_markdown, no_deployment_markdown
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


def save_deployment(plan: DeploymentPlan, folder: Path) -> dict[str, str]:
    """The same for a deployment of pools; where none exists, why."""
    if plan.status == "infeasible":
        data, report = plan.model_dump_json(indent=1) + "\n", no_deployment_markdown(plan)
        return {
            "explanation": str(write_text(folder / "explanation.json", data)),
            "report": str(write_text(folder / "explanation.md", report)),
        }
    if plan.status not in ("optimal", "feasible"):
        return {}
    data, report = plan.model_dump_json(indent=1) + "\n", deployment_markdown(plan)
    return {
        "plan": str(write_text(folder / "plan.json", data)),
        "report": str(write_text(folder / "plan.md", report)),
    }


def save_explanation(explanation: Explanation, folder: Path) -> dict[str, str]:
    """Write explanation.json and explanation.md; returns the paths by kind."""
    data, report = explanation_json(explanation) + "\n", explanation_markdown(explanation)
    return {
        "explanation": str(write_text(folder / "explanation.json", data)),
        "report": str(write_text(folder / "explanation.md", report)),
    }
