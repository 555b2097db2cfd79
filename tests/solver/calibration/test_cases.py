"""Words of publications into what the cost model prices: layouts, formats, names, and why something is not priced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shardwise.models import Strategy, catalog
from shardwise.models.measurement import Setup
from shardwise.solver.calibration.cases import Unpriced, case_of, precision_of

from .made import setup

EXPERTS = {"model": "qwen3-235b-a22b", "accelerator": "h200-sxm", "precision": "fp8"}


def reason(**changed: Any) -> str:
    with pytest.raises(Unpriced) as caught:
        case_of(setup(**changed))
    return str(caught.value)


def layout(**changed: Any) -> tuple[tuple[int, int, int, int, int], int]:
    """(tensor, data, pipeline, expert, expert_tensor) of an engine, and how many engines."""
    case = case_of(setup(**changed))
    s: Strategy = case.strategy
    assert s.context == 1 and s.tensor * s.data * s.pipeline * case.engines == changed["gpus"]
    return (s.tensor, s.data, s.pipeline, s.expert, s.expert_tensor), case.engines


@pytest.mark.parametrize(
    ("words", "strategy", "engines"),
    [
        ({"gpus": 8, "tensor": 8}, (8, 1, 1, 1, 1), 1),
        ({"gpus": 8, "tensor": 2}, (2, 1, 1, 1, 1), 4),  # copies
        ({"gpus": 8, "tensor": 2, "data": 4}, (2, 1, 1, 1, 1), 4),  # of a dense model, replicas are copies
        ({"gpus": 8, "tensor": 2, "pipeline": 2}, (2, 1, 2, 1, 1), 2),
        ({"gpus": 8, "tensor": 2, "expert": 8}, (2, 1, 1, 1, 1), 4),  # nothing to deal
    ],
)
def test_layouts_of_dense_models(words: dict[str, Any], strategy: tuple[int, ...], engines: int) -> None:
    assert layout(**words) == (strategy, engines)


@pytest.mark.parametrize(
    ("words", "strategy", "engines"),
    [
        ({"gpus": 8, "tensor": 8}, (8, 1, 1, 1, 8), 1),  # experts sliced
        ({"gpus": 8, "tensor": 8, "expert": 8}, (8, 1, 1, 8, 1), 1),
        ({"gpus": 8, "tensor": 8, "expert": 4}, (8, 1, 1, 4, 2), 1),
        ({"gpus": 16, "tensor": 8, "expert": 8}, (8, 1, 1, 8, 1), 2),
        ({"gpus": 8, "tensor": 8, "expert": 8, "attention_data": 8}, (1, 8, 1, 8, 1), 1),  # carved out of tp
        ({"gpus": 8, "tensor": 8, "expert": 8, "attention_data": 4}, (2, 4, 1, 8, 1), 1),
        ({"gpus": 8, "tensor": 1, "expert": 8, "attention_data": 8}, (1, 8, 1, 8, 1), 1),  # tp 1 said of a rank
        ({"gpus": 16, "tensor": 1, "data": 2, "expert": 8, "attention_data": 8}, (1, 8, 1, 8, 1), 2),
        ({"gpus": 8, "tensor": 1, "data": 8, "expert": 8}, (1, 8, 1, 8, 1), 1),  # vLLM: experts over its data ranks
        ({"gpus": 8, "tensor": 2, "data": 4, "expert": 8}, (2, 4, 1, 8, 1), 1),
        ({"gpus": 8, "tensor": 4, "data": 2, "expert": 4}, (4, 1, 1, 4, 1), 2),  # experts within a copy
        ({"gpus": 16, "tensor": 8, "pipeline": 2, "expert": 8}, (8, 1, 2, 8, 1), 1),
    ],
)
def test_layouts_with_experts(words: dict[str, Any], strategy: tuple[int, ...], engines: int) -> None:
    assert layout(**EXPERTS, **words) == (strategy, engines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"gpus": 8, "pipeline": 3}, "the GPUs are no multiple of the stages"),
        ({"gpus": 8, "tensor": 3}, "the degrees do not divide the GPUs"),
        ({"gpus": 4, "tensor": 8}, "the degrees do not divide the GPUs"),
        ({"gpus": 1, "attention_data": 2, "data": 2}, "the degrees do not divide the GPUs"),
        ({"gpus": 8, "tensor": 8, "attention_data": 3}, "the attention replicas do not divide the stage"),
        ({**EXPERTS, "gpus": 8, "tensor": 8, "expert": 3}, "the expert degree does not divide the stage"),
        ({"model": "my-model"}, "model my-model is not in the catalog"),
        ({"model": ""}, "model (blank) is not in the catalog"),
        ({"accelerator": "x" * 99}, f"GPU {'x' * 40} is not in the catalog"),
        ({"precision": "q4_k_m"}, "precision q4_k_m is not known"),
        ({"gpus": 9000, "tensor": 8}, "no scenario: hardware.gpus: "),
        ({"amount": 1e300}, "no scenario: workload.concurrency: "),
    ],
)
def test_what_is_not_priced_says_why_in_short(words: dict[str, Any], said: str) -> None:
    found = reason(**words)
    assert found.startswith(said) and len(found) < 140


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("meta-llama/Llama-3.1-8B", "llama-3.1-8b"),
        ("LLAMA-3.1-8B", "llama-3.1-8b"),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek-r1"),
        ("Kimi-K2-Instruct", "kimi-k2"),
    ],
)
def test_published_names(name: str, id: str) -> None:
    case = case_of(setup(model=name, accelerator="H200", gpus=16, tensor=16, precision=""))
    assert case.scenario.model.id == id and case.scenario.hardware.accelerator.id == "h200-sxm"


def test_every_published_name_is_of_the_catalog() -> None:
    for kind, own in (("models", "language_models"), ("accelerators", "accelerators")):
        assert set(catalog.published_names(kind).values()) <= set(catalog.ids(own))


DENSE: dict[str, Any] = {}
MIXTURE: dict[str, Any] = {"experts": {}, "precision": {"weights": "bf16", "experts": "mxfp4"}}


@pytest.mark.parametrize(
    ("said", "framework", "model", "formats"),
    [
        ("bf16", "vLLM", DENSE, {"weights": "bf16", "kv_cache": "bf16"}),
        ("FP16", "TensorRT-LLM", DENSE, {"weights": "bf16", "kv_cache": "bf16"}),
        ("FP8", "vLLM", DENSE, {"weights": "fp8", "kv_cache": "bf16"}),
        ("FP8 (KV FP8)", "vLLM", DENSE, {"weights": "fp8", "kv_cache": "fp8"}),
        ("fp8, fp8 kv", "SGLang", DENSE, {"weights": "fp8", "kv_cache": "fp8"}),
        ("FP8", "TensorRT-LLM", DENSE, {"weights": "fp8", "kv_cache": "fp8"}),  # its checkpoints carry KV scales
        ("fp8, bf16 kv", "TensorRT-LLM", DENSE, {"weights": "fp8", "kv_cache": "bf16"}),
        ("mxfp8", "vLLM", {"architecture": "Qwen3"}, {"weights": "fp8", "kv_cache": "bf16", "block": 128}),
        ("int8, fp8 kv", "vLLM", DENSE, {"weights": "int8", "kv_cache": "fp8"}),
        ("INT4", "vLLM", DENSE, {"weights": "int4", "kv_cache": "bf16"}),
        ("int4, fp8 kv", "vLLM", DENSE, {"weights": "int4", "kv_cache": "fp8"}),
        ("INT4", "vLLM", MIXTURE, {"weights": "bf16", "experts": "int4", "kv_cache": "bf16"}),
        ("NVFP4", "vLLM", DENSE, {"weights": "nvfp4", "kv_cache": "bf16"}),
        ("FP4", "TensorRT-LLM", MIXTURE, {"weights": "bf16", "experts": "nvfp4", "kv_cache": "fp8"}),
        ("NVFP4", "vLLM", {**MIXTURE, "architecture": "Qwen3Moe"}, {"weights": "nvfp4", "kv_cache": "bf16"}),
        ("", "vLLM", DENSE, {"kv_cache": "bf16"}),
        ("", "TensorRT-LLM", DENSE, {"kv_cache": "fp8"}),
        ("MXFP4", "vLLM", MIXTURE, {"weights": "bf16", "experts": "mxfp4", "kv_cache": "bf16"}),
    ],
)
def test_formats(said: str, framework: str, model: dict[str, Any], formats: dict[str, Any]) -> None:
    assert precision_of(setup(precision=said, framework=framework), model, {}) == formats


@pytest.mark.parametrize(
    ("framework", "engine"), [("vLLM 0.19", "vllm"), ("SGLang", "sglang"), ("TensorRT 10.8", "trtllm"), ("TGI", None)]
)
def test_engines(framework: str, engine: str | None) -> None:
    profile = case_of(setup(framework=framework)).scenario.engine
    assert (profile.id if profile else None) == engine


@pytest.mark.parametrize("load", ["static_batch", "offline_max"])
def test_nothing_is_handled_where_there_is_no_server(load: Any) -> None:
    latencies = case_of(setup(load=load), {"latencies": {"startup": 0.5, "pace": 2.0}}).scenario.latencies
    assert (latencies.startup, latencies.prompt_token, latencies.wait_steps, latencies.pace) == (0, 0, 0, 2)


def test_constants_and_times_of_operators_are_those_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = {"latencies": {"startup": 0.5}, "efficiency": {"link": 0.3}}
    scenario = case_of(setup(), constants, "datasheet").scenario
    assert (scenario.latencies.startup, scenario.efficiency.link) == (0.5, 0.3)
    assert scenario.operator_times.source == "datasheet"
    monkeypatch.setenv("SHARDWISE_SILICON", str(tmp_path))
    assert case_of(setup()).scenario.operator_times.source == "datasheet"  # no table of this card there
    with pytest.raises(Unpriced, match="no scenario: "):
        case_of(setup(), operators="measured")


def test_one_setup_is_one_key() -> None:
    assert len({setup(), setup(), setup(amount=17)}) == 2 and isinstance(setup(), Setup)
