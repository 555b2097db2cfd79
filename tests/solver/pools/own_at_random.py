"""Small scenarios over pools, priced by shardwise itself: every key that asks for pools, in every combination."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from shardwise.models import Scenario

from tests.builders import CARD, NO_RESERVES, models, pins

from .own_brute_force import Engine, frontier, gpus_in

OTHER: dict[str, Any] = CARD | {
    "id": "other",
    "memory": 4e6,
    "memory_bandwidth": 3e9,
    "compute": 6e11,
    "node_link": {"bandwidth": 3e8, "latency": 2e-6},
}
MODES = ("any", "any", "aggregated", "disaggregated", ["aggregated", "disaggregated"], None)
OBJECTIVES = ("throughput", "latency", "fewest-gpus", "throughput-per-gpu", "cost", "throughput-per-cost")


@st.composite
def _workloads(draw: st.DrawFn, load: str) -> dict[str, Any]:
    shortest = draw(st.sampled_from([2, 30, 100, 700, 3000]))
    inputs = {"min": shortest, "max": shortest * draw(st.sampled_from([1, 1, 3]))}
    least = draw(st.sampled_from([2, 5, 40, 200]))
    work: dict[str, Any] = {"input_tokens": inputs}
    if load == "closed":
        work |= {"concurrency": draw(st.integers(2, 6)), "requests_per_client": draw(st.sampled_from([1, 10, 10]))}
    else:
        work |= {"request_rate": "max", "burstiness": draw(st.sampled_from([1.0, 1.0, 0.5, 2.0]))}
    if load != "prompts":
        work["output_tokens"] = {"min": least, "max": least * draw(st.sampled_from([1, 1, 2]))}
    if draw(st.integers(1, 5)) == 1:
        work["routing"] = draw(st.sampled_from([{"imbalance": 1.5}, {"zipf": 0.8}]))
    return work


@st.composite
def _hardware(draw: st.DrawFn, gpus: int) -> dict[str, Any]:
    """One card, or two; nodes at least as large as the cluster in half of the examples."""
    memory = draw(st.sampled_from([1e9, 1e9, 1e6, 5e5, 2.5e5]))
    card = CARD | {"memory": memory, "id": "one"}
    more: dict[str, Any] = {"memory_utilization": 1.0}
    if draw(st.integers(1, 4)) == 1:
        more["pool_link"] = draw(st.sampled_from([{"bandwidth": 1e6, "latency": 1e-4}, {"bandwidth": 1e9}]))
    if gpus > 1 and draw(st.integers(1, 4)) == 1:
        first = draw(st.integers(1, gpus - 1))
        second = draw(st.integers(1, min(2, gpus - first)))
        stocks = [(card, first, 1.0), (OTHER, second, 2.5)]
        return more | {
            "inventory": [
                {
                    "accelerator": one,
                    "gpus": count,
                    "gpus_per_node": draw(st.sampled_from([2, 4])),
                    "price_per_hour": price,
                }
                for one, count, price in stocks
            ]
        }
    most = draw(st.sampled_from([gpus, gpus, gpus, *range(1, gpus)]))
    node = draw(st.sampled_from([2, 3, 4, 6, 8, 8]))
    more |= {"accelerator": card, "gpus_per_node": node, "gpus": most, "price_per_hour": 3.0}
    form = draw(st.sampled_from(["most", "most", "most", "range", "all"]))
    if form == "range":
        more["gpus"] = {"min": draw(st.integers(1, most)), "max": most}
    return more | {"use_all_gpus": form == "all"}


@st.composite
def scenarios(draw: st.DrawFn, load: str, *, gpus: int, plain: bool = False) -> Scenario:
    """`load` is closed, open or prompts; `plain`: a given number of GPUs of one card, no pins, no rules, no minimum."""
    model = draw(models(2))
    if "experts" in model and load != "closed":
        gpus = min(gpus, 3)  # enumerating takes seconds otherwise
    hardware = draw(_hardware(gpus))
    if plain:
        alone = {"id": "one", "memory": draw(st.sampled_from([1e9, 1e6]))}
        hardware = {"accelerator": CARD | alone, "gpus": gpus, "gpus_per_node": 8, "memory_utilization": 1.0}
    bounds = {} if plain else draw(pins(9))
    if load != "closed":
        bounds["batch"] = {"max": draw(st.integers(1, 4 if gpus <= 4 else 2))}
    elif not plain and draw(st.integers(1, 8)) == 1:
        bounds["batch"] = {"max": draw(st.integers(1, 3))}
    if not plain and draw(st.integers(1, 8)) == 1:
        bounds["engines"] = draw(st.sampled_from([{"min": 2}, {"max": 2}, 3, {"min": 3}]))
    if not plain and draw(st.integers(1, 10)) == 1:
        bounds["token_budget"] = draw(st.sampled_from([{"min": 300}, {"max": 2048}, 2048]))
    rules = []
    if not plain and draw(st.integers(1, 6)) == 1:
        role = draw(st.sampled_from(["prefill", "decode", "aggregated"]))
        bound = draw(
            st.sampled_from([{"tensor": 1}, {"tensor": {"min": 2}}, {"pipeline": 1}, {"pipeline": {"min": 2}}])
        )
        rules = [{"id": "drawn", "statement": "drawn", "roles": [role], **bound}]
    modes = draw(st.sampled_from(MODES))
    given = {
        "hardware": hardware,
        "model": model,
        "workload": draw(_workloads(load)),
        "reserves": NO_RESERVES,
        "strategy": bounds,
        "rules": rules,
        "modes": modes or ("any" if load == "closed" and "inventory" not in hardware else None),
        "distinct_strategies": draw(st.sampled_from([None, None, 1, 1, 2])),
        "latencies": draw(st.sampled_from(["none", {}, {"startup": 0.01, "iteration": 1e-4}])),
        "requirements": {"ttft_at": draw(st.sampled_from(["mean", "p50", "p95", "p99"]))},
    }
    return Scenario.model_validate(given)


def asked(draw: st.DrawFn, base: Scenario, kinds: list[Engine]) -> Scenario:
    """The scenario with an objective and with limits at the figures that its engines have."""
    wanted: dict[str, Any] = {}
    near = st.sampled_from([1 + 1e-4, 1 - 1e-4, 1.1, 1.5])
    first = [one for one in kinds if one.role == "prefill"]
    second = [one for one in kinds if one.role != "prefill"] if base.workload.decodes else first

    def some(name: str) -> float:
        one = draw(st.sampled_from(second))
        value: float = getattr(one, name) * draw(near)
        return value + (draw(st.sampled_from(first)).part if one.role == "decode" and first else 0.0)

    if second and draw(st.integers(1, 3)) == 1:
        wanted["ttft"] = some("part")
    if second and draw(st.integers(1, 3)) == 1:
        wanted["request_latency"] = some("latency")
    if base.workload.decodes and second and draw(st.integers(1, 4)) == 1:
        wanted["tpot"] = draw(st.sampled_from([one.tpot for one in second])) * draw(near)
    objective = draw(st.sampled_from(["throughput", "throughput", *OBJECTIVES]))
    fields = {**base.model_dump(), "objective": objective}
    fields["requirements"] = {**base.requirements.model_dump(exclude_none=True), **wanted}
    limited = Scenario.model_validate(fields)
    rates = frontier(limited, kinds)
    share = st.sampled_from([0.3, 0.7, 0.9, 0.999, 1.01])
    if rates and draw(st.integers(1, 3)) == 1:
        floor = max(rates.values()) * draw(share)
        if base.workload.open_loop and draw(st.booleans()):
            fields["workload"]["request_rate"] = floor
        else:
            fields["requirements"]["throughput"] = {"requests": floor}
    if rates and draw(st.integers(1, 5)) == 1:
        each = max(rate / gpus_in(key) for key, rate in rates.items()) * draw(share)
        fields["requirements"]["throughput_per_gpu"] = {"requests": each}
    return Scenario.model_validate(fields)
