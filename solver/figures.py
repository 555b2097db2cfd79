"""The numbers that a plan's predictions rest on, in words, each with its provenance."""

from __future__ import annotations

from ..models import Link, Scenario
from ..models.constants import BARE, SPREAD, Efficiency, Latencies, Provenance, Reserves, default_latencies, source_of
from ..models.engine_profile import CONSTANTS as ENGINE_CONSTANTS
from ..models.knowledge import CALIBRATED
from ..models.operator_times import automatic
from ..models.plan import Figure
from ..models.silicon_folder import RELATIVES, is_estimated, tables_name
from ..models.units import show_bytes, show_seconds

_RATES = ("compute.bf16", "compute.fp8", "compute.int8", "compute.fp4")
_CARD = ("memory", "memory_bandwidth", *_RATES, "gpus_per_node", "launches")
_GROUPS = ("efficiency", "latencies", "reserves")


def figures_of(scenario: Scenario) -> tuple[Figure, ...]:
    """Datasheet figures of the card and its links, then every constant of the cost model."""
    return (_operators(scenario), *_card_figures(scenario), *_link_figures(scenario), *_constants(scenario))


def _operators(scenario: Scenario) -> Figure:
    """What times of operators are made of."""
    times = scenario.operator_times
    if times.source == "datasheet":
        return Figure(
            name="operator_times",
            value="data sheet",
            provenance="fitted",
            source="peaks of the card and the shares below (docs/costs.md)",
        )
    but = f", but {', '.join(times.by_constants)}" if times.by_constants else ""
    cards = [stock.accelerator.measured_as or stock.accelerator.id for stock in scenario.hardware.stocks]
    related = [f"{card} as {RELATIVES[card][0]}" for card in cards if is_estimated(card, times.tables)]
    return Figure(
        name="operator_times",
        value=f"tables{but}" + (f" of a related card ({', '.join(related)})" if related else ""),
        provenance="assumed" if related else "measured",
        source=tables_name(times.tables),
    )


def tables_unused(scenario: Scenario) -> str | None:
    """What to say where tables of all cards are here and the data sheet counts; None where they count, or are not."""
    if scenario.operator_times.source == "measured" or automatic(scenario.hardware) != "measured":
        return None
    return "Tables of these cards are here and not used: `operator_times` or a share of the peaks is stated"


def _card_figures(scenario: Scenario) -> list[Figure]:
    found = []
    for name in _CARD:
        if (value := card_figure(scenario, name)) is not None:
            provenance, source = _origin(scenario, name)
            found.append(Figure(name=f"accelerator.{name}", value=value, provenance=provenance, source=source))
    return found


def _link_figures(scenario: Scenario) -> list[Figure]:
    hardware, found = scenario.hardware, []
    for name, link, own in (
        ("node_link", hardware.inside, hardware.node_link),
        ("network_link", hardware.between, hardware.network_link),
    ):
        for part in ("bandwidth", "latency"):
            if own is not None:
                file = scenario.knowledge.get(f"links.{name.removesuffix('_link')}")
                origin: tuple[Provenance, str] = ("stated", f"knowledge: {file}" if file else "the scenario")
            else:
                origin = _origin(scenario, f"{name}.{part}")
            shown = _link_part(link, part)
            found.append(Figure(name=f"accelerator.{name}.{part}", value=shown, provenance=origin[0], source=origin[1]))
    return found


def _origin(scenario: Scenario, name: str) -> tuple[Provenance, str]:
    """Provenance and source of a figure of the card."""
    card, group = scenario.hardware.accelerator, name.split(".")[0]
    if name == "gpus_per_node" and scenario.hardware.gpus_per_node is not None:
        return "stated", "the scenario"
    source = card.sources.get(name) or card.sources.get(group)
    if name in card.assumed or group in card.assumed:
        return "assumed", source or "no published source"
    if source is None or source.startswith("knowledge"):
        return "stated", source or "the scenario"
    return ("fitted" if source.startswith("fitted") else "datasheet"), source


def _constants(scenario: Scenario) -> list[Figure]:
    found = []
    for group in _GROUPS:
        constants = getattr(scenario, group)
        default = _defaults(scenario, group)
        for name in type(constants).model_fields:
            value = getattr(constants, name)
            origin = source_of(group, name, scenario.operator_times.source)
            if value != getattr(default, name) or _brought(scenario, group, name):
                origin = _set_by(scenario, group, name)
            found.append(
                Figure(
                    name=f"{group}.{name}",
                    value=_constant(group, name, value),
                    provenance=origin[0],
                    source=origin[1],
                )
            )
    return found


def _defaults(scenario: Scenario, group: str) -> Efficiency | Latencies | Reserves:
    """The constants of a group where nobody states any."""
    if group == "latencies":
        return default_latencies(scenario.operator_times.source)
    return Efficiency() if group == "efficiency" else Reserves()


def _set_by(scenario: Scenario, group: str, name: str) -> tuple[Provenance, str]:
    """Who set a constant that is not the default."""
    for key in (name, SPREAD.get(name, name)):
        if (file := scenario.knowledge.get(f"{group}.{key}")) is not None:
            return "fitted" if file.endswith(CALIBRATED) else "stated", f"knowledge: {file}"
    engine = scenario.engine
    if engine is not None and _brought(scenario, group, name):
        return "fitted", f"{engine.name}: {engine.sources.get(name, 'its profile')}"
    return "stated", "the scenario"


def _brought(scenario: Scenario, group: str, name: str) -> bool:
    """Whether a constant has the value that the engine brings."""
    engine = scenario.engine
    if engine is None or group != "latencies" or name not in ENGINE_CONSTANTS:
        return False
    return bool(getattr(scenario.latencies, name) == getattr(engine, name))


def _constant(group: str, name: str, value: float) -> str:
    if group == "reserves":
        return show_bytes(value)
    if group == "efficiency" or name in BARE:
        return f"{value:g}"
    return show_seconds(value)


def open_figures(scenario: Scenario) -> list[str]:
    """Assumed figures of the card that the scenario does not replace."""
    hardware = scenario.hardware
    replaced = [name for name in ("gpus_per_node", "node_link", "network_link") if getattr(hardware, name) is not None]
    return [name for name in hardware.accelerator.assumed if name.split(".")[0] not in replaced]


def card_figure(scenario: Scenario, path: str) -> str | None:
    """A figure of the card in words, by its dotted path; None where the card has none."""
    value: object = scenario.hardware.accelerator
    for step in path.split("."):
        value = getattr(value, step, None)
    if isinstance(value, Link):
        return f"{_link_part(value, 'bandwidth')}, {_link_part(value, 'latency')}"
    if not isinstance(value, (int, float)):
        return None if value is None else str(value)
    if path.startswith("compute"):
        return f"{value / 1e12:g} TFLOPS"
    if path.endswith("latency"):
        return show_seconds(value)
    if path == "launches":
        return None if value == 1 else f"{value:g}"  # 1 is what the fitted times are of
    return str(value) if path == "gpus_per_node" else show_bytes(value) + ("/s" if "bandwidth" in path else "")


def _link_part(link: Link, part: str) -> str:
    return show_seconds(link.latency) if part == "latency" else f"{show_bytes(link.bandwidth)}/s"
