"""A scenario as the count model has it: its engines, what the deployment must keep, its objectives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...models.table_scenario import TableScenario
from ..watch import Watch
from .best import Search
from .conditions import Conditions
from .demands import demands_of
from .engines import DECODE, PREFILL, TIME_STEP, Demands
from .objective import Stage, stages_of
from .pricing import PricedSource
from .table import TableSource, demands_of_table


@dataclass
class Market:
    """A scenario's engines, what the deployment must keep, and its objectives."""

    conditions: Conditions
    source: PricedSource | TableSource
    demands: Demands
    stages: list[Stage]
    search: Search
    candidates: int
    strategies: int

    @classmethod
    def of(cls, conditions: Conditions, watch: Watch, say: Callable[[str], None]) -> Market:
        """Price or read the engines. Raises InputError with the file and line of a bad table."""
        objectives, balance, free = conditions.objectives, conditions.balance, not isinstance(_gpus(conditions), int)
        if isinstance(conditions, TableScenario):
            table = TableSource(conditions, conditions.read_table())
            demands = demands_of_table(conditions, table.steps)
            search = Search(table, demands, watch)
            stages = stages_of(objectives, balance, free=free)
            return cls(conditions, table, demands, stages, search, len(table.engines), len(table.engines))
        priced = PricedSource(conditions, watch, say)
        demands = demands_of(conditions, priced.steps)
        search = Search(priced, demands, watch)
        stages = stages_of(objectives, balance, free=free)
        return cls(conditions, priced, demands, stages, search, priced.candidates, priced.strategies)

    @property
    def any_stage(self) -> list[Stage]:
        """Any deployment will do: the one of most throughput is found fastest."""
        return [Stage("throughput", "highest throughput", "requests/s")]

    def name(self, index: int) -> str:
        """One engine in short."""
        if isinstance(self.source, TableSource):
            return self.source.table.names[index]
        priced, place = self.source.place(index)
        return priced.describe(place)

    def describe(self, counts: Mapping[int, int]) -> str:
        """A deployment in short."""
        return " + ".join(f"{count} × {self.name(index)}" for index, count in sorted(counts.items()))

    def worst(self, limit: str, counts: Mapping[int, int]) -> float:
        """TTFT or TPOT of a deployment's slowest engine or pair, seconds."""
        e = self.source.engines
        if limit == "tpot":
            return max(int(e.tpot[i]) for i in counts) * TIME_STEP
        parts = {role: max((int(e.ttft[i]) for i in counts if e.role[i] == role), default=0) for role in range(3)}
        return max(parts[PREFILL] + parts[DECODE], parts[2]) * TIME_STEP


def _gpus(conditions: Conditions) -> object:
    hardware = conditions.hardware
    return hardware.gpu_range.max if hardware.inventory else hardware.gpus
