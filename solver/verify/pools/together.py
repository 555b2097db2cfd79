"""What the engines do together: loads, rates, and who feeds whom (docs/costs.md, section 7: together)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from shardwise.models.deployment import DeploymentPlan, Pool
from shardwise.models.plan import Finding
from shardwise.models.scenario import Scenario

from ..text import agree, at_most, equal, nothing_wrong, rule, show
from .kinds import load_of
from .rating import Rated

REQUESTS = "requests/s"


def of_role(engines: Iterable[Rated], role: str) -> list[Rated]:
    """The kinds of one role, in the order of the plan."""
    return [one for one in engines if one.role == role]


def rating(engines: Iterable[Rated], role: str) -> float:
    """Σ rate over the engines of a role."""
    return math.fsum(one.entry.count * one.rate for one in of_role(engines, role))


def through(plan: DeploymentPlan, engines: list[Rated], role: str) -> float:
    """Requests/s that pass through the engines of a role."""
    if role == "aggregated":
        return rating(engines, role)
    if not of_role(engines, "decode"):  # nothing is decoded: prompts only
        return rating(engines, "prefill")
    if closed_loop(plan):  # as many as the decode engines finish
        return rating(engines, "decode")
    return min(rating(engines, "prefill"), rating(engines, "decode"))


def carried(plan: DeploymentPlan, engines: list[Rated]) -> float:
    """Requests/s of the deployment."""
    pair = "decode" if of_role(engines, "decode") else "prefill"
    return through(plan, engines, "aggregated") + through(plan, engines, pair)


def closed_loop(plan: DeploymentPlan) -> bool:
    """Whether a number of requests is kept in flight."""
    return isinstance(plan.scenario, Scenario) and plan.scenario.workload.concurrency is not None


def check_loads(plan: DeploymentPlan, engines: list[Rated]) -> list[Finding]:
    """Closed loop: the loads add up. Open loop: the rate that is asked for is carried."""
    workload = plan.scenario.workload
    if isinstance(plan.scenario, Scenario) and plan.scenario.workload.concurrency is not None:
        return _closed(engines, plan.scenario.workload.concurrency)
    rate = workload.request_rate
    if rate is None or rate == "max":
        return []
    found = carried(plan, engines)
    return [rule("carries_rate", at_most(rate, found), f"at least {show(rate, REQUESTS)}", show(found, REQUESTS))]


def _closed(engines: list[Rated], clients: int) -> list[Finding]:
    held = sum(one.entry.count * load_of(one.entry) for one in engines if one.role != "prefill")
    findings = [equal("loads", held, clients, "requests")]
    sinks = of_role(engines, "decode")
    if not sinks:
        return findings
    made, asked = rating(engines, "prefill"), math.fsum(one.entry.count * _asked(one) for one in sinks)
    said, demanded = f"prefill {show(made, REQUESTS)}", f"at least {show(asked, REQUESTS)}, which decode asks of it"
    return [*findings, rule("prefill_keeps_up", at_most(asked, made), said, demanded)]


def _asked(one: Rated) -> float:
    """Requests/s that prefill engines must be able to make for a decode engine, so as to be busy as it says."""
    if not one.utilization:
        raise ValueError("a decode engine does not state how busy its prefill engines are")
    return one.rate / one.utilization


def check_rates(plan: DeploymentPlan, engines: list[Rated]) -> list[Finding]:
    """What every pool can do, and what passes through it."""
    return [finding for pool in plan.pools for finding in _pool(plan, pool, engines)]


def _pool(plan: DeploymentPlan, pool: Pool, engines: list[Rated]) -> Iterator[Finding]:
    able, passing = rating(engines, pool.role), through(plan, engines, pool.role)
    yield agree(f"{pool.role}.rating_requests_per_s", pool.rating_requests_per_s, able, REQUESTS)
    yield agree(f"{pool.role}.requests_per_s", pool.requests_per_s, passing, REQUESTS)
    yield agree(f"{pool.role}.utilization", pool.utilization, passing / able)


def check_feeds(plan: DeploymentPlan, engines: list[Rated]) -> list[Finding]:
    """Every kind of prefill engine sends, and every kind of decode engine gets, its share by rating."""
    sources, sinks = of_role(engines, "prefill"), of_role(engines, "decode")
    if not sources or not sinks:
        return [equal("feeds.none", len(plan.feeds), 0)]
    findings = [nothing_wrong("feeds.ends", _ends(plan, sources, sinks), "every pair once, of engines that exist")]
    flow = through(plan, engines, "decode")
    for role, kinds, end in (("prefill", sources, "out of"), ("decode", sinks, "into")):
        whole = rating(engines, role)
        for index, one in enumerate(kinds):
            said = math.fsum(feed.requests_per_s for feed in plan.feeds if getattr(feed, role) == index)
            found = agree(f"feeds.{role}", said, flow * one.entry.count * one.rate / whole, REQUESTS)
            findings.append(found.model_copy(update={"plan": f"{end} {role} {one.entry.name}: {found.plan}"}))
    return [*findings, *_transfers(plan, sources, sinks)]


def _ends(plan: DeploymentPlan, sources: list[Rated], sinks: list[Rated]) -> Iterator[tuple[str, str]]:
    seen = set()
    for feed in plan.feeds:
        if feed.prefill >= len(sources) or feed.decode >= len(sinks):
            yield f"prefill {feed.prefill:,} feeds decode {feed.decode:,}", "kinds of engine that exist"
        elif (feed.prefill, feed.decode) in seen:
            yield f"prefill {feed.prefill:,} feeds decode {feed.decode:,} twice", "every pair once"
        elif feed.requests_per_s < 0:
            yield show(feed.requests_per_s, REQUESTS), "no less than none"
        seen.add((feed.prefill, feed.decode))


def _transfers(plan: DeploymentPlan, sources: list[Rated], sinks: list[Rated]) -> Iterator[Finding]:
    for feed in plan.feeds:
        if feed.prefill < len(sources) and feed.decode < len(sinks):
            both = sources[feed.prefill].transfer + sinks[feed.decode].transfer
            yield agree("feeds.transfer_s", feed.transfer_s, both, "s")
