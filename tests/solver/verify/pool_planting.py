"""Ways to plant an error in a deployment of pools: functions from a plan to a plan that is wrong in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shardwise.models.deployment import DeploymentPlan

Plant = Callable[[DeploymentPlan], DeploymentPlan]
PREFILL, DECODE, AGGREGATED = 0, 1, 2
"""Places of the pools."""


def with_engine(place: int, **change: Any) -> Plant:
    """One kind of engine changed: the only one of its pool."""

    def plant(plan: DeploymentPlan) -> DeploymentPlan:
        entry = plan.pools[place].engines[0].model_copy(update=change)
        return with_pool(place, engines=(entry,))(plan)

    return plant


def with_pool(place: int, **change: Any) -> Plant:
    """One pool changed."""

    def plant(plan: DeploymentPlan) -> DeploymentPlan:
        pools = list(plan.pools)
        pools[place] = pools[place].model_copy(update=change)
        return plan.model_copy(update={"pools": tuple(pools)})

    return plant


def with_strategy(place: int, **change: Any) -> Plant:
    """The strategy of one kind of engine changed."""

    def plant(plan: DeploymentPlan) -> DeploymentPlan:
        strategy = plan.pools[place].engines[0].strategy
        assert strategy is not None
        return with_engine(place, strategy=strategy.model_copy(update=change))(plan)

    return plant


def with_memory(place: int, **change: Any) -> Plant:
    """A count of bytes changed."""

    def plant(plan: DeploymentPlan) -> DeploymentPlan:
        memory = plan.pools[place].engines[0].memory_bytes_per_gpu
        assert memory is not None
        return with_engine(place, memory_bytes_per_gpu=memory.model_copy(update=change))(plan)

    return plant


def with_figure(**change: Any) -> Plant:
    """A prediction changed."""

    def plant(plan: DeploymentPlan) -> DeploymentPlan:
        assert plan.predictions is not None
        return plan.model_copy(update={"predictions": plan.predictions.model_copy(update=change)})

    return plant


def with_plan(**change: Any) -> Plant:
    """The plan itself changed."""
    return lambda plan: plan.model_copy(update=change)


def with_rank(index: int, **change: Any) -> Plant:
    """One rank changed."""

    def plant(plan: DeploymentPlan) -> DeploymentPlan:
        ranks = list(plan.placement)
        ranks[index] = ranks[index].model_copy(update=change)
        return plan.model_copy(update={"placement": tuple(ranks)})

    return plant


def with_feed(**change: Any) -> Plant:
    """The first feed changed."""
    return lambda plan: plan.model_copy(update={"feeds": (plan.feeds[0].model_copy(update=change), *plan.feeds[1:])})
