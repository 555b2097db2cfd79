"""Whether another split of the layers over the stages would be faster (docs/costs.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from shardwise.models.plan import Finding

from .deployment import Deployment
from .forward import Forward, Load
from .memory import ROUNDING, MemoryOf, allowed
from .serving import Program
from .text import TOLERANCE, rule, show


@dataclass(frozen=True)
class Place:
    """What a stage takes and holds on the card that it stands on; sums over the layers before each."""

    end: float
    times: list[float]
    free: float
    """Bytes that are left for its layers."""
    held: list[float]

    def takes(self, first: int, end: int) -> float:
        """Seconds with these layers."""
        return self.end + self.times[end] - self.times[first]

    def fits(self, first: int, end: int) -> bool:
        """Whether the card holds these layers."""
        return self.held[end] - self.held[first] <= self.free


def check_split(deployment: Deployment, *further: Deployment) -> list[Finding]:
    """No contiguous split that fits has a slowest stage shorter than the plan's; `further`: on its other cards."""
    program = Program(deployment, *further)
    load = program.reference_load()
    slowest = max(program.forward.stages(load))
    places = [place for leg in program.forward.legs for place in _places(leg, load)]
    found = _exists(places, len(deployment.shapes.layers), slowest * (1 - TOLERANCE))
    said = f"slowest stage {show(slowest, 's')} with layers {', '.join(map(str, deployment.split))}"
    demanded = "a split that fits is faster" if found else "none that fits is faster"
    return [rule("stages.slowest", not found, said, demanded)]


def _places(leg: Forward, load: Load) -> list[Place]:
    """The stages on one card."""
    memory = MemoryOf(leg.deployment)
    room = allowed(leg.deployment.scenario) - ROUNDING
    times = list(accumulate(leg.layers(load), initial=0.0))
    held = list(accumulate((sum(memory.kinds[layer]) for layer in leg.shapes.layers), initial=0.0))
    return [
        Place(leg.ends(load, stage), times, room - memory.stage(stage, range(0)).total, held)
        for stage in leg.cut.stages
    ]


def _exists(places: list[Place], layers: int, ceiling: float) -> bool:
    """Whether a split exists whose every stage fits and takes less than the ceiling.

    `reached` holds the places where a stage may begin, stage after stage. A stage that begins later may end
    later, so one pointer moves over the ends only once per stage.
    """
    reached = [True] + [False] * layers
    for place in places:
        later = [False] * len(reached)
        end = filled = 0
        for begin, possible in enumerate(reached):
            if not possible:
                continue
            end = max(end, begin)
            while end < layers and place.takes(begin, end + 1) < ceiling and place.fits(begin, end + 1):
                end += 1
            for cut in range(max(begin + 1, filled + 1), end + 1):
                later[cut] = True
            filled = max(filled, end)
        reached = later
    return reached[-1]
