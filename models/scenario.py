"""The deployment conditions, whole: everything a person states before asking for a plan."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from . import catalog, counts
from .bands import Bands, default_bands
from .base import Model, Positive
from .constants import WITH_TABLES, Efficiency, Latencies, Reserves
from .engine_profile import CONSTANTS as ENGINE_CONSTANTS
from .engine_profile import EngineProfile
from .errors import InputError
from .hardware import Hardware
from .operator_times import OperatorTimes
from .operator_times import resolved as resolved_times
from .precision import Precision
from .requirements import Requirements
from .rules import Role, Rule
from .strategy import StrategyBounds
from .transformer import Transformer
from .units import Share
from .workload import Workload

ObjectiveName = Literal[
    "balanced", "latency", "throughput", "throughput-per-gpu", "fewest-gpus", "cost", "throughput-per-cost"
]
Mode = Literal["aggregated", "disaggregated", "any"]
"""Which engines a deployment may hold: those that do all the work of a request, pairs of prefill and decode engines, or
both at once. Two modes named: one or the other."""


def modes_of(value: Any) -> Any:
    """What a person wrote for `modes`: one word is a list of one. Raises ValueError for none, or one named twice."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("an empty list allows no deployment; write aggregated, disaggregated or any")
        if len(set(map(str, value))) < len(value):
            raise ValueError("a mode is named twice")
        return tuple(value)
    return value


def roles_of(modes: tuple[Mode, ...]) -> tuple[Role, ...]:
    """The roles that engines may have under some modes."""
    roles: tuple[Role, ...] = ()
    if "any" in modes or "disaggregated" in modes:
        roles += ("prefill", "decode")
    return (*roles, "aggregated") if "any" in modes or "aggregated" in modes else roles


def named_model(name: str, context: dict[str, Any] | None = None) -> Transformer:
    """The model of a catalog id or, with a / in it or .json at its end, of a Hugging Face config.json.

    A relative path starts at `context["folder"]`, else at the current directory. Raises InputError.
    """
    if "/" in name or name.endswith(".json"):
        from .reading.hf_config import read_config

        return read_config(Path((context or {}).get("folder") or "") / name)
    return Transformer.model_validate(catalog.language_model(name), context=context)


class Scenario(Model):
    """Deployment conditions. `Scenario.load(path)` reads them from a file."""

    name: str = Field(default="scenario", description="what to call it in reports; a file's name if absent")
    hardware: Hardware = Field(description="the machine")
    model: Transformer = Field(
        description="a catalog id such as llama-3.1-70b, the path of a Hugging Face config.json, or a description"
    )
    parameters: Literal["declared", "from-shapes"] = Field(
        default="declared", description="which count to plan on where the declared one contradicts the shapes"
    )
    precision: Precision = Field(description="formats to serve in; absent: the published checkpoint's")
    workload: Workload = Field(description="the load")
    requirements: Requirements = Field(default=Requirements(), description="limits that a plan must keep")
    objective: ObjectiveName | tuple[ObjectiveName, ...] = Field(
        default="balanced", description="what is best; a list is strict, first item first"
    )
    balance: Share = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="share of the best throughput that `balanced` may give up for latency",
    )
    modes: tuple[Mode, ...] | None = Field(
        default=None,
        description="pools to choose from: aggregated, disaggregated (prefill and decode engines apart), or any mix; "
        "absent: one strategy for all engines, unless request_rate or an inventory asks for pools",
    )
    distinct_strategies: Positive | None = Field(
        default=None, description="at most so many different strategies in each pool; 1 is what one chart can express"
    )
    strategy: StrategyBounds = Field(default=StrategyBounds(), description="pins and bounds on the degrees")
    engine: EngineProfile | None = Field(
        default=None, description="serving engine (vllm, sglang, trtllm), whose rules and memory then count; or generic"
    )
    rules: tuple[Rule, ...] = Field(default=(), description="further named conditions; knowledge adds its own")
    waive: tuple[str, ...] = Field(
        default=(), description="ids of rules, of this scenario or of the knowledge, that it sets aside"
    )
    knowledge: dict[str, str] = Field(
        default_factory=dict, description="what was taken from knowledge -> the file; set on reading"
    )
    operator_times: OperatorTimes = Field(
        default=OperatorTimes(),
        description="measured (tables, shardwise[silicon]) or datasheet; absent: measured where every card has tables",
    )
    efficiency: Efficiency = Field(default=Efficiency(), description="shares of the peaks that operators reach")
    latencies: Latencies = Field(default=Latencies(), description="fixed times; `none` for a pure roofline")
    reserves: Reserves = Field(default=Reserves(), description="memory beside weights and KV cache")
    bands: Bands = Field(default=Bands(), description="how far measurements lie from the predictions")

    @model_validator(mode="before")
    @classmethod
    def _engine_defaults(cls, data: Any) -> Any:
        """An engine's memory share and start-up count where the scenario states none."""
        if not isinstance(data, dict) or not isinstance(data.get("engine"), str):
            return data
        name = data["engine"]
        if name == "generic":
            return {**data, "engine": None}
        if name not in catalog.ids("engines"):
            return data  # reported by the engine's own validator
        profile = EngineProfile.model_validate(catalog.engine(name))
        hardware, latencies = data.get("hardware"), data.get("latencies", {})
        if isinstance(hardware, dict):
            hardware = {"memory_utilization": profile.memory_utilization, **hardware}
        if isinstance(latencies, dict):
            brought = {name: getattr(profile, name) for name in ENGINE_CONSTANTS}
            units = {name: f"{value} s" if name != "wait_steps" else value for name, value in brought.items()}
            latencies = {**units, **latencies}
        return {**data, "engine": profile, "hardware": hardware, "latencies": latencies}

    @model_validator(mode="before")
    @classmethod
    def _operator_times(cls, data: Any, info: ValidationInfo) -> Any:
        """Constants that were fitted beside tables belong to them."""
        if not isinstance(data, dict):
            return data
        times, latencies = resolved_times(data, (info.context or {}).get("folder")), data.get("latencies", {})
        source = times.get("source") if isinstance(times, dict) else getattr(times, "source", None)
        if source == "measured" and isinstance(latencies, dict):
            data = {"bands": default_bands("measured"), **data, "latencies": {**WITH_TABLES, **latencies}}
        return {**data, "operator_times": times}

    @field_validator("engine", mode="before")
    @classmethod
    def _known_engine(cls, value: Any) -> Any:
        return EngineProfile.model_validate(catalog.engine(value)) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _checkpoint_precision(cls, data: Any, info: ValidationInfo) -> Any:
        """Without `precision` the model is served as published; formats left out follow the checkpoint."""
        if not isinstance(data, dict) or isinstance(data.get("precision"), Precision):
            return data
        model, given = data.get("model"), data.get("precision") or {}
        if isinstance(model, str):
            try:
                model = named_model(model, info.context)
            except InputError:  # reported by the model's own validator, which knows the place
                return {**data, "precision": given}
            data = {**data, "model": model}
        if isinstance(model, Transformer):
            published = model.precision.model_dump(exclude_none=True)
        else:
            published = model.get("precision", {}) if isinstance(model, dict) else {}
        if isinstance(given, dict) and isinstance(published, dict):
            if "weights" in given:  # a change of format speaks for the experts too, unless it names them
                published = {key: value for key, value in published.items() if key != "experts"}
            if given.get("weights", published.get("weights")) != "fp8":
                published.pop("block", None)
            return {**data, "precision": {**published, **given}}
        return {**data, "precision": given}

    @field_validator("model", mode="before")
    @classmethod
    def _from_catalog(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            try:
                return named_model(value, info.context)
            except InputError as error:  # its own place, if any, is in the model's file, not in the scenario
                message = f"{error.place}: {error.message}" if error.place else error.message
                raise InputError(message, help=error.help) from None
        return value

    @field_validator("modes", mode="before")
    @classmethod
    def _one_mode(cls, value: Any) -> Any:
        return modes_of(value)

    @model_validator(mode="after")
    def _pools_have_meaning(self) -> Scenario:
        work = self.workload
        if self.pools and work.batch is not None:
            raise InputError(
                "a batch that arrives at once is planned with one strategy on one card",
                path=("workload", "batch"),
                help="for pools (modes, distinct_strategies, an inventory) state concurrency or request_rate",
            )
        if self.pools and not work.decodes and not work.open_loop:
            raise InputError(
                "pools for prefill-only work need a rate of requests",
                path=("workload",),
                help="state request_rate (such as 12 requests/s, or max), or output_tokens",
            )
        priced = self.hardware.stocks
        for name in ("cost", "throughput-per-cost"):
            if name in self.objectives and (not self.pools or any(stock.price_per_hour is None for stock in priced)):
                raise InputError(
                    f"objective '{name}' needs a price for every card and a deployment of pools",
                    path=("objective",),
                    help="state hardware.price_per_hour (in an inventory: of each entry), and modes",
                )
        if "throughput-per-cost" in self.objectives and any(stock.price_per_hour == 0 for stock in priced):
            raise InputError(
                "objective 'throughput-per-cost' divides by the price, and a card costs nothing",
                path=("objective",),
                help="give every card a price_per_hour above 0, or plan for throughput",
            )
        return self

    @field_validator("objective", mode="before")
    @classmethod
    def _distinct(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            if not value:
                raise ValueError("an empty list names no objective")
            if len(set(map(str, value))) < len(value):
                raise ValueError("an objective is named twice")
            return tuple(value)
        return value

    @model_validator(mode="after")
    def _declared_total_is_possible(self) -> Scenario:
        if self.parameters == "declared":
            try:
                counts.widening(self.model)
            except ValueError as error:
                raise InputError(str(error), path=("model", "declared_parameters")) from None
        return self

    @model_validator(mode="after")
    def _rules_have_names_of_their_own(self) -> Scenario:
        ids = [rule.id for rule in self.rules]
        for name in ids:
            if ids.count(name) > 1:
                raise InputError(f"two rules are called '{name}', here or in the knowledge", path=("rules",))
        return self

    @model_validator(mode="after")
    def _waived_rules_exist(self) -> Scenario:
        ids = [rule.id for rule in self.rules]
        for id in self.waive:
            if id not in ids:
                near = difflib.get_close_matches(id[:60], ids, n=1)
                known = f"did you mean '{near[0]}'?" if near else f"rules here: {', '.join(ids) or 'none'}"
                raise InputError(f"waive names no rule: '{id[:60]}'", path=("waive",), help=known)
        if len(set(self.waive)) < len(self.waive):
            raise InputError("a rule is waived twice", path=("waive",))
        return self

    @property
    def rules_in_force(self) -> tuple[Rule, ...]:
        """The rules that hold for this workload's engines and are not waived."""
        return tuple(
            rule
            for rule in self.rules
            if rule.id not in self.waive and any(rule.holds_for(role) for role in self.roles)
        )

    @property
    def pools(self) -> bool:
        """Whether a deployment of pools is asked for, instead of one strategy for all engines."""
        asked = self.modes is not None or self.distinct_strategies is not None
        return asked or self.workload.open_loop or bool(self.hardware.inventory)

    @property
    def roles(self) -> tuple[Role, ...]:
        """What an engine of the deployment may be."""
        if not self.workload.decodes:
            return ("prefill",)
        return roles_of(self.modes or ("any",)) if self.pools else ("aggregated",)

    @model_validator(mode="after")
    def _requirements_have_meaning(self) -> Scenario:
        if self.workload.decodes:
            return self
        wanted = self.requirements
        rates = (wanted.throughput, wanted.throughput_per_gpu)
        if wanted.tpot is not None or any(rate is not None and rate.output is not None for rate in rates):
            raise ValueError(
                "a requirement on tpot or output throughput needs workload.output_tokens of 2 or more; "
                "this workload is prefill only"
            )
        return self

    @property
    def widening(self) -> float:
        """Factor on the expert (or dense feed-forward) matrices under the chosen reading of the parameters."""
        return counts.widening(self.model) if self.parameters == "declared" else 1.0

    @property
    def objectives(self) -> tuple[ObjectiveName, ...]:
        """The objectives in order."""
        return self.objective if isinstance(self.objective, tuple) else (self.objective,)

    @classmethod
    def load(cls, path: str | Path, *, knowledge: Sequence[str | Path] = ()) -> Scenario:
        """Read a scenario file, with knowledge files or folders laid under it (later ones override earlier ones).

        Raises InputError with the file, line and what would be right.
        """
        from .scenario_file import ScenarioFile

        return ScenarioFile.read(path, knowledge).scenario
