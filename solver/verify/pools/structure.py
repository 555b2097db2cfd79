"""Which pools a deployment may have, and how many different engines in each."""

from __future__ import annotations

from collections.abc import Iterator

from shardwise.models.deployment import DeploymentPlan, Pool, PoolEngine
from shardwise.models.plan import Finding
from shardwise.models.scenario import Scenario
from shardwise.models.strategy import DEGREES

from ..deployment import node_size
from ..requirements import check_bounds
from ..rules import rules_on
from ..structure import divisors, products, tensor_nodes
from ..text import nothing_wrong, rule
from .kinds import plain
from .parts import on_card, own_pricing, parts_of, strategy_of

PAIR = {"prefill", "decode"}


def check_pools(plan: DeploymentPlan) -> list[Finding]:
    """Roles: each once, allowed by the modes, prefill and decode only together."""
    roles = [pool.role for pool in plan.pools]
    decodes = not isinstance(plan.scenario, Scenario) or plan.scenario.workload.output_tokens.max > 1
    said = ", ".join(roles)
    wanted = "prefill and decode together, or neither" if decodes else "prefill alone: nothing is decoded"
    paired = ("prefill" in roles) == ("decode" in roles) if decodes else roles == ["prefill"]
    modes = plan.scenario.modes or ("any",)
    mixed = "aggregated" in roles and bool(PAIR & set(roles))
    allowed = "any" in modes or (
        not mixed and all(("aggregated" if role == "aggregated" else "disaggregated") in modes for role in roles)
    )
    if not decodes:  # the modes are about work that decodes
        allowed = True
    return [
        nothing_wrong("roles", _roles(plan), "each role once, its engines in its pool"),
        rule("pairs", paired, said, wanted),
        rule("modes", allowed, said, f"modes: {' or '.join(modes)}"),
    ]


def _roles(plan: DeploymentPlan) -> Iterator[tuple[str, str]]:
    seen = set()
    for pool in plan.pools:
        if pool.role in seen:
            yield f"two {pool.role} pools", "one pool of each role"
        seen.add(pool.role)
        if not pool.engines:
            yield f"a {pool.role} pool without engines", "engines in every pool"
        for entry in pool.engines:
            if entry.role != pool.role:
                yield f"a {entry.role} engine in the {pool.role} pool", f"{pool.role} engines only"


def check_variety(plan: DeploymentPlan) -> list[Finding]:
    """How many different strategies a pool has."""
    limit = plan.scenario.distinct_strategies
    if limit is None:
        return []
    own = isinstance(plan.scenario, Scenario)
    return [_variety(pool, own, limit) for pool in plan.pools]


def _variety(pool: Pool, own: bool, limit: int) -> Finding:
    found: set[tuple[object, ...]] = set()
    for entry in pool.engines:
        if own:
            cut = strategy_of(entry)
            budget = None if entry.role == "decode" else cut.token_budget  # it counts where prompts are read
            cards = tuple((part.accelerator, part.stages) for part in entry.parts) or entry.accelerator
            found.add((cards, budget, *(getattr(cut, name) for name in DEGREES)))
        else:
            found.add((entry.name,))
    said = f"{pool.role}: {len(found):,} different strategies"
    return rule("distinct_strategies", len(found) <= limit, said, f"at most {limit:,}")


def check_degrees(plan: DeploymentPlan, entry: PoolEngine) -> list[Finding]:
    """Degrees of one kind of engine: products, what divides, context ranks only where nothing is decoded, rules."""
    scenario, cut = own_pricing(plan), strategy_of(entry)
    findings = [
        *products(scenario, cut, entry.gpus_per_engine, decodes=entry.role != "prefill"),
        *divisors(scenario, cut),
    ]
    nodes = [(len(part.stages), node_size(on_card(scenario, part.card).hardware)) for part in parts_of(entry)]
    findings += [tensor_nodes(cut, stages, node) for stages, node in nodes]
    return findings + rules_on(scenario, entry.role, cut, nodes)


def check_pins(plan: DeploymentPlan) -> list[Finding]:
    """Pins and bounds: degrees and batch of every engine, token budget of those that read prompts, engines in all."""
    return check_bounds(plain(plan, own_pricing(plan), plan.engines))
