"""Scenarios whole: defaults that follow the checkpoint, objectives, round trips."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from shardwise.models import InputError, Precision, Scenario, Transformer, catalog

TINY: dict[str, Any] = {
    "layers": 1,
    "hidden": 10,
    "attention": {"heads": 4, "kv_heads": 2, "head_dim": 5},
    "experts": {"count": 8, "per_token": 2, "width": 4},
    "precision": {"weights": "fp8", "experts": "mxfp4", "kv_cache": "fp8"},
}


def scenario(**parts: Any) -> Scenario:
    base = {"hardware": {"accelerator": "h100-sxm"}, "model": TINY, "workload": {"batch": 1, "input_tokens": 10}}
    return Scenario.model_validate({**base, **parts})


PUBLISHED = Precision(weights="fp8", experts="mxfp4", kv_cache="fp8")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, PUBLISHED),
        ({"precision": None}, PUBLISHED),
        ({"precision": {"kv_cache": "bf16"}}, Precision(weights="fp8", experts="mxfp4", kv_cache="bf16")),
        # new weights speak for the experts too
        ({"precision": {"weights": "bf16"}}, Precision(weights="bf16", kv_cache="fp8")),
        (
            {"precision": {"weights": "bf16", "experts": "int4"}},
            Precision(weights="bf16", experts="int4", kv_cache="fp8"),
        ),
        ({"precision": {"experts": "fp8"}}, Precision(weights="fp8", experts="fp8", kv_cache="fp8")),
        ({"precision": Precision()}, Precision()),
        ({"model": Transformer.model_validate(TINY)}, PUBLISHED),
        ({"model": "gpt-oss-20b"}, Precision(weights="bf16", experts="mxfp4")),
        ({"model": "gpt-oss-20b", "precision": {"weights": "fp8"}}, Precision(weights="fp8")),
        ({"model": "llama-3.1-8b"}, Precision()),
        ({"model": {k: v for k, v in TINY.items() if k != "precision"}}, Precision()),
    ],
)
def test_precision_follows_the_checkpoint(given: dict[str, Any], expected: Precision) -> None:
    assert scenario(**given).precision == expected


def test_defaults() -> None:
    plain = scenario()
    assert (plain.name, plain.parameters, plain.objectives) == ("scenario", "declared", ("balanced",))
    assert plain.widening == 1
    assert plain.hardware.memory_utilization == 0.9
    assert scenario(objective=["throughput", "latency"]).objectives == ("throughput", "latency")


@pytest.mark.parametrize("objective", ["fastest", [], ["latency", "latency"], ["latency", "fastest"], 3, {"a": 1}])
def test_bad_objectives(objective: Any) -> None:
    with pytest.raises(ValidationError):
        scenario(objective=objective)


def test_the_reading_of_a_contradiction_is_a_choice() -> None:
    # attention 600, router 80, norms 30, experts 960: 1,670; 2,630 declared = 710 + 2 · 960
    stretched = {**TINY, "declared_parameters": 2_630}
    assert scenario(model=stretched).widening == pytest.approx(2)
    assert scenario(model=stretched, parameters="from-shapes").widening == 1
    with pytest.raises(ValidationError, match="710"):
        scenario(model={**TINY, "declared_parameters": 700})
    scenario(model={**TINY, "declared_parameters": 700}, parameters="from-shapes")


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"model": "deepseek-v3", "hardware": {"accelerator": "h200-sxm", "gpus": {"min": 8, "max": 64}}},
        {"model": "gpt-oss-20b", "precision": {"weights": "fp8"}},
        {"objective": ["latency", "throughput"], "strategy": {"tensor": [1, 2], "pipeline": {"max": 4}, "batch": 3}},
        {"requirements": {"ttft": 2, "throughput_per_gpu": {"input": 5}}, "efficiency": {"mfu": 0.6}},
        {"latencies": "none", "workload": {"concurrency": 9, "input_tokens": 5, "output_tokens": {"min": 2, "max": 7}}},
        {"model": {**TINY, "declared_parameters": 2_630}, "parameters": "from-shapes"},
    ],
)
def test_a_scenario_written_out_is_read_back_the_same(parts: dict[str, Any]) -> None:
    before = scenario(**parts)
    after = Scenario.model_validate_json(before.model_dump_json())
    assert after == before
    assert Scenario.model_validate(before.model_dump()) == before
    assert after.model_dump_json() == before.model_dump_json()


def test_scenarios_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        scenario().name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["accelerators", "language_models"])
@pytest.mark.parametrize("name", ["nothing", "", "../accelerators/l4", "H100-SXM", "x" * 10_000])
def test_unknown_catalog_ids(kind: str, name: str) -> None:
    read = catalog.accelerator if kind == "accelerators" else catalog.language_model
    with pytest.raises(InputError, match="unknown") as caught:
        read(name)
    assert "catalog list" in str(caught.value.help)
    assert len(str(caught.value)) < 400
