"""Price one given strategy and list the conditions it breaks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..models import Evaluation, InputError, Scenario, Strategy
from ..models.strategy import DEGREES
from . import answer
from .choice.objective import stages_of
from .choice.table import best_row, tabulate
from .conditions import Facts, limits_of, structural_of, structure
from .costs import Candidates, price
from .costs.grid import make_grid

MOST_GPUS = 1_000_000
"""Beyond this a product of degrees is a slip of the pen."""


def evaluate(
    scenario: Scenario,
    strategy: Strategy | Mapping[str, int],
    *,
    batch: int | None = None,
    engines: int | None = None,
    token_budget: int | None = None,
) -> Evaluation:
    """Price a strategy under the scenario's conditions.

    `engines`, `batch` (sequences per attention replica and micro-batch; more than there are means all of them) and
    `token_budget` (tokens of the largest pass on one rank) are chosen by the scenario's objective where they are not
    given. Raises InputError if a given batch or budget cannot arise.
    """
    if not isinstance(strategy, Strategy):
        strategy = Strategy.model_validate(strategy)
    if strategy.gpus * (engines or 1) > MOST_GPUS:
        raise InputError(f"{strategy.gpus:,} GPUs × {engines or 1:,} engines: no cluster has {MOST_GPUS:,} GPUs")
    structural = structural_of(scenario)
    degrees = np.array([[getattr(strategy, name) for name in DEGREES]], dtype=np.int64)
    if not all(c.keeps(_values(strategy, engines or 1)) for c in structure.conditions(scenario)):
        return _unpriced(scenario, strategy, engines or 1)
    row = _best(scenario, degrees, batch, engines, token_budget)
    limits = limits_of(scenario)
    broken = int(tabulate(row, limits, stages_of(scenario)).broken[0])
    facts = answer.facts_of(row, limits)
    checks = [answer.check_of(c, facts, bool(c.keeps(facts))) for c in structural] + [
        answer.check_of(limit, facts, not broken >> bit & 1) for bit, limit in enumerate(limits)
    ]
    return Evaluation(
        ok=all(check.ok for check in checks),
        broken=tuple(check.name for check in checks if not check.ok),
        strategy=strategy,
        engine=answer.engine_of(scenario, row),
        engines=int(row.engines[0]),
        gpus_used=int(row.gpus_used[0]),
        predictions=answer.predictions_of(scenario, row),
        checks=tuple(checks),
        assumptions=answer.assumptions_of(scenario),
        warnings=answer.warnings_of(scenario),
    )


def _values(strategy: Strategy, engines: int) -> Facts:
    degrees = {name: getattr(strategy, name) for name in DEGREES}
    group, gpus = strategy.stage_group, strategy.gpus
    return {
        **degrees,
        "stage_group": group,
        "engine_gpus": gpus,
        "engines": engines,
        "gpus_used": gpus * engines,
    }


def _unpriced(scenario: Scenario, strategy: Strategy, engines: int) -> Evaluation:
    """The degrees cannot be laid on this model; only the conditions on them can be judged."""
    facts = _values(strategy, engines)
    checks = [answer.check_of(c, facts, bool(c.keeps(facts))) for c in structural_of(scenario)]
    return Evaluation(
        ok=False,
        broken=tuple(check.name for check in checks if not check.ok),
        strategy=strategy,
        engines=engines,
        gpus_used=strategy.gpus * engines,
        checks=tuple(checks),
        warnings=answer.warnings_of(scenario),
    )


def _best(
    scenario: Scenario, degrees: np.ndarray, batch: int | None, engines: int | None, token_budget: int | None
) -> Candidates:
    """The row that breaks fewest limits, then the best by the objective, among those that match what was given."""
    grid = make_grid(scenario, degrees, engines=engines, batch=batch, token_budget=token_budget)
    priced = price(scenario, grid)
    chosen = np.ones(len(priced), dtype=bool)
    for name, given in (("batch", batch), ("token_budget", token_budget)):
        if given is None:
            continue
        values = getattr(priced, name)
        if name == "batch":  # a larger batch than there are sequences is all of them
            given = min(given, int(values[chosen].max()))
        if not (chosen & (values == given)).any():
            possible = ", ".join(f"{value:,}" for value in np.unique(values[chosen])[:12])
            raise InputError(
                f"{name} {given:,} cannot arise here", help=f"this strategy and load give {name} {possible}"
            )
        chosen &= values == given
    limits, stages = limits_of(scenario), stages_of(scenario)
    table = tabulate(priced, limits, stages)
    count = np.array([int(mask).bit_count() for mask in table.broken])
    least = count[chosen].min()
    row = best_row(table, stages, np.flatnonzero(chosen & (count == least)))
    assert row is not None
    return priced.take([row])
