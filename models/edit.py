"""Changes of a scenario by key: what stood there, what shall stand there."""

from __future__ import annotations

import copy
from collections.abc import Sequence, Set
from typing import Any

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, model_serializer

from .bands import default_bands
from .base import Model
from .constants import SPREAD, WITH_TABLES, Efficiency, Latencies, default_latencies
from .engine_profile import CONSTANTS as ENGINE_CONSTANTS
from .errors import InputError
from .hardware import Accelerator, Hardware, Link
from .operator_times import STATED, automatic
from .scenario import Scenario
from .units import BANDWIDTH, COMPUTE, DURATION, MEMORY, Dimension, parse, show_bytes


class Edit(Model):
    """One change. Values are what a YAML file holds: text with a unit, numbers, lists, mappings."""

    model_config = ConfigDict(populate_by_name=True)

    key: str = Field(description="dotted key of the scenario, as in requirements.ttft")
    before: Any = Field(default=None, alias="from", description="null: nothing stood there")
    after: Any = Field(default=None, alias="to", description="null: the key is removed")

    @model_serializer(mode="plain")
    def _from_to(self) -> dict[str, Any]:
        """By alias always; pydantic has an option for it only from 2.11 on."""
        return {"key": self.key, "from": self.before, "to": self.after}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """That of the fields; the serializer's own would say no more than "object"."""
        return handler({key: value for key, value in core_schema.items() if key != "serialization"})


Path_ = tuple[str, ...]
_SHORT = {
    ("requirements", "throughput"): "tokens",
    ("requirements", "throughput_per_gpu"): "tokens",
    ("hardware", "gpus"): "max",
    ("hardware", "accelerator", "compute"): "bf16",
}
"""Keys whose scalar is short for a mapping with this one key."""
_CARD = ("hardware", "accelerator")
_MEMORY = (*_CARD, "memory")


def edited(data: dict[str, Any], edits: Sequence[Edit], scenario: Scenario) -> dict[str, Any]:
    """A copy of a scenario's raw data (of which `scenario` is the reading) with the edits made. Raises InputError."""
    data = copy.deepcopy(data)
    for edit in edits:
        if (change := resolved(data, edit, scenario)) is not None:
            (*parents, last), value = change
            node = data
            for step in parents:
                node = node[step]
            if value is None:
                del node[last]
            else:
                node[last] = value
    return data


def resolved(data: dict[str, Any], edit: Edit, scenario: Scenario) -> tuple[Path_, Any] | None:
    """Where in raw data an edit writes and what (None: remove); None if nothing is to be done.

    All parents of the place exist: absent ones are part of the value, and so is what a shorthand was short for.
    """
    path, value, node = tuple(edit.key.split(".")), copy.deepcopy(edit.after), data
    for depth, step in enumerate(path[:-1], start=1):
        inner, here, rest = node.get(step), path[:depth], path[depth:]
        if isinstance(inner, dict):
            node = inner
        elif inner is None:
            return None if value is None else (here, _put({}, rest, value))
        elif rest == (_SHORT.get(here),):
            return here, value
        else:
            whole = _put(_spelled_out(here, inner, rest[0], scenario), rest, value)
            return here, whole | (_resized(whole, value) if (*here, *rest) == _MEMORY and value is not None else {})
    if value is None:
        return (_emptied(data, path), None) if path[-1] in node else None
    return path, value


def _put(data: dict[str, Any], path: Path_, value: Any) -> dict[str, Any]:
    node = data
    for step in path[:-1]:
        node = node.setdefault(step, {})
        if not isinstance(node, dict):
            raise InputError(f"{step} is {str(node)[:60]!r}; '{path[-1]}' cannot be changed in it")
    if value is None:
        node.pop(path[-1], None)
    else:
        node[path[-1]] = value
    return data


def _emptied(data: dict[str, Any], path: Path_) -> Path_:
    """What to remove instead of a key that is the only one of its mapping."""
    nodes = [data]
    for step in path[:-1]:
        nodes.append(nodes[-1][step])
    while len(path) > 1 and len(nodes[len(path) - 1]) == 1:
        path = path[:-1]
    return path


def _spelled_out(path: Path_, value: Any, wanted: str, scenario: Scenario) -> dict[str, Any]:
    """The mapping that a value at a path is short for."""
    if path == _CARD:
        # A description's own links would hide those that knowledge lays over every card.
        replaced = {f"{name}_link" for name in ("node", "network") if f"links.{name}" in scenario.knowledge}
        return _written_out(scenario.hardware.accelerator, replaced - {wanted})
    if path in _SHORT:
        return {_SHORT[path]: value}
    if path[0] in ("strategy", "workload") and len(path) == 2 and isinstance(value, (int, list)):
        return {"any_of": value} if isinstance(value, list) else {"min": value, "max": value}
    key = ".".join(path)
    raise InputError(f"{key} is {str(value)[:60]!r}; '{wanted}' cannot be changed in it", help=f"change {key} itself")


def _written_out(card: Accelerator, leave_out: Set[str]) -> dict[str, Any]:
    """A card of the catalog as a description, in units that a file needs."""
    data: dict[str, Any] = {
        "id": card.id,
        "name": card.name,
        "vendor": card.vendor,
        "memory": _text(card.memory, MEMORY, "B"),
        "memory_bandwidth": _text(card.memory_bandwidth, BANDWIDTH, "GB/s"),
        "compute": {
            number: _text(rate, COMPUTE, "TFLOPS")
            for number, rate in card.compute.model_dump().items()
            if rate is not None
        },
        "gpus_per_node": card.gpus_per_node,
        "node_link": _link(card.node_link),
        "network_link": _link(card.network_link),
        "launches": card.launches if card.launches != 1 else None,
        "measured_as": card.measured_as,
        "assumed": list(card.assumed),
        "sources": dict(card.sources),
    }
    return {key: value for key, value in data.items() if value not in (None, {}) and key not in leave_out}


def _resized(card: dict[str, Any], memory: Any) -> dict[str, Any]:
    """What names a card, for the same one with another memory: nobody published it."""
    memory = show_bytes(memory) if isinstance(memory, (int, float)) else str(memory)
    found = {
        "id": f"{card['id']}-{memory.replace(' ', '').lower()}",
        "name": f"{card.get('name', card['id'])} with {memory}",
        "measured_as": card.get("measured_as") or card["id"],
        "assumed": [figure for figure in card.get("assumed", ()) if figure != "memory"],
    }
    sources = {key: text for key, text in card.get("sources", {}).items() if key != "memory"}
    return found | ({"sources": sources} if sources else {})


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
    """The same edits on a scenario that stands in no file. Raises InputError or ValidationError for what cannot be."""
    data = scenario.model_dump()
    if any(edit.key == "engine" for edit in edits):
        # What the engine brought, or what counts without one, goes with it.
        old = scenario.engine
        share = old.memory_utilization if old else Hardware.model_fields["memory_utilization"].default
        if data["hardware"]["memory_utilization"] == share:
            del data["hardware"]["memory_utilization"]
        for name in ENGINE_CONSTANTS:
            if data["latencies"][name] == getattr(old or Latencies(), name):
                del data["latencies"][name]
    if any(edit.key.startswith(("hardware.accelerator", "hardware.inventory")) for edit in edits):
        _forget_times(scenario, data)
    data = edited(data, edits, scenario)
    card, memory = data["hardware"]["accelerator"], scenario.hardware.accelerator.memory
    if isinstance(card, dict) and card["id"] != "inline" and card["memory"] != memory:
        card |= _resized(card, card["memory"])
    return Scenario.model_validate(data)


def _forget_times(scenario: Scenario, data: dict[str, Any]) -> None:
    """Another card may have no tables, or have them: where operator times come from is asked anew, if nobody said.

    Constants that a dump holds though nobody stated them would then speak over the tables.
    """
    times = scenario.operator_times
    if times.tables is not None or times.source != automatic(scenario.hardware):
        return
    del data["operator_times"]
    if scenario.bands == default_bands(times.source):
        del data["bands"]
    for group, default in (("latencies", default_latencies(times.source)), ("efficiency", Efficiency())):
        names = [name for name in data[group] if name in WITH_TABLES or f"{group}.{name}" in STATED]
        unstated = {name for name in names if data[group][name] == getattr(default, name)}
        for name in unstated:
            if SPREAD.get(name, name) in unstated:  # else the wider constant would set it
                del data[group][name]
