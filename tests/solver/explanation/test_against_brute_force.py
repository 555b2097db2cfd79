"""Conflicts and repairs against plain loops: every row by the verifier's formulas, every subset of the conditions.

Models have at most two layers, so that a pipeline has one split and memory limits nothing but memory.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from shardwise.models import Explanation, Scenario, StrategyBounds
from shardwise.models.edit import Edit, edited_scenario
from shardwise.models.strategy import DEGREES
from shardwise.solver import explain, solve

from ...builders import models, requirements, scenario, workloads
from ..brute_force import Row, fit, gpus_of, node_of, nodes, rows

MOST = 8
RULE = {"id": "inside", "statement": "engines stay inside a node", "inside_node": ["engine"]}
PINS: list[Any] = [2, {"max": 1}, {"min": 2}, {"min": 2, "max": 3}, [1, 3]]


@st.composite
def crowded(draw: st.DrawFn) -> Scenario:
    """More is asked for than there is."""
    workload = draw(workloads())
    decodes = workload["output_tokens"] > 1
    asked: dict[str, Any] = draw(requirements(decodes=decodes))
    asked |= draw(st.sampled_from([{}, {"ttft": 0.09}, {"throughput": {"tokens": 1e6}}, {"memory_per_gpu": 1.1e5}]))
    gpus, form = draw(st.integers(1, 4)), draw(st.sampled_from(["most", "most", "range", "all"]))
    count: Any = {"min": draw(st.integers(1, gpus)), "max": gpus} if form == "range" else gpus
    names = draw(
        st.lists(st.sampled_from(["tensor", "pipeline", "data", "expert", "engines"]), max_size=3, unique=True)
    )
    return scenario(
        draw(models(2)),
        workload,
        gpus=count,
        node=draw(st.integers(2, 4)),
        hardware={"use_all_gpus": form == "all"},
        card={"memory": draw(st.sampled_from([5e4, 1e5, 3e5, 1e9]))},
        requirements=asked,
        strategy={name: draw(st.sampled_from(PINS)) for name in names},
        rules=draw(st.sampled_from([[], [RULE]])),
        latencies=draw(st.sampled_from(["none", {"startup": 0.01, "iteration": 1e-4}])),
    )


def freed(scene: Scenario) -> Scenario:
    """Without anything that a person could change."""
    card = scene.hardware.accelerator.model_copy(update={"memory": 1e18})
    hardware = {"accelerator": card, "gpus": MOST, "use_all_gpus": False, "memory_utilization": 1.0}
    return scene.model_copy(
        update={
            "hardware": scene.hardware.model_copy(update=hardware),
            "requirements": type(scene.requirements)(),
            "strategy": StrategyBounds(),
            "rules": (),
        }
    )


def broken(scene: Scenario, row: Row) -> frozenset[str]:
    """The conditions that a row breaks, by their ids. Rows at a limit up to rounding end the example."""
    least, most = gpus_of(scene)
    node, size, wanted = node_of(scene), math.prod(row.degrees[:4]), scene.requirements
    found = set() if fit(row.engines, size, nodes(most, node), node) else {"gpus.available"}
    found |= {"gpus.minimum"} if row.gpus < least else set()
    found |= {"memory.fits"} if row.memory > scene.hardware.usable_memory else set()
    found |= {"rules.inside"} if scene.rules and size > node else set()
    for name, value in (*zip(DEGREES, row.degrees, strict=True), ("engines", row.engines)):
        bound = getattr(scene.strategy, name)
        if bound is None or bound.allows(value):
            continue
        ranged = name == "engines" and bound.any_of is None and bound.min != bound.max
        found.add(f"strategy.{name}" + ((".max" if value > (bound.max or math.inf) else ".min") if ranged else ""))
    values = {"ttft": row.ttft, "tpot": row.tpot, "request_latency": row.latency, "memory_per_gpu": row.memory}
    for name, value in values.items():
        limit = getattr(wanted, name)
        if limit is not None:
            assume(not math.isclose(limit, value, rel_tol=1e-6))
            found |= {f"requirements.{name}"} if value > limit else set()
    for group, share in (("throughput", 1), ("throughput_per_gpu", row.gpus)):
        rates = getattr(wanted, group)
        for name, value in (("tokens", row.rate), ("input", row.input), ("requests", row.requests)):
            if rates is not None and (limit := getattr(rates, name)) is not None:
                assume(not math.isclose(limit, value / share, rel_tol=1e-6))
                found |= {f"requirements.{group}.{name}"} if value / share < limit else set()
    return frozenset(found)


def minimal(sets: set[frozenset[str]]) -> set[frozenset[str]]:
    return {each for each in sets if not any(other < each for other in sets)}


def naive_conflicts(corrections: set[frozenset[str]]) -> set[frozenset[str]]:
    """Subsets of all conditions, from small to large, that meet every correction and contain no smaller one."""
    ids, found = sorted(frozenset().union(*corrections)), set[frozenset[str]]()
    for size in range(1, len(ids) + 1):
        for chosen in map(frozenset, itertools.combinations(ids, size)):
            if all(chosen & each for each in corrections) and not any(smaller <= chosen for smaller in found):
                found.add(chosen)
    return found


def smaller_step(edit: Edit, scene: Scenario) -> Edit | None:
    """The same edit, a step less generous; None where it is no number."""
    before, after = edit.before, edit.after
    if edit.key in ("waive", "hardware.use_all_gpus"):
        return None
    if edit.key.startswith("hardware.gpus"):
        step = 1 if after > before else -1
        return None if after - step == before else edit.model_copy(update={"after": after - step})
    if edit.key == "hardware.memory_utilization":
        return edit.model_copy(update={"after": f"{float(after.split()[0]) - 1} %"})
    if isinstance(after, str):
        number, unit = after.split(" ", 1)
        step = 10.0 ** (math.floor(math.log10(float(number))) - 2)
        if edit.key == "hardware.accelerator.memory":
            return None if float(number) <= 1 else edit.model_copy(update={"after": f"{float(number) - 1} {unit}"})
        looser = step if "throughput" in edit.key else -step
        return edit.model_copy(update={"after": f"{float(number) + looser:.12f} {unit}"})
    if isinstance(after, dict):
        [side] = [name for name in after if after[name] != before.get(name)]
        value = after[side] + (1 if side == "min" else -1)
        return None if value == before[side] else edit.model_copy(update={"after": {**after, side: value}})
    return None


@settings(max_examples=120, deadline=None)
@given(crowded())
@example(scenario(gpus=4, strategy={"tensor": 4, "pipeline": 2}))
def test_conflicts_and_repairs(scene: Scenario) -> None:
    plan = solve(scene, conflicts=False)
    assume(plan.status == "infeasible")
    corrections = minimal({broken(scene, row) for row in rows(freed(scene))})
    found = explain(scene, plan=plan, everything=True, most_gpus=max(MOST, gpus_of(scene)[1]))
    assert found.complete and found.conflicts_left == 0
    assert {frozenset(conflict.ids) for conflict in found.conflicts} == naive_conflicts(corrections)
    assert all(conflict.proved for conflict in found.conflicts)
    check_repairs(scene, found, corrections)


def check_repairs(scene: Scenario, found: Explanation, corrections: set[frozenset[str]]) -> None:
    conflicts = [set(conflict.ids) for conflict in found.conflicts]
    changed = []
    for repair in found.repairs:
        touched = {id_of(edit) for edit in repair.edits}
        changed.append(touched)
        assert all(any(id.startswith(key) for id in conflict for key in touched) for conflict in conflicts)
        assert solve(edited_scenario(scene, repair.edits), conflicts=False).status == "optimal"
        for place, edit in enumerate(repair.edits):
            if (less := smaller_step(edit, scene)) is not None:
                edits = [*repair.edits[:place], less, *repair.edits[place + 1 :]]
                again = solve(edited_scenario(scene, edits), conflicts=False)
                assert again.status == "infeasible", (edit, less)
    if not scene.hardware.use_all_gpus:  # a machine to be used whole may have no number of GPUs that mends it
        assert len(changed) == len(corrections)


def id_of(edit: Edit) -> str:
    """The condition that an edit loosens, or how its id begins."""
    names = {
        "hardware.gpus": "gpus.available",
        "hardware.gpus.max": "gpus.available",
        "hardware.gpus.min": "gpus.minimum",
        "hardware.use_all_gpus": "gpus.minimum",
        "hardware.memory_utilization": "memory.fits",
        "hardware.accelerator.memory": "memory.fits",
        "waive": "rules.",
    }
    return names.get(edit.key, edit.key)


def test_pins_that_collide_only_for_lack_of_gpus() -> None:
    # tensor 4 on 2 stages needs 8 GPUs of the 4 there are.
    found = explain(scenario(gpus=4, strategy={"tensor": 4, "pipeline": 2}), most_gpus=16)
    [conflict] = found.conflicts
    assert conflict.ids == ("gpus.available", "strategy.tensor", "strategy.pipeline")
    assert "4 (tensor) × 2 (pipeline) are at least 8 GPUs, and you allow 4" in conflict.because
    edits = [[(edit.key, edit.after) for edit in repair.edits] for repair in found.repairs]
    assert edits == [[("strategy.pipeline", 1)], [("strategy.tensor", 2)], [("hardware.gpus", 8)]]


def test_a_pin_that_the_facts_make_needless() -> None:
    # A dense model has no data ranks; that 2 · 2 GPUs are more than 2 is a second reason, which names one pin too many.
    [conflict] = explain(scenario(gpus=2, strategy={"data": 2, "pipeline": 2})).conflicts
    assert conflict.ids == ("strategy.data",) and "degrees.dense" not in conflict.because


def test_the_answer_is_the_same_every_time() -> None:
    scene = scenario(gpus=2, card={"memory": 1e5}, requirements={"ttft": 0.01}, strategy={"tensor": 4})
    texts = {re.sub(r'"wall_s": ?[0-9.e-]+', "", explain(scene).model_dump_json(by_alias=True)) for _ in range(3)}
    assert len(texts) == 1


def ruled(*rules: dict[str, Any]) -> Scenario:
    return scenario(gpus=2, rules=[{"id": f"r{i}", "statement": "odd", **rule} for i, rule in enumerate(rules)])


def test_rules_are_waived_together() -> None:
    # A dense model has neither data nor expert ranks: both rules must go.
    found = explain(ruled({"data": 2}, {"expert": 2}), everything=True, most_gpus=16)
    edits = [[(edit.key, edit.after) for edit in repair.edits] for repair in found.repairs]
    assert edits == [[("waive", ["r0", "r1"])]]


def test_more_conditions_than_a_mask_holds_leave_the_verdict() -> None:
    found = explain(ruled(*[{"data": 2}] * 70))
    assert (found.status, found.complete) == ("infeasible", False) and "62 conditions" in found.searched
