"""The knowledge file of a fit: it can be read, laid under a scenario, and changes predictions as fitted."""

from __future__ import annotations

from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from shardwise.models import Scenario
from shardwise.models.bands import Bands
from shardwise.models.knowledge import load_knowledge
from shardwise.models.measurement import Quantity
from shardwise.solver.calibration.cases import case_of
from shardwise.solver.calibration.compare import compare
from shardwise.solver.calibration.fit import NAMES, Fitted, fit
from shardwise.solver.calibration.knowledge import FEWEST_FOR_A_BAND, quantile_band, written
from shardwise.solver.calibration.predict import predict
from shardwise.solver.calibration.problem import Name, Problem

from ..costs.silicon.made import write_card
from .made import measured, one, setup

PACE, MFU = ("latencies", "pace"), ("efficiency", "mfu")
LOADS = [setup(amount=n) for n in (1, 2, 4, 8, 16, 32, 64, 128)]
SCENARIO: dict[str, Any] = {
    "hardware": {"accelerator": "h100-sxm", "gpus": 1},
    "model": "llama-3.1-8b",
    "workload": {"concurrency": 16, "input_tokens": 1000, "output_tokens": 200},
    "engine": "vllm",
}


def fitted(names: tuple[Name, ...] = (PACE,), quantities: tuple[Quantity, ...] = ("tpot",)) -> Fitted:
    rows = measured(LOADS, {"latencies": {"pace": 1.3}}, noise=0.03, quantities=quantities)
    return fit(Problem(rows, "datasheet"), names)


def saved(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def scenario(folder: Path, knowledge: Path, **more: Any) -> Scenario:
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump({**SCENARIO, **more}))
    return Scenario.load(path, knowledge=[knowledge])


def test_it_is_read_and_laid_under_a_scenario(tmp_path: Path) -> None:
    found = fitted()
    path = saved(tmp_path, written(found, "mine", "lab.csv", {"speculative decoding": 3}))
    known = load_knowledge([path])
    assert known.operator_times == "datasheet"
    laid = scenario(tmp_path, path)
    assert laid.latencies.pace == pytest.approx(found.values[PACE], rel=1e-3)
    assert (laid.knowledge["latencies.pace"], laid.knowledge["bands"]) == ("mine.yaml, calibrated", "mine.yaml")
    assert laid.operator_times.source == "datasheet"
    own = scenario(tmp_path, path, latencies={"pace": 2.0}, operator_times="datasheet")
    assert own.latencies.pace == 2.0  # what the scenario states stays


def test_predictions_change_as_fitted(tmp_path: Path) -> None:
    """Under the file, the cost model says of every setup what the fit said."""
    found = fitted((PACE, MFU, ("latencies", "wait_steps")), ("ttft", "tpot"))
    data = yaml.safe_load(saved(tmp_path, written(found, "mine", "lab.csv", {})).read_text())
    constants = {group: data[group] for group in ("efficiency", "latencies") if group in data}
    for row, residual in zip(found.rows, found.after, strict=True):
        case = case_of(row.setup, constants, data["operator_times"])
        value = predict(case).figure(row.quantity, row.counts, case)
        assert value is not None and log(value / row.value) == pytest.approx(residual, abs=2e-3)


def test_a_share_does_not_speak_for_those_that_were_not_fitted(tmp_path: Path) -> None:
    """A stated mfu alone sets the experts' and attention's too; here these stay as they were."""
    found = fitted()
    found.values, found.spread = {MFU: 0.61}, {MFU: 0.1}
    found.start = {name: Problem(found.rows, "datasheet").start(name) for name in NAMES}
    laid = scenario(tmp_path, saved(tmp_path, written(found, "mine", "lab.csv", {})))
    default = Scenario.model_validate(SCENARIO).efficiency
    assert laid.efficiency.mfu == pytest.approx(0.61)
    assert laid.efficiency.expert_mfu == default.expert_mfu and laid.efficiency.attention_mfu == default.attention_mfu


def test_the_calibration_section_says_what_was_done(tmp_path: Path) -> None:
    names = (PACE, ("latencies", "indexer"))
    data = yaml.safe_load(written(fitted(names), "mine", "lab.csv", {"speculative decoding": 3, "it's": 1}))
    told = data["calibration"]
    assert (told["figures"], told["setups"], told["groups"]) == (8, 8, 8)
    errors = told["errors"]["tpot"]
    assert errors["n"] == 8 and errors["after"] < 0.05 < errors["before"] and errors["held_out"] >= errors["after"]
    assert told["left_alone"]["latencies.indexer"].startswith("no measurement depends on it")
    assert told["skipped"] == {"speculative decoding": 3, "it's": 1}


def test_bands_from_eight_figures_on(tmp_path: Path) -> None:
    found = fitted(quantities=("ttft", "tpot"))
    assert [row.quantity for row in found.rows].count("tpot") == FEWEST_FOR_A_BAND
    laid = scenario(tmp_path, saved(tmp_path, written(found, "mine", "lab.csv", {})))
    assert laid.bands.tpot != Bands().tpot and laid.bands.throughput == Bands().throughput
    assert laid.bands.source == "cross-validated fit to lab.csv; throughput: packaged, too few figures"
    few = fit(Problem(measured(LOADS[1:], {"latencies": {"pace": 1.3}}, quantities=["tpot"]), "datasheet"), (PACE,))
    assert "bands" not in yaml.safe_load(written(few, "mine", "lab.csv", {}))


def test_quantiles_by_hand() -> None:
    """log(predicted / measured) from −0.5 to 0.5: 10 % of measured / predicted lie below exp(−0.4)."""
    residuals = np.linspace(-0.5, 0.5, 11)
    assert quantile_band(residuals) == (round(exp(-0.4), 3), round(exp(0.4), 3))
    assert quantile_band(residuals - 2)[0] == 1.0  # never on one side of the prediction alone
    assert quantile_band(residuals + 2)[1] == 1.0


@pytest.mark.parametrize("name", ["123", "yes", "a: b # c", "it's", "new\nline: 1", '"', "ü", "{", "- x", "null"])
def test_names_of_files_do_not_break_it(tmp_path: Path, name: str) -> None:
    found = fitted()
    found.rows = [one(setup(accelerator=f"h100\n{name}", amount=n), "tpot", 0.01) for n in range(8)]
    path = saved(tmp_path, written(found, name, f"{name}.csv", {f"metric {name}": 1, name: 2}))
    known = load_knowledge([path])
    assert known.latencies == {"pace": pytest.approx(found.values[PACE], rel=1e-3)}
    assert known.bands is not None and name in known.bands.source


def test_operator_times_are_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was fitted beside data sheets plans with them, though tables are there; and the other way."""
    monkeypatch.setenv("SHARDWISE_SILICON", str(write_card(tmp_path / "tables")))
    path = saved(tmp_path, written(fitted(), "mine", "lab.csv", {}))
    assert Scenario.model_validate(SCENARIO).operator_times.source == "measured"
    assert scenario(tmp_path, path).operator_times.source == "datasheet"
    rows = measured(LOADS[:3], {"latencies": {"pace": 1.3}})
    beside = fit(Problem(rows, "measured"), (PACE,))
    path = saved(tmp_path, written(beside, "mine", "lab.csv", {}))
    laid = scenario(tmp_path, path)
    assert laid.operator_times.source == "measured" and laid.operator_times.by_constants == ()


def test_comparing_with_fitted_constants_leaves_what_the_fit_left() -> None:
    found = fitted()
    rows = compare(found.rows, {"latencies": {"pace": found.values[PACE]}}, "datasheet").rows
    assert [log(1 + row.error) for row in rows] == pytest.approx(list(found.after), abs=1e-9)
