"""What an engine cannot express of a plan, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from ...models import Scenario, catalog
from ...models.command_profile import command_profile
from ...models.deployment import DeploymentPlan
from ...models.engine import EngineStrategy
from ...models.engine_profile import EngineProfile
from ...models.plan import Plan
from ...models.strategy import DEGREES
from ..conditions import structural_of
from ..pools.parts import TRANSFER, seen_by
from .copies import Kind, copies_of
from .formats import kv_format
from .layers import own_split

ENGINES = ("vllm", "sglang", "trtllm")


class RefusedError(Exception):
    """The engine cannot express the plan."""

    def __init__(self, engine: str, reasons: tuple[str, ...]) -> None:
        super().__init__(f"{engine} cannot express this plan: {'; '.join(reasons)}")
        self.engine, self.reasons = engine, reasons


def for_engine(scenario: Scenario, engine: str) -> Scenario:
    """The same conditions with the rules and the memory placement of an engine."""
    return scenario.model_copy(update={"engine": EngineProfile.model_validate(catalog.engine(engine))})


def refusals(plan: Plan | DeploymentPlan, engine: str) -> tuple[str, ...]:
    """Every reason, none twice."""
    return tuple(dict.fromkeys(reason for kind in _kinds(plan) for reason in _of_kind(kind, engine)))


def _kinds(plan: Plan | DeploymentPlan) -> list[Kind]:
    return list({id(copy.kind): copy.kind for copy in copies_of(plan)}.values())


def _of_kind(kind: Kind, engine: str) -> Iterator[str]:
    profile, scenario = command_profile(engine), for_engine(kind.scenario, engine)
    pools = scenario.pools
    scene = seen_by(scenario, kind.role, kind.stock) if pools else scenario
    facts = facts_of(kind.strategy)
    for condition in structural_of(scene):
        own = condition.kind == "engine" or condition.id == f"rules.{TRANSFER}"
        if own and not condition.keeps(facts):
            required, found = condition.explain(facts)
            yield f"{condition.statement}: needed {required}, the plan has {found}"
    if kv_format(profile, scenario) is None:
        known = ", ".join(profile.formats.kv)
        yield f"{profile.name} {profile.version} has no KV cache in {scenario.precision.kv_cache} (it has {known})"
    uneven = not own_split(engine, kind.strategy)
    if uneven and profile.layer_partition is None and "layers_per_stage" not in profile.file_says:
        yield f"{profile.name} {profile.version} deals layers its own way, not {kind.strategy.layers_per_stage}"


def facts_of(strategy: EngineStrategy) -> dict[str, int]:
    """What conditions read."""
    facts = {name: getattr(strategy, name) for name in DEGREES}
    return facts | {"stage_group": strategy.stage_group, "engine_gpus": strategy.gpus, "engines": 1}
