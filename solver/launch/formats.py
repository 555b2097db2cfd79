"""Number formats of a plan in an engine's words."""

from __future__ import annotations

from ...models import Scenario
from ...models.command_profile import CommandProfile


def kv_format(profile: CommandProfile, scenario: Scenario) -> str | None:
    """The engine's name for the format of the KV cache; None: it has none."""
    return profile.formats.kv.get(scenario.precision.kv_cache)


def weight_format(profile: CommandProfile, scenario: Scenario) -> str | None:
    """What must be said so that weights are made from a 16-bit checkpoint; None: they are loaded as they are."""
    wanted, published = scenario.precision.weights, scenario.model.precision.weights
    return profile.formats.online.get(wanted) if wanted != published else None


def unlike_checkpoint(profile: CommandProfile, scenario: Scenario) -> str | None:
    """Why the published checkpoint does not do; None: it does."""
    wanted, published = scenario.precision, scenario.model.precision
    if wanted.weights == published.weights and wanted.experts == published.experts:
        return None
    if weight_format(profile, scenario) is not None and wanted.experts in (None, wanted.weights):
        return None
    have = wanted.weights + (f" with {wanted.experts} experts" if wanted.experts else "")
    return f"the plan has {have} weights, the published checkpoint {published.weights}: set MODEL to one in that format"
