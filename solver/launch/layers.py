"""How an engine is told of uneven pipeline stages."""

from __future__ import annotations

from ...models import catalog
from ...models.command_profile import command_profile
from ...models.engine import EngineStrategy
from ...models.engine_profile import EngineProfile


def own_split(engine: str, strategy: EngineStrategy) -> bool:
    """Whether the engine deals the layers as the plan does, unless it is told otherwise."""
    layers = strategy.layers_per_stage
    profile = EngineProfile.model_validate(catalog.engine(engine))
    return layers == profile.default_split(sum(layers), len(layers))


def partition(engine: str, strategy: EngineStrategy) -> dict[str, str]:
    """The environment that states the stages; empty where the engine finds them itself."""
    name = command_profile(engine).layer_partition
    if own_split(engine, strategy) or name is None:
        return {}
    return {name: ",".join(map(str, strategy.layers_per_stage))}
