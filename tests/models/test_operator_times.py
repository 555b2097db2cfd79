"""Where a scenario's operator times come from: as stated, else tables where every card has its own."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from shardwise.models import InputError, Scenario, ScenarioFile, operator_times, silicon_folder
from shardwise.models.constants import Latencies, default_latencies
from shardwise.models.edit import Edit, edited_scenario
from shardwise.models.operator_times import OperatorTimes

from tests.solver.costs.silicon import made

MODEL = {"layers": 4, "hidden": 64, "attention": {"heads": 4, "head_dim": 16}, "feed_forward": {"width": 128}}
CHAT = {"concurrency": 4, "input_tokens": 100, "output_tokens": 50}


def scene(card: Any = "h100-sxm", **more: Any) -> Scenario:
    hardware = {"accelerator": card, "gpus": 8} if card else {}
    return Scenario.model_validate({"hardware": hardware, "model": MODEL, "workload": CHAT} | more)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tables of H100 alone, installed."""
    root = tmp_path / "tables"
    made.write(made.place(root, "gemm", "gemm"), made.gemm())
    monkeypatch.setenv("SHARDWISE_SILICON", str(root))
    return root


def test_without_tables_it_is_the_data_sheet() -> None:
    assert scene().operator_times == OperatorTimes(source="datasheet")
    assert scene().latencies == Latencies()


def test_with_tables_it_is_measured(tables: Path) -> None:
    found = scene()
    assert found.operator_times == OperatorTimes(source="measured")
    assert found.latencies == default_latencies("measured") != Latencies()


@pytest.mark.parametrize(
    "card", ["h200-sxm", "h800-sxm", "mi300x", {"memory": 1e9, "memory_bandwidth": 1e9, "compute": 1e12}]
)
def test_cards_without_tables_of_their_own_stay_with_the_data_sheet(tables: Path, card: Any) -> None:
    """A relative's tables are for who asks for them."""
    assert scene(card).operator_times.source == "datasheet"


def test_every_card_of_an_inventory_needs_tables(tables: Path) -> None:
    def source(*cards: str) -> str:
        stocks = [{"accelerator": card, "gpus": 8} for card in cards]
        return operator_times.automatic({"inventory": stocks})

    assert source("h100-sxm") == "measured"
    assert source("h100-sxm", "h200-sxm") == "datasheet"
    made.write(made.place(tables, "gemm", "gemm", of="h200_sxm"), made.gemm())
    silicon_folder._measured.cache_clear()
    assert source("h100-sxm", "h200-sxm") == "measured"


@pytest.mark.parametrize("stated", ["datasheet", {"source": "datasheet"}])
def test_the_data_sheet_as_stated(tables: Path, stated: Any) -> None:
    found = scene(operator_times=stated)
    assert found.operator_times == OperatorTimes(source="datasheet")
    assert found.latencies == Latencies()


@pytest.mark.parametrize("stated", ["measured", {"source": "measured"}])
def test_tables_as_stated(tables: Path, stated: Any) -> None:
    assert scene(operator_times=stated) == scene()
    assert scene("h800-sxm", operator_times=stated).operator_times.source == "measured"


def test_a_folder_of_tables_is_measured_and_starts_at_the_scenario(tables: Path, tmp_path: Path) -> None:
    file = tmp_path / "scene.json"
    data = {"hardware": {"accelerator": "h100-sxm", "gpus": 8}, "model": MODEL, "workload": CHAT}
    file.write_text(json.dumps(data | {"operator_times": {"tables": "tables"}}))
    assert ScenarioFile.read(file).scenario.operator_times == OperatorTimes(source="measured", tables=tables)


@pytest.mark.parametrize("stated", ["guessed", 3, ["measured"], {"source": "guessed"}, {"sauce": "measured"}])
def test_other_words_are_refused(stated: Any) -> None:
    with pytest.raises(ValueError, match="operator_times"):
        scene(operator_times=stated)


def test_measured_times_without_any_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="no silicon tables are installed"):
        scene(operator_times="measured")


@pytest.mark.parametrize(
    ("card", "said"),
    [("mi300x", "no silicon tables for card 'mi300x'"), ("h100-pcie", "no silicon tables for card 'l40s'")],
)
def test_a_card_without_tables_or_whose_relative_has_none(tables: Path, card: str, said: str) -> None:
    """H100 PCIe computes as H100 does, and its links are those of L40S."""
    with pytest.raises(ValueError, match=said):
        scene(card, operator_times="measured")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder of silicon tables"):
        scene(operator_times={"tables": str(tmp_path / "nothing")})


def test_without_pyarrow(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself the data sheet; when asked for, what to install."""

    def hidden(name: str) -> Any:
        return None if name == "pyarrow" else find_spec(name)

    monkeypatch.setattr(operator_times, "find_spec", hidden)
    monkeypatch.setattr(silicon_folder, "find_spec", hidden)
    silicon_folder._measured.cache_clear()
    assert scene().operator_times.source == "datasheet"
    with pytest.raises(ValueError, match="need pyarrow"):
        scene(operator_times="measured")
    silicon_folder._measured.cache_clear()


def test_an_error_names_the_line(tables: Path, tmp_path: Path) -> None:
    file = tmp_path / "scene.yaml"
    file.write_text(
        "hardware: {accelerator: mi300x, gpus: 8}\nmodel: llama-3.1-8b\n"
        "workload: {concurrency: 4, input_tokens: 100, output_tokens: 50}\noperator_times: measured\n"
    )
    with pytest.raises(InputError, match="no silicon tables for card 'mi300x'") as caught:
        ScenarioFile.read(file)
    assert caught.value.place is not None
    assert caught.value.place.line == 4


@pytest.mark.parametrize(
    ("stated", "operators"),
    [
        ({}, ()),
        ({"efficiency": {"mfu": 0.5}}, ("attention", "experts", "matrices")),
        ({"efficiency": {"kv_bandwidth": 0.5}}, ("attention",)),
        ({"efficiency": {"expert_mfu": 0.2, "link": 0.5}}, ("all_reduce", "experts")),
        ({"latencies": {"exchange": "9 us"}}, ("exchange",)),
        ({"latencies": {"layer": "9 us", "startup": "1 ms"}, "efficiency": {"overlap": 0.1}}, ()),
        (
            {"operator_times": {"source": "measured", "by_constants": ["experts"]}, "efficiency": {"mfu": 0.5}},
            ("experts",),
        ),
    ],
)
def test_stated_constants_speak_over_tables(tables: Path, stated: dict[str, Any], operators: tuple[str, ...]) -> None:
    assert scene(**{"operator_times": "measured", **stated}).operator_times.by_constants == operators


@pytest.mark.parametrize(
    ("stated", "source"),
    [
        ({"efficiency": {"mfu": 0.79}}, "datasheet"),
        ({"efficiency": {"kv_bandwidth": 0.84}}, "datasheet"),
        ({"efficiency": {"link": 0.5, "overlap": 0.1}, "latencies": {"layer": "9 us"}}, "measured"),
    ],
)
def test_stated_shares_of_the_peaks_ask_for_the_data_sheet(tables: Path, stated: dict[str, Any], source: str) -> None:
    """Whole, with the fixed times that were fitted beside it: a mixture is predicted by neither."""
    found = scene(**stated)
    assert found.operator_times.source == source
    assert found.latencies.expert_layer == default_latencies(found.operator_times.source).expert_layer


def test_a_variable_that_names_no_folder_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHARDWISE_SILICON", str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="SHARDWISE_SILICON names no folder"):
        scene()


def test_the_same_card_with_another_memory_keeps_its_tables(tables: Path) -> None:
    before = scene()
    after = edited_scenario(before, [Edit(key="hardware.accelerator.memory", after="999 GB")])
    assert after.hardware.accelerator.id != before.hardware.accelerator.id
    assert after.operator_times == before.operator_times
    assert after.operator_times.source == "measured"


def test_every_constant_with_operators_of_its_own_exists() -> None:
    for key in operator_times.STATED:
        group, name = key.split(".")
        assert name in type(getattr(scene(), group)).model_fields


def test_constants_of_latencies_are_those_of_the_source_unless_stated(tables: Path) -> None:
    found = scene(latencies={"layer": "9 us"}).latencies
    assert found.layer == 9e-6
    assert found.eager_layer == default_latencies("measured").eager_layer
    assert scene(latencies="none").latencies == Latencies.model_validate("none")


def test_a_dump_is_read_as_it_was_written(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All its constants stand in it, and none of them speaks over the tables."""
    for before in (scene(), scene(efficiency={"kv_bandwidth": 0.5}), scene(operator_times="datasheet")):
        assert Scenario.model_validate(before.model_dump()) == before
        assert Scenario.model_validate_json(before.model_dump_json()) == before
    sheet = scene(operator_times="datasheet").model_dump_json()
    measured = scene("h200-sxm").model_dump_json()
    made.write(made.place(tables, "gemm", "gemm", of="h200_sxm"), made.gemm())
    assert Scenario.model_validate_json(sheet).operator_times.source == "datasheet"
    assert Scenario.model_validate_json(measured).operator_times.source == "datasheet"


CARD = [Edit(key="hardware.accelerator", after="h200-sxm")]
BACK = [Edit(key="hardware.accelerator", after="h100-sxm")]


def test_another_card_is_asked_about_anew(tables: Path) -> None:
    for stated in ({}, {"efficiency": {"link": 0.5}}, {"efficiency": {"mfu": 0.5, "expert_mfu": 0.27}}):
        there = edited_scenario(scene(**stated), CARD)
        assert there == scene("h200-sxm", **stated)
        assert there.operator_times.source == "datasheet"
        back = edited_scenario(there, BACK)
        assert back.operator_times.source == ("datasheet" if "mfu" in stated.get("efficiency", {}) else "measured")
        assert back.latencies == scene(**stated).latencies
        assert back.efficiency == scene(**stated).efficiency
        assert back.operator_times == scene(**stated).operator_times


def test_what_was_stated_stays_with_another_card(tables: Path) -> None:
    sheet = edited_scenario(scene(operator_times="datasheet"), [Edit(key="hardware.accelerator.memory", after="90 GB")])
    assert sheet.operator_times.source == "datasheet"
    own = edited_scenario(scene("h800-sxm", operator_times={"tables": str(tables)}), BACK)
    assert own.operator_times == OperatorTimes(source="measured", tables=tables)
    relative = edited_scenario(scene("h800-sxm", operator_times="measured"), BACK)
    assert relative.operator_times.source == "measured"


def test_other_edits_leave_it(tables: Path) -> None:
    before = scene(efficiency={"link": 0.5})
    assert edited_scenario(before, [Edit(key="hardware.gpus", after=4)]).operator_times == before.operator_times


def test_knowledge_says_beside_which_times_its_constants_were_fitted(tables: Path, tmp_path: Path) -> None:
    data = {"hardware": {"accelerator": "h100-sxm", "gpus": 8}, "model": MODEL, "workload": CHAT}
    (tmp_path / "scene.json").write_text(json.dumps(data))
    (tmp_path / "stated.json").write_text(json.dumps(data | {"operator_times": "measured"}))
    known = tmp_path / "known.yaml"
    known.write_text("operator_times: datasheet\nlatencies: {layer: 3 us}\n")
    found = ScenarioFile.read(tmp_path / "scene.json", [known]).scenario
    assert found.operator_times.source == "datasheet"
    assert found.knowledge["operator_times"] == "known.yaml"
    own = ScenarioFile.read(tmp_path / "stated.json", [known]).scenario
    assert own.operator_times.source == "measured"
    assert "operator_times" not in own.knowledge
