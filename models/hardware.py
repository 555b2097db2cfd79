"""The machine: accelerators, the links between them, and how many there are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from . import catalog
from .base import Model
from .errors import InputError
from .units import Bytes, BytesPerSecond, FlopPerSecond, Seconds, Share

Number = Literal["bf16", "fp8", "int8", "fp4"]
LARGEST_CLUSTER = 1024
"""GPUs that a scenario without `gpus` may use."""
Gpus = Annotated[int, Field(strict=True, ge=1, le=8_192)]
"""Beyond this the enumeration would take minutes; plan such a hall as several clusters."""
Price = Annotated[float, Field(ge=0, le=1e6)]
"""Money per GPU-hour."""


class Link(Model):
    """One class of connection, seen from one GPU."""

    bandwidth: BytesPerSecond = Field(gt=0, description="bytes per second and direction, per GPU")
    latency: Seconds = Field(default=0.0, description="start-up time of one hop, seconds (the alpha of alpha-beta)")
    mesh: bool = Field(
        default=False,
        description="direct links to every peer and no switch: l GPUs reach (l − 1)/(node − 1) of the bandwidth",
    )
    reduces_in_switch: bool = Field(
        default=False,
        description="an all-reduce is summed by the switch (NVLS), about half the bytes per GPU; false where the "
        "link efficiency was fitted on measurements that already contain it",
    )

    @model_validator(mode="before")
    @classmethod
    def _a_mapping(cls, data: Any) -> Any:
        if isinstance(data, (str, int, float)):
            raise ValueError(f"write {{bandwidth: {str(data)[:20]}, latency: 8 us}}; per GPU and direction")
        return data


class Compute(Model):
    """Dense peak rates by number format, FLOP/s; a format that the card lacks is absent."""

    bf16: FlopPerSecond = Field(gt=0, description="16-bit tensor rate, dense")
    fp8: FlopPerSecond | None = Field(default=None, gt=0, description="8-bit floating point rate, dense")
    int8: FlopPerSecond | None = Field(default=None, gt=0, description="8-bit integer rate, dense")
    fp4: FlopPerSecond | None = Field(default=None, gt=0, description="4-bit floating point rate, dense")

    @model_validator(mode="before")
    @classmethod
    def _one_rate(cls, data: Any) -> Any:
        """A single rate ("400 TFlops") is the 16-bit one."""
        return data if isinstance(data, (dict, Compute)) else {"bf16": data}

    def rate(self, number: Number) -> float:
        """FLOP/s in a number format; what the card lacks runs at the 16-bit rate."""
        return getattr(self, number) or self.bf16

    def has(self, number: Number) -> bool:
        """Whether the card computes natively in this number format."""
        return getattr(self, number) is not None


class Accelerator(Model):
    """One GPU or NPU: what a datasheet says of it, with sources."""

    id: str = Field(default="inline", description="catalog id, as in h200-sxm")
    name: str = Field(default="described in the scenario", description="the name on the box")
    vendor: str | None = Field(default=None, description="who makes it")
    memory: Bytes = Field(gt=0, description="bytes of device memory, as the device reports them where known")
    memory_bandwidth: BytesPerSecond = Field(gt=0, description="peak bytes per second of device memory")
    compute: Compute = Field(description="dense peak rates by number format")
    gpus_per_node: Gpus = Field(default=8, description="GPUs that share the node link")
    node_link: Link = Field(
        default=Link(bandwidth=64e9, latency=3e-6), description="link inside a node (NVLink, PCIe, HCCS)"
    )
    network_link: Link = Field(
        default=Link(bandwidth=50e9, latency=8e-6), description="link between nodes, this GPU's share"
    )
    launches: float = Field(
        default=1.0, gt=0, le=100, description="fixed times per layer on this card and its host, relative to Hopper's"
    )
    measured_as: str | None = Field(
        default=None, description="id of the card whose measured times are this one's: the same with another memory"
    )
    assumed: tuple[str, ...] = Field(default=(), description="figures without a published source")
    sources: dict[str, str] = Field(default_factory=dict, description="figure -> where it was published")

    @model_validator(mode="before")
    @classmethod
    def _mark_defaults(cls, data: Any, info: ValidationInfo) -> Any:
        """What an inline description leaves out is assumed, and says so."""
        if not isinstance(data, dict) or "assumed" in data:
            return data
        open_figures = [key for key in ("gpus_per_node", "node_link", "network_link") if key not in data]
        return {**data, "assumed": tuple(open_figures)}


class GpuRange(Model):
    """How many GPUs may be used."""

    min: Gpus = Field(default=1, description="use at least this many")
    max: Gpus = Field(default=LARGEST_CLUSTER, description="use at most this many; so many exist")

    @model_validator(mode="after")
    def _ordered(self) -> GpuRange:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Stock(Model):
    """GPUs of one type in an inventory."""

    accelerator: Accelerator = Field(description="a catalog id such as h200-sxm, or a description")
    gpus: Gpus = Field(description="at most this many")
    gpus_per_node: Gpus | None = Field(default=None, description="GPUs that share the node link")
    price_per_hour: Price | None = Field(default=None, description="of one GPU, in whatever currency")
    node_link: Link | None = Field(default=None, description="replaces the accelerator's node link")
    network_link: Link | None = Field(default=None, description="replaces the accelerator's network link")

    @field_validator("accelerator", mode="before")
    @classmethod
    def _from_catalog(cls, value: Any, info: ValidationInfo) -> Any:
        return _card(value, info)


def _card(value: Any, info: ValidationInfo) -> Any:
    """The accelerator of a catalog id."""
    if isinstance(value, str):
        return Accelerator.model_validate(catalog.accelerator(value), context=info.context)
    return value


class Hardware(Model):
    """The cluster a deployment may use."""

    accelerator: Accelerator = Field(
        description="a catalog id such as h200-sxm, or a description; with an inventory: its first card"
    )
    gpus_per_node: Gpus | None = Field(
        default=None,
        description="GPUs that share the node link (the scale-up domain); absent: the accelerator's",
    )
    gpus: Gpus | GpuRange | None = Field(
        default=None, description="at most this many; or {min, max}; absent: 1 to 1,024"
    )
    use_all_gpus: bool = Field(default=False, strict=True, description="every GPU must have a rank")
    memory_utilization: Share = Field(
        default=0.9, gt=0, le=1, description="usable share of the card's memory; engines default to about 0.9"
    )
    node_link: Link | None = Field(default=None, description="replaces the accelerator's node link")
    network_link: Link | None = Field(default=None, description="replaces the accelerator's network link")
    price_per_hour: Price | None = Field(default=None, description="of one GPU, in whatever currency")
    inventory: tuple[Stock, ...] = Field(
        default=(), max_length=8, description="several GPU types with a count each, in place of accelerator and gpus"
    )
    pool_link: Link | None = Field(
        default=None, description="link between prefill and decode engines; absent: the cards' network links"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_inventory(cls, data: Any, info: ValidationInfo) -> Any:
        """With an inventory the other keys follow from it: its first card, the sum of its GPUs."""
        if not isinstance(data, dict) or not isinstance(data.get("inventory"), (list, tuple)) or not data["inventory"]:
            return data
        single = ("accelerator", "gpus", "gpus_per_node", "node_link", "network_link", "price_per_hour")
        if info.context is not None and info.context.get("units") == "required":
            for key in single:
                if key in data:
                    raise InputError(
                        f"'{key}' and 'inventory' exclude each other",
                        path=("hardware", key),
                        help="state it for each entry of the inventory",
                    )
        stocks = [stock.model_dump() if isinstance(stock, Stock) else stock for stock in data["inventory"]]
        counts = [stock.get("gpus") for stock in stocks if isinstance(stock, dict)]
        if len(counts) < len(stocks) or not all(isinstance(gpus, int) for gpus in counts):
            return {"accelerator": None, **data}  # reported by the entries' own validators
        first = {key: stocks[0][key] for key in single if stocks[0].get(key) is not None}
        return {**first, **data, "gpus": sum(counts)}

    @field_validator("accelerator", mode="before")
    @classmethod
    def _from_catalog(cls, value: Any, info: ValidationInfo) -> Any:
        return _card(value, info)

    @model_validator(mode="after")
    def _cards_have_names_of_their_own(self) -> Hardware:
        ids = [stock.accelerator.id for stock in self.inventory]
        for id in ids:
            if ids.count(id) > 1:
                raise InputError(
                    f"two entries of the inventory are '{id}'", path=("hardware", "inventory"), help="add their GPUs up"
                )
        return self

    @property
    def stocks(self) -> tuple[Stock, ...]:
        """The GPU types; one where there is no inventory."""
        if self.inventory:
            return self.inventory
        alone = {name: getattr(self, name) for name in Stock.model_fields if name != "gpus"}
        return (Stock(**alone, gpus=self.gpu_range.max),)

    def on(self, stock: Stock) -> Hardware:
        """The part of the cluster that is of one GPU type; pools on several types meet over the network."""
        link = self.pool_link
        if link is None and len(self.stocks) > 1:
            link = stock.network_link or stock.accelerator.network_link
        own = {name: getattr(stock, name) for name in Stock.model_fields}
        return Hardware(**own, memory_utilization=self.memory_utilization, pool_link=link)

    @model_validator(mode="after")
    def _room_for_minimum(self) -> Hardware:
        if self.use_all_gpus and not isinstance(self.gpus, int):
            raise ValueError("use_all_gpus needs gpus to be one number")
        return self

    @property
    def gpu_range(self) -> GpuRange:
        """The GPU counts a deployment may use, as a range."""
        if self.gpus is None:
            return GpuRange()
        if isinstance(self.gpus, GpuRange):
            return self.gpus
        return GpuRange(min=self.gpus if self.use_all_gpus else 1, max=self.gpus)

    @property
    def node_size(self) -> int:
        """GPUs that share the node link."""
        return self.gpus_per_node or self.accelerator.gpus_per_node

    @property
    def inside(self) -> Link:
        """The link inside a node."""
        return self.node_link or self.accelerator.node_link

    @property
    def between(self) -> Link:
        """The link between nodes."""
        return self.network_link or self.accelerator.network_link

    @property
    def usable_memory(self) -> int:
        """Bytes of one card that a plan may fill: floor(card times utilisation)."""
        return int(self.accelerator.memory * self.memory_utilization)

    @property
    def full_nodes(self) -> int:
        """Whole nodes in the cluster."""
        return self.gpu_range.max // self.node_size

    @property
    def tail_gpus(self) -> int:
        """GPUs of the last, partial node (0 if every node is whole)."""
        return self.gpu_range.max % self.node_size
