"""Loads that engines may be given (the grids of docs/costs.md, section 7), and bounds on their number."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...models import Bound

Integers = NDArray[np.int64]
MOST_STEPS = 64
"""Shares of the load that engines in mixed deployments are given."""
MOST_IN_FLIGHT = 4096
"""Requests in flight in one engine, open loop."""
UTILIZATIONS = np.round(np.arange(1, 20) * 0.05, 2)
"""Of prefill engines in an open loop: 0.05 to 0.95."""
BUSY = np.array([0.25, 0.5, 0.75, 0.95])
"""Shares of the time that prefill engines are busy in a closed loop."""
LONGEST_PASS = 32_768
"""Tokens that prompts are put together for in one pass of a prefill engine; one prompt may be longer."""
MOST_PROMPTS = 64


@lru_cache(maxsize=4096)
def closed_loads(clients: int, gpus: int, engines: int, of_all: int, mixed: bool) -> tuple[int, ...]:
    """Shares of the clients for an engine of so many GPUs: those of up to so many equal engines, and of its GPUs."""
    shares = [(1, n) for n in range(1, max(1, engines) + 1)]
    if mixed:
        steps = min(of_all, MOST_STEPS)
        low, high = gpus * steps / of_all / 2, 2 * gpus * steps / of_all
        near = [k for k in range(1, steps + 1) if low <= k <= high]
        # At most nine of them, spread evenly: of large engines many steps lie between half and twice the share.
        shares += (
            [(near[i * (len(near) - 1) // 8], steps) for i in range(9)] if len(near) > 9 else [(k, steps) for k in near]
        )
    found = {clients * k // n for k, n in shares} | {-(-clients * k // n) for k, n in shares}
    return tuple(sorted(load for load in found if load >= 1))


@lru_cache(maxsize=1)
def open_loads() -> tuple[int, ...]:
    """Mean requests in flight: every number up to 16, then steps of about 12 %."""
    loads = list(range(1, 17))
    while loads[-1] < MOST_IN_FLIGHT:
        loads.append(max(loads[-1] + 1, round(loads[-1] * 1.12)))
    return tuple(load for load in loads if load <= MOST_IN_FLIGHT)


def prompts_per_pass(longest: int) -> list[int]:
    """B of prefill engines: one, and powers of two as long as a pass stays short."""
    return [b for b in (1, 2, 4, 8, 16, 32, 64) if b == 1 or (b * longest <= LONGEST_PASS and b <= MOST_PROMPTS)]


def allowed_engines(bound: Bound | None) -> Callable[[int], bool] | None:
    """Which numbers of engines a pin allows; None: all."""
    return None if bound is None else bound.allows
