"""More GPUs: what carries r requests/s on G GPUs carries k·r on k·G, since limits are on engines and pairs.

Not in a closed loop, whose requests are dealt anew, and not under a pin on the number of engines.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ...models import Scenario
from ...models.hardware import GpuRange
from ..watch import Watch
from .best import Search
from .conditions import Conditions
from .market import Market
from .objective import optimise, stages_of

MORE_GPUS, AT_LEAST, MOST_GPUS = 8, 256, 8192
"""As many times the GPUs are tried where copies are no way out, or so many if that is more; up to so many."""


def scales(conditions: Conditions) -> bool:
    """Whether copies of a deployment are one."""
    if isinstance(conditions, Scenario):
        return conditions.workload.open_loop and conditions.strategy.engines is None
    return True


def without_floors(conditions: Conditions) -> Conditions:
    """Without what a deployment as a whole must carry."""
    wanted = conditions.requirements.model_copy(update={"throughput": None})
    free = "max" if isinstance(conditions, Scenario) else None
    work = conditions.workload.model_copy(update={"request_rate": free})
    return conditions.model_copy(update={"requirements": wanted, "workload": work})


def on_gpus_of(conditions: Conditions, original: Conditions) -> Conditions:
    """On as many GPUs as there were; a minimum that was dropped stays so."""
    least, there = conditions.hardware.gpu_range.min, original.hardware
    gpus = GpuRange(min=min(least, there.gpu_range.max), max=there.gpu_range.max)
    changed: Any = there.model_copy(update={"use_all_gpus": False, "gpus": gpus})
    return conditions.model_copy(update={"hardware": changed})


def with_gpus(conditions: Conditions, *, least: int | None = None, most: int | None = None) -> Conditions:
    """With another number of them."""
    there = conditions.hardware.gpu_range
    gpus = GpuRange(min=least or there.min, max=most or there.max)
    changed: Any = conditions.hardware.model_copy(update={"use_all_gpus": False, "gpus": gpus})
    return conditions.model_copy(update={"hardware": changed})


def more_gpus(conditions: Conditions) -> Conditions:
    """With far more of every card; as many as before at least."""
    hardware, least = conditions.hardware, conditions.hardware.gpu_range.min
    if not hardware.inventory:
        return with_gpus(conditions, most=_larger(hardware.gpu_range.max))
    more = tuple(stock.model_copy(update={"gpus": _larger(stock.gpus)}) for stock in hardware.inventory)
    gpus = GpuRange(min=least, max=sum(stock.gpus for stock in more))
    changed: Any = hardware.model_copy(update={"inventory": more, "use_all_gpus": False, "gpus": gpus})
    return conditions.model_copy(update={"hardware": changed})


def _larger(gpus: int) -> int:
    return min(MOST_GPUS, max(AT_LEAST, MORE_GPUS * gpus))


def fewest_gpus(conditions: Conditions, original: Conditions, watch: Watch) -> tuple[str, str] | None:
    """The fewest GPUs that would do, with engines of at most the size that fits today; None: copies are no way out."""
    if not scales(conditions):
        return None
    there = original.hardware.gpu_range.max
    market = Market.of(on_gpus_of(conditions, original), watch, lambda _: None)
    if not len(market.source.engines):
        return None
    wanted, throughput = market.demands, market.any_stage
    free = Search(market.source, replace(wanted, least_rate=1, least_gpus=1), watch)
    found = optimise(free, throughput)
    if not found.counts or not found.stages[0].value:
        return None
    copies = math.ceil(wanted.least_rate * market.source.steps.rate / found.stages[0].value * (1 + 1e-6))
    if copies * there > MOST_GPUS:
        what = f"{copies:,} times {market.describe(found.counts)}"
        return f"{copies * there:,} GPUs carry it, perhaps fewer", what
    cards = tuple(replace(card, gpus=copies * card.gpus) for card in wanted.cards)
    search = Search(market.source, replace(wanted, cards=cards, least_gpus=1), watch)
    few = optimise(search, stages_of(("fewest-gpus",), 0.0, free=False)[:1])
    if few.outcome != "optimal" or not few.stages[0].value:
        return f"{copies * there:,} GPUs carry it, perhaps fewer", f"{copies:,} times {market.describe(found.counts)}"
    return f"{few.stages[0].value:,.0f} GPUs", market.describe(few.counts)
