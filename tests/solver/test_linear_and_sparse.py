"""Models with linear layers or indexers from end to end: every plan is proved and passes the second route."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import Scenario, Strategy
from shardwise.solver import deploy, evaluate, solve
from shardwise.solver.report.picture import picture_of
from shardwise.solver.writing.plan_md import plan_markdown

from ..builders import CARD, CHAT, EXPERTS, LATENT, LINEAR, NO_RESERVES, scenario

HYBRID: dict[str, Any] = EXPERTS | {"layers": 6, "linear_attention": LINEAR}
SPARSE: dict[str, Any] = EXPERTS | {
    "attention": LATENT
    | {"latent": LATENT["latent"] | {"sparse": {"top_k": 30, "heads": 2, "dim": 4, "pattern": ("own", "shared")}}}
}
OTHER = CARD | {"id": "other", "memory_bandwidth": 3e9, "compute": 6e11}


@pytest.mark.parametrize("model", [HYBRID, SPARSE], ids=["hybrid", "sparse"])
@pytest.mark.parametrize("workload", [CHAT, CHAT | {"output_tokens": 1}], ids=["chat", "prompts"])
def test_the_second_route_agrees(model: dict[str, Any], workload: dict[str, Any]) -> None:
    plan = solve(scenario(model, workload, gpus=8))
    assert plan.status == "optimal" and plan.verification is not None and plan.verification.ok


@pytest.mark.parametrize("model", ["qwen3.5-397b-a17b", "qwen3-next-80b-a3b", "deepseek-v3.2", "glm-5.2"])
@pytest.mark.parametrize("answer", [400, 1])
def test_the_second_route_agrees_on_catalog_models(model: str, answer: int) -> None:
    scene = {
        "hardware": {"accelerator": "b200-sxm", "gpus": 16},
        "model": model,
        "workload": {"concurrency": 64, "input_tokens": {"min": 200, "max": 9000}, "output_tokens": answer},
        "precision": {"weights": "fp8", "block": 128},
    }
    plan = solve(Scenario.model_validate(scene))
    assert plan.verification is not None and plan.verification.ok


def test_context_ranks_exchange_the_keys_of_indexers() -> None:
    found = evaluate(scenario(SPARSE, gpus=8), Strategy(context=4, expert=4))
    assert not found.broken
    plan = solve(scenario(SPARSE, gpus=8, strategy={"context": 4}))
    assert plan.verification is not None and plan.verification.ok


def test_linear_layers_bar_context_ranks_and_unequal_heads() -> None:
    for strategy in (Strategy(context=2, expert=2), Strategy(tensor=4, expert=4)):  # two key heads
        assert any("linear" in name for name in evaluate(scenario(HYBRID, gpus=8), strategy).broken)


@pytest.mark.parametrize("model", [HYBRID, SPARSE], ids=["hybrid", "sparse"])
def test_pools_on_two_cards(model: dict[str, Any]) -> None:
    scene = Scenario.model_validate(
        {
            "hardware": {
                "inventory": [{"accelerator": card, "gpus": 2} for card in (CARD | {"id": "one"}, OTHER)],
                "gpus_per_node": 2,
                "memory_utilization": 1.0,
            },
            "model": model,
            "workload": CHAT,
            "reserves": NO_RESERVES,
            "modes": "disaggregated",
        }
    )
    plan = deploy(scene)
    assert plan.status == "optimal" and plan.verification is not None and plan.verification.ok


def test_plans_name_the_linear_layers() -> None:
    plan = solve(scenario(HYBRID, CHAT, gpus=2, strategy={"pipeline": 2}))
    assert "6 (3 linear, 3 full)" in plan_markdown(plan)
    assert "0–2, 2 linear" in plan_markdown(plan)
    picture = picture_of(plan.model_dump(mode="json"))
    assert picture["kinds"][0]["linear"] == [2, 1]
