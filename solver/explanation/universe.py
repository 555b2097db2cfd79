"""Every row that could be a plan if people changed their minds, and which of their demands each row breaks.

The rows keep the facts (the model's shapes, arithmetic) and nothing else; the cluster may be larger than it is. Prices
are bounds first, exact on demand. Stage splits depend on the memory there is, so a pipeline is a row of its own for
every amount that dropping a memory limit would leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models import Scenario
from ...models.strategy import DEGREES
from ..choice.screen import joined as together
from ..conditions import Limit
from ..conditions.resources import gpus_needed
from ..costs import Candidates, price
from ..costs.grid import Grid, make_grid
from ..degrees import legal_strategies
from ..watch import Watch
from .demands import Demand, demands_of, facts_of

UNLIMITED = 2**60
"""Bytes of a card whose memory is no condition."""
FIRST = 128
_BATCH = 1024
"""Rows priced at once, at first and then: a call costs as much as some hundred rows."""
Rows = NDArray[np.intp]
Keys = NDArray[np.float64]


class Part(Mapping[str, Any]):
    """The facts of some rows; a column is picked when it is asked for."""

    def __init__(self, facts: dict[str, Any], rows: Rows | int) -> None:
        self._facts, self._rows = facts, rows

    def __getitem__(self, name: str) -> Any:
        return self._facts[name][self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


@dataclass
class Universe:
    """Rows with the demands each breaks: bounds (too few) until a row is priced exactly."""

    scenario: Scenario
    """With as many GPUs as were asked about."""
    demands: tuple[Demand, ...]
    grid: Grid
    base: Rows
    """Row of the grid, for each row here."""
    room: NDArray[np.int8]
    """Which of `rooms` the stages were split for."""
    rooms: tuple[int, ...]
    facts: dict[str, Any]
    """Columns that demands are judged by; bounds where not `known`."""
    masks: NDArray[np.int64]
    """A bit for each demand, set if the row breaks it."""
    known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.masks)

    def part(self, rows: Rows | int) -> Part:
        """The facts of some rows, or of one."""
        return Part(self.facts, rows)

    def price(self, rows: Rows, watch: Watch | None = None) -> None:
        """Price rows exactly that are not yet."""
        for room in np.unique(self.room[rows[~self.known[rows]]]):
            new = rows[~self.known[rows] & (self.room[rows] == room)]
            for start in range(0, len(new), _BATCH):
                if watch is not None:
                    watch.check()
                self._price(new[start : start + _BATCH], self.rooms[room])

    def _price(self, rows: Rows, room: int) -> None:
        priced = price(_with_room(self.scenario, room), self.grid.at(self.base[rows]))
        for name in _limited(self.demands):
            self.facts[name][rows] = priced.column(name)
        self.masks[rows] = _masks(self.demands, self.part(rows), len(rows)) | _forced(self.demands, room)
        self.known[rows] = True

    def exact(self, rows: Rows) -> Candidates:
        """Rows with all their prices, in their order."""
        rooms = np.unique(self.room[rows])
        parts = [np.flatnonzero(self.room[rows] == room) for room in rooms]
        priced = [
            price(_with_room(self.scenario, self.rooms[room]), self.grid.at(self.base[rows[part]]))
            for room, part in zip(rooms, parts, strict=True)
        ]
        return together(priced).take(np.argsort(np.concatenate(parts), kind="stable"))

    def least(
        self,
        rows: Rows,
        key: Callable[[Rows], Keys],
        good: Callable[[Rows], NDArray[np.bool_]],
        watch: Watch | None = None,
    ) -> tuple[int, float] | None:
        """The row of least exact key among those that are good; None if none is.

        `key` and `good` read the facts and masks: bounds at first, so rows are priced in the order of their bounds
        until none can be better.
        """
        rows = rows[good(rows)]
        bounds = key(rows)
        order = np.argsort(bounds, kind="stable")
        rows, bounds = rows[order], bounds[order]
        best: tuple[float, int] | None = None
        start, size = 0, FIRST
        while start < len(rows) and (best is None or bounds[start] < best[0]):
            part = rows[start : start + size]
            self.price(part, watch)
            part = part[good(part)]
            if len(part):
                keys = key(part)
                found = (float(keys.min()), int(part[keys == keys.min()].min()))
                best = found if best is None else min(best, found)
            start, size = start + size, _BATCH
        return None if best is None else (best[1], best[0])


def universe(scenario: Scenario, gpus: int, watch: Watch | None = None, *, beyond: int = 0) -> Universe:
    """All rows that need more than `beyond` and up to `gpus` GPUs. Raises StoppedError if the watch ends it."""
    hardware = scenario.hardware.model_copy(update={"gpus": gpus, "use_all_gpus": False})
    wide = scenario.model_copy(update={"hardware": hardware})
    demands, facts = demands_of(scenario), facts_of(wide)
    structural = [condition for condition in facts if not isinstance(condition, Limit)]
    strategies = legal_strategies(wide, structural, watch)
    grid = make_grid(wide, strategies, fewest=_fewest_will_do(scenario))
    if beyond:
        size = grid.strategies[:, :4].prod(axis=1)
        grid = grid.at(np.flatnonzero(gpus_needed(grid.engines, size, wide.hardware.node_size) > beyond))
    if watch is not None:
        watch.check()
    bounds = price(wide, grid, ideal=True)
    legal = np.ones(len(grid), dtype=bool)
    for condition in facts:
        if isinstance(condition, Limit):  # known exactly: what the token budget leaves
            legal &= condition.keeps({condition.column: bounds.column(condition.column)})
    kept = np.flatnonzero(legal)
    rooms = _rooms(scenario)
    pipelines = kept[grid.strategies[kept, 3] > 1]
    base = np.concatenate([kept, *[pipelines] * (len(rooms) - 1)])
    room = np.repeat(np.arange(len(rooms), dtype=np.int8), [len(kept), *[len(pipelines)] * (len(rooms) - 1)])
    columns = _columns(wide, grid, bounds, demands, base)
    masks = _masks(demands, columns, len(base))
    for index, size in enumerate(rooms):
        masks[room == index] |= _forced(demands, size)
    # One stage cannot be split: its bound is its price.
    known = grid.strategies[base, 3] == 1
    return Universe(wide, demands, grid, base, room, rooms, columns, masks, known)


def joined(fewer: Universe, more: Universe) -> Universe:
    """Two sets of rows of one scenario as one; the first keep their places."""
    grid = Grid(*(np.concatenate([getattr(u.grid, name) for u in (fewer, more)]) for name in vars(fewer.grid)))
    facts = {name: np.concatenate([values, more.facts[name]]) for name, values in fewer.facts.items()}
    return Universe(
        more.scenario,
        fewer.demands,
        grid,
        np.concatenate([fewer.base, more.base + len(fewer.grid)]),
        np.concatenate([fewer.room, more.room]),
        fewer.rooms,
        facts,
        np.concatenate([fewer.masks, more.masks]),
        np.concatenate([fewer.known, more.known]),
    )


def _fewest_will_do(scenario: Scenario) -> bool:
    """Whether engines that add GPUs and leave the busiest one its load can be left out: nothing asks for them."""
    return scenario.hardware.gpu_range.min == 1 and scenario.strategy.engines is None


def _columns(
    scenario: Scenario, grid: Grid, bounds: Candidates, demands: tuple[Demand, ...], base: Rows
) -> dict[str, Any]:
    facts: dict[str, Any] = {name: grid.strategies[base, i] for i, name in enumerate(DEGREES)}
    facts["stage_group"] = facts["tensor"] * facts["context"] * facts["data"]
    facts["engine_gpus"] = facts["stage_group"] * facts["pipeline"]
    facts["engines"] = grid.engines[base]
    facts["gpus_used"] = facts["engines"] * facts["engine_gpus"]
    facts["gpus_needed"] = gpus_needed(facts["engines"], facts["engine_gpus"], scenario.hardware.node_size)
    for name in _limited(demands):
        facts[name] = bounds.column(name)[base].astype(np.float64)
    return facts


def _limited(demands: tuple[Demand, ...]) -> list[str]:
    """Priced columns that demands limit."""
    return sorted({demand.condition.column for demand in demands if isinstance(demand.condition, Limit)})


def _masks(demands: tuple[Demand, ...], facts: Mapping[str, Any], count: int) -> NDArray[np.int64]:
    masks = np.zeros(count, dtype=np.int64)
    for bit, demand in enumerate(demands):
        masks |= (~np.asarray(demand.keeps(facts))).astype(np.int64) << bit
    return masks


def _rooms(scenario: Scenario) -> tuple[int, ...]:
    """Bytes that stages may be split for: what all memory limits leave, then without the tightest ones."""
    required, usable = scenario.requirements.memory_per_gpu, scenario.hardware.usable_memory
    sizes = {usable} if required is None else {usable, int(required)}
    return (*sorted(sizes), UNLIMITED)


def _forced(demands: tuple[Demand, ...], room: int) -> int:
    """Memory limits that count as broken by a split for more room than they leave."""
    return sum(
        1 << bit
        for bit, demand in enumerate(demands)
        if isinstance(demand.condition, Limit)
        and demand.condition.column == "memory"
        and int(demand.condition.bound) < room
    )


def _with_room(scenario: Scenario, room: int) -> Scenario:
    """The same scenario with cards of so many usable bytes."""
    card = scenario.hardware.accelerator.model_copy(update={"memory": float(room)})
    hardware = scenario.hardware.model_copy(update={"accelerator": card, "memory_utilization": 1.0})
    wanted = scenario.requirements.model_copy(update={"memory_per_gpu": None})
    return scenario.model_copy(update={"hardware": hardware, "requirements": wanted})
