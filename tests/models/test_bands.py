"""Bands around predictions: numbers by hand, what is refused, and what knowledge brings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from shardwise.models import InputError, Scenario
from shardwise.models.bands import Bands, Uncertainty

SCENARIO = """\
hardware: {accelerator: h100-sxm, gpus: 1}
model: llama-3.1-8b
workload: {concurrency: 16, input_tokens: 1000, output_tokens: 200}
"""


def around(**changed: Any) -> Uncertainty:
    predictions = {"ttft_s": 2.0, "tpot_s": 0.1, "tokens_per_s_per_gpu": 1000.0, **changed}
    bands = Bands(ttft=(0.5, 2.0), tpot=(0.9, 1.1), throughput=(0.8, 1.25), source="a lab")
    return Uncertainty.around(bands, SimpleNamespace(**predictions))


def test_around_predictions() -> None:
    found = around()
    assert found.ttft_s == (1.0, 4.0)
    assert found.tpot_s == pytest.approx((0.09, 0.11))
    assert found.tokens_per_s_per_gpu == (800.0, 1250.0)
    assert found.source == "a lab"


def test_prefill_has_no_time_per_token() -> None:
    assert around(tpot_s=None).tpot_s is None


def test_packaged_bands_hold_the_prediction() -> None:
    for low, high in (Bands().ttft, Bands().tpot, Bands().throughput):
        assert low < 1 < high


@pytest.mark.parametrize("band", [(1.2, 0.8), (0, 1), (-1, 1), (0.5, 1e9), (0.5,), (0.5, float("nan")), "wide"])
def test_bad_bands_are_refused(band: Any) -> None:
    with pytest.raises(ValidationError):
        Bands(ttft=band)


def load(folder: Path, knowledge: str, scenario: str = "") -> Scenario:
    (folder / "scenario.yaml").write_text(SCENARIO + scenario)
    (folder / "mine.yaml").write_text(knowledge)
    return Scenario.load(folder / "scenario.yaml", knowledge=[folder / "mine.yaml"])


def test_knowledge_brings_bands_and_the_scenario_comes_first(tmp_path: Path) -> None:
    known = load(tmp_path, "bands: {tpot: [0.9, 1.2], source: my cluster}\n")
    assert known.bands == Bands(tpot=(0.9, 1.2), source="my cluster")
    assert known.knowledge == {"bands": "mine.yaml"}
    own = load(tmp_path, "bands: {tpot: [0.9, 1.2]}\n", "bands: {ttft: [0.5, 1.5]}\n")
    assert own.bands == Bands(ttft=(0.5, 1.5)) and own.knowledge == {}


def test_a_bad_band_of_knowledge_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="above the upper end") as caught:
        load(tmp_path, "name: x\nbands:\n  tpot: [1.2, 0.9]\n")
    assert caught.value.place is not None and caught.value.place.line == 3
