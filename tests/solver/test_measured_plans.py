"""Plans from measured tables: the second route, which reads and asks the tables itself, confirms them all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.models import Plan, Scenario, ScenarioFile
from shardwise.solver import deploy, solve
from shardwise.solver.figures import figures_of
from shardwise.solver.verify import verify

from tests.solver.costs.silicon import made

SCENARIOS = Path(__file__).parents[2] / "scenarios"
GROUPED = {"heads": 32, "kv_heads": 8, "head_dim": 128}
NARROW = {"heads": 24, "kv_heads": 6, "head_dim": 96, "output_gate": True}
SLIDING = GROUPED | {"window": {"size": 128, "pattern": ("sliding", "full")}}
DEEPSEEK = {"query_rank": 1536, "kv_rank": 512, "nope_dim": 128, "rope_dim": 64, "value_dim": 128}
LATENT = {"heads": 64, "latent": DEEPSEEK}
WIDER = {"heads": 32, "latent": DEEPSEEK | {"nope_dim": 96, "query_rank": None}}
SPARSE = {"heads": 64, "latent": DEEPSEEK | {"sparse": {"top_k": 512, "heads": 16, "dim": 128}}}
LINEAR = {
    "key_heads": 16,
    "value_heads": 32,
    "key_dim": 128,
    "value_dim": 128,
    "convolution": 4,
    "pattern": ("linear", "full"),
}
DENSE = {"width": 12288}
EXPERTS = {"count": 128, "per_token": 8, "width": 1536, "shared_width": 1536, "leading_dense_layers": 1}
UNGATED = {"count": 64, "per_token": 4, "width": 2048, "gated": False}
MODELS: dict[str, dict[str, Any]] = {
    "dense": {"hidden": 4096, "attention": GROUPED, "feed_forward": DENSE},
    "narrow heads": {"hidden": 3000, "attention": NARROW, "feed_forward": DENSE},
    "window": {"hidden": 2880, "attention": SLIDING, "experts": UNGATED},
    "latent": {"hidden": 7168, "attention": LATENT, "feed_forward": DENSE, "experts": EXPERTS},
    "wider latent": {"hidden": 4096, "attention": WIDER, "feed_forward": DENSE},
    "sparse": {"hidden": 7168, "attention": SPARSE, "feed_forward": DENSE, "experts": EXPERTS},
    "hybrid": {"hidden": 4096, "attention": GROUPED, "linear_attention": LINEAR, "feed_forward": DENSE},
    "experts": {"hidden": 7168, "attention": GROUPED, "feed_forward": DENSE, "experts": EXPERTS},
}
PRECISIONS: dict[str, dict[str, Any]] = {
    "bf16": {"weights": "bf16"},
    "fp8": {"weights": "fp8", "kv_cache": "fp8"},
    "block fp8": {"weights": "fp8", "block": 128},
    "nvfp4": {"weights": "nvfp4", "kv_cache": "fp8"},
    "mxfp4": {"weights": "bf16", "experts": "mxfp4"},
    "int8": {"weights": "int8"},
    "int4": {"weights": "int4"},
}
LOADS: list[dict[str, Any]] = [
    {"concurrency": 24, "input_tokens": 1500, "output_tokens": 100},
    {"concurrency": 7, "input_tokens": {"min": 64, "max": 4000}, "output_tokens": 30},
    {"batch": 12, "input_tokens": 700, "output_tokens": 50},
    {"batch": 6, "input_tokens": 3000, "output_tokens": 1},
]
STATED: list[dict[str, Any]] = [{}, {}, {"attention_mfu": 0.4}, {"link": 0.5}, {"overlap": 0.2}, {"expert_mfu": 0.3}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cards, one with a table of every operator, one where another engine has them; GEMM of two engines."""
    root = made.write_card(tmp_path_factory.mktemp("plans"))
    quicker = [{**row, "latency": row["latency"] * (0.8 if row["m"] < 100 else 1.2)} for row in made.gemm()]
    made.write(made.place(root, "gemm", "gemm", "sglang", "0.5.12"), quicker)
    return made.write_card(root, "b200_sxm", "trtllm")


def solved(plan: Plan) -> Plan:
    assert plan.status == "optimal"
    assert plan.verification is not None and plan.verification.ok
    return plan


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=6)
@given(
    precision=st.sampled_from(list(PRECISIONS)),
    card=st.sampled_from(["h100-sxm", "b200-sxm", "h800-sxm"]),
    engine=st.sampled_from([None, "vllm", "sglang", "trtllm"]),
    workload=st.sampled_from(LOADS),
    efficiency=st.sampled_from(STATED),
    node=st.sampled_from([8, 4]),
    pins=st.sampled_from([{}, {}, {"tensor": 2}, {"pipeline": 2}, {"context": 2}, {"data": {"min": 2}}]),
)
def test_both_routes_agree(
    folder: Path, model: str, precision: str, card: str, engine: str | None, **given: Any
) -> None:
    """Else `solve` raises DisagreementError."""
    hardware = {"accelerator": card, "gpus": 8, "gpus_per_node": given["node"]}
    if engine and given["pins"].get("context"):
        engine = None  # engines split no prompts
    scene = Scenario.model_validate(
        {
            "hardware": hardware,
            "model": MODELS[model] | {"layers": 4, "vocabulary": 32000},
            "workload": given["workload"],
            "precision": PRECISIONS[precision],
            "efficiency": given["efficiency"],
            "strategy": given["pins"],
            "operator_times": {"tables": str(folder)},
        }
        | ({"engine": engine} if engine else {})
    )
    plan = solve(scene, conflicts=False)
    if plan.status != "infeasible":
        solved(plan)


@pytest.mark.parametrize("modes", ["any", "disaggregated", "aggregated"])
def test_pools_on_two_cards(folder: Path, modes: str) -> None:
    data = {
        "hardware": {"inventory": [{"accelerator": card, "gpus": 2} for card in ("h100-sxm", "b200-sxm")]},
        "model": MODELS["dense"] | {"layers": 8, "vocabulary": 32000},
        "workload": {"concurrency": 32, "input_tokens": 1000, "output_tokens": 100},
        "modes": modes,
        "operator_times": {"tables": str(folder)},
    }
    plan = deploy(Scenario.model_validate(data))
    assert plan.status == "optimal"
    assert plan.verification is not None and plan.verification.ok
    assert all(one.shares["interpolated"] + one.shares["measured"] > 0 for one in plan.passes)


def test_a_plan_in_a_file_is_enough(folder: Path, tmp_path: Path) -> None:
    """It keeps where its times come from, and is confirmed by that."""
    given = {"hardware": {"accelerator": "h100-sxm", "gpus": 8}, "model": MODELS["dense"] | {"layers": 4}}
    more = {"workload": LOADS[0], "efficiency": {"kv_bandwidth": 0.5}, "operator_times": {"tables": str(folder)}}
    plan = solved(solve(Scenario.model_validate(given | more)))
    again = Plan.model_validate_json(plan.model_dump_json())
    assert again == plan
    assert again.scenario.operator_times.tables == folder
    assert again.scenario.operator_times.by_constants == ("attention",)
    assert verify(again).ok
    slower = again.scenario.model_copy(
        update={"operator_times": again.scenario.operator_times.model_copy(update={"by_constants": ()})}
    )
    assert not verify(again.model_copy(update={"scenario": slower})).ok


@pytest.mark.parametrize("name", ["llama-3.1-8b-h100-1", "gpt-oss-120b-h100-8"])
def test_tables_that_are_there_do_not_change_the_data_sheets_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file = ScenarioFile.read(SCENARIOS / f"{name}.yaml")
    without = solve(file.scenario)
    monkeypatch.setenv("SHARDWISE_SILICON", str(folder))
    by_tables = ScenarioFile.read(file.path).scenario
    stated = Scenario.model_validate(
        by_tables.model_dump()
        | {"operator_times": "datasheet", "latencies": file.scenario.latencies, "bands": file.scenario.bands}
    )
    assert by_tables.operator_times.source == "measured"
    assert stated == file.scenario
    found = solve(stated)
    assert found.predictions == without.predictions
    assert found.engines == without.engines
    assert found.provenance == without.provenance
    assert [(one.seconds, one.shares) for one in found.passes] == [(one.seconds, one.shares) for one in without.passes]
    measured = solve(by_tables)
    assert measured.predictions != without.predictions
    [times] = [figure for figure in figures_of(by_tables) if figure.name == "operator_times"]
    assert (times.value, times.provenance, times.source) == ("tables", "measured", f"folder {folder}")


@pytest.mark.skipif(
    os.environ.get("SHARDWISE_SILICON", "none") == "none", reason="opt-in: SHARDWISE_SILICON names no folder of tables"
)
@pytest.mark.parametrize(
    "name",
    [
        "llama-3.1-70b-h100-8",
        "gpt-oss-120b-h100-8",
        "deepseek-v3-h200-32",
        "mixtral-8x7b-a100-8",
        "qwen3.5-397b-h200-8",
    ],
)
def test_real_tables(name: str) -> None:
    scene = ScenarioFile.read(SCENARIOS / f"{name}.yaml").scenario
    assert scene.operator_times.source == "measured"
    solved(solve(scene))
