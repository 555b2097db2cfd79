"""Weights per rank against what the model classes of vLLM 0.33.0 and SGLang 0.5.23 allocate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from shardwise.models import Scenario
from shardwise.solver import evaluate
from shardwise.solver.costs.memory import memory_parts
from shardwise.solver.costs.rows import Rows
from shardwise.solver.costs.setting import setting

# model, attention tensor, attention data, pipeline, expert, bytes on rank 0 in vLLM and in SGLang (None: refused)
RECORDED: list[tuple[str, int, int, int, int, int | None, int | None]] = [
    ("llama-3.1-8b", 1, 1, 1, 1, 16060522496, 16060522496),
    ("llama-3.1-8b", 2, 1, 1, 1, 8030527488, 8030527488),
    ("llama-3.1-8b", 4, 1, 1, 1, 4015529984, 4015529984),
    ("llama-3.1-8b", 8, 1, 1, 1, 2008031232, 2008031232),
    ("llama-3.1-8b", 4, 1, 2, 1, 2007760896, 2270429184),
    ("llama-3.1-8b", 8, 1, 2, 1, 1004011520, 1135345664),
    ("llama-3.1-8b", 8, 1, 4, 1, 567672832, 699006976),
    ("llama-3.1-70b", 1, 1, 1, 1, 141107412992, 141107412992),
    ("llama-3.1-70b", 2, 1, 1, 1, 70555025408, 70555025408),
    ("llama-3.1-70b", 4, 1, 1, 1, 35278831616, 35278831616),
    ("llama-3.1-70b", 8, 1, 1, 1, 17640734720, 17640734720),
    ("llama-3.1-70b", 4, 1, 2, 1, 17639407616, 18164744192),
    ("llama-3.1-70b", 8, 1, 2, 1, 8820359168, 9083027456),
    ("llama-3.1-70b", 8, 1, 4, 1, 4541513728, 4804182016),
    ("qwen3-32b", 1, 1, 1, 1, 65524246528, 65524246528),
    ("qwen3-32b", 2, 1, 1, 1, 32762800128, 32762800128),
    ("qwen3-32b", 4, 1, 1, 1, 16382076928, 16382076928),
    ("qwen3-32b", 8, 1, 1, 1, 8191715328, 8191715328),
    ("qwen3-32b", 4, 1, 2, 1, 8191033344, 8191033344),
    ("qwen3-32b", 8, 1, 2, 1, 4095852544, 4095852544),
    ("qwen3-32b", 8, 1, 4, 1, 2145165312, 2145165312),
    ("qwen3-235b-a22b", 8, 1, 1, 1, 58959617024, 58959617024),
    ("qwen3-235b-a22b", 8, 1, 1, 8, 58959617024, 58959617024),
    ("qwen3-235b-a22b", 1, 8, 1, 8, 72768576512, 71679499264),
    ("qwen3-235b-a22b", 2, 4, 1, 8, 64821419008, 64354671616),
    ("qwen3-235b-a22b", 4, 2, 1, 1, 60847840256, 60692257792),
    ("qwen3-235b-a22b", 4, 1, 2, 4, 59122138624, 59122130432),
    ("mixtral-8x7b", 8, 1, 1, 1, 11677999104, 11677999104),
    ("mixtral-8x7b", 8, 1, 1, 8, 11677999104, 11677999104),
    ("mixtral-8x7b", 1, 8, 1, 8, 14485561344, 11677999104),
    ("mixtral-8x7b", 2, 4, 1, 8, 12881240064, 11677999104),
    ("mixtral-8x7b", 4, 2, 1, 1, 12079079424, 11677999104),
    ("mixtral-8x7b", 4, 1, 2, 4, 11742224384, 11742216192),
    ("gpt-oss-120b", 8, 1, 1, 1, 8711167680, 8199790272),
    ("gpt-oss-120b", 8, 1, 1, 8, 8179883712, 8179883712),
    ("gpt-oss-120b", 1, 8, 1, 8, 11879328384, 10865844864),
    ("gpt-oss-120b", 2, 4, 1, 8, 9765360000, 9331009920),
    ("gpt-oss-120b", 4, 2, 1, 1, 9239659776, 8583499008),
    ("gpt-oss-120b", 4, 1, 2, 4, 8455863744, 8455857984),
    ("deepseek-v3", 8, 1, 1, 1, 85140130848, 85140131824),
    ("deepseek-v3", 8, 1, 1, 8, 85140130848, 85140131824),
    ("deepseek-v3", 1, 8, 1, 8, 100840747360, 95942771056),
    ("deepseek-v3", 2, 4, 1, 8, 93146443872, 89769834352),
    ("deepseek-v3", 4, 2, 1, 1, 87383076064, 86683366000),
    ("deepseek-v3", 4, 1, 2, 4, 81914623392, 79022502176),
    ("qwen3-235b-a22b-fp8", 8, 1, 1, 1, 29713411312, None),
    ("qwen3-235b-a22b-fp8", 8, 1, 1, 8, 29692620016, 29692619264),
    ("qwen3-235b-a22b-fp8", 1, 8, 1, 8, 37687596784, 36598518784),
    ("qwen3-235b-a22b-fp8", 2, 4, 1, 8, 33090870000, 32624121856),
    ("qwen3-235b-a22b-fp8", 4, 2, 1, 1, 30813297904, None),
    ("qwen3-235b-a22b-fp8", 4, 1, 2, 4, 29904412280, 29904403712),
    ("qwen3-235b-a22b", 8, 1, 1, 2, None, 58959617024),
    ("mixtral-8x7b", 8, 1, 1, 2, None, 11677999104),
    ("gpt-oss-120b", 8, 1, 1, 2, None, 8186519232),
    ("deepseek-v3", 8, 1, 1, 2, None, 85140131824),
    ("qwen3-235b-a22b-fp8", 8, 1, 1, 2, None, 29692619264),
]

WRONGLY_ACCEPTED = {("sglang", "mixtral-8x7b", data) for data in (2, 4, 8)}


def _scenario(model: str, engine: str) -> Scenario:
    name = model.removesuffix("-fp8")
    data: dict[str, Any] = {
        "hardware": {"accelerator": "h200-sxm", "gpus": 64},
        "model": name,
        "workload": {"concurrency": 64, "input_tokens": 100, "output_tokens": 100},
        "engine": engine,
    }
    if model != name:
        data["precision"] = {"weights": "fp8", "block": 128}
    return Scenario.model_validate(data)


def _layers_of_first_stage(layers: int, pipeline: int, engine: str) -> int:
    """vLLM puts spare layers on the last stages but never the very last, SGLang on the last ones."""
    base, spare = divmod(layers, pipeline)
    return base + (spare == pipeline if engine == "sglang" else spare >= pipeline - 1 and pipeline > 1)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("case", RECORDED, ids=lambda case: "-".join(map(str, case[:5])))
def test_rank_bytes(engine: str, case: tuple[Any, ...]) -> None:
    model, tensor, data, pipeline, expert, *recorded = case
    allocated = recorded[engine == "sglang"]
    scenario = _scenario(model, engine)
    group = tensor * data
    cut = (
        [tensor, 1, data, pipeline, expert, group // expert]
        if scenario.model.experts
        else [tensor, 1, 1, pipeline, 1, 1]
    )
    names = ("tensor", "context", "data", "pipeline", "expert", "expert_tensor")
    broken = evaluate(scenario, dict(zip(names, cut, strict=True)), engines=1).broken
    refused = [name for name in broken if name.startswith("engine.")]
    if allocated is None or (engine, model, data) in WRONGLY_ACCEPTED:
        assert refused
        return
    assert not refused
    s = setting(scenario)
    parts = memory_parts(Rows.of(s, np.array([cut]), np.array([1])), np.ones(1), np.ones(1))
    first = s.layer_kinds[: _layers_of_first_stage(scenario.model.layers, pipeline, engine)]
    ours = (
        sum(parts.weights[kind, 0] for kind in first) + parts.first.sum() + (parts.last.sum() if pipeline == 1 else 0)
    )
    assert ours == pytest.approx(allocated, rel=0.01)
