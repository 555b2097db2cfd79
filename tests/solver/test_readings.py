"""Other readings of conditions that contradict themselves or leave something open: each solved, and compared."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from shardwise.models import Plan, Scenario, Transformer
from shardwise.models.counts import count_parameters
from shardwise.solver import explain, solve
from shardwise.solver.readings import compare, flips, other_readings
from shardwise.solver.writing.explanation import explanation_markdown
from shardwise.solver.writing.plan_md import plan_markdown

from ..builders import CHAT, DENSE, EXPERTS, scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SHAPES = "parameters from the shapes (419.6 M) instead of the declared 10 B"
DECLARED = "the declared 10 B parameters instead of 419.6 M from the shapes"
ONE, TWO = "1 expert per token instead of 2", "2 experts per token instead of 1"
UNGATED, GATED = "two matrices per expert instead of three", "three matrices per expert instead of two"
SOURCE_DOCUMENT = {  # file: status, what each reading changes
    "source-document-64-declared.yaml": ("infeasible", {SHAPES: "verdict", ONE: "verdict", UNGATED: "nothing"}),
    "source-document.md": ("infeasible", {SHAPES: "verdict", ONE: "verdict", UNGATED: "nothing"}),
    "source-document-64-from-shapes.yaml": ("optimal", {DECLARED: "verdict", ONE: "nothing", UNGATED: "nothing"}),
}


@cache
def plan_of(file: str) -> Plan:
    return solve(Scenario.load(SCENARIOS / file))


def experts(**changes: Any) -> dict[str, Any]:
    return EXPERTS | {"experts": EXPERTS["experts"] | changes}


def texts(model: dict[str, Any], **more: Any) -> list[str]:
    return [text for text, _ in other_readings(scenario(model, **more))]


@pytest.mark.parametrize("file", SOURCE_DOCUMENT)
def test_the_source_documents_verdict_hangs_on_its_reading(file: str) -> None:
    status, changes = SOURCE_DOCUMENT[file]
    plan = plan_of(file)
    assert plan.status == status
    assert {reading.reading: reading.changes for reading in plan.readings} == changes
    said = flips(plan)
    assert said is not None and said.startswith("The verdict depends on how the conditions are read: here ")
    assert [text in said for text in changes] == [change == "verdict" for change in changes.values()]
    report = plan_markdown(plan) if plan.engines else explanation_markdown(explain(plan.scenario, plan=plan))
    assert f"> **Warning.** {said}" in report and "## Other readings of the conditions" in report


def test_a_reading_is_what_solving_it_gives() -> None:
    plan = plan_of("source-document-64-from-shapes.yaml")
    for reading, (text, scene) in zip(plan.readings, other_readings(plan.scenario), strict=True):
        other = solve(scene)
        assert (reading.reading, reading.status) == (text, other.status)
        assert reading.conflicts == tuple(dict.fromkeys(id for conflict in other.conflicts for id in conflict.ids))
        assert reading.engines == sum(entry.count for entry in other.engines)
        if other.predictions is not None:
            assert reading.strategy == other.engines[0].strategy.describe()
            assert reading.ttft_s == other.predictions.ttft_s
            assert reading.tokens_per_s_per_gpu == other.predictions.tokens_per_s_per_gpu


def test_the_two_files_are_each_others_reading() -> None:
    declared, shapes = (plan_of(f"source-document-64-{name}.yaml") for name in ("declared", "from-shapes"))
    assert shapes.predictions is not None
    assert declared.readings[0].ttft_s == shapes.predictions.ttft_s
    assert shapes.readings[0].conflicts == tuple(
        dict.fromkeys(id for conflict in declared.conflicts for id in conflict.ids)
    )


@pytest.mark.parametrize("share", [None, 1.0, 1.02, 0.98])
@pytest.mark.parametrize("model", [DENSE, EXPERTS], ids=["dense", "experts"])
def test_without_contradiction_there_is_one_reading(model: dict[str, Any], share: float | None) -> None:
    if share is not None:
        model = model | {"declared_parameters": count_parameters(scenario(model).model).total * share}
    plan = solve(scenario(model, CHAT))
    assert plan.readings == () and flips(plan) is None and "Other readings" not in plan_markdown(plan)


@pytest.mark.parametrize(
    ("count", "per_token", "expected"),
    [(4, 2, [ONE]), (4, 1, [TWO]), (4, 3, [ONE.replace("2", "3"), TWO.replace("1", "3")]), (1, 1, [])],
)
@pytest.mark.parametrize("entry", ["experts.per_token", "experts.per_token = 2", "experts.per_token: not stated"])
def test_experts_per_token(entry: str, count: int, per_token: int, expected: list[str]) -> None:
    model = experts(count=count, per_token=per_token)
    assert texts(model | {"assumed": [entry]}) == expected
    assert texts(model | {"assumed": ["experts.per_tokens", "vocabulary", ""]}) == []


@pytest.mark.parametrize(("gated", "expected"), [(True, UNGATED), (False, GATED)])
def test_matrices_per_expert(gated: bool, expected: str) -> None:
    model = experts(gated=gated)
    assert texts(model | {"assumed": ["experts.gated"]}) == [expected]
    assert texts(model) == []


def test_readings_change_one_thing_at_a_time() -> None:
    scene = scenario(experts() | {"assumed": ["experts.per_token", "experts.gated"], "declared_parameters": 1e6})
    first, second, third = (other for _, other in other_readings(scene))
    assert first == scene.model_copy(update={"parameters": "from-shapes"})
    for other, changed in ((second, {"per_token": 1}), (third, {"gated": False})):
        assert other.model.experts == scene.model.experts.model_copy(update=changed)  # type: ignore[union-attr]
        assert other.model_copy(update={"model": scene.model}) == scene


def test_a_reading_may_change_the_strategy_alone() -> None:
    # 1 MB cards hold the shapes' 0.33 MB, not the declared 4 MB.
    more: dict[str, Any] = {"card": {"memory": 1e6}, "gpus": 16, "objective": "fewest-gpus"}
    plan = solve(scenario(EXPERTS | {"declared_parameters": 2e6}, parameters="from-shapes", **more))
    assert plan.status == "optimal"
    assert [(reading.status, reading.changes) for reading in plan.readings] == [("optimal", "strategy")]
    assert flips(plan) is None


def test_a_reading_that_was_stopped_says_nothing_of_the_verdict() -> None:
    plan = solve(scenario(EXPERTS | {"assumed": ["experts.per_token"]}))
    readings = compare(plan, lambda other: Plan(status="unknown", scenario=other, proof=plan.proof))
    assert flips(plan.model_copy(update={"readings": readings})) is None


def test_a_declared_total_that_is_impossible_is_no_reading() -> None:
    plan = solve(scenario(EXPERTS | {"declared_parameters": 1000}, parameters="from-shapes"))
    assert plan.status == "optimal"


def test_a_dense_model_that_declares_less_than_its_shapes_has_the_other_reading() -> None:
    # The feed-forward narrows to make the declared total true; attention and the rest are less than that.
    dense = Transformer.model_validate(DENSE)
    declared = count_parameters(dense).total - count_parameters(dense).dense_feed_forward / 2
    plan = solve(scenario(DENSE | {"declared_parameters": declared}, parameters="from-shapes"))
    assert [reading.status for reading in plan.readings] == ["optimal"]
