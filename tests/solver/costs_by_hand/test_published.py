"""The cost model against figures that others published or measured."""

from __future__ import annotations

from typing import Any

import pytest
from costs_by_hand import figures, priced
from pytest import approx
from shardwise.models import Scenario

# Per-rank weight bytes as vLLM 0.33 allocates them (the larger of the first and the last rank), 16 bit unless the
# model is published in 8 bit.
RANK_BYTES = [
    ("llama-3.1-8b", {"tensor": 1}, 16_060_522_496),
    ("llama-3.1-8b", {"tensor": 2}, 8_030_527_488),
    ("llama-3.1-8b", {"tensor": 4}, 4_015_529_984),
    ("llama-3.1-8b", {"tensor": 8}, 2_008_031_232),
    ("llama-3.1-8b", {"tensor": 8, "pipeline": 4}, 567_681_024),
    ("llama-3.1-70b", {"tensor": 1}, 141_107_412_992),
    ("llama-3.1-70b", {"tensor": 8}, 17_640_734_720),
    ("llama-3.1-70b", {"tensor": 4, "pipeline": 2}, 17_639_424_000),
    ("qwen3-32b", {"tensor": 8, "pipeline": 2}, 4_095_862_784),
    ("qwen3-235b-a22b", {"tensor": 8, "expert_tensor": 8}, 58_959_617_024),
    ("qwen3-235b-a22b", {"tensor": 8, "expert": 8}, 58_959_617_024),
    ("qwen3-235b-a22b", {"data": 8, "expert": 8}, 72_768_576_512),
    ("qwen3-235b-a22b", {"tensor": 4, "data": 2, "expert_tensor": 8}, 60_847_840_256),
    ("mixtral-8x7b", {"tensor": 2, "data": 4, "expert": 8}, 12_881_240_064),
    ("gpt-oss-120b", {"data": 8, "expert": 8}, 11_879_328_384),
    ("deepseek-v3", {"tensor": 8, "expert": 8}, 85_140_130_848),
    ("deepseek-v3", {"data": 8, "expert": 8}, 100_840_747_360),
]


def served(model: str, load: dict[str, Any] | None = None, **more: Any) -> Scenario:
    load = load or {"batch": 64, "input_tokens": 10}
    return Scenario.model_validate({"hardware": {"accelerator": "h100-sxm"}, "model": model, "workload": load, **more})


@pytest.mark.parametrize(("model", "degrees", "size"), RANK_BYTES)
def test_weights_of_a_rank(model: str, degrees: dict[str, int], size: int) -> None:
    # the engine also holds the scales of 8-bit blocks: 4 B for 128 · 128 weights, 0.024 %
    assert figures(priced(served(model), 1, **degrees), "weights") == (approx(size, rel=5e-4),)


@pytest.mark.parametrize(
    ("model", "degrees", "size"),
    [
        ("llama-3.1-70b", {"tensor": 1}, 327_680),
        ("llama-3.1-70b", {"tensor": 8}, 40_960),  # 80 layers · 2 · 1 head · 128 · 2 B
        ("llama-3.1-70b", {"tensor": 16}, 40_960),  # eight KV heads on sixteen ranks: replicated
        ("qwen3-235b-a22b", {"tensor": 8, "expert": 8}, 48_128),  # 94 · 2 · 1 · 128 · 2, four heads on eight ranks
        ("deepseek-v3", {}, 70_272),  # 61 · (512 + 64) · 2
        ("deepseek-v3", {"tensor": 8, "expert": 8}, 70_272),
        ("deepseek-v3", {"tensor": 16, "expert": 16}, 70_272),
    ],
)
def test_kv_cache_of_a_token_on_a_rank(model: str, degrees: dict[str, int], size: int) -> None:
    row = priced(served(model, {"batch": 1, "input_tokens": 1}), 1, **degrees)
    assert figures(row, "kv_cache") == (size,)


@pytest.mark.parametrize(
    ("declared", "per_token", "ceiling"),
    [
        # The source document: 16 layers, 4·512² of attention, 16 experts of 3·512·1024, prompts of 128 to 10,240,
        # 400 TFLOP/s at 60 %. Per token: attention 16·4·512·E[I²]/2/E[I] = 16·1,024·35.395e6/5,184 = 111.9e6 flops,
        # matrices 16·2·(4·512² + 2·1,572,864) = 134.2e6. 240e12/246.1e6 = 975 tokens/ms; one expert 1,226.
        (None, 2, 975),
        (None, 1, 1226),
        # declared: (10e9 − 16.8e6)/256 = 39.0e6 weights per expert: 32·(2 · 39.0e6 + 1.05e6) = 2.53e9: 91; one: 172
        ("10.0 B", 2, 91),
        ("10.0 B", 1, 172),
    ],
)
def test_compute_ceiling_of_the_source_document(declared: str | None, per_token: int, ceiling: float) -> None:
    card = {"memory": "64 GB", "memory_bandwidth": 1e30, "compute": "400 TFlops", "node_link": {"bandwidth": 1e30}}
    scene = Scenario.model_validate(
        {
            "hardware": {"accelerator": card, "gpus": 64},
            "model": {
                "layers": 16,
                "hidden": 512,
                "attention": {"heads": 16, "head_dim": 32},
                "experts": {"count": 16, "per_token": per_token, "width": 1024},
                "declared_parameters": declared,
            },
            "workload": {"batch": 128, "input_tokens": {"min": 128, "max": 10240}},
            "efficiency": {"mfu": 0.6, "half_rows": 0, "half_width": 0},
            "latencies": "none",
        }
    )
    # the published figures leave the router out, 0.2 % of the flops
    assert figures(priced(scene, 128), "input_rate") == (approx(ceiling * 1000, rel=5e-3),)
    # splitting the work over GPUs, links for free, changes nothing per GPU
    split = priced(scene, 16, engines=2, tensor=2, data=4, expert=4, expert_tensor=2)
    assert split.column("input_rate_per_gpu")[0] == approx(ceiling * 1000, rel=5e-3)
