"""What the time of a pass is made of: it is the first route's own time, and its parts are all of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shardwise.models import Scenario
from shardwise.models.engine import EngineStrategy
from shardwise.models.pass_time import PassTime
from shardwise.models.strategy import DEGREES
from shardwise.solver import solve
from shardwise.solver.costs.cut import OneCard
from shardwise.solver.costs.forward import layer_times
from shardwise.solver.costs.ledger import pass_times
from shardwise.solver.costs.programs import Program
from shardwise.solver.costs.rows import Rows
from shardwise.solver.costs.setting import setting
from shardwise.solver.costs.source import operator_times
from shardwise.solver.writing.plan_md import plan_markdown

from tests.solver.costs.silicon import made
from tests.solver.test_measured_plans import MODELS

CHAT = {"concurrency": 64, "input_tokens": 1000, "output_tokens": 200}
CUTS = [
    {"tensor": 4},
    {"tensor": 2, "pipeline": 2},
    {"data": 4, "expert": 4},
    {"context": 2, "data": 2, "expert_tensor": 4},
]
ORIGINS = ("measured", "interpolated", "extrapolated", "estimated", "fitted")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write_card(tmp_path_factory.mktemp("ledger"))


def scene(folder: Path | None, model: str | dict[str, Any] = "experts", **more: Any) -> Scenario:
    shapes = MODELS[model] | {"layers": 6, "vocabulary": 8192} if isinstance(model, str) else model
    times = {"tables": str(folder)} if folder else "datasheet"
    given = {"hardware": {"accelerator": "h100-sxm", "gpus": 16}, "model": shapes}
    return Scenario.model_validate(given | {"workload": CHAT, "operator_times": times} | more)


def engine(cut: dict[str, int], batch: int = 16, budget: int = 4000) -> EngineStrategy:
    degrees = {name: cut.get(name, 1) for name in DEGREES}
    layers = (6,) if degrees["pipeline"] == 1 else (3, 3)
    sizes = {"batch": batch, "micro_batches": 1, "in_flight": 64, "token_budget": budget}
    return EngineStrategy.model_validate({**degrees, **sizes, "layers_per_stage": layers})


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("model", ["dense", "window", "latent", "sparse", "hybrid", "experts"])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_seconds_are_the_first_routes(folder: Path, model: str, cut: dict[str, int], tables: bool) -> None:
    scenario = scene(folder if tables else None, model)
    s, strategy = setting(scenario), engine(cut)
    rows = Rows.of(s, np.array([[getattr(strategy, name) for name in DEGREES]]), np.ones(1, np.int64))
    times = operator_times(s)
    program = Program(OneCard(rows, times, ideal=False))
    prompts = max(1, 4000 * strategy.context // 1000)
    carried = {"decode": program.decode(np.full(1, 16.0)), "prompt": program.mean_prompts(np.full(1, float(prompts)))}
    found = {one.carries: one for one in pass_times(scenario, "aggregated", strategy)}
    assert list(found) == ["decode", "prompt"]
    for carries, work in carried.items():
        timed = layer_times(rows, work, times)
        layers = sum(count * timed.layers[kind, 0] for kind, count in Counter(s.layer_kinds).items())
        whole = layers + timed.head[0] + s.latencies.iteration * strategy.pipeline
        assert found[carries].seconds == pytest.approx(float(whole), rel=1e-12)
        assert set(found[carries].shares) == set(ORIGINS)
        assert sum(found[carries].shares.values()) == pytest.approx(1, abs=1e-12)
        assert min(found[carries].shares.values()) >= 0


@pytest.mark.parametrize("latencies", [{}, {"layer": "1 ms", "iteration": "2 ms", "pace": 1.5}])
def test_the_data_sheet_is_estimated_and_launches_are_fitted(latencies: dict[str, Any]) -> None:
    for one in pass_times(scene(None, latencies=latencies), "aggregated", engine({"tensor": 4})):
        assert {origin for origin, share in one.shares.items() if share > 1e-9} == {"estimated", "fitted"}


def test_nothing_fitted_leaves_operators_alone(folder: Path) -> None:
    for tables in (folder, None):
        for one in pass_times(scene(tables, latencies="none"), "aggregated", engine({"tensor": 1})):
            assert one.shares["fitted"] == pytest.approx(0, abs=1e-9)


def test_roles_have_their_own_passes(folder: Path) -> None:
    of = {role: [one.carries for one in pass_times(scene(folder), role, engine({}))] for role in ("prefill", "decode")}
    assert of == {"prefill": ["prompt"], "decode": ["decode"]}


def test_exact_points_are_measured(tmp_path: Path) -> None:
    """A table that was measured where the pass asks: all operators that it has are points of it."""
    shapes = {"layers": 2, "hidden": 2048, "attention": {"heads": 16, "head_dim": 128}, "feed_forward": {"width": 4096}}
    matrices = [(2048, 6144), (2048, 2048), (2048, 8192), (4096, 2048)]
    gemm = [{"gemm_dtype": "bfloat16", "m": 8, "n": n, "k": k, "latency": 0.05} for k, n in matrices]
    made.write(made.place(tmp_path, "gemm", "gemm"), gemm)
    core = {"attn_dtype": "bfloat16", "kv_cache_dtype": "bfloat16", "head_dim": 128, "window_size": 0, "latency": 0.1}
    core |= {"num_heads": 16, "num_key_value_heads": 16, "batch_size": 8, "isl": 1, "step": 1099}
    made.write(made.place(tmp_path, "attention", "generation_attention"), [core])
    scenario = scene(tmp_path, shapes, latencies="none")
    decode, prompt = pass_times(scenario, "aggregated", engine({}, batch=8))
    assert decode.seconds == pytest.approx(2 * (4 * 0.05e-3 + 0.1e-3), rel=1e-9)
    assert decode.shares == pytest.approx(dict.fromkeys(ORIGINS, 0.0) | {"measured": 1}, abs=1e-9)
    assert prompt.shares["extrapolated"] > 0.1  # products of more rows than the table has
    assert prompt.shares["estimated"] > 0.01  # prompts' cores, which this card has no table of


def test_plans_carry_them(folder: Path) -> None:
    """In plan.json and in plan.md."""
    plan = solve(scene(folder))
    chosen = plan.engines[0].strategy
    assert plan.passes == pass_times(plan.scenario, "aggregated", chosen)
    assert [PassTime.model_validate_json(one.model_dump_json()) for one in plan.passes] == list(plan.passes)
    text = plan_markdown(plan)
    assert "## Where the time comes from" in text
    for one in plan.passes:
        line = next(line for line in text.splitlines() if one.engine in line and f"| {one.carries} |" in line)
        assert all(f"{one.shares[origin]:.0%}" in line for origin in ORIGINS)
