"""The best deployment for one linear goal over all engines: bound, choose among few, drop what cannot win, prove.

Engines whose figures are still bounds are made exact as soon as an answer rests on them; a bound is optimistic, so an
answer of exact engines is the best of all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..watch import Watch
from .contenders import contenders, tolerance
from .engines import Demands, Engines, Source
from .ladder import MOST_RUNGS, Ladder
from .linear import INFINITE, Goal, constraints_of, most_of, sums_of
from .looks import WHOLE, Effort
from .model import Asked, Counted, count
from .relaxation import Relaxed, relax

COMPANY = 160
"""Engines that the solver gets first; more where the bound does not rule them out."""
AT_ONCE = 800
"""Engines that it gets at once where a decision needs all that the bound leaves."""


@dataclass
class Search:
    """One scenario's engines and demands, and what the searches of its goals have in common."""

    source: Source
    demands: Demands
    watch: Watch
    largest: int = 0
    """Most engines that the solver was given."""
    climbed: int = 0
    """Searches that the dynamic programme gave a bound for."""
    agreed: int = 0
    """Those of them in which the solver reached it."""
    _near: list[int] = field(default_factory=list)
    """Bounds that are nearly as good as what an answer used; they are made exact with it."""

    def best(
        self, goal: Goal, hint: Mapping[int, int], *, enough: int | None = None, effort: Effort = WHOLE
    ) -> Counted:
        """The best counts. With `enough`, any deployment of that value will do."""
        while True:
            found = self._once(goal, hint, enough, effort)
            rough = [i for i in found.counts if not self.source.engines.exact[i]]
            if not rough:
                return found
            self.watch.check()
            self.source.sharpen(np.array(sorted({*rough, *self._near}), dtype=np.intp))

    def _once(self, goal: Goal, hint: Mapping[int, int], enough: int | None, effort: Effort) -> Counted:
        """One round with the figures as they are."""
        limits = [limit for limit in (goal.latency, self.demands.latency) if limit is not None]
        goal = replace(goal, latency=min(limits, default=None))
        kept = contenders(self.source.engines, self.demands, goal.latency)
        if not len(kept):
            return Counted("infeasible", {})
        few, local = self.source.engines.take(kept), {int(k): i for i, k in enumerate(kept)}
        hinted = {local[i]: c for i, c in hint.items() if i in local}
        sums = sums_of(few, self.demands)
        objective = sums.weighted(goal.objective)
        constraints = constraints_of(few, self.demands, sums)
        constraints += [replace(sums.weighted(weights), least=least) for weights, least in goal.kept]
        most, ceiling = most_of(few, self.demands), None
        if (climb := self._climb(few, goal, enough)) is not None:
            self.climbed += 1
            if climb.value is None:
                self.agreed += 1
                return Counted("infeasible", {})
            ceiling, hinted = climb.value, climb.counts
        relaxed = relax(objective, constraints, most)
        if not relaxed.feasible or (enough is not None and relaxed.bound < enough):
            return Counted("infeasible", {})
        assert relaxed.loss is not None
        order = np.argsort(relaxed.loss, kind="stable")
        likely = order[:COMPANY]
        if enough is not None and len(whole := _open(relaxed, enough)) <= AT_ONCE:
            likely = whole  # a decision needs them all, if the answer is no
        first = np.union1d(likely, np.array(sorted(hinted), dtype=np.intp)).astype(np.intp)
        self._near = [int(kept[i]) for i in order[:COMPANY] if not few.exact[i]]

        asked = Asked(few, goal, objective, constraints, most, self.demands, enough, ceiling, effort)

        def solve(index: NDArray[np.intp], at_hand: Mapping[int, int]) -> Counted:
            self.largest = max(self.largest, len(index))
            return count(asked, index, self.watch, at_hand)

        found = solve(first, hinted)
        if found.outcome == "infeasible" or (found.outcome == "optimal" and enough is None and found.value != ceiling):
            rest = _open(relaxed, found.value + 1 if found.counts else enough)
            if not np.isin(rest, first).all():
                found = solve(np.union1d(rest, first).astype(np.intp), found.counts or hinted)
        self.agreed += bool(found.counts) and ceiling is not None and (enough is not None or found.value == ceiling)
        bound = found.bound
        if found.outcome == "feasible":  # the solver's own bound holds for the engines it was given
            bound = min(math.floor(relaxed.bound), INFINITE if ceiling is None else ceiling)
        return Counted(found.outcome, {int(kept[i]): c for i, c in found.counts.items()}, found.value, bound)

    def _climb(self, few: Engines, goal: Goal, enough: int | None) -> Climb | None:
        """The dynamic programme's answer, where GPUs are all that engines share; else None."""
        demands, gpus = self.demands, tuple(card.gpus for card in self.demands.cards)
        weights = [goal.objective, *(w for w, _ in goal.kept)]
        if demands.clients is not None or any(w.price or w.rate < 0 for w in weights):
            return None
        if len(gpus) > 1 and math.prod(count + 1 for count in gpus) > MOST_RUNGS:
            return None
        far = tolerance(few, demands, goal.latency)
        return climb(Ladder.of(few, gpus, far, mixes=demands.mixes, decodes=demands.decodes), goal, demands, enough)


@dataclass
class Climb:
    """The highest figure on the ladder, None if none is allowed; and engines that reach it."""

    value: int | None
    counts: dict[int, int]


def climb(ladder: Ladder, goal: Goal, demands: Demands, enough: int | None) -> Climb:
    """The best rung that keeps the floors. A deployment on fewer GPUs than a rung's stands on a lower rung too."""
    rate, gpus = ladder.best, np.indices(ladder.best.shape).sum(axis=0)
    allowed = (gpus >= max(1, demands.least_gpus)) & (rate >= demands.least_rate)
    allowed &= rate >= demands.least_rate_per_gpu * gpus
    for weights, least in goal.kept:
        allowed &= weights.rate * rate + weights.gpus * gpus >= least
    value = goal.objective.rate * rate + goal.objective.gpus * gpus
    if enough is not None:
        allowed &= value >= enough
    if not allowed.any():
        return Climb(None, {})
    highest = np.where(allowed, value, np.iinfo(np.int64).min).argmax()
    rung = tuple(int(place) for place in np.unravel_index(highest, value.shape))
    return Climb(int(value[rung]), ladder.deployment(rung))


def _open(relaxed: Relaxed, floor: int | None) -> NDArray[np.intp]:
    """Engines that a deployment of value `floor` or more (None: any at all) may hold."""
    assert relaxed.loss is not None
    if floor is None:
        return np.arange(len(relaxed.loss))
    return np.flatnonzero(relaxed.bound - relaxed.loss >= floor)
