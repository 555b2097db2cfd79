"""The conditions of a deployment whose engines are priced elsewhere: a table of engines, a cluster, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from .base import Model, Positive
from .engine_table import EngineTable
from .errors import InputError
from .hardware import LARGEST_CLUSTER, GpuRange, Gpus, Price
from .rules import Role
from .scenario import Mode, modes_of, roles_of
from .units import Bytes, RequestsPerSecond, Seconds, Share

TableObjective = Literal[
    "balanced", "latency", "throughput", "throughput-per-gpu", "fewest-gpus", "cost", "throughput-per-cost"
]
ANY_CARD = ""
"""The GPU type of rows that name none."""


class TableStock(Model):
    """GPUs of one type; the table's `accelerator` column uses the same id."""

    accelerator: str = Field(min_length=1, max_length=60, description="id, as the table has it")
    gpus: Gpus = Field(description="at most this many")
    price_per_hour: Price | None = Field(default=None, description="of one GPU, in whatever currency")


class TableHardware(Model):
    """The cluster, as far as a table needs it; what a GPU can do stands in the rows."""

    gpus: Gpus | GpuRange | None = Field(default=None, description="at most this many; or {min, max}; absent: 1,024")
    use_all_gpus: bool = Field(default=False, strict=True, description="every GPU must be used")
    accelerator: str | None = Field(default=None, description="only rows of this card, and rows that name none")
    price_per_hour: Price | None = Field(default=None, description="of one GPU, where rows state no cost_per_hour")
    inventory: tuple[TableStock, ...] = Field(default=(), max_length=8, description="several GPU types")

    @model_validator(mode="after")
    def _one_way(self) -> TableHardware:
        if self.inventory and (self.gpus is not None or self.accelerator is not None):
            raise ValueError("with an inventory, gpus and accelerator stand in its entries")
        if self.use_all_gpus and not (isinstance(self.gpus, int) or self.inventory):
            raise ValueError("use_all_gpus needs gpus to be one number")
        ids = [stock.accelerator for stock in self.inventory]
        if len(set(ids)) < len(ids):
            raise ValueError("an accelerator stands twice in the inventory; add its GPUs up")
        return self

    @property
    def gpu_range(self) -> GpuRange:
        """The GPU counts a deployment may use."""
        if isinstance(self.gpus, GpuRange):
            return self.gpus
        if self.inventory:
            total = sum(stock.gpus for stock in self.inventory)
            return GpuRange(min=total if self.use_all_gpus else 1, max=total)
        most = self.gpus or LARGEST_CLUSTER
        return GpuRange(min=most if self.use_all_gpus else 1, max=most)

    @property
    def counts(self) -> dict[str, int]:
        """GPUs by type; one type without a name where there is no inventory."""
        return {s.accelerator: s.gpus for s in self.inventory} or {ANY_CARD: self.gpu_range.max}


class TableLoad(Model):
    """What is to be served. Prompts are those the table was made for; it does not say them."""

    request_rate: RequestsPerSecond | None = Field(default=None, gt=0, description="requests/s to carry, at least")
    output_tokens: Positive = Field(
        default=2, description="answer length for the request latency, TTFT + (output − 1)·TPOT; the table does not say"
    )


class TableThroughput(Model):
    """Least rates."""

    requests: RequestsPerSecond = Field(gt=0, description="finished requests per second")


class TableRequirements(Model):
    """Limits on the figures of the rows, as given."""

    ttft: Seconds | None = Field(default=None, gt=0, description="time to first token, at most")
    tpot: Seconds | None = Field(default=None, gt=0, description="time per output token, at most")
    throughput: TableThroughput | None = Field(default=None, description="of the whole deployment, at least")
    throughput_per_gpu: TableThroughput | None = Field(default=None, description="divided by the GPUs used, at least")
    memory_per_gpu: Bytes | None = Field(default=None, gt=0, description="the table's memory_gb, at most")
    tightened_by: Share = Field(
        default=0.0, ge=0, le=10, description="share by which `--margin` has tightened these limits already"
    )


class Engines(Model):
    """Where priced engines come from."""

    table: str = Field(min_length=1, description="a .csv or .parquet file; a relative path starts at the scenario")


class TableScenario(Model):
    """Deployment conditions over an engine table. No language model is needed: the rows carry all figures."""

    name: str = Field(default="scenario", description="what to call it in reports; a file's name if absent")
    engines: Engines = Field(description="the table of priced engines")
    hardware: TableHardware = Field(description="the cluster; only gpus is needed")
    model: str | None = Field(default=None, description="for the report only")
    workload: TableLoad = Field(default=TableLoad(), description="the load to carry, if any is asked for")
    requirements: TableRequirements = Field(default=TableRequirements(), description="limits that a plan must keep")
    modes: tuple[Mode, ...] = Field(default=("any",), description="aggregated, disaggregated, or any mix of both")
    distinct_strategies: Positive | None = Field(default=None, description="at most so many engines (rows) per pool")
    objective: TableObjective | tuple[TableObjective, ...] = Field(
        default="balanced", description="what is best; a list is strict, first item first"
    )
    balance: Share = Field(default=0.01, ge=0, lt=1, description="throughput that `balanced` may give up for latency")

    @field_validator("modes", mode="before")
    @classmethod
    def _one_mode(cls, value: Any) -> Any:
        return modes_of(value)

    @field_validator("engines", mode="before")
    @classmethod
    def _beside_the_scenario(cls, value: Any, info: ValidationInfo) -> Any:
        """A relative path starts at the scenario's folder."""
        folder = (info.context or {}).get("folder")
        if folder is None or not isinstance(value, dict) or not isinstance(value.get("table"), str):
            return value
        return {**value, "table": str(Path(folder) / value["table"])}

    @model_validator(mode="after")
    def _objectives_distinct(self) -> TableScenario:
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise InputError("name each objective once, and at least one", path=("objective",))
        return self

    @property
    def objectives(self) -> tuple[TableObjective, ...]:
        """The objectives in order."""
        return self.objective if isinstance(self.objective, tuple) else (self.objective,)

    @property
    def roles(self) -> tuple[Role, ...]:
        """What an engine of the deployment may be."""
        return roles_of(self.modes)

    def read_table(self) -> EngineTable:
        """The rows. Raises InputError with the table's file and line."""
        from .reading.engine_table import read_engine_table

        return read_engine_table(Path(self.engines.table))
