"""The cards that an engine stands on: one, or two where its pipeline crosses (docs/costs.md, section 7: two cards)."""

from __future__ import annotations

from dataclasses import dataclass

from shardwise.models.deployment import DeploymentPlan, PoolEngine
from shardwise.models.engine import EngineStrategy
from shardwise.models.hardware import Hardware, Link
from shardwise.models.plan import Finding
from shardwise.models.scenario import Scenario

from ..text import equal, nothing_wrong, rule

MOST_CARDS = 2
"""An engine's pipeline crosses at most once."""


@dataclass(frozen=True)
class Part:
    """Consecutive stages of an engine on one card."""

    card: str
    stages: range


def strategy_of(entry: PoolEngine) -> EngineStrategy:
    """Degrees and batch. Raises ValueError where the plan states none."""
    if entry.strategy is None:
        raise ValueError("the engine states no strategy")
    return entry.strategy


def own_pricing(plan: DeploymentPlan) -> Scenario:
    """The conditions of a plan that shardwise priced. Raises ValueError for one of a table."""
    if not isinstance(plan.scenario, Scenario):
        raise ValueError("engines of a table are not priced here")
    return plan.scenario


def on_card(scenario: Scenario, accelerator: str) -> Scenario:
    """The conditions on the part of the cluster that is of one card. Raises ValueError if there is none."""
    for stock in scenario.hardware.stocks:
        if stock.accelerator.id == accelerator:
            return scenario.model_copy(update={"hardware": scenario.hardware.on(stock)})
    raise ValueError(f"the cluster has no card '{accelerator[:60]}'")


def cards_under(entry: PoolEngine) -> list[str]:
    """The names of an engine's cards, first to last stages."""
    return [part.accelerator for part in entry.parts] or [entry.accelerator]


def parts_of(entry: PoolEngine) -> list[Part]:
    """An engine's stages by card. Raises ValueError where the plan does not say which stage stands on which."""
    pipeline, names = strategy_of(entry).pipeline, cards_under(entry)
    if not entry.parts:
        return [Part(entry.accelerator, range(pipeline))]
    if len(names) != MOST_CARDS or len(set(names)) != MOST_CARDS:
        raise ValueError(f"parts on {', '.join(name[:60] for name in names)}, not on two different cards")
    first, last = (part.stages for part in entry.parts)
    if first + last != pipeline:
        raise ValueError(f"parts of {first:,} and {last:,} stages, a pipeline of {pipeline:,}")
    return [Part(names[0], range(first)), Part(names[1], range(first, pipeline))]


def part_of(parts: list[Part], stage: int) -> Part:
    """The part that a stage belongs to; what is beyond the last stage is counted to the last part."""
    return parts[0] if stage in parts[0].stages else parts[-1]


def bridge(pool: Link | None, sender: Hardware, receiver: Hardware) -> Link:
    """What the last stage on one card sends over to the next: the slower network, or the link stated for pools."""
    ends = [
        card.accelerator.network_link if card.network_link is None else card.network_link for card in (sender, receiver)
    ]
    bandwidth, latency = min(end.bandwidth for end in ends), max(end.latency for end in ends)
    if pool is not None:
        bandwidth, latency = min(bandwidth, pool.bandwidth), pool.latency
    return Link(bandwidth=bandwidth, latency=latency)


def check_parts(plan: DeploymentPlan, entry: PoolEngine) -> list[Finding]:
    """Whether the parts of an engine, if it has any, are two cards of the cluster and make up the engine."""
    if not entry.parts:
        return []
    cut, names = strategy_of(entry), cards_under(entry)
    exist = {stock.accelerator.id for stock in own_pricing(plan).hardware.stocks}
    unlike = len(names) == MOST_CARDS and len(set(names)) == MOST_CARDS and set(names) <= exist
    group = cut.tensor * cut.context * cut.data
    wrong = [
        (f"{part.gpus:,} GPUs of '{part.accelerator}'", f"{part.stages * group:,}")
        for part in entry.parts
        if part.gpus != part.stages * group
    ]
    return [
        rule("parts.cards", unlike, " and ".join(names), "two different cards of the cluster"),
        rule("parts.name", entry.accelerator == "+".join(names), entry.accelerator, "+".join(names)),
        equal("parts.stages", sum(part.stages for part in entry.parts), cut.pipeline, "stages"),
        nothing_wrong("parts.gpus", wrong, "every part has the GPUs of its stages"),
    ]
