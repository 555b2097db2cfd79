"""Edits on raw data, and on scenarios that stand in no file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from shardwise.models import InputError, Scenario
from shardwise.models.edit import Edit, edited, edited_scenario
from shardwise.models.explanation import Repair
from shardwise.models.reading import validated
from shardwise.models.reading.tree import Tree

DATA: dict[str, Any] = {
    "hardware": {"accelerator": "h200-sxm", "gpus": 64},
    "model": "llama-3.1-8b",
    "workload": {"concurrency": 8, "input_tokens": 100, "output_tokens": 50},
    "requirements": {"ttft": "2 s", "throughput_per_gpu": "100 tokens/s"},
}


def read(data: dict[str, Any]) -> Scenario:
    return validated(Tree(data, Path("s.yaml"), []), Scenario)


def change(key: str, after: Any) -> dict[str, Any]:
    return edited(DATA, [Edit(key=key, after=after)], read(DATA))


def test_a_value_is_replaced_and_the_original_stays() -> None:
    assert change("requirements.ttft", "3 s")["requirements"]["ttft"] == "3 s"
    assert DATA["requirements"]["ttft"] == "2 s"


def test_a_shorthand_is_replaced_whole() -> None:
    assert change("requirements.throughput_per_gpu.tokens", "90 tokens/s")["requirements"] == {
        "ttft": "2 s",
        "throughput_per_gpu": "90 tokens/s",
    }


def test_parents_are_made_and_keys_removed() -> None:
    assert change("strategy.tensor", 4)["strategy"] == {"tensor": 4}
    assert "ttft" not in change("requirements.ttft", None)["requirements"]
    assert change("strategy.tensor", None) == DATA


@pytest.mark.parametrize(
    ("key", "stands", "after", "expected"),
    [
        ("requirements.throughput.tokens", "9 tokens/s", "8 tokens/s", "8 tokens/s"),
        ("requirements.throughput.requests", "9 tokens/s", "1 req/s", {"tokens": "9 tokens/s", "requests": "1 req/s"}),
        ("hardware.gpus.max", 64, 72, 72),
        ("hardware.gpus.min", 64, 8, {"max": 64, "min": 8}),
        ("strategy.tensor.max", 4, 8, {"min": 4, "max": 8}),
        ("strategy.tensor.max", [1, 2, 4], 2, {"any_of": [1, 2, 4], "max": 2}),
        ("workload.input_tokens.max", 100, 200, {"min": 100, "max": 200}),
    ],
)
def test_what_stands_beside_a_shorthand_stays(key: str, stands: Any, after: Any, expected: Any) -> None:
    group, name, _ = key.split(".")
    data = {**DATA, group: {**DATA.get(group, {}), name: stands}}
    found = edited(data, [Edit(key=key, after=after)], read(DATA))
    assert found[group][name] == expected
    read(found)


def test_a_mapping_that_would_be_empty_is_removed_whole() -> None:
    data = {**DATA, "strategy": {"pipeline": {"max": 4}}}
    assert edited(data, [Edit(key="strategy.pipeline.max", after=None)], read(data)) == DATA


def test_parts_of_what_is_only_named_cannot_be_changed() -> None:
    with pytest.raises(InputError, match=r"model is 'llama-3\.1-8b'"):
        change("model.layers", 4)


def test_edits_are_made_in_turn() -> None:
    edits = [Edit(key="waive", after=["a"]), Edit(key="strategy.tensor", after=4), Edit(key="waive", after=None)]
    assert edited(DATA, edits, read(DATA)) == {**DATA, "strategy": {"tensor": 4}}


def test_a_card_of_the_catalog_is_written_out_with_more_memory() -> None:
    card = read(DATA).hardware.accelerator
    scene = read(change("hardware.accelerator.memory", "200 GB"))
    larger = scene.hardware.accelerator
    assert (larger.memory, larger.id) == (200e9, "h200-sxm-200gb")
    assert "memory" not in larger.sources and larger.sources["compute"] == card.sources["compute"]
    same = ("memory_bandwidth", "compute", "gpus_per_node", "node_link", "network_link", "assumed")
    assert all(getattr(larger, name) == getattr(card, name) for name in same)


def test_every_card_can_be_written_out() -> None:
    from shardwise.models import catalog

    for id in catalog.ids("accelerators"):
        data = {**DATA, "hardware": {"accelerator": id, "gpus": 8}}
        card = read(data).hardware.accelerator
        larger = read(edited(data, [Edit(key="hardware.accelerator.memory", after="999 GB")], read(data)))
        changed = larger.hardware.accelerator.model_copy(
            update={
                "memory": card.memory,
                "id": card.id,
                "name": card.name,
                "sources": card.sources,
                "measured_as": None,
            }
        )
        assert changed == card
        assert larger.hardware.accelerator.measured_as == id


def test_json_says_from_and_to() -> None:
    edit = Edit(key="hardware.gpus", before=64, after=72)
    said = {"key": "hardware.gpus", "from": 64, "to": 72}
    assert edit.model_dump() == edit.model_dump(by_alias=True) == json.loads(edit.model_dump_json()) == said
    assert Edit.model_validate(said) == edit
    repair = Repair(edits=(edit,), headline="", status="optimal")
    assert json.loads(repair.model_dump_json())["edits"] == [said]
    assert list(Edit.model_json_schema(mode="serialization")["properties"]) == ["key", "from", "to"]


def test_a_scenario_made_in_python() -> None:
    scene = read({**DATA, "strategy": {"tensor": 2}})
    assert edited_scenario(scene, []) == scene
    other = edited_scenario(
        scene, [Edit(key="requirements.ttft", after="2 s"), Edit(key="strategy.tensor", after=None)]
    )
    assert (other.requirements.ttft, other.strategy.tensor) == (2.0, None)
    with pytest.raises(ValidationError):
        edited_scenario(scene, [Edit(key="hardware.gpus", after=0)])


def test_another_engine_brings_its_own_defaults() -> None:
    scene = read({**DATA, "engine": "vllm"})
    for engine in ("sglang", "trtllm", "generic"):
        expected = read({**DATA, "engine": engine})
        found = edited_scenario(scene, [Edit(key="engine", after=engine)])
        assert found.hardware.memory_utilization == expected.hardware.memory_utilization
        assert (found.latencies, found.engine) == (expected.latencies, expected.engine)


def test_a_first_engine_brings_its_defaults_too() -> None:
    for engine in ("vllm", "sglang", "trtllm"):
        assert edited_scenario(read(DATA), [Edit(key="engine", after=engine)]) == read({**DATA, "engine": engine})


def test_an_edit_beside_that_of_the_engine_counts() -> None:
    scene = read({**DATA, "engine": "vllm"})
    share = Edit(key="hardware.memory_utilization", after="80 %")
    found = edited_scenario(scene, [Edit(key="engine", after="sglang"), share])
    assert found.hardware.memory_utilization == 0.8


@pytest.mark.parametrize("after", ["200 GB", 200e9])
def test_a_card_in_python_gets_the_name_that_it_gets_in_a_file(after: Any) -> None:
    found = edited_scenario(read(DATA), [Edit(key="hardware.accelerator.memory", after=after)])
    expected = read(change("hardware.accelerator.memory", "200 GB")).hardware.accelerator
    assert found.hardware.accelerator.model_copy(update={"name": ""}) == expected.model_copy(update={"name": ""})
