"""A plan from elsewhere as shardwise would price it: its own degrees, copies, limits and memory share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...models import Evaluation, InputError, Scenario, Strategy, catalog
from ...models.claimed import Claimed, ClaimedEngine
from ...models.command_profile import command_profile
from ...models.engine_profile import EngineProfile
from ..evaluation import evaluate


@dataclass(frozen=True)
class Subject:
    """One kind of aggregated engine, priced under the scenario's load."""

    claimed: Claimed
    engine: ClaimedEngine
    scenario: Scenario
    """With the plan's serving engine, memory share and formats."""
    evaluation: Evaluation
    needed: int
    """Sequences that the load puts on the busiest attention rank."""
    waiting: int
    """Requests that wait outside, because the engines hold fewer than there are; the evaluation is without them."""
    dropped: tuple[str, ...]
    """Limits of the plan that could not be taken over, in words."""

    @property
    def strategy(self) -> Strategy:
        """The degrees."""
        return self.engine.strategy


def profile_of(claimed: Claimed) -> EngineProfile | None:
    """The serving engine that the plan is for."""
    return None if claimed.engine is None else EngineProfile.model_validate(catalog.engine(claimed.engine))


def under(scenario: Scenario, claimed: Claimed, engine: ClaimedEngine) -> Scenario:
    """The scenario with what the plan states of engine, formats and memory."""
    profile = profile_of(claimed)
    changes: dict[str, object] = {} if profile is None else {"engine": profile}
    formats = {}
    known = {"bf16", "fp16", "fp32", "fp8", "int8"}
    if engine.kv_format in known:
        formats["kv_cache"] = engine.kv_format
    elif engine.kv_format is None and claimed.form in ("command", "manifest"):
        formats["kv_cache"] = scenario.model.precision.kv_cache  # `auto`: as the checkpoint has it
    if engine.weight_format in known:
        formats["weights"] = engine.weight_format
    if formats:
        changes["precision"] = scenario.precision.model_copy(update=formats)
    scene = scenario.model_copy(update=changes)
    if engine.memory_share is None and claimed.engine == "vllm" and claimed.form in ("command", "manifest"):
        assert profile is not None
        share = profile.memory_utilization  # its own default; the others' defaults depend on the model
    elif engine.memory_share is None:
        return scene
    else:
        share = used_share(scene, claimed, engine)
    return scene.model_copy(update={"hardware": scene.hardware.model_copy(update={"memory_utilization": share})})


def used_share(scenario: Scenario, claimed: Claimed, engine: ClaimedEngine) -> float:
    """Share of the card that weights, KV cache, activations and buffers may take, whatever the engine's knob counts.

    vLLM's share is that; SGLang's leaves out activations and buffers; TensorRT-LLM's is of what these and the weights
    leave free (docs/engines.md).
    """
    stated = engine.memory_share
    assert stated is not None
    if claimed.engine in (None, "vllm"):
        return stated
    try:
        predicted = evaluate(scenario, engine.strategy, engines=engine.count).predictions
    except InputError:
        predicted = None
    if predicted is None:
        return stated
    m, card = predicted.memory_bytes_per_gpu, scenario.hardware.accelerator.memory
    other = m.activations + m.reserve
    if claimed.engine == "sglang":
        return min(1.0, stated + other / card)
    rest = other + m.weights
    return min(1.0, (rest + stated * max(0.0, card - rest)) / card)


def subject_of(scenario: Scenario, claimed: Claimed) -> Subject:
    """Price the plan's only kind of engine."""
    engine = claimed.engines[0]
    scene, profile = under(scenario, claimed, engine), profile_of(claimed)
    ranks = engine.count * engine.strategy.data
    needed = math.ceil(scene.workload.sequences / ranks)
    sequences = engine.sequences or (profile.sequences_default if profile else 0) or None
    budget = engine.token_budget or (profile.token_budget_default if profile else 0) or None
    waiting, priced = 0, scene
    if sequences is not None and sequences < needed and scene.workload.concurrency is not None:
        inside = sequences * ranks
        waiting = scene.workload.sequences - inside
        priced = scene.model_copy(update={"workload": scene.workload.model_copy(update={"concurrency": inside})})
    dropped = []
    try:
        found = evaluate(priced, engine.strategy, engines=engine.count, token_budget=budget)
    except InputError as error:
        if engine.token_budget is not None:
            dropped.append(f"a token budget of {budget:,} is priced as the best one: {error.message}")
        found = evaluate(priced, engine.strategy, engines=engine.count)
    return Subject(claimed, engine, scene, found, needed, waiting, tuple(dropped))


def stated_flag(claimed: Claimed, quantity: str) -> str:
    """What states a quantity, in the plan's own words."""
    if claimed.engine is None or claimed.form in ("plan", "deployment", "markdown"):
        return quantity.replace("_", " ")
    return command_profile(claimed.engine).flag(quantity)
