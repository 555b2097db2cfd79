"""The packaged catalog and the example scenarios load, and their numbers are the published ones."""

from pathlib import Path

import pytest
from shardwise.models import Accelerator, Scenario, Transformer, catalog
from shardwise.models.counts import count_parameters, kv_bytes_per_token

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
FILE = {"units": "required"}

# id: total and active parameters in 1e9 (embedding table included), KV bytes per token at 16 bit
PUBLISHED = {
    "deepseek-r1": (671.03, 37.55, 70_272),
    "deepseek-v2": (235.74, 21.38, 69_120),
    "deepseek-v3": (671.03, 37.55, 70_272),
    "gpt-oss-120b": (116.79, 5.71, 73_728),
    "gpt-oss-20b": (20.91, 4.19, 49_152),
    "kimi-k2": (1026.41, 32.86, 70_272),
    "llama-3.1-405b": (405.85, 405.85, 516_096),
    "llama-3.1-70b": (70.55, 70.55, 327_680),
    "llama-3.1-8b": (8.03, 8.03, 131_072),
    "mistral-7b": (7.24, 7.24, 131_072),
    "mixtral-8x22b": (140.62, 39.15, 229_376),
    "mixtral-8x7b": (46.70, 12.88, 131_072),
    "qwen2.5-72b": (72.70, 72.70, 327_680),
    "qwen3-14b": (14.77, 14.77, 163_840),
    "qwen3-235b-a22b": (235.09, 22.19, 192_512),
    "qwen3-30b-a3b": (30.53, 3.35, 98_304),
    "qwen3-32b": (32.76, 32.76, 262_144),
    "qwen3-8b": (8.19, 8.19, 147_456),
    "qwen3-coder-480b-a35b": (480.15, 35.47, 253_952),
}


def figures(card: Accelerator) -> set[str]:
    """Dotted names of every figure that an accelerator states."""
    rates = {f"compute.{number}" for number in card.compute.model_dump(exclude_none=True)}
    links = {f"{link}.{figure}" for link in ("node_link", "network_link") for figure in ("bandwidth", "latency")}
    return {"memory", "memory_bandwidth", "gpus_per_node"} | rates | links


@pytest.mark.parametrize("name", catalog.ids("accelerators"))
def test_every_figure_of_an_accelerator_has_a_source_or_is_marked_assumed(name):
    card = Accelerator.model_validate(catalog.accelerator(name), context=FILE)
    explained = {*card.sources, *card.assumed}
    stated = figures(card)
    assert {figure for figure in stated if not explained & {figure, figure.split(".")[0]}} == set()
    assert explained <= stated | {"compute"}, "names no figure"
    assert all(card.sources.values())


def test_every_model_is_in_the_table():
    assert set(PUBLISHED) == set(catalog.ids("language_models"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_of_a_model_are_the_published_ones(name):
    model = Transformer.model_validate(catalog.language_model(name), context=FILE)
    total, active, kv_bytes = PUBLISHED[name]
    counted = count_parameters(model)
    assert counted.total == pytest.approx(total * 1e9, rel=0.005)
    assert counted.active == pytest.approx(active * 1e9, rel=0.02)
    assert kv_bytes_per_token(model) == kv_bytes
    assert "shapes" in model.sources


def test_there_are_example_scenarios():
    assert len(SCENARIOS) >= 14


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_an_example_scenario_loads_and_round_trips(path):
    scenario = Scenario.load(path)
    assert scenario.name == path.stem
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
    assert path.read_text(encoding="utf-8").startswith("# ")
