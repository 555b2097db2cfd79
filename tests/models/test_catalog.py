"""The packaged catalog and the example scenarios load, and their numbers are the published ones."""

from pathlib import Path

import pytest
from shardwise.models import Accelerator, Scenario, Transformer, catalog
from shardwise.models.counts import count_parameters, kv_bytes_per_token

SCENARIOS = sorted(file for file in (Path(__file__).parents[2] / "scenarios").iterdir() if file.is_file())
FILE = {"units": "required"}

# id: total and active parameters in 1e9 (embedding table included), KV bytes per token at 16 bit. Totals are of the
# released language model: no vision tower, no multi-token-prediction layers, a tied table once. KV bytes by hand are
# layers x 2 x KV heads x head size x 2 bytes (latent attention: layers x (rank + rotary) x 2), a bound for windows.
PUBLISHED = {
    "deepseek-r1": (671.03, 37.55, 70_272),
    "deepseek-v2": (235.74, 21.38, 69_120),
    "deepseek-v2-lite": (15.71, 2.66, 31_104),
    "deepseek-v3": (671.03, 37.55, 70_272),
    "deepseek-v3.2": (671.88, 38.40, 78_324),  # DeepSeek-V3, 61 indexers of 13.96 M and 132 B
    "gemma-2-27b": (27.23, 27.23, 376_832),
    "gemma-2-9b": (9.24, 9.24, 344_064),
    "gemma-3-12b": (11.77, 11.77, 393_216),
    "gemma-3-27b": (27.01, 27.01, 507_904),
    "gemma-3-4b": (3.88, 3.88, 139_264),
    "glm-4-32b": (32.57, 32.57, 62_464),
    "glm-4-9b": (9.40, 9.40, 40_960),
    "glm-4.5": (352.80, 33.63, 376_832),
    "glm-4.5-air": (106.85, 13.42, 188_416),
    "glm-5": (743.91, 41.78, 100_152),
    "glm-5.2": (743.38, 41.25, 92_628),  # 21 indexers instead of 78
    "gpt-oss-120b": (116.79, 5.71, 73_728),
    "gpt-oss-20b": (20.91, 4.19, 49_152),
    "kimi-k2": (1026.41, 32.86, 70_272),
    "kimi-k2.5": (1026.41, 32.86, 70_272),
    "llama-2-13b": (13.02, 13.02, 819_200),
    "llama-2-70b": (68.98, 68.98, 327_680),
    "llama-2-7b": (6.74, 6.74, 524_288),
    "llama-3.1-405b": (405.85, 405.85, 516_096),
    "llama-3.1-70b": (70.55, 70.55, 327_680),
    "llama-3.1-8b": (8.03, 8.03, 131_072),
    "llama-3.2-1b": (1.236, 1.236, 32_768),
    "llama-3.2-3b": (3.21, 3.21, 114_688),
    "llama-4-maverick": (400.71, 17.18, 196_608),
    "llama-4-scout": (107.77, 17.17, 196_608),
    "minimax-m2": (228.69, 11.03, 253_952),
    "minimax-m2.5": (228.69, 11.03, 253_952),
    "mistral-7b": (7.24, 7.24, 131_072),
    "mistral-large-2407": (122.61, 122.61, 360_448),
    "mistral-nemo": (12.25, 12.25, 163_840),
    "mixtral-8x22b": (140.62, 39.15, 229_376),
    "mixtral-8x7b": (46.70, 12.88, 131_072),
    "phi-4": (14.66, 14.66, 204_800),
    "qwen2.5-1.5b": (1.54, 1.54, 28_672),
    "qwen2.5-14b": (14.77, 14.77, 196_608),
    "qwen2.5-32b": (32.76, 32.76, 262_144),
    "qwen2.5-3b": (3.09, 3.09, 36_864),
    "qwen2.5-72b": (72.70, 72.70, 327_680),
    "qwen2.5-7b": (7.62, 7.62, 57_344),
    "qwen3-0.6b": (0.596, 0.596, 114_688),
    "qwen3-1.7b": (1.72, 1.72, 114_688),
    "qwen3-14b": (14.77, 14.77, 163_840),
    "qwen3-235b-a22b": (235.09, 22.19, 192_512),
    "qwen3-30b-a3b": (30.53, 3.35, 98_304),
    "qwen3-32b": (32.76, 32.76, 262_144),
    "qwen3-4b": (4.02, 4.02, 147_456),
    "qwen3-8b": (8.19, 8.19, 147_456),
    "qwen3-coder-480b-a35b": (480.15, 35.47, 253_952),
    # layers of linear attention cache nothing per token
    "qwen3-next-80b-a3b": (79.674391296, 3.874929408, 12 * 2048),
    "qwen3.5-122b-a10b": (122.11, 9.77, 12 * 2048),
    "qwen3.5-27b": (26.90, 26.90, 16 * 4096),
    "qwen3.5-35b-a3b": (34.66, 3.45, 10 * 2048),
    "qwen3.5-397b-a17b": (396.346350336, 17.349040896, 15 * 2048),
}


def figures(card: Accelerator) -> set[str]:
    """Dotted names of every figure that an accelerator states."""
    rates = {f"compute.{number}" for number in card.compute.model_dump(exclude_none=True)}
    links = {f"{link}.{figure}" for link in ("node_link", "network_link") for figure in ("bandwidth", "latency")}
    fitted = {"launches"} & card.model_fields_set  # unstated it is 1, what the fitted times are of
    return {"memory", "memory_bandwidth", "gpus_per_node"} | rates | links | fitted


@pytest.mark.parametrize("name", catalog.ids("accelerators"))
def test_every_figure_of_an_accelerator_has_a_source_or_is_marked_assumed(name):
    card = Accelerator.model_validate(catalog.accelerator(name), context=FILE)
    explained = {*card.sources, *card.assumed}
    stated = figures(card)
    assert {figure for figure in stated if not explained & {figure, figure.split(".")[0]}} == set()
    assert explained <= stated | {"compute"}, "names no figure"
    assert all(card.sources.values())


def test_an_announced_accelerator_says_so():
    announced = [name for name in catalog.ids("accelerators") if "announced" in name]
    assert len(announced) == 3
    assert all("(announced)" in catalog.accelerator(name)["name"] for name in announced)


def test_the_catalog_is_large_enough_to_be_useful():
    assert len(catalog.ids("accelerators")) >= 30
    assert len(catalog.ids("language_models")) >= 25


@pytest.mark.parametrize(
    ("name", "expert_layers", "sliding_layers"),
    [
        ("gemma-2-27b", 0, 23),
        ("gemma-3-27b", 0, 52),  # 62 layers: ten groups of six, and two sliding ones
        ("glm-4.5", 89, 0),
        ("llama-4-maverick", 24, 36),
        ("llama-4-scout", 48, 36),
    ],
)
def test_layers_of_a_mixed_model_are_of_the_published_kinds(name, expert_layers, sliding_layers):
    kinds = Transformer.model_validate(catalog.language_model(name), context=FILE).kinds
    assert sum(kind.expert for kind in kinds) == expert_layers
    assert sum(kind.sliding for kind in kinds) == sliding_layers


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
