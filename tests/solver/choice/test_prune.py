"""Pruning by dominance never removes the optimum, whichever limits are dropped afterwards."""

from __future__ import annotations

from hypothesis import given, settings
from shardwise.solver.choice.prune import undominated

from .tables import LIMITED, Case, best, cases


@settings(max_examples=300)
@given(cases())
def test_the_optimum_is_kept_under_every_set_of_limits(case: Case) -> None:
    kept = undominated(case.table, case.stages).tolist()
    for limits in range(1 << len(LIMITED)):
        legal = [row for row, broken in enumerate(case.table.broken) if not broken & limits]
        assert best(case, [row for row in kept if row in legal]) == best(case, legal)


@settings(max_examples=100)
@given(cases())
def test_kept_rows_do_not_dominate_each_other(case: Case) -> None:
    kept = undominated(case.table, case.stages).tolist()
    costs = case.table.costs(case.stages)
    for a in kept:
        for b in kept:
            fewer = not case.table.broken[a] & ~case.table.broken[b]
            better = (costs[:, a] <= costs[:, b]).all() and (costs[:, a] < costs[:, b]).any()
            assert not (fewer and better)
