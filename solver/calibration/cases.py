"""Setups of measurements as scenarios with a given strategy.

Enters: a Setup in the words of its source. Leaves: a Case that the cost model can price, or the reason why not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ...models import InputError, Scenario, Strategy, catalog
from ...models.measurement import Setup
from ...models.operator_times import Source

BUDGETS = {"vllm": 8192, "sglang": 8192, "trtllm": 8192}
"""Tokens of a pass where a measurement does not state them: the engines' defaults on large cards."""
BLOCKS = ("Qwen3", "Glm", "MiniMax", "Deepseek")
"""Architectures whose publishers' own fp8 checkpoints have a scale for every block of 128 × 128 (their config.json)."""
Constants = Mapping[str, Mapping[str, Any]]
"""Group (`efficiency`, `latencies`) -> constant -> value, as in a scenario."""


class Unpriced(Exception):  # noqa: N818
    """Why the cost model cannot price a setup; the reason is short, so that reasons can be counted."""


@dataclass(frozen=True)
class Case:
    """A setup that the cost model can price."""

    setup: Setup
    scenario: Scenario
    strategy: Strategy
    engines: int
    token_budget: int


def case_of(setup: Setup, constants: Constants | None = None, operators: Source | None = None) -> Case:
    """The scenario of a setup; `operators`: where their times come from, else as found. Raises Unpriced."""
    model = _known("models", setup.model, "model")
    card = _known("accelerators", setup.accelerator, "GPU")
    raw = catalog.language_model(model)
    strategy, engines = _layout(setup, "experts" in raw)
    engine = setup.engine
    constants = dict(constants or {})
    if setup.load in ("static_batch", "offline_max"):  # no server, no client: nothing is handled before the first pass
        bare = {"startup": "0 s", "prompt_token": "0 s", "wait_steps": 0}
        constants["latencies"] = {**constants.get("latencies", {}), **bare}
    data = {
        "hardware": {"accelerator": card, "gpus": setup.gpus},
        "model": model,
        "precision": precision_of(setup, raw, catalog.accelerator(card)),
        "workload": _workload(setup),
        "engine": engine or "generic",
        **{group: dict(values) for group, values in constants.items()},
        "operator_times": operators,
    }
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"][:2])
        raise Unpriced(f"no scenario: {where}: {first['msg'][:80]}") from None
    except InputError as error:
        raise Unpriced(f"no scenario: {error.message[:80]}") from None
    return Case(setup, scenario, strategy, engines, BUDGETS.get(engine or "", 8192))


def _known(kind: str, name: str, what: str) -> str:
    """The catalog's id of a name; organisations before a slash do not matter."""
    known = catalog.published_names(kind)
    found = known.get(name.rpartition("/")[2].strip().lower())
    if found is None:
        raise Unpriced(f"{what} {name[:40] or '(blank)'} is not in the catalog")
    return found


def _layout(setup: Setup, has_experts: bool) -> tuple[Strategy, int]:
    """(degrees of one engine, engines).

    SGLang and TensorRT-LLM carve attention replicas out of tp; some sources state tp = 1 beside them, where the whole
    stage is meant. Data parallelism is replicas, but for models with experts dealt over the replicas it is one engine.
    """
    stages, replicas = setup.pipeline, setup.attention_data
    if setup.gpus % stages:
        raise Unpriced("the GPUs are no multiple of the stages")
    width = setup.tensor
    if replicas > 1 and setup.tensor == 1:
        width = setup.gpus // stages // setup.data
    elif has_experts and setup.data > 1 and setup.expert > setup.tensor:
        width, replicas = setup.tensor * setup.data, setup.data
    if not width or setup.gpus % (width * stages):
        raise Unpriced("the degrees do not divide the GPUs")
    if width % replicas:
        raise Unpriced("the attention replicas do not divide the stage")
    expert = min(setup.expert, width) if has_experts else 1
    if width % expert:
        raise Unpriced("the expert degree does not divide the stage")
    sliced = width // expert if has_experts else 1
    tensor = width // replicas
    return (
        Strategy(tensor=tensor, data=replicas, pipeline=stages, expert=expert, expert_tensor=sliced),
        setup.gpus // (width * stages),
    )


def _workload(setup: Setup) -> dict[str, Any]:
    lengths = {"input_tokens": setup.input_tokens, "output_tokens": setup.output_tokens}
    if setup.load == "request_rate":
        return {**lengths, "request_rate": setup.amount}
    if setup.load == "static_batch":
        return {**lengths, "batch": round(setup.amount or 1)}
    return {**lengths, "concurrency": round(setup.amount or 1)}


def precision_of(setup: Setup, model: dict[str, Any], card: dict[str, Any]) -> dict[str, Any]:
    """Formats from the words of a source.

    Where KV precision is not recorded: 8 bit under TensorRT-LLM's quantised checkpoints, which carry its scales, else
    16. Mixtures of experts quantised to 4 bit keep attention in 16 bit, Qwen3's do not (the checkpoints' own files).
    """
    said = setup.precision.lower()
    experts = "experts" in model
    own: dict[str, Any] = dict(model.get("precision", {}))
    narrow = "bf16"
    if setup.engine == "trtllm" and not said.startswith(("bf16", "fp16")):
        narrow = "fp8"
    if "kv fp8" in said or "fp8 kv" in said:
        narrow = "fp8"
    elif "bf16 kv" in said:
        narrow = "bf16"
    if not said or said.startswith("mxfp4"):
        return {**own, "kv_cache": narrow} if own else {"kv_cache": narrow}
    if said.startswith(("bf16", "fp16")):
        return {"weights": "bf16", "kv_cache": narrow}
    if said.startswith(("fp8", "mxfp8")):
        block = {"block": 128} if str(model.get("architecture", "")).startswith(BLOCKS) else {}
        return {"weights": "fp8", "kv_cache": narrow, **block}
    if said.startswith("int8"):
        return {"weights": "int8", "kv_cache": narrow}
    if said.startswith("int4"):
        return (
            {"weights": "bf16", "experts": "int4", "kv_cache": narrow}
            if experts
            else {"weights": "int4", "kv_cache": narrow}
        )
    if said.startswith(("nvfp4", "fp4")):
        if experts and not str(model.get("architecture", "")).startswith("Qwen3"):
            return {"weights": "bf16", "experts": "nvfp4", "kv_cache": narrow}
        return {"weights": "nvfp4", "kv_cache": narrow}
    raise Unpriced(f"precision {setup.precision[:30]} is not known")
