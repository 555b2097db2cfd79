"""Engine profiles: defaults that a scenario takes over, and where spare layers go."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import Scenario, catalog
from shardwise.models.engine_profile import EngineProfile

ENGINES = ("vllm", "sglang", "trtllm")
BASE: dict[str, Any] = {
    "hardware": {"accelerator": "h100-sxm", "gpus": 8},
    "model": "llama-3.1-8b",
    "workload": {"concurrency": 8, "input_tokens": 100, "output_tokens": 100},
}


def profile(name: str) -> EngineProfile:
    return EngineProfile.model_validate(catalog.engine(name))


def test_all_engines_are_there() -> None:
    assert set(catalog.ids("engines")) == set(ENGINES)


@pytest.mark.parametrize(
    ("name", "layers", "stages", "split"),
    [
        ("vllm", 126, 4, (31, 32, 32, 31)),  # as vLLM documents and allocates
        ("vllm", 61, 2, (31, 30)),
        ("sglang", 61, 2, (30, 31)),
        ("trtllm", 61, 2, (31, 30)),
        ("trtllm", 126, 4, (32, 32, 31, 31)),
        ("sglang", 126, 4, (31, 31, 32, 32)),
        ("vllm", 80, 8, (10,) * 8),
        ("vllm", 94, 4, (23, 24, 24, 23)),
    ],
)
def test_where_spare_layers_go(name: str, layers: int, stages: int, split: tuple[int, ...]) -> None:
    assert profile(name).default_split(layers, stages) == split


@pytest.mark.parametrize("name", ENGINES)
def test_a_scenario_takes_over_what_it_does_not_state(name: str) -> None:
    scene, known = Scenario.model_validate({**BASE, "engine": name}), profile(name)
    assert scene.engine == known
    assert scene.hardware.memory_utilization == known.memory_utilization
    assert scene.latencies.startup == known.startup
    hardware, latencies = {**BASE["hardware"], "memory_utilization": 0.5}, {"startup": "1 s"}
    own = Scenario.model_validate({**BASE, "engine": name, "hardware": hardware, "latencies": latencies})
    assert (own.hardware.memory_utilization, own.latencies.startup) == (0.5, 1.0)
    assert Scenario.model_validate_json(own.model_dump_json()) == own


def test_generic_is_no_engine() -> None:
    assert Scenario.model_validate({**BASE, "engine": "generic"}) == Scenario.model_validate(BASE)


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown engine 'vlm'"):
        Scenario.model_validate({**BASE, "engine": "vlm"})
