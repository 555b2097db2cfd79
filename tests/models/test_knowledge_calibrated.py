"""Knowledge that `calibrate` wrote: what a plan says of its constants, and where what it asks for is missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shardwise.models import InputError, Scenario
from shardwise.solver.figures import figures_of

SCENE: dict[str, Any] = {
    "hardware": {"accelerator": "h100-sxm", "gpus": 8},
    "model": "llama-3.1-8b",
    "workload": {"batch": 4, "input_tokens": 100},
}
Load = Callable[..., Scenario]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A scenario of SCENE and `changes`, with knowledge files k0.yaml, k1.yaml … under it."""

    def load(*knowledge: str, **changes: Any) -> Scenario:
        files = [tmp_path / f"k{i}.yaml" for i in range(len(knowledge))]
        for file, text in zip(files, knowledge, strict=True):
            file.write_text(text)
        (tmp_path / "scene.json").write_text(json.dumps(SCENE | changes))
        return Scenario.load(tmp_path / "scene.json", knowledge=files)

    return load


def test_constants_of_a_calibration_are_fitted(load: Load) -> None:
    plain = "efficiency: {link: 50 %}\nreserves: {multi_gpu: 3 GiB}\n"
    fitted = "efficiency: {mfu: 61 %}\nlatencies: {layer: 7 us}\nreserves: {activation_dense: 3 GiB}\n"
    fitted += "calibration: {figures: 9}\n"
    scene = load(plain, fitted, latencies={"startup": "1 ms"})
    found = {figure.name: (figure.provenance, figure.source) for figure in figures_of(scene)}
    assert found["efficiency.mfu"] == found["latencies.layer"] == ("fitted", "knowledge: k1.yaml, calibrated")
    assert found["efficiency.expert_mfu"] == ("fitted", "knowledge: k1.yaml, calibrated"), "spoken for by mfu"
    assert found["efficiency.link"] == found["reserves.multi_gpu"] == ("stated", "knowledge: k0.yaml")
    assert found["reserves.activation_dense"] == ("stated", "knowledge: k1.yaml"), "no calibration fits it"
    assert found["latencies.startup"] == ("stated", "the scenario")


def test_operator_times_that_are_not_here_are_the_knowledges(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDWISE_SILICON", "none")
    texts = ("operator_times: datasheet", "name: lab\noperator_times: measured", "efficiency: {link: 50 %}")
    with pytest.raises(InputError, match="no silicon tables are installed") as refused:
        load(*texts)
    place = refused.value.place
    assert place is not None and place.file is not None
    assert (place.file.name, place.line, place.text) == ("k1.yaml", 2, "operator_times: measured")
    assert load(*texts, operator_times="datasheet").operator_times.source == "datasheet"
    with pytest.raises(InputError) as refused:
        load(texts[0], operator_times="measured")
    assert refused.value.place is not None and refused.value.place.file is not None
    assert refused.value.place.file.name == "scene.json"
