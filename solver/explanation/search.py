"""How far the rows were searched: the cluster as it is, then larger ones while more GPUs could still help."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...models import Scenario
from ..conditions.structure import LARGEST_DEGREE
from ..errors import StoppedError
from ..watch import Watch
from .arithmetic import contradictions
from .corrections import Corrections, corrections, covered
from .universe import Universe, joined, universe

REACH = 1024
"""GPUs up to which more of them are tried as a way out, at least."""


@dataclass
class Search:
    """The rows and the minimal sets of demands that they break."""

    rows: Universe
    found: Corrections = field(default_factory=Corrections)
    gpus: int = 0
    """Rows use up to so many GPUs."""
    complete: bool = False
    enough: str = ""
    """Why no more GPUs were tried, where they could have been."""

    def bit(self, id: str) -> int:
        """The mask of one demand."""
        return next(1 << bit for bit, demand in enumerate(self.rows.demands) if demand.id == id)


def reach(scenario: Scenario) -> int:
    """GPUs beyond which more are not tried: twice those there are, and at least REACH."""
    return min(LARGEST_DEGREE, max(REACH, 2 * scenario.hardware.gpu_range.max))


def search(scenario: Scenario, watch: Watch, most: int | None = None) -> Search:
    """All minimal sets of demands that some row breaks, on up to `most` GPUs.

    A stop leaves what is decided so far; raises StoppedError if that is nothing.
    """
    there, most = scenario.hardware.gpu_range.max, most or reach(scenario)
    found = Search(universe(scenario, there, watch), gpus=there)
    found.found = corrections(found.rows, watch)
    more_gpus = found.bit("gpus.available")
    if any(found.bit(one.ids[0]) in found.found.proved for one in contradictions(scenario) if len(one.ids) == 1):
        most, found.enough = there, "by arithmetic the same conflict stands on any number"
    while not found.found.open and found.gpus < most and not covered(more_gpus, found.found.masks):
        larger = min(most, 4 * found.gpus)
        larger = most if 2 * larger > most else larger
        try:
            added = universe(scenario, larger, watch, beyond=found.gpus)
            rows = joined(found.rows, added)
        except StoppedError:
            return found
        more = corrections(rows, watch, found.found)
        found = Search(rows, more, larger)
    if not found.enough and found.gpus < most and not found.found.open:
        found.enough = "so many alone are enough"
    found.complete = not found.found.open
    return found
