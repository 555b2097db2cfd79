"""The stage split against all contiguous splits, by an exact dynamic programme over integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.solver.costs import stages
from shardwise.solver.costs.forward import LayerTimes
from shardwise.solver.costs.memory import MemoryParts
from shardwise.solver.costs.stages import split_stages

ROUNDING = 2
"""Bytes of a card that are kept for rounding."""

Cost = Callable[[int, int, int], float]
"""Of a stage and its layers: (stage, first layer, one past last)."""


@dataclass(frozen=True)
class Pass:
    """Whole seconds of one pass."""

    layers: tuple[int, ...]
    """By kind of layer."""
    head: int = 0
    sends: tuple[int, int] = (0, 0)
    """(inside a node, across nodes)"""


@dataclass(frozen=True)
class Case:
    """Layers of a few kinds on stages: seconds of two passes, and bytes."""

    kinds: tuple[int, ...]
    leaves: tuple[bool, ...]
    """Of each stage but the last: whether it sends across nodes."""
    passes: tuple[Pass, Pass]
    size: tuple[int, ...]
    first: int = 0
    last: int = 0
    room: int = 1000

    def time(self, one: Pass) -> Cost:
        def cost(stage: int, begin: int, end: int) -> float:
            own = one.head if stage == len(self.leaves) else one.sends[self.leaves[stage]]
            return own + sum(one.layers[kind] for kind in self.kinds[begin:end])

        return cost

    def held(self, stage: int, begin: int, end: int) -> float:
        own = self.first * (stage == 0) + self.last * (stage == len(self.leaves))
        return own + sum(self.size[kind] for kind in self.kinds[begin:end])


def least_worst(case: Case, cost: Cost, caps: list[tuple[Cost, float]]) -> float:
    """The least worst stage of the splits whose every stage keeps the caps."""
    layers = len(case.kinds)
    best = [0.0] + [inf] * layers
    for stage in range(len(case.leaves) + 1):
        best = [
            min(
                (
                    max(best[begin], cost(stage, begin, end))
                    for begin in range(end)
                    if all(cap(stage, begin, end) <= bound for cap, bound in caps)
                ),
                default=inf,
            )
            for end in range(layers + 1)
        ]
    return best[-1]


def split(case: Case) -> list[tuple[int, int, int]]:
    """What `split_stages` makes of it: (stage, first layer, one past last) of each stage."""

    class Row(SimpleNamespace):
        def __len__(self) -> int:
            return 1

    one = np.ones(1)
    row = Row(
        pipeline=np.array([len(case.leaves) + 1]),
        setting=SimpleNamespace(layer_kinds=case.kinds, kinds=tuple(range(len(case.size)))),
        boundary_crosses=lambda stage, index: np.array([(*case.leaves, False)[stage]]),
    )
    times = tuple(
        LayerTimes(np.array(p.layers, float)[:, None], p.head * one, tokens=number * one)
        for number, p in enumerate(case.passes)
    )

    def send(rows: Any, tokens: Any, crosses: Any) -> Any:
        inside, across = case.passes[int(tokens[0])].sends
        return np.where(crosses, across, inside) * 1.0

    parts = MemoryParts(
        weights=np.array(case.size, float)[:, None],
        kv=np.zeros((len(case.size), 1)),
        first=case.first * one,
        last=case.last * one,
        activations=0 * one,
        reserve=0 * one,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "stage_send", send)
        [found] = split_stages(cast(Any, row), times, parts, case.room + ROUNDING)
    counts = np.bincount(found, minlength=len(case.leaves) + 1)
    ends = np.cumsum(counts)
    assert (np.diff(found) >= 0).all() and len(counts) == len(case.leaves) + 1 and counts.min() >= 1
    return list(zip(range(len(counts)), (ends - counts).tolist(), ends.tolist(), strict=True))


def check(case: Case) -> None:
    """The first pass decides, then the second, then the fullest stage; memory alone where nothing fits."""
    places = split(case)
    caps: list[tuple[Cost, float]] = [(case.held, case.room)]
    goals = [*map(case.time, case.passes), case.held]
    if least_worst(case, goals[0], caps) == inf:
        caps, goals = [], [case.held]
    for goal in goals:
        best = least_worst(case, goal, caps)
        assert max(goal(*place) for place in places) == best
        caps.append((goal, best))


@st.composite
def cases(draw: st.DrawFn, *, kinds: int, ends: bool) -> Case:
    """Without `ends` a stage costs only what its layers cost."""
    layers = draw(st.lists(st.integers(0, kinds - 1), min_size=2, max_size=9))
    count = draw(st.integers(1, len(layers) - 1))
    small = st.integers(0, 6) if ends else st.just(0)
    per_kind = st.tuples(*[st.integers(1, 9)] * kinds)
    passes = tuple(Pass(draw(per_kind), draw(small), (draw(small), draw(small))) for _ in range(2))
    return Case(
        kinds=tuple(layers),
        leaves=tuple(draw(st.lists(st.booleans(), min_size=count, max_size=count))),
        passes=cast(tuple[Pass, Pass], passes),
        size=draw(per_kind),
        first=draw(small),
        last=draw(small),
        room=draw(st.integers(5, 40) | st.just(1000)),
    )


@settings(max_examples=200)
@given(cases(kinds=3, ends=False))
def test_split_is_exact_where_stages_cost_what_their_layers_cost(case: Case) -> None:
    check(case)


@settings(max_examples=200)
@given(cases(kinds=1, ends=True))
def test_split_is_exact_where_layers_are_alike(case: Case) -> None:
    check(case)


@settings(max_examples=400)
@given(cases(kinds=3, ends=True))
def test_split_is_exact(case: Case) -> None:
    check(case)


def test_a_long_layer_is_left_to_the_stage_that_sends_nothing() -> None:
    # Layers of 1, 1, 3, 1 s on three stages, a send takes 2 s: [1] [1] [3, 1] takes 3, 3, 4 s.
    # Filling the first stage as far as 4 s allow leaves the layer of 3 s to the second: 5 s.
    one = Pass((1, 3), sends=(2, 2))
    case = Case((0, 0, 1, 0), (False, False), (one, one), (1, 1))
    assert least_worst(case, case.time(one), []) == 4
    check(case)


def test_a_short_layer_is_left_to_a_stage_with_the_embedding() -> None:
    # Layers of 5, 1, 1 s and equally many bytes; the head takes 6 bytes of a card of 8 on the last stage.
    # [5] [1, 1] holds 5 and 8 bytes; every other split breaks 8 bytes or takes longer.
    one = Pass((1, 5))
    case = Case((1, 0, 0), (False,), (one, one), (1, 5), last=6, room=8)
    check(case)
    assert [end for _, _, end in split(case)] == [1, 3]
