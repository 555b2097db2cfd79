"""The second route for a deployment of pools: a finished plan, recomputed from the plan alone.

Enters a DeploymentPlan; leaves a `Verification` with one finding per comparison. Implements docs/costs.md, section 7,
a second time, in plain floats, and shares no formula code with the pricing.
"""

from __future__ import annotations

from shardwise.models.deployment import DeploymentPlan
from shardwise.models.plan import Balance, Finding, Verification
from shardwise.models.table_scenario import TableScenario

from ..requirements import check_requirements
from ..text import TOLERANCE, attempt, rule
from .balance import pools_balance
from .cards import check_gpus
from .engines import check_engine, fullest
from .figures import check_figures, whole
from .kinds import about, plain, read_kind
from .parts import own_pricing
from .placed import check_placed
from .rating import Rated, rated
from .structure import check_pins, check_pools, check_variety
from .tables import check_row, check_table_limits, rated_row
from .together import check_feeds, check_loads, check_rates

__all__ = ["verify_deployment"]


def verify_deployment(plan: DeploymentPlan) -> Verification:
    """Recompute everything that a plan claims. Never raises; what cannot be recomputed is a failure."""
    if plan.status in ("infeasible", "unknown") or not plan.engines:
        said = f"status {plan.status}, {len(plan.engines)} kinds of engine"
        nothing = rule("pools.engines", False, said, "engines to verify")
        return Verification(ok=False, tolerance=TOLERANCE, findings=(nothing,))
    balance: list[Balance] = []
    findings = about(
        None,
        [
            *attempt("structure", check_pools, plan),
            *attempt("distinct_strategies", check_variety, plan),
            *attempt("gpus", check_gpus, plan),
        ],
    )
    if isinstance(plan.scenario, TableScenario):
        findings += attempt("pools.table", _rows, plan, plan.scenario)
    else:
        findings += about(None, attempt("strategy", check_pins, plan))
        findings += attempt("pools.placement", check_placed, plan)
        for entry in plan.engines:
            findings += attempt("pools.engine", check_engine, plan, entry)
        findings += attempt("pools.together", _together, plan)
        findings += attempt("pools.balance", _balance, plan, balance)
    ok = all(finding.ok for finding in findings)
    return Verification(ok=ok, tolerance=TOLERANCE, findings=tuple(findings), balance=tuple(balance))


def _sums(plan: DeploymentPlan, engines: list[Rated]) -> list[Finding]:
    """What the engines do together."""
    return [
        *attempt("loads", check_loads, plan, engines),
        *attempt("rates", check_rates, plan, engines),
        *attempt("feeds", check_feeds, plan, engines),
        *attempt("predictions", lambda: check_figures(plan, whole(plan, engines))),
    ]


def _together(plan: DeploymentPlan) -> list[Finding]:
    scenario, kinds = own_pricing(plan), [read_kind(plan, entry) for entry in plan.engines]
    engines = [rated(kind) for kind in kinds]

    def limits() -> list[Finding]:
        most = max(fullest(kind) for kind in kinds)
        return check_requirements(plain(plan, scenario, plan.engines), whole(plan, engines).served, most)

    return about(None, [*_sums(plan, engines), *attempt("requirements", limits)])


def _rows(plan: DeploymentPlan, scenario: TableScenario) -> list[Finding]:
    table = scenario.read_table()
    findings: list[Finding] = []
    for entry in plan.engines:
        findings += attempt("pools.row", check_row, scenario, table, entry)

    def together() -> list[Finding]:
        engines = [rated_row(scenario, table, entry) for entry in plan.engines]
        limits = attempt("requirements", lambda: check_table_limits(plan, table, whole(plan, engines)))
        return [*_sums(plan, engines), *limits]

    return findings + about(None, attempt("together", together))


def _balance(plan: DeploymentPlan, rows: list[Balance]) -> list[Finding]:
    """Fills the rows; finds nothing, unless they cannot be counted."""
    rows += pools_balance(plan)
    return []
