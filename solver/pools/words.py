"""What a deployment's proof and assumptions say in words."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import Scenario
from ...models.deployment import DeploymentPlan
from ...models.table_scenario import TableScenario
from .. import answer
from ..costs.grid import BUDGETS, OPEN_BUDGETS
from .best import Search
from .loads import BUSY, LONGEST_PASS, MOST_IN_FLIGHT, MOST_PROMPTS, UTILIZATIONS
from .objective import Stage


def grid_of(conditions: Scenario | TableScenario) -> dict[str, str]:
    """What the free quantities ranged over."""
    if isinstance(conditions, TableScenario):
        return {"engines": f"the rows of {conditions.engines.table}, any number of each"}
    text = {"degrees": "all whole numbers that the conditions allow", "engines": "any number of each"}
    if conditions.workload.open_loop:
        text["requests in flight"] = f"1 to 16, then steps of about 12 % up to {MOST_IN_FLIGHT:,}"
        text["prefill engines busy"] = f"{UTILIZATIONS[0]:.0%} to {UTILIZATIONS[-1]:.0%} of the time, in steps of 5 %"
    else:
        text["requests in flight"] = "shares of the concurrency: those of equal engines, and of an engine's GPUs"
        text["prefill engines busy"] = ", ".join(f"{share:.0%}" for share in BUSY) + " of the time"
    if "aggregated" in conditions.roles:
        budgets = f"powers of two, {BUDGETS[0]} to {BUDGETS[-1]:,}"
        if conditions.workload.open_loop:
            budgets = ", ".join(f"{budget:,}" for budget in OPEN_BUDGETS)
        text["token_budget"] = f"{budgets}, those pinned, or the smallest that carries the load"
    if "prefill" in conditions.roles:
        text["prompts per pass"] = f"one, and powers of two up to {MOST_PROMPTS} within {LONGEST_PASS:,} tokens"
    return text


def pruned_by(conditions: Scenario | TableScenario) -> tuple[str, ...]:
    """The rules that left engines out, each of them safe."""
    rules = (
        "an engine that breaks a limit on its own",
        "an engine in whose place another of the same role, card, GPUs, load and price is at least as good",
        "an engine with which no deployment reaches what has been found, by the dual prices of the linear relaxation",
    )
    if isinstance(conditions, TableScenario):
        return rules
    return ("an engine whose optimistic price is beaten by another's exact one", *rules)


def second_route(search: Search | None) -> str:
    """How the optimum was cross-checked."""
    if search is None:
        return "not reached"
    if search.climbed:
        return (
            f"a dynamic programme over the GPUs and the count model in CP-SAT agree ({search.agreed} of "
            f"{search.climbed} searches reached its bound exactly)"
        )
    return "each search was made with presolve and without; the relaxation bounds every engine left out"


def idle_reason(plan: DeploymentPlan, stages: Sequence[Stage]) -> str | None:
    """Why idle GPUs cannot help."""
    if not plan.gpus_idle:
        return None
    by_card = ", ".join(f"{one.gpus:,} {one.accelerator}".strip() for one in plan.idle)
    if plan.status != "optimal":
        return f"idle GPUs: {by_card}; the proof was not finished, they may help"
    objectives = ", then ".join(stage.words for stage in stages)
    return (
        f"idle GPUs: {by_card}; no deployment that uses more of them is better in the objectives ({objectives}) and "
        f"keeps the conditions, over all {plan.proof.candidates:,} engines"
    )


def assumptions_of(conditions: Scenario | TableScenario) -> tuple[str, ...]:
    """What the conditions leave open and the plan takes for granted."""
    if isinstance(conditions, TableScenario):
        more = conditions.workload.output_tokens
        return (
            "the table's figures are taken as they are; waits beyond those in them are not added",
            f"request latency is TTFT + {more - 1} · TPOT (workload.output_tokens)",
            "requests are dealt to engines in proportion to their rates; any prefill engine may feed any decode engine",
        )
    found = list(answer.assumptions_of(conditions))
    if conditions.workload.open_loop:
        burst = conditions.workload.burstiness
        arrivals = "a Poisson process" if burst == 1 else f"gaps of a gamma distribution of shape {burst:g}"
        found.append(
            f"requests arrive as {arrivals} and are dealt to engines at random, in proportion to their rates; waits by "
            "Pollaczek–Khinchine and Kingman, p95 and p99 of them 1 to 17 % too long at 50 % utilisation and more"
        )
    if "decode" in conditions.roles:
        found.append("the KV cache leaves one engine and then enters the other, not overlapped with the prompt's pass")
        found.append("any prefill engine may feed any decode engine")
    return tuple(found)
