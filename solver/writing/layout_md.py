"""The rank layout: which GPU holds which layers, heads and experts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ...models import Plan, Transformer
from ...models.plan import Rank
from .text import section, spans, table

_MOST_RANKS = 64


def layout_section(plan: Plan) -> str:
    """The first engine rank by rank, and where the other engines sit."""
    return ranks_section(plan.placement, plan.scenario.model)


def ranks_section(placement: Sequence[Rank], model: Transformer) -> str:
    """The same from the ranks; nothing where there are none."""
    first = [rank for rank in placement if rank.engine == 0]
    if not first:
        return ""
    rows = [
        (
            r.rank,
            f"{r.node}:{r.gpu}",
            r.stage,
            spans(*r.layers) + _linear(model, r),
            spans(*r.heads),
            r.data,
            r.context,
            _experts(r),
        )
        for r in first[:_MOST_RANKS]
    ]
    header = ("rank", "node:GPU", "stage", "layers", "query heads", "data", "context", "experts")
    more = (
        f"… and {len(first) - _MOST_RANKS} more ranks; `placement` in plan.json has all."
        if len(first) > _MOST_RANKS
        else ""
    )
    return section("Rank layout", "Engine 0:", table(header, rows), more, _others(placement))


def _linear(model: Transformer, rank: Rank) -> str:
    """How many of a rank's layers are linear, if the model has any."""
    linear = sum(kind.linear for kind in model.kinds[slice(*rank.layers)])
    return f", {linear} linear" if model.linear_attention else ""


def _experts(rank: Rank) -> str:
    if rank.experts[0] == rank.experts[1]:
        return "none"
    return f"{spans(*rank.experts)}, columns {spans(*rank.expert_columns)}"


def _others(placement: Sequence[Rank]) -> str:
    """Nodes and GPUs of every engine."""
    rows = []
    for number, ranks in groupby(placement, key=lambda rank: rank.engine):
        seats: dict[int, list[int]] = {}
        for rank in ranks:
            seats.setdefault(rank.node, []).append(rank.gpu)
        places = ", ".join(f"{node}:{spans(min(gpus), max(gpus) + 1)}" for node, gpus in seats.items())
        rows.append((number, places if len(seats) <= 16 else f"nodes {spans(min(seats), max(seats) + 1)}"))
    if len(rows) < 2:
        return ""
    return "Every engine's GPUs, as node:GPUs:\n\n" + table(("engine", "GPUs"), rows)
