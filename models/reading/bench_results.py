"""What serving benchmarks write (vLLM, SGLang, AIPerf) as Measurements of a known setup.

These files tell load, lengths and figures, not the hardware or the layout: a plan tells those.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError, Place
from ..measurement import Load, Measurement, Quantity, Setup
from ..plan import Plan
from .csv_text import opened

LARGEST_FILE = 64_000_000
_SMALLER = "write the summary only, without the requests (vLLM: no --save-detailed)"
_HELP = "vLLM: `vllm bench serve --save-result`; SGLang: `--output-file`; AIPerf: profile_export_aiperf.json"
MILLI = 1e-3
_SOMETHING = re.compile(r"\S")
_BOUND = 0.9
"""Of the client's limit in flight on average: then the limit sets the load, not the rate."""


def read_results(path: Path, plan: Plan) -> list[Measurement]:
    """The figures of a .json (one run, a list of runs, or several) or .jsonl (a run per line). Raises InputError."""
    if not plan.engines:
        raise InputError("the plan has no engines, so it tells no layout", help="name the plan that was launched")
    found: list[Measurement] = []
    for line, run in _runs(path):
        try:
            found += _aiperf(run, plan, path, line) if "time_to_first_token" in run else _serving(run, plan, path, line)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"this is no benchmark result: {_reason(error)}", place=Place(path, line), help=_HELP
            ) from None
    return found


def _reason(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)[:120]


def _runs(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with opened(path, "a benchmark result", (".json", ".jsonl"), LARGEST_FILE, _SMALLER) as stream:
            text = stream.read().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", place=Place(path), help=_HELP) from None
    except UnicodeDecodeError:
        raise InputError("the file is not UTF-8 text", place=Place(path), help=_HELP) from None
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", place=Place(path)) from None
    decoder, at = json.JSONDecoder(), 0
    while start := _SOMETHING.search(text, at):  # runs may stand one after the other: vLLM's --append-result
        number = text.count("\n", 0, start.start()) + 1
        try:
            data, at = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError) as error:  # ValueError also for integers of thousands of digits
            line = getattr(error, "lineno", number)
            raise InputError(f"this is no JSON: {str(error)[:80]}", place=Place(path, line), help=_HELP) from None
        for run in data if isinstance(data, list) else [data]:
            if not isinstance(run, dict):
                raise InputError("a run is no mapping", place=Place(path, number), help=_HELP)
            yield number, run
    if not at:
        raise InputError("the file is empty", place=Place(path), help=_HELP)


def _serving(run: Mapping[str, Any], plan: Plan, path: Path, line: int) -> list[Measurement]:
    """vLLM and SGLang name their figures alike."""
    completed = _number(run, "completed")
    lengths = _number(run, "total_input_tokens") / completed, _number(run, "total_output_tokens") / completed
    rate, most = run.get("request_rate"), run.get("max_concurrency")
    paced = rate is not None and math.isfinite(float(rate))
    load: tuple[Load, float | None] = ("offline_max", None)
    if most is not None and not (paced and _in_flight(run, lengths[1]) < _BOUND * _number(run, "max_concurrency")):
        load = "concurrency", _number(run, "max_concurrency")
    elif paced:
        load = "request_rate", _number(run, "request_rate")
    figures: dict[Quantity, float] = {"throughput": _number(run, "output_throughput")}
    if load[0] != "offline_max":  # of a queue without end only the throughput says something about the engine
        figures["ttft"] = _number(run, "mean_ttft_ms") * MILLI
        if lengths[1] > 1.5:
            figures["tpot"] = _number(run, "mean_tpot_ms") * MILLI
    return _measurements(plan, path, line, lengths, load, figures)


def _in_flight(run: Mapping[str, Any], answer: float) -> float:
    """Requests in flight on average, by Little's law."""
    seconds = (_number(run, "mean_ttft_ms") + (answer - 1) * float(run["mean_tpot_ms"])) * MILLI
    return _number(run, "output_throughput") / answer * seconds


def _aiperf(run: Mapping[str, Any], plan: Plan, path: Path, line: int) -> list[Measurement]:
    lengths = _average(run, "input_sequence_length"), _average(run, "output_sequence_length")
    asked = _mapping(_mapping(run, "input_config"), "loadgen")
    load: tuple[Load, float | None] = ("offline_max", None)
    if asked.get("request_rate"):
        load = "request_rate", _number(asked, "request_rate")
    elif asked.get("concurrency"):
        load = "concurrency", _number(asked, "concurrency")
    figures: dict[Quantity, float] = {"throughput": _average(run, "output_token_throughput")}
    if load[0] != "offline_max":
        figures["ttft"] = _average(run, "time_to_first_token") * MILLI
        if lengths[1] > 1.5:
            figures["tpot"] = _average(run, "inter_token_latency") * MILLI
    return _measurements(plan, path, line, lengths, load, figures)


def _mapping(run: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = run.get(name)
    return found if isinstance(found, dict) else {}


def _average(run: Mapping[str, Any], name: str) -> float:
    figure = run[name]
    if not isinstance(figure, dict) or "avg" not in figure:
        raise ValueError(f"{name} has no avg")
    if name in ("time_to_first_token", "inter_token_latency") and figure.get("unit", "ms") != "ms":
        raise ValueError(f"{name} is in {str(figure['unit'])[:20]}, not ms")
    return _number(figure, "avg", name)


def _number(run: Mapping[str, Any], key: str, name: str = "") -> float:
    if isinstance(run[key], (bool, dict, list)) or run[key] is None:
        raise ValueError(f"{name or key} is no number")
    value = float(run[key])
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name or key}: {value:g} is not a number above 0")
    return value


def _measurements(
    plan: Plan,
    path: Path,
    line: int,
    lengths: tuple[float, float],
    load: tuple[Load, float | None],
    figures: Mapping[Quantity, float],
) -> list[Measurement]:
    setup = _setup(plan, (max(1, round(lengths[0])), max(1, round(lengths[1]))), load)
    return [Measurement(f"{path.name}:{line}", line, setup, quantity, value) for quantity, value in figures.items()]


def _setup(plan: Plan, lengths: tuple[int, int], load: tuple[Load, float | None]) -> Setup:
    """The layout of a plan in the words of measurements: attention replicas are carved out of the tensor degree."""
    [entry, *others] = plan.engines
    strategy = entry.strategy
    if others or strategy.context > 1:
        raise InputError("a plan of several kinds of engines, or with context ranks, has no place in a measurement yet")
    scenario = plan.scenario
    names = {"vllm": "vLLM", "sglang": "SGLang", "trtllm": "TensorRT-LLM"}
    return Setup(
        model=scenario.model.id,
        accelerator=scenario.hardware.accelerator.id,
        gpus=plan.gpus_used,
        tensor=strategy.tensor * strategy.data,
        pipeline=strategy.pipeline,
        data=1,
        expert=strategy.expert,
        attention_data=strategy.data,
        precision=_precision(plan),
        input_tokens=lengths[0],
        output_tokens=lengths[1],
        load=load[0],
        amount=load[1],
        framework=names.get(scenario.engine.id if scenario.engine else "", ""),
    )


def _precision(plan: Plan) -> str:
    held = plan.scenario.precision
    return f"{held.experts or held.weights}, {held.kv_cache} kv"
