"""What a plan says of the numbers that it rests on: units, and provenance of what is neither bytes nor times."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import Scenario
from shardwise.solver.figures import figures_of


def figures(card: str = "h100-sxm", **more: Any) -> dict[str, tuple[str, str, str]]:
    data = {
        "hardware": {"accelerator": card, "gpus": 1},
        "model": "llama-3.1-8b",
        "workload": {"concurrency": 1, "input_tokens": 10, "output_tokens": 10},
    }
    found = figures_of(Scenario.model_validate(data | more))
    return {figure.name: (figure.value, figure.provenance, figure.source) for figure in found}


def test_plain_numbers_have_no_unit() -> None:
    found = figures(latencies={"wait_steps": 2.5, "pace": 1.25, "all_reduce_growth": 0.5, "layer": 8e-6})
    shown = {name.split(".")[1]: value for name, (value, *_) in found.items() if name.startswith("latencies.")}
    assert (shown["wait_steps"], shown["pace"], shown["all_reduce_growth"]) == ("2.5", "1.25", "0.5")
    assert shown["layer"] == "8 µs"


def test_the_fitted_figure_of_a_card_is_no_datasheets() -> None:
    found = figures("b200-sxm")
    value, provenance, source = found["accelerator.launches"]
    assert (value, provenance) == ("0.635", "fitted") and "docs/accuracy.md" in source
    assert found["accelerator.compute.fp4"][:2] == ("9000 TFLOPS", "datasheet")
    assert not {"accelerator.launches", "accelerator.compute.fp4"} & set(figures("h100-sxm"))


@pytest.mark.parametrize(("engine", "name"), [("vllm", "vLLM"), ("sglang", "SGLang"), ("trtllm", "TensorRT-LLM")])
def test_what_an_engine_brings_is_fitted_even_where_it_is_the_default(engine: str, name: str) -> None:
    for constant in ("startup", "wait_steps", "sequence"):
        _, provenance, source = figures(engine=engine)[f"latencies.{constant}"]
        assert provenance == "fitted" and source.startswith(f"{name}: fitted on")
        assert figures()[f"latencies.{constant}"][1] == "assumed"
        own = figures(engine=engine, latencies={constant: 0.123})[f"latencies.{constant}"]
        assert own[1:] == ("stated", "the scenario")
