"""What the restrictions of a deployment cost: the first objective without each of them."""

from __future__ import annotations

from collections.abc import Iterator

from ...models import Scenario
from ...models.deployment import DeploymentPlan, Restriction
from ...models.table_scenario import TableScenario
from ..errors import StoppedError
from ..watch import Watch
from .conditions import Conditions
from .market import Market
from .objective import Stage, optimise


def costs_of(plan: DeploymentPlan, market: Market, watch: Watch) -> tuple[Restriction, ...]:
    """One entry for each restriction that the scenario states."""
    stage, here = market.stages[0], plan.proof.stages[0].value
    assert here is not None
    return tuple(_cost(name, stated, freer, stage, here, watch) for name, stated, freer in _freer(market.conditions))


def _freer(conditions: Conditions) -> Iterator[tuple[str, str, Conditions]]:
    """(restriction, as stated, the same conditions without it)."""
    modes = conditions.modes
    if (
        modes is not None
        and "any" not in modes
        and (isinstance(conditions, TableScenario) or conditions.workload.decodes)
    ):
        yield "modes", f"[{', '.join(modes)}]", conditions.model_copy(update={"modes": ("any",)})
    if conditions.distinct_strategies is not None:
        # A scenario that asks for pools by this key alone goes on asking for them.
        keep = {"modes": modes or ("any",)} if isinstance(conditions, Scenario) else {}
        freer = conditions.model_copy(update={"distinct_strategies": None, **keep})
        yield "distinct_strategies", str(conditions.distinct_strategies), freer


def _cost(name: str, stated: str, freer: Conditions, stage: Stage, here: float, watch: Watch) -> Restriction:
    value = None
    try:
        market = Market.of(freer, watch, lambda _: None)
        found = optimise(market.search, market.stages[:1])
        if found.outcome == "optimal":
            value = found.stages[0].value
    except StoppedError:
        pass
    return Restriction(
        name=name, stated=stated, first_objective=value, unit=stage.unit, costs=_words(stage, here, value)
    )


def _words(stage: Stage, here: float, there: float | None) -> str:
    if there is None:
        return "not worked out in the time given"
    quantity = stage.words.split(" (")[0].split(" ", 1)[1]
    if abs(there - here) <= 1e-6 * max(abs(here), abs(there)):
        return f"nothing in {quantity}"
    change = (here - there) / there if there else 0.0
    return f"{change:+.1%} {quantity}: {here:,.6g} instead of {there:,.6g} {stage.unit}"
