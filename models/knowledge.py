"""Supplementary knowledge: what a site knows beyond one scenario, added to or put in place of the packaged facts.

A knowledge file may hold accelerators, language models, links, constants of the cost model, and rules; a scenario's own
values come before it, and packaged ones after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from . import catalog
from .bands import Bands
from .base import Model
from .errors import InputError, Place
from .hardware import Accelerator, Link
from .measures import MeasureRule
from .operator_times import Source
from .rules import Rule
from .transformer import Transformer

CONSTANTS = ("efficiency", "latencies", "reserves")
CALIBRATED = ", calibrated"
"""Stands behind the name of a file from whose `calibration` section it follows that its constants were fitted."""


class Links(Model):
    """Links that replace those of every accelerator."""

    node: Link | None = Field(default=None, description="inside a node")
    network: Link | None = Field(default=None, description="between nodes")


class Knowledge(Model):
    """One knowledge file, or several put together."""

    name: str = Field(default="knowledge", description="what to call it; a file's name if absent")
    accelerators: dict[str, Accelerator] = Field(
        default_factory=dict, description="id -> figures; a known id needs only what differs"
    )
    models: dict[str, Transformer] = Field(
        default_factory=dict, description="id -> shapes; a known id needs only what differs"
    )
    links: Links = Field(default=Links(), description="replace the accelerators' links")
    efficiency: dict[str, Any] = Field(default_factory=dict, description="constants, as in a scenario")
    latencies: dict[str, Any] = Field(default_factory=dict, description="constants, as in a scenario")
    reserves: dict[str, Any] = Field(default_factory=dict, description="constants, as in a scenario")
    operator_times: Source | None = Field(
        default=None, description="measured or datasheet: what the constants were fitted beside"
    )
    rules: tuple[Rule, ...] = Field(default=(), description="further named conditions")
    measures: tuple[MeasureRule, ...] = Field(
        default=(), description="further techniques that do nothing in their setting, for `audit`"
    )
    bands: Bands | None = Field(
        default=None, description="how far measurements lie from predictions with these constants"
    )
    calibration: dict[str, Any] = Field(
        default_factory=dict, description="what `calibrate` fitted the constants to, and the errors that remain"
    )
    origins: dict[str, str] = Field(default_factory=dict, description="what -> the file it comes from; set on reading")

    @field_validator("accelerators", mode="before")
    @classmethod
    def _over_packaged_cards(cls, value: Any) -> Any:
        return _over(value, "accelerators", catalog.accelerator)

    @field_validator("models", mode="before")
    @classmethod
    def _over_packaged_models(cls, value: Any) -> Any:
        return _over(value, "language_models", catalog.language_model)

    @field_validator(*CONSTANTS)
    @classmethod
    def _known_constants(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Wrong names and units are this file's errors, not those of the scenario that uses it."""
        from .constants import Efficiency, Latencies, Reserves

        groups: dict[str, type[Model]] = {"efficiency": Efficiency, "latencies": Latencies, "reserves": Reserves}
        groups[str(info.field_name)].model_validate(value, context=info.context)
        return value


def _over(value: Any, kind: str, packaged: Callable[[str], dict[str, Any]]) -> Any:
    """Raw entries laid over the packaged entries of the same id; what they state has their own source."""
    if not isinstance(value, dict):
        return value
    return {
        name: _laid(name, entry, kind, packaged) if isinstance(entry, dict) else entry for name, entry in value.items()
    }


def _laid(name: str, entry: dict[str, Any], kind: str, packaged: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    below = packaged(name) if name in catalog.ids(kind) else {}
    stated = {key for key in entry if key not in ("id", "name", "sources", "assumed")}
    sources = {key: text for key, text in below.get("sources", {}).items() if key.split(".")[0] not in stated}
    assumed = [key for key in below.get("assumed", ()) if key.split(".")[0] not in stated]
    whole = {"id": name, **_merged(below, entry)}
    if isinstance(entry.get("sources", {}), dict) and isinstance(entry.get("assumed", []), list):
        whole["sources"] = {**sources, **dict.fromkeys(stated, _HERE), **entry.get("sources", {})}
        if below:
            whole["assumed"] = [*assumed, *entry.get("assumed", [])]
    return whole


_HERE = "knowledge"
"""Source of a figure that a knowledge file states; load_knowledge adds the file."""


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Mappings key by key, everything else replaced."""
    both = below.keys() & above.keys()
    nested = {key: _merged(below[key], above[key]) for key in both if _mappings(below[key], above[key])}
    return {**below, **above, **nested}


def _mappings(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def load_knowledge(paths: Sequence[str | Path]) -> Knowledge:
    """Read knowledge files and folders (their .yaml, .yml and .json files, by name); later ones override earlier ones.

    Raises InputError with the file and line, and where two rules have the same id.
    """
    from .reading import load

    whole: dict[str, Any] = {"name": "knowledge", "origins": {}}
    origins: dict[str, str] = whole["origins"]
    stated: dict[str, dict[str, Any]] = {"accelerators": {}, "models": {}}

    def over_earlier(data: dict[str, Any]) -> dict[str, Any]:
        """Entries of the same id in earlier files stand below this file's."""
        for group, earlier in stated.items():
            if isinstance(data.get(group), dict):
                data[group] = {
                    name: _merged(earlier[name], entry) if name in earlier and isinstance(entry, dict) else entry
                    for name, entry in data[group].items()
                }
                earlier |= {name: entry for name, entry in data[group].items() if isinstance(entry, dict)}
        return data

    for file in [file for path in paths for file in files_of(Path(path))]:
        part = load(file, Knowledge, over_earlier)
        for group in ("accelerators", "models", *CONSTANTS):
            entries = {name: _signed(entry, file.name) for name, entry in getattr(part, group).items()}
            whole[group] = {**whole.get(group, {}), **entries}
            fitted = part.calibration and group in ("efficiency", "latencies")
            origins |= {f"{group}.{name}": file.name + CALIBRATED * bool(fitted) for name in entries}
        for name in ("node", "network"):
            if (link := getattr(part.links, name)) is not None:
                whole.setdefault("links", {})[name] = link
                origins[f"links.{name}"] = file.name
        if part.bands is not None:
            whole["bands"] = part.bands
            origins["bands"] = file.name
        if part.operator_times is not None:
            whole["operator_times"] = part.operator_times
            origins["operator_times"] = file.name
        whole["measures"] = (*whole.get("measures", ()), *part.measures)
        for rule in part.rules:
            if f"rules.{rule.id}" in origins:
                raise InputError(f"rule '{rule.id}' stands in two knowledge files", place=Place(file))
            whole["rules"] = (*whole.get("rules", ()), rule)
            origins[f"rules.{rule.id}"] = file.name
    return Knowledge.model_construct(**{**Knowledge().__dict__, **whole, "links": Links(**whole.get("links", {}))})


def _signed(entry: Any, file: str) -> Any:
    """A card or model whose own figures name the file."""
    if not isinstance(entry, (Accelerator, Transformer)):
        return entry
    sources = {key: f"knowledge: {file}" if text == _HERE else text for key, text in entry.sources.items()}
    return entry.model_copy(update={"sources": sources})


def files_of(path: Path) -> list[Path]:
    """A knowledge file, or those of a folder by name. Raises InputError for a folder without one."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml", ".json"))
    if not found:
        raise InputError("this folder holds no knowledge file (.yaml, .yml, .json)", place=Place(path))
    return found


def lay_under(data: dict[str, Any], knowledge: Knowledge) -> dict[str, Any]:
    """A scenario's raw data with the knowledge under it: what the scenario states itself stays."""
    used: dict[str, str] = {}

    def take(what: str) -> None:
        used[what] = knowledge.origins.get(what, knowledge.name)

    data = dict(data)
    hardware = data.get("hardware")
    if isinstance(hardware, dict):
        hardware = dict(hardware)
        card = hardware.get("accelerator")
        if isinstance(card, str) and card in knowledge.accelerators:
            hardware["accelerator"] = knowledge.accelerators[card]
            take(f"accelerators.{card}")
        for name in ("node", "network"):
            link = getattr(knowledge.links, name)
            described = isinstance(card, dict) and f"{name}_link" in card
            if link is not None and f"{name}_link" not in hardware and not described:
                hardware[f"{name}_link"] = link
                take(f"links.{name}")
        data["hardware"] = hardware
    model = data.get("model")
    if isinstance(model, str) and model in knowledge.models:
        data["model"] = knowledge.models[model]
        take(f"models.{model}")
    for group in CONSTANTS:
        known, own = getattr(knowledge, group), data.get(group, {})
        if known and isinstance(own, dict):
            data[group] = {**known, **own}
            for name in known.keys() - own.keys():
                take(f"{group}.{name}")
    if knowledge.operator_times is not None and "operator_times" not in data:
        data["operator_times"] = knowledge.operator_times
        take("operator_times")
    if knowledge.bands is not None and "bands" not in data:
        data["bands"] = knowledge.bands
        take("bands")
    if knowledge.rules:
        data["rules"] = [*(data.get("rules") or []), *knowledge.rules]
        for rule in knowledge.rules:
            take(f"rules.{rule.id}")
    return {**data, "knowledge": used} if used else data
