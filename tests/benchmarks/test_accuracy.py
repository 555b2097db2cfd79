"""`python -m benchmarks.accuracy`: errors and ranking of six rows worked out by hand, and rows apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from shardwise.solver.calibration.cases import case_of
from shardwise.solver.calibration.predict import predict

from benchmarks.accuracy import is_suspicious, main, measured, suspicious_rules

from ..solver.calibration.made import setup

REPOSITORY = Path(__file__).parents[2]
HEADER = (
    "id,model,gpu,n_gpus,tp,isl,osl,load_type,batch_or_concurrency,metric,value,unit,framework,precision,spec_decode"
)
Row = tuple[int, str, float]
"""GPUs (and tensor ranks), the metric, and how much too high the prediction is."""
SIX: tuple[Row, ...] = (
    (1, "ttft", 0.10),
    (1, "tpot", -0.30),
    (2, "ttft", -0.25),
    (2, "tpot", 0.15),
    (1, "output_throughput", 0.05),
    (2, "output_throughput_per_gpu", 0.25),
)


def predicted(gpus: int, metric: str) -> float:
    """In the unit of the row."""
    case = case_of(setup(gpus=gpus, tensor=gpus, amount=8 * gpus), operators="datasheet")
    found = predict(case)
    if metric.endswith("per_gpu"):
        return found.requests_rate * 200 / gpus
    if metric == "output_throughput":
        return found.requests_rate * 200
    value = found.ttft if metric == "ttft" else found.tpot
    assert value is not None
    return value * 1e3


def row(gpus: int, metric: str, error: float = 0.0, *, spec: str = "none", model: str = "llama-3.1-8b") -> str:
    value = predicted(gpus, metric) / (1 + error)
    unit = "" if "throughput" in metric else "ms"
    framework = f"vLLM 0.19,bf16,{spec}"
    return (
        f"T{gpus},{model},H100,{gpus},{gpus},1000,200,concurrency,{8 * gpus},{metric},{value:.12g},{unit},{framework}"
    )


def table(folder: Path, rows: Iterable[str]) -> Path:
    path = folder / "rows.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


def scored(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    main([str(path), "--json", "--operators", "datasheet"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_six_rows_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = scored(table(tmp_path, [row(*one) for one in SIX]), capsys)
    near = pytest.approx
    assert found["ttft"] == near({"n": 2, "median": 0.175, "mean": 0.175, "bias": -0.075, "within_20": 0.5})
    assert found["tpot"] == near({"n": 2, "median": 0.225, "mean": 0.225, "bias": -0.075, "within_20": 0.5})
    assert found["throughput"] == near({"n": 2, "median": 0.15, "mean": 0.15, "bias": 0.15, "within_20": 0.5})
    assert found["skipped"] == {} and found["unit"] == "fraction"
    assert found["suspicious"]["ttft"]["n"] == 0
    assert set(found) == {"ttft", "tpot", "throughput", "ranking", "skipped", "suspicious", "operators", "unit"}
    assert found["operators"] == {"datasheet": 6}


def test_its_ranking_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Eight requests per GPU on both layouts: tokens per second and GPU are 8·200/(TTFT + 199·TPOT)."""
    found = scored(table(tmp_path, [row(*one) for one in SIX]), capsys)["ranking"]
    said, was = {}, {}
    for gpus in (1, 2):
        ttft, tpot = predicted(gpus, "ttft"), predicted(gpus, "tpot")
        errors = {metric: error for count, metric, error in SIX if count == gpus}
        said[gpus] = 8 * 200 / (ttft + 199 * tpot)
        was[gpus] = 8 * 200 / (ttft / (1 + errors["ttft"]) + 199 * tpot / (1 + errors["tpot"]))
    chosen, best = max(said, key=said.__getitem__), max(was, key=was.__getitem__)
    regret = 1 - was[chosen] / was[best]
    assert found["groups"] == 1 and found["top1"] == (chosen == best)
    assert found["median_regret"] == pytest.approx(regret) and found["mean_regret"] == pytest.approx(regret)


def test_what_is_skipped_is_counted_by_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(1, "ttft"), row(1, "tpot", spec="MTP"), row(1, "tpot", model="mine"), row(1, "tpot", model="mine")]
    rows += [row(1, "ttft").replace(",ttft,", ",ttft_p99,")]
    found = scored(table(tmp_path, rows), capsys)
    reasons = {"metric ttft_p99": 1, "speculative decoding": 1, "model mine is not in the catalog": 2}
    assert found["skipped"] == reasons
    assert found["ttft"]["n"] == 1 and found["tpot"] == {
        "n": 0, "median": None, "mean": None, "bias": None, "within_20": None,
    }  # fmt: skip


def test_suspicious_rows_stand_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doubtful = row(1, "tpot", 0.5).replace("vLLM 0.19", "vLLM 0.12.0").replace("llama-3.1-8b", "Llama-3.1-8B")
    found = scored(table(tmp_path, [row(1, "tpot", 0.1), doubtful]), capsys)
    assert found["tpot"]["n"] == 1 and found["tpot"]["median"] == pytest.approx(0.1)
    assert found["suspicious"]["tpot"]["n"] == 1 and found["suspicious"]["tpot"]["median"] == pytest.approx(0.5)


def test_rules_match_in_every_key() -> None:
    rules = suspicious_rules()
    assert all(rule["reason"] for rule in rules)
    capped = {"framework": "SGLang", "model": "gpt-oss-120b", "accelerator": "H100", "amount": 512}
    assert is_suspicious(setup(**capped), rules)
    for key, other in (("model", "gpt-oss-20b"), ("accelerator", "H200"), ("amount", 256)):
        assert not is_suspicious(setup(**{**capped, key: other}), rules)
    small = {"framework": "vLLM 0.12.1", "model": "Llama-3.1-8B"}
    assert is_suspicious(setup(gpus=2, **small), rules) and not is_suspicious(setup(gpus=4, **small), rules)


def test_nominal_lengths_become_real_ones(tmp_path: Path) -> None:
    """SIL draws 0.8 to 1 of the nominal lengths: 900 and 180 of 1,000 and 200."""
    path = table(tmp_path, [row(1, "tpot").replace("T1,", "SIL-7,"), row(1, "tpot")])
    lengths = [(one.setup.input_tokens, one.setup.output_tokens) for one in measured(path)[0]]
    assert lengths == [(900, 180), (1000, 200)]


def test_the_report_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(table(tmp_path, [row(*one) for one in SIX] * 2)), "--operators", "datasheet"])
    said = capsys.readouterr().out
    for words in (
        "Operator times: the cards' data sheets, 12 rows.",
        "All",
        "Ranking at equal concurrency per GPU: 1 groups",
        "Suspicious rows",
        "Nothing was skipped.",
    ):
        assert words in said


def test_the_sample_that_the_project_carries(capsys: pytest.CaptureFixture[str]) -> None:
    """The claims of docs/accuracy.md, roughly: the sample is small."""
    found = scored(REPOSITORY / "benchmarks/measurements.csv", capsys)
    assert found["tpot"]["n"] > 50 and found["tpot"]["median"] < 0.2
    assert found["ttft"]["n"] > 50 and found["ttft"]["median"] < 0.3
    assert found["throughput"]["n"] > 50 and found["throughput"]["median"] < 0.25


def test_a_bad_file_ends_with_its_place_and_no_traceback(tmp_path: Path) -> None:
    path = table(tmp_path, [row(1, "ttft").replace("1000", "many")])
    command = [sys.executable, "-m", "benchmarks.accuracy", str(path), "--json"]
    environment = {**os.environ, "SHARDWISE_SILICON": "none"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert "isl: 'many' is not a number" in done.stderr and "rows.csv:2" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("operators", ["measured", "datasheet"])
def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operators: str) -> None:
    import benchmarks.accuracy

    monkeypatch.setenv("SHARDWISE_SILICON", "none")
    monkeypatch.setattr(benchmarks.accuracy, "find_spec", lambda name: None if name == "matplotlib" else name)
    words = [str(table(tmp_path, [row(1, "ttft")])), "--operators", operators]
    with pytest.raises(SystemExit) as ended:
        main(words if operators == "measured" else [*words, "--plot", str(tmp_path / "out.png")])
    said = str(ended.value.code)  # printed on stderr, exit 1
    assert said.startswith("error: ") and "\nhelp: pip install 'shardwise[" in said
    assert ("no silicon tables are installed" if operators == "measured" else "--plot needs matplotlib") in said


def test_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = table(tmp_path, [row(*one) for one in SIX])
    main([str(path), "--json", "--operators", "datasheet", "--plot", str(tmp_path / "out.png")])
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
