"""Changes of a scenario by key: what stood there, what shall stand there."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, Field

from .base import Model
from .hardware import Accelerator, Link
from .scenario import Scenario
from .units import BANDWIDTH, COMPUTE, DURATION, Dimension, parse


class Edit(Model):
    """One change. Values are what a YAML file holds: text with a unit, numbers, lists, mappings."""

    model_config = ConfigDict(populate_by_name=True)

    key: str = Field(description="dotted key of the scenario, as in requirements.ttft")
    before: Any = Field(default=None, alias="from", description="null: nothing stood there")
    after: Any = Field(default=None, alias="to", description="null: the key is removed")


def edited(data: dict[str, Any], edits: Sequence[Edit], scenario: Scenario) -> dict[str, Any]:
    """A copy of a scenario's raw data (of which `scenario` is the reading) with the edits made."""
    data = copy.deepcopy(data)
    for edit in edits:
        _set(data, edit.key.split("."), edit.after, scenario)
    return data


def _set(data: dict[str, Any], path: list[str], value: Any, scenario: Scenario) -> None:
    node = data
    for depth, step in enumerate(path[:-1]):
        inner = node.get(step)
        if path[: depth + 1] == ["hardware", "accelerator"] and not isinstance(inner, dict):
            node[step] = _written_out(scenario.hardware.accelerator, value)
            return
        if inner is None:
            if value is None:
                return
            inner = node[step] = {}
        elif not isinstance(inner, dict):  # "throughput: 100 tokens/s" is short for {tokens: …}
            if value is None:
                del node[step]
            else:
                node[step] = value
            return
        node = inner
    if value is None:
        node.pop(path[-1], None)
    else:
        node[path[-1]] = value


def _written_out(card: Accelerator, memory: str) -> dict[str, Any]:
    """A card of the catalog as a description with another memory, in units that a file needs."""
    data: dict[str, Any] = {
        "id": f"{card.id}-{memory.replace(' ', '').lower()}",
        "name": f"{card.name} with {memory}",
        **({"vendor": card.vendor} if card.vendor else {}),
        "memory": memory,
        "memory_bandwidth": _text(card.memory_bandwidth, BANDWIDTH, "GB/s"),
        "compute": {
            number: _text(rate, COMPUTE, "TFLOPS")
            for number, rate in card.compute.model_dump().items()
            if rate is not None
        },
        "gpus_per_node": card.gpus_per_node,
        "node_link": _link(card.node_link),
        "network_link": _link(card.network_link),
        "assumed": list(card.assumed),
    }
    sources = {key: text for key, text in card.sources.items() if key != "memory"}
    return {**data, **({"sources": sources} if sources else {})}


def _link(link: Link) -> dict[str, Any]:
    data: dict[str, Any] = {
        "bandwidth": _text(link.bandwidth, BANDWIDTH, "GB/s"),
        "latency": _text(link.latency, DURATION, "us"),
    }
    return data | {name: True for name in ("mesh", "reduces_in_switch") if getattr(link, name)}


def _text(value: float, dimension: Dimension, unit: str) -> str:
    """A quantity in a unit, or in base units where rounding would change it."""
    text = f"{value / dimension.units[unit]:.12g} {unit}"
    return text if parse(text, dimension, bare=False) == value else f"{value!r} {dimension.base}"


def edited_scenario(scenario: Scenario, edits: Sequence[Edit]) -> Scenario:
    """The same edits on a scenario that stands in no file. Raises pydantic's ValidationError for what cannot be."""
    data = edited(scenario.model_dump(), edits, scenario)
    if any(edit.key == "engine" for edit in edits) and (old := scenario.engine) is not None:
        # What the engine brought goes with it.
        if data["hardware"]["memory_utilization"] == old.memory_utilization:
            del data["hardware"]["memory_utilization"]
        if data["latencies"]["startup"] == old.startup:
            del data["latencies"]["startup"]
    return Scenario.model_validate(data)
