"""`calibrate` as a whole process: what it writes, what it says, and every refusal without a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from command_runs import Result, shardwise
from shardwise.models.measurement import Measurement, Setup

from tests.solver.calibration.made import measured, one, setup

HEADER = "id,model,gpu,n_gpus,tp,isl,osl,load_type,batch_or_concurrency,metric,value,unit,framework,precision"
SCENARIO = """\
hardware: {accelerator: h100-sxm, gpus: 1, use_all_gpus: true}
model: llama-3.1-8b
precision: {weights: bf16, kv_cache: bf16}
workload: {concurrency: 16, input_tokens: 1000, output_tokens: 200}
engine: vllm
"""
LOADS = [setup(model=model, amount=n) for model in ("llama-3.1-8b", "qwen3-8b") for n in (1, 4, 16, 64)]


def row(each: Measurement) -> str:
    s = each.setup
    metric, value = each.quantity, each.value * 1e3
    if metric == "throughput":
        metric, value = "output_throughput", each.value  # type: ignore[assignment]
    where = f"{each.id},{s.model},{s.accelerator},{s.gpus},{s.tensor},{s.input_tokens},{s.output_tokens}"
    unit = "tok/s" if metric == "output_throughput" else "ms"
    return f"{where},{s.load},{s.amount},{metric},{value:.12g},{unit},{s.framework},{s.precision}"


def table(desk: Path, rows: Iterable[str], name: str = "rows.csv") -> str:
    (desk / name).write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return name


def slower(what: Iterable[Setup] = LOADS, pace: float = 1.4) -> list[str]:
    return [row(each) for each in measured(what, {"latencies": {"pace": pace}}, noise=0.02)]


def calibrate(desk: Path, *arguments: str, out: str = "mine.yaml") -> Result:
    result = shardwise("calibrate", *arguments, "--out", out, cwd=desk)
    assert "Traceback" not in result.err
    return result


def refused(desk: Path, *arguments: str, out: str = "mine.yaml") -> str:
    before = {file: file.read_bytes() for file in desk.iterdir() if file.is_file()}
    result = calibrate(desk, *arguments, out=out)
    assert result.code == 1 and result.out == "" and result.err.startswith("error"), result.err
    assert {file: file.read_bytes() for file in desk.iterdir() if file.is_file()} == before
    return result.err


def test_from_measurements_to_a_plan(tmp_path: Path) -> None:
    bad = row(one(setup(model="mine"), "ttft", 0.1)), row(one(setup(), "ttft", 0.1)).replace("ttft", "ttft_p99")
    result = calibrate(tmp_path, table(tmp_path, [*slower(), *bad]))
    assert result.code == 0, result.err
    said = json.loads(result.out)
    assert said["status"] == "fitted" and said["knowledge"] == "mine.yaml"
    assert said["constants"]["latencies.pace"] == pytest.approx(1.4, rel=0.15)
    assert said["no_better_elsewhere"] == []
    assert said["skipped"] == {"model mine is not in the catalog": 1, "metric ttft_p99": 1}
    assert set(said["errors"]) == {"ttft", "tpot", "throughput"}
    tpot = said["errors"]["tpot"]
    assert tpot["after"]["median"] < 0.05 < 0.2 < tpot["before"]["median"] and tpot["held_out"]["n"] == 8
    for words in ("operator times: datasheet", "latencies.pace: 1 → 1.", "left out: 2 rows", "knowledge: mine.yaml"):
        assert words in result.err
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    plans = [shardwise("solve", "scenario.yaml", *more, cwd=tmp_path) for more in ((), ("--knowledge", "mine.yaml"))]
    assert [plan.code for plan in plans] == [0, 0]
    before, after = (json.loads(plan.out)["tpot_s"] for plan in plans)
    assert after / before == pytest.approx(1.4, rel=0.05)
    assert "cross-validated fit to rows.csv" in plans[1].err


def test_again_into_the_same_file_but_into_no_other(tmp_path: Path) -> None:
    file = table(tmp_path, slower())
    assert calibrate(tmp_path, file).code == 0 and calibrate(tmp_path, file).code == 0
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    assert "this file is not overwritten" in refused(tmp_path, file, out="scenario.yaml")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("mine.txt", "is written as .yaml"),
        ("rows.csv", "is written as .yaml"),
        ("no/m.yaml", "there is no such folder"),
    ],
)
def test_where_it_may_write(tmp_path: Path, out: str, said: str) -> None:
    assert said in refused(tmp_path, table(tmp_path, slower()), out=out)


def test_several_engines_are_fitted_one_by_one(tmp_path: Path) -> None:
    both = [*slower(), *slower((setup(framework="SGLang 0.5", amount=n) for n in (1, 4, 16)), 2.0)]
    file = table(tmp_path, both)
    error = refused(tmp_path, file)
    assert "several engines (sglang, vllm)" in error and "--engine sglang" in error
    for engine, pace in (("vllm", 1.4), ("sglang", 2.0)):
        result = calibrate(tmp_path, file, "--engine", engine)
        assert result.code == 0
        assert json.loads(result.out)["constants"]["latencies.pace"] == pytest.approx(pace, rel=0.25)
    assert "no measurement is of engine 'tgi'" in refused(tmp_path, file, "--engine", "tgi")


def test_what_holds_for_one_model_only_is_said(tmp_path: Path) -> None:
    """One model is slower than predicted, the other is not: neither tells the other's times."""
    of = {model: [each for each in LOADS if each.model == model] for model in ("llama-3.1-8b", "qwen3-8b")}
    result = calibrate(tmp_path, table(tmp_path, slower(of["llama-3.1-8b"], 1.6) + slower(of["qwen3-8b"], 1.0)))
    assert result.code == 0 and "warning: on groups left out" in result.err
    assert "tpot" in json.loads(result.out)["no_better_elsewhere"]


def test_one_gpu_of_several(tmp_path: Path) -> None:
    file = table(tmp_path, [*slower(), *slower((setup(accelerator="H200", amount=n) for n in (1, 8)), 3.0)])
    result = calibrate(tmp_path, file, "--gpu", "H100-SXM")
    assert result.code == 0 and "24 figures of 8 setups" in result.err
    error = refused(tmp_path, file, "--gpu", "L4")
    assert "no measurement is of GPU 'L4'" in error and "H200, h100-sxm" in error


def test_what_is_no_measurement(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path, "none.csv")
    assert "rows.csv:2" in refused(tmp_path, table(tmp_path, [slower()[0].replace(",ms,", ",hours,")]))
    assert "there are no measurements" in refused(tmp_path, table(tmp_path, []))
    only_quantiles = row(one(setup(), "ttft", 0.1)).replace("ttft", "ttft_p99")
    assert "no row can be compared (metric ttft_p99: 1)" in refused(tmp_path, table(tmp_path, [only_quantiles]))
    error = refused(tmp_path, table(tmp_path, slower(LOADS[:1])))
    assert "1 setups can be compared, a fit needs 2" in error


def result(clients: int, pace: float) -> dict[str, object]:
    """As `vllm bench serve --save-result` names things."""
    ttft, tpot, rate = (each.value for each in measured([setup(amount=clients)], {"latencies": {"pace": pace}}))
    return {
        "request_rate": "inf",
        "max_concurrency": clients,
        "completed": 100,
        "total_input_tokens": 100_000,
        "total_output_tokens": 20_000,
        "output_throughput": rate,
        "mean_ttft_ms": ttft * 1e3,
        "mean_tpot_ms": tpot * 1e3,
    }


def test_results_of_a_benchmark_with_the_plan_that_ran(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    assert shardwise("solve", "scenario.yaml", "--save", "plans", cwd=tmp_path).code == 0
    files = []
    for clients in (1, 4, 16, 64):
        files.append(f"run-{clients}.json")
        (tmp_path / files[-1]).write_text(json.dumps(result(clients, 1.5)))
    assert "does not tell hardware and layout" in refused(tmp_path, *files)
    done = calibrate(tmp_path, *files, "--plan", "plans/plan.json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["constants"]["latencies.pace"] == pytest.approx(1.5, rel=0.15)
    assert yaml.safe_load((tmp_path / "mine.yaml").read_text())["calibration"]["figures"] == 12
    (tmp_path / "bad.json").write_text('{"completed": 3')
    assert "bad.json:1" in refused(tmp_path, "bad.json", "--plan", "plans/plan.json")
    assert "cannot read the plan" in refused(tmp_path, *files, "--plan", "none.json")
    assert "this is no plan.json" in refused(tmp_path, *files, "--plan", "run-1.json")


def test_usage() -> None:
    assert shardwise("calibrate", cwd=Path.cwd()).code == 2
    assert shardwise("calibrate", "rows.csv", cwd=Path.cwd()).code == 2
