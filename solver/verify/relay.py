"""Passes through all stages of an engine, each on its own card and from its own source of times."""

from __future__ import annotations

from .deployment import Deployment
from .forward import Forward, Load


def forward_of(deployment: Deployment) -> Forward:
    """From tables or from the data sheet, as the scenario says."""
    if deployment.scenario.operator_times.source == "datasheet":
        return Forward(deployment)
    from .tabled import TabledForward  # with it come the tables, which most runs do without

    return TabledForward(deployment)


class Relay:
    """The times of passes through all stages of an engine: one deployment for each card, first to last stages."""

    def __init__(self, *deployments: Deployment) -> None:
        self.legs = [forward_of(deployment) for deployment in deployments]

    def stages(self, load: Load) -> list[float]:
        """Every stage of the plan's split, each on its own card."""
        return [time for leg in self.legs for time in leg.stages(load)]
