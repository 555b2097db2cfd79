"""Other readings of the same conditions: where the input contradicts itself or leaves something open.

A plan that hangs on one reading must say so. Each other reading is solved like the first, and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..models import Experts, Plan, Scenario
from ..models.counts import contradiction, widening
from ..models.explanation import Explanation
from ..models.plan import Reading
from ..models.units import show_count


def other_readings(scenario: Scenario) -> Iterator[tuple[str, Scenario]]:
    """(what is read otherwise, the scenario read so), one change at a time."""
    model = scenario.model
    if (found := contradiction(model)) is not None:
        declared, counted = found
        if scenario.parameters == "declared":
            text = f"parameters from the shapes ({show_count(counted)}) instead of the declared {show_count(declared)}"
            yield text, scenario.model_copy(update={"parameters": "from-shapes"})
        elif _possible(scenario):
            text = f"the declared {show_count(declared)} parameters instead of {show_count(counted)} from the shapes"
            yield text, scenario.model_copy(update={"parameters": "declared"})
    experts = model.experts
    if experts is None:
        return
    if _open(scenario, "experts.per_token"):
        for count in {1, 2} - {experts.per_token}:
            if count <= experts.count:
                noun = "expert" if count == 1 else "experts"
                yield f"{count} {noun} per token instead of {experts.per_token}", _with(scenario, per_token=count)
    if _open(scenario, "experts.gated"):
        matrices = (
            "two matrices per expert instead of three" if experts.gated else "three matrices per expert instead of two"
        )
        other = _with(scenario, gated=not experts.gated)
        if scenario.parameters == "from-shapes" or _possible(other):
            yield matrices, other


def _open(scenario: Scenario, figure: str) -> bool:
    """Whether a figure of the model is an assumption (its entry may go on to say why)."""
    return any(text.split()[0].rstrip(":,") == figure for text in scenario.model.assumed if text.split())


def _with(scenario: Scenario, **changes: object) -> Scenario:
    model = scenario.model
    assert model.experts is not None
    experts = Experts.model_validate({**model.experts.model_dump(), **changes})
    return scenario.model_copy(update={"model": model.model_copy(update={"experts": experts})})


def _possible(scenario: Scenario) -> bool:
    """Whether the declared total leaves something for the matrices that it widens."""
    try:
        widening(scenario.model)
    except ValueError:
        return False
    return True


def compare(plan: Plan, solve: Callable[[Scenario], Plan]) -> tuple[Reading, ...]:
    """Solve every other reading of the plan's scenario and say what it changes."""
    return tuple(_reading(plan, text, solve(scenario)) for text, scenario in other_readings(plan.scenario))


def _reading(plan: Plan, text: str, other: Plan) -> Reading:
    stopped = other.status == "unknown"  # says nothing of the verdict
    changes = "verdict" if not stopped and _verdict(other) != _verdict(plan) else "nothing"
    if not stopped and changes == "nothing" and _degrees(other) != _degrees(plan):
        changes = "strategy"
    predicted = other.predictions
    return Reading(
        reading=text,
        status=other.status,
        changes=changes,
        strategy=other.engines[0].strategy.describe() if other.engines else None,
        engines=sum(entry.count for entry in other.engines),
        ttft_s=predicted.ttft_s if predicted else None,
        tokens_per_s_per_gpu=predicted.tokens_per_s_per_gpu if predicted else None,
        conflicts=tuple(dict.fromkeys(id for conflict in other.conflicts for id in conflict.ids)),
    )


def _verdict(plan: Plan) -> str:
    return "exists" if plan.engines else plan.status


def _degrees(plan: Plan) -> list[tuple[int, str]]:
    return [(entry.count, entry.strategy.describe()) for entry in plan.engines]


def flips(plan: Plan | Explanation) -> str | None:
    """The first line of an answer whose verdict hangs on a reading; None where none does."""
    turned = [reading for reading in plan.readings if reading.changes == "verdict"]
    if not turned:
        return None
    exists = plan.status in ("optimal", "feasible")
    this = "a plan exists" if exists else "no plan exists"
    that = "none does" if exists else "one does"
    return f"The verdict depends on how the conditions are read: here {this}; {that} with " + ", or with ".join(
        reading.reading for reading in turned
    )
