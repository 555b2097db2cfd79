"""Results of serving benchmarks: what vLLM's, SGLang's and AIPerf's files become, and what is none of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shardwise.models import InputError, Plan, Scenario
from shardwise.models.measurement import Measurement
from shardwise.models.reading.bench_results import read_results
from shardwise.solver import solve

VLLM = {
    "backend": "vllm",
    "request_rate": "inf",
    "max_concurrency": 16,
    "completed": 100,
    "total_input_tokens": 100_000,
    "total_output_tokens": 20_000,
    "request_throughput": 4.0,
    "output_throughput": 800.0,
    "mean_ttft_ms": 120.0,
    "mean_tpot_ms": 18.0,
}
SGLANG = {**VLLM, "backend": "sglang", "request_rate": float("inf")}
AIPERF = {
    "time_to_first_token": {"unit": "ms", "avg": 120.0, "p99": 300.0},
    "inter_token_latency": {"unit": "ms", "avg": 18.0},
    "output_token_throughput": {"unit": "tokens/sec", "avg": 800.0},
    "input_sequence_length": {"unit": "tokens", "avg": 1000.2},
    "output_sequence_length": {"unit": "tokens", "avg": 199.6},
    "input_config": {"loadgen": {"concurrency": 16}},
}
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Attention replicas inside an engine, so that the layout has something to tell."""
    return solve(
        Scenario.model_validate(
            {
                "hardware": {"accelerator": "h100-sxm", "gpus": 8, "use_all_gpus": True},
                "model": "qwen3-30b-a3b",
                "precision": {"weights": "fp8", "kv_cache": "fp8"},
                "workload": {"concurrency": 16, "input_tokens": 1000, "output_tokens": 200},
                "strategy": {"tensor": 2, "data": 2, "expert": 4, "expert_tensor": 1, "pipeline": 1, "engines": 2},
                "engine": "sglang",
            }
        )
    )


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: Any, name: str = "result.json") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def told(found: list[Measurement]) -> dict[str, float]:
    return {one.quantity: one.value for one in found}


EVERYTHING = {"throughput": 800.0, "ttft": pytest.approx(0.12), "tpot": pytest.approx(0.018)}


@pytest.mark.parametrize("run", [VLLM, SGLANG, AIPERF])
def test_one_run(write: Write, plan: Plan, run: dict[str, Any]) -> None:
    found = read_results(write(run), plan)
    assert told(found) == EVERYTHING
    [setup] = {one.setup for one in found}
    assert (setup.input_tokens, setup.output_tokens) == (1000, 200)
    assert (setup.load, setup.amount) == ("concurrency", 16)


def test_the_plan_tells_hardware_and_layout(write: Write, plan: Plan) -> None:
    setup = read_results(write(VLLM), plan)[0].setup
    assert (setup.model, setup.accelerator, setup.gpus, setup.engine) == ("qwen3-30b-a3b", "h100-sxm", 8, "sglang")
    assert (setup.tensor, setup.attention_data, setup.expert, setup.pipeline) == (4, 2, 4, 1)
    assert setup.precision == "fp8, fp8 kv"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ([VLLM, VLLM], "runs.json"),
        (b"\n".join([json.dumps(SGLANG).encode(), b"", json.dumps(SGLANG).encode(), b""]), "runs.jsonl"),
        (b"\n".join([json.dumps(VLLM).encode()] * 2), "appended.json"),
    ],
)
def test_several_runs(write: Write, plan: Plan, content: Any, name: str) -> None:
    found = read_results(write(content, name), plan)
    assert len(found) == 6 and told(found[:3]) == told(found[3:]) == EVERYTHING


@pytest.mark.parametrize(
    ("changed", "load", "amount"),
    [
        ({"request_rate": 2.5, "max_concurrency": None}, "request_rate", 2.5),
        ({"request_rate": 4.0, "max_concurrency": 1000}, "request_rate", 4.0),  # 4/s × 3.7 s: 15 in flight
        ({"request_rate": 50.0, "max_concurrency": 16}, "concurrency", 16),  # the limit binds
        ({"request_rate": "inf", "max_concurrency": None}, "offline_max", None),
    ],
)
def test_which_load_it_was(write: Write, plan: Plan, changed: dict[str, Any], load: str, amount: float | None) -> None:
    found = read_results(write({**VLLM, **changed}), plan)
    assert (found[0].setup.load, found[0].setup.amount) == (load, amount)
    assert ("ttft" in told(found)) == (load != "offline_max")  # of a queue without end only the rate tells anything


@pytest.mark.parametrize(
    ("loadgen", "load", "quantities"),
    [
        ({"request_rate": 3, "concurrency": None}, "request_rate", {"throughput", "ttft", "tpot"}),
        ({}, "offline_max", {"throughput"}),
        (None, "offline_max", {"throughput"}),
    ],
)
def test_loads_of_aiperf(write: Write, plan: Plan, loadgen: Any, load: str, quantities: set[str]) -> None:
    found = read_results(write({**AIPERF, "input_config": {"loadgen": loadgen}}), plan)
    assert found[0].setup.load == load and set(told(found)) == quantities


def test_first_tokens_alone_have_no_time_per_token(write: Write, plan: Plan) -> None:
    vllm = {**VLLM, "total_output_tokens": 100, "mean_tpot_ms": 0.0}
    aiperf = {**AIPERF, "output_sequence_length": {"unit": "tokens", "avg": 1.0}}
    del aiperf["inter_token_latency"]
    for run in (vllm, aiperf):
        assert set(told(read_results(write(run), plan))) == {"throughput", "ttft"}


def without(run: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key != name}


@pytest.mark.parametrize(
    ("content", "said", "line"),
    [
        (b"", "the file is empty", None),
        (b"  \n", "the file is empty", None),
        (json.dumps(VLLM).encode()[:60], "this is no JSON", 1),
        (json.dumps(VLLM, indent=1).encode()[:-1] + b" oops", "this is no JSON", 12),
        (b"[" * 100_000, "this is no JSON", 1),
        (b"9" * 5000, "this is no JSON", 1),
        (b"\xff\xfe{}", "the file is not UTF-8 text", None),
        ([1, 2], "a run is no mapping", 1),
        ("text", "a run is no mapping", 1),
        ({}, "completed is missing", 1),
        ({"foreign": 1}, "completed is missing", 1),
        (without(VLLM, "mean_ttft_ms"), "mean_ttft_ms is missing", 1),
        ({**VLLM, "completed": 0}, "completed: 0 is not a number above 0", 1),
        ({**VLLM, "completed": True}, "completed is no number", 1),
        ({**VLLM, "mean_ttft_ms": float("nan")}, "mean_ttft_ms: nan is not", 1),
        ({**VLLM, "mean_ttft_ms": None}, "mean_ttft_ms is no number", 1),
        ({**VLLM, "mean_ttft_ms": [1]}, "mean_ttft_ms is no number", 1),
        ({**VLLM, "mean_ttft_ms": -1}, "mean_ttft_ms: -1 is not", 1),
        ({**VLLM, "mean_ttft_ms": 10**400}, "too large", 1),
        ({**VLLM, "max_concurrency": None, "request_rate": "trace"}, "trace", 1),
        ({**AIPERF, "time_to_first_token": 3}, "time_to_first_token has no avg", 1),
        ({**AIPERF, "time_to_first_token": {"unit": "s", "avg": 1}}, "time_to_first_token is in s, not ms", 1),
        (without(AIPERF, "inter_token_latency"), "inter_token_latency is missing", 1),
        ({**AIPERF, "input_sequence_length": {"avg": None}}, "input_sequence_length is no number", 1),
    ],
)
def test_what_is_none(write: Write, plan: Plan, content: Any, said: str, line: int | None) -> None:
    with pytest.raises(InputError) as caught:
        read_results(write(content), plan)
    error = caught.value
    assert said in error.message and len(error.message) < 200
    assert error.place is not None and (error.place.file or Path()).name == "result.json" and error.place.line == line


def test_the_line_of_a_bad_run(write: Write, plan: Plan) -> None:
    lines = [json.dumps(SGLANG), "", json.dumps(without(SGLANG, "completed"))]
    with pytest.raises(InputError) as caught:
        read_results(write("\n".join(lines).encode(), "runs.jsonl"), plan)
    assert caught.value.place is not None and caught.value.place.line == 3


def test_no_file_another_ending_and_a_plan_without_engines(write: Write, plan: Plan, tmp_path: Path) -> None:
    for path, wanted in ((tmp_path / "none.json", "no such file"), (write(VLLM, "result.txt"), "is not read")):
        with pytest.raises(InputError, match=wanted):
            read_results(path, plan)
    with pytest.raises(InputError, match="no engines"):
        read_results(write(VLLM), plan.model_copy(update={"engines": ()}))
