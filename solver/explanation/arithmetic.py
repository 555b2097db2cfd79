"""What a pencil finds: contradictions of the input that need no solver, and floors that no strategy goes below.

Each is a sound bound of the cost model (docs/costs.md): it leaves out everything that only makes matters worse
(communication, attention, imbalance, copies of weights), so a person can follow it by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ...models import Scenario
from ...models.strategy import DEGREES
from ...models.units import show_bytes, show_rate, show_seconds
from ..costs.passes import pairs_of
from ..costs.setting import Setting, setting


@dataclass(frozen=True)
class Contradiction:
    """Conditions (by id) that arithmetic alone shows to be impossible together."""

    ids: tuple[str, ...]
    because: str


def contradictions(scenario: Scenario) -> tuple[Contradiction, ...]:
    """All that are found; finding none proves nothing."""
    s = setting(scenario)
    return (*_too_many_gpus(scenario), *_too_little_memory(s), *_too_much_compute(s), *_too_little_time(s))


def _too_many_gpus(scenario: Scenario) -> Iterator[Contradiction]:
    """Pinned degrees and engines whose product is more than there are GPUs."""
    least = {}
    for name in ("engines", *DEGREES):
        bound = getattr(scenario.strategy, name)
        values = [value for value in (bound.min, bound.any_of and min(bound.any_of)) if value] if bound else []
        if values and max(values) > 1:
            least[name] = max(values)
    for stage in (("tensor", "context", "data"), ("expert", "expert_tensor")):  # both products are the GPUs of a stage
        pinned = {name: least[name] for name in ("engines", "pipeline", *stage) if name in least}
        found = _fewest(scenario, pinned)
        if found is not None:
            yield found
            return


def _fewest(scenario: Scenario, least: dict[str, int]) -> Contradiction | None:
    """Of the pins, the fewest that are too many already."""
    most, chosen = scenario.hardware.gpu_range.max, list[str]()
    for name in sorted(least, key=lambda name: -least[name]):
        chosen.append(name)
        if (product := math.prod(least[each] for each in chosen)) > most:
            words = " × ".join(f"{least[each]} ({each})" for each in chosen)
            ids = tuple(_pin_id(scenario, each) for each in chosen)
            because = f"{words} are at least {product:,} GPUs, and you allow {most:,}"
            return Contradiction(("gpus.available", *ids), because)
    return None


def _pin_id(scenario: Scenario, name: str) -> str:
    bound = getattr(scenario.strategy, name)
    ranged = name == "engines" and bound.any_of is None and bound.min != bound.max
    return f"strategy.{name}.min" if ranged else f"strategy.{name}"


def _too_little_memory(s: Setting) -> Iterator[Contradiction]:
    usable, most = s.scenario.hardware.usable_memory, s.scenario.hardware.gpu_range.max
    size = weight_bytes(s)
    cards = math.ceil(size / usable)
    if cards > most:
        yield Contradiction(
            ("gpus.available", "memory.fits"),
            f"the weights are {show_bytes(size)} and a card has {show_bytes(usable)} usable: "
            f"they need at least {cards:,} cards, and you allow {most:,}",
        )


def weight_bytes(s: Setting) -> float:
    """Bytes of one copy of the matrices and tables, without norms, biases and what ranks hold twice."""
    layers, expert_layers = len(s.layer_kinds), sum(s.kinds[kind].expert for kind in s.layer_kinds)
    size = _attention_weights(s) * s.weight_bytes
    size += (layers - expert_layers) * s.dense_weights * s.weight_bytes
    size += expert_layers * (s.experts * s.expert_weights + s.shared_weights) * s.expert_bytes
    tables = 1 if s.scenario.model.tied_embeddings else 2
    return size + tables * s.vocabulary * s.hidden * s.plain_bytes


def _attention_weights(s: Setting) -> int:
    """Matrices of the attention of all layers."""
    return sum(s.attention[s.kinds[kind].projects].matrices for kind in s.layer_kinds)


def compute_seconds(s: Setting) -> float:
    """Seconds of one GPU for the matrices of one token in all layers, at the stated efficiencies."""
    layers, expert_layers = len(s.layer_kinds), sum(s.kinds[kind].expert for kind in s.layer_kinds)
    dense = _attention_weights(s) + (layers - expert_layers) * s.dense_weights
    shared, routed = expert_layers * s.shared_weights, expert_layers * s.per_token * s.expert_weights
    e = s.efficiency
    return s.latencies.pace * (
        2 * dense / (s.rate_weights * e.mfu)
        + 2 * shared / (s.rate_experts * e.mfu)
        + 2 * routed / (s.rate_experts * e.expert_mfu)
    )


def attention_seconds(s: Setting) -> float:
    """Seconds of one GPU for the attention core of one prompt in all layers."""
    pairs, picked = pairs_of(s, s.prompt.mean, s.prompt.mean_square)
    scores = min(s.score_width * pairs, s.decode_score_width * picked) if s.sparse else s.score_width * pairs
    flops = 2 * s.heads * scores
    full = sum(not (s.kinds[kind].sliding or s.kinds[kind].linear) for kind in s.layer_kinds)
    return s.latencies.pace * full * flops / (s.rate_plain * s.efficiency.attention_mfu)


def _too_much_compute(s: Setting) -> Iterator[Contradiction]:
    """Throughput per GPU above what the matrices alone allow."""
    if s.scenario.operator_times.source == "measured":
        return  # a table may be quicker than the data sheet at its fitted shares, which then bound nothing
    wanted, seconds = s.scenario.requirements.throughput_per_gpu, compute_seconds(s)
    if wanted is None or not seconds:
        return
    prompt, answer = s.prompt.mean, s.answer.mean if s.scenario.workload.decodes else 0.0
    requests = 1 / (seconds * (prompt + answer) + attention_seconds(s))
    tokens = requests * (answer or prompt)
    ceilings = {
        "tokens": ("output tokens" if answer else "input tokens", tokens),
        "input": ("input tokens", requests * prompt),
        "output": ("output tokens", requests * answer),
        "requests": ("requests", requests),
    }
    for name, (thing, most) in ceilings.items():
        asked = getattr(wanted, name)
        if asked is None or most >= asked:
            continue
        length = f"{prompt:,.0f} tokens in" + (f" and {answer:,.0f} out" if answer else "")
        yield Contradiction(
            (f"requirements.throughput_per_gpu.{name}",),
            f"the matrices of a token take a GPU {show_seconds(seconds)} at {_efficiencies(s)}, and the prompt's "
            f"attention {show_seconds(attention_seconds(s))} for each request of {length}: "
            f"at most {show_rate(most, thing)} per GPU, and you ask for {show_rate(asked, thing)}",
        )


def _efficiencies(s: Setting) -> str:
    e = s.efficiency
    if not s.experts or (e.mfu == e.expert_mfu and s.rate_weights == s.rate_experts):
        return f"{s.rate_weights / 1e12:g} TFLOPS × {e.mfu:.0%}"
    return f"{s.rate_weights / 1e12:g} TFLOPS × {e.mfu:.0%}, experts {s.rate_experts / 1e12:g} × {e.expert_mfu:.0%}"


def _too_little_time(s: Setting) -> Iterator[Contradiction]:
    """Times below what launches and start-up take before any work is done."""
    lat, wanted = s.latencies, s.scenario.requirements
    layers, expert_layers = len(s.layer_kinds), sum(s.kinds[kind].expert for kind in s.layer_kinds)
    step = lat.pace * s.launches * (layers * lat.layer + expert_layers * lat.expert_layer) + lat.iteration
    first = lat.startup + step + lat.pace * layers * lat.eager_layer
    launches = f"launching {layers} layers"
    if wanted.tpot is not None and s.scenario.workload.decodes and step > wanted.tpot:
        words = f"{launches} alone takes {show_seconds(step)} in every pass"
        yield Contradiction(("requirements.tpot",), f"{words}, more than the {show_seconds(wanted.tpot)} asked")
    if wanted.ttft is not None and first > wanted.ttft:
        words = f"start-up ({show_seconds(lat.startup)}) and {launches} with a prompt"
        yield Contradiction(
            ("requirements.ttft",),
            f"{words} ({show_seconds(first - lat.startup)}) alone take {show_seconds(first)}, "
            f"more than the {show_seconds(wanted.ttft)} asked",
        )
