"""The second route: a finished plan, recomputed from the plan alone.

Enters a plan; leaves a `Verification` with one finding per comparison. Implements docs/costs.md a second
time, in plain floats, and shares no formula code with the pricing.
"""

from __future__ import annotations

from shardwise.models.plan import Balance, Finding, Plan, Verification

from .balance import balance_of
from .coverage import check_coverage
from .deployment import read_deployment
from .load import check_load
from .memory import MemoryOf, check_memory
from .placement import check_placement
from .requirements import check_bounds, check_requirements
from .rules import check_rules
from .serving import Program, check_predictions
from .split import check_split
from .structure import check_degrees, check_division, check_gpus
from .text import TOLERANCE, attempt, rule

__all__ = ["TOLERANCE", "verify"]


def verify(plan: Plan) -> Verification:
    """Recompute everything that a plan claims. Never raises; what cannot be recomputed is a failure."""
    if plan.status in ("infeasible", "unknown") or not plan.engines:
        said = f"status {plan.status}, {len(plan.engines)} kinds of engine"
        nothing = rule("plan.engines", False, said, "engines to verify")
        return Verification(ok=False, tolerance=TOLERANCE, findings=(nothing,))
    findings = [
        *attempt("gpus", check_gpus, plan),
        *attempt("degrees", check_degrees, plan),
        *attempt("division", check_division, plan),
        *attempt("placement", check_placement, plan),
        *attempt("coverage", check_coverage, plan),
        *attempt("strategy", check_bounds, plan),
        *attempt("rules", check_rules, plan),
        *attempt("load", lambda: check_load(plan, read_deployment(plan))),
        *attempt("stages", lambda: check_split(read_deployment(plan))),
        *attempt("memory", lambda: check_memory(plan, MemoryOf(read_deployment(plan)).stages())),
        *attempt("predictions", lambda: check_predictions(plan, Program(read_deployment(plan)).served())),
        *attempt("requirements", _requirements, plan),
    ]
    balance: list[Balance] = []
    findings += attempt("balance", _balance, plan, balance)
    ok = all(finding.ok for finding in findings)
    return Verification(ok=ok, tolerance=TOLERANCE, findings=tuple(findings), balance=tuple(balance))


def _requirements(plan: Plan) -> list[Finding]:
    deployment = read_deployment(plan)
    fullest = max(held.total for held in MemoryOf(deployment).stages())
    return check_requirements(plan, Program(deployment).served(), fullest)


def _balance(plan: Plan, rows: list[Balance]) -> list[Finding]:
    """Fills the rows; finds nothing, unless they cannot be counted."""
    rows += balance_of(plan, read_deployment(plan))
    return []
