"""Whether another split of the layers over the stages would be faster (docs/costs.md, section 6)."""

from __future__ import annotations

from itertools import accumulate

from shardwise.models.plan import Finding

from .deployment import Deployment
from .memory import ROUNDING, MemoryOf, usable
from .serving import Program
from .text import TOLERANCE, rule, show


def check_split(deployment: Deployment) -> list[Finding]:
    """No contiguous split that fits the card has a slowest stage shorter than the plan's."""
    program = Program(deployment)
    load = program.reference_pass()
    slowest = max(program.forward.stages(load))
    ends = [program.forward.ends(load, stage) for stage in range(deployment.cut.pipeline)]
    times = list(accumulate(program.forward.layers(load), initial=0.0))
    found = _exists(deployment, ends, times, slowest * (1 - TOLERANCE))
    said = f"slowest stage {show(slowest, 's')} with layers {', '.join(map(str, deployment.split))}"
    demanded = "a split that fits is faster" if found else "none that fits is faster"
    return [rule("stages.slowest", not found, said, demanded)]


def _exists(deployment: Deployment, ends: list[float], times: list[float], ceiling: float) -> bool:
    """Whether a split exists whose every stage fits and takes less than the ceiling.

    `reached` holds the places where a stage may begin, stage after stage. A stage that begins later may end
    later, so one pointer moves over the ends only once per stage.
    """
    memory, layers, stages = MemoryOf(deployment), deployment.shapes.layers, deployment.cut.pipeline
    required = deployment.scenario.requirements.memory_per_gpu
    room: float = usable(deployment.scenario.hardware) - ROUNDING
    if required is not None:
        room = min(room, required - ROUNDING)
    held = list(accumulate((sum(memory.kinds[layer]) for layer in layers), initial=0.0))
    reached = [True] + [False] * len(layers)
    for stage in range(stages):
        free = room - memory.stage(stage, range(0)).total
        later = [False] * len(reached)
        end = filled = 0
        for begin, possible in enumerate(reached):
            if not possible:
                continue
            end = max(end, begin)
            while (
                end < len(layers)
                and ends[stage] + times[end + 1] - times[begin] < ceiling
                and held[end + 1] - held[begin] <= free
            ):
                end += 1
            for place in range(max(begin + 1, filled + 1), end + 1):
                later[place] = True
            filled = max(filled, end)
        reached = later
    return reached[-1]
