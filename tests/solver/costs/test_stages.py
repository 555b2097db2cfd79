"""The stage split against all contiguous splits, by an exact dynamic programme over integers."""

from __future__ import annotations

from dataclasses import dataclass
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

BOUNDARY = 2
"""Two bytes of a card are kept for rounding."""


@dataclass(frozen=True)
class Case:
    """Layers of a few kinds on stages: whole seconds and bytes."""

    kinds: tuple[int, ...]
    stages: int
    seconds: tuple[int, ...]
    size: tuple[int, ...]
    head: int
    sends: tuple[int, int]
    leaves: tuple[bool, ...]
    first: int
    last: int
    room: int

    def time(self, stage: int, begin: int, end: int) -> int:
        own = self.head if stage == self.stages - 1 else self.sends[self.leaves[stage]]
        return own + sum(self.seconds[kind] for kind in self.kinds[begin:end])

    def held(self, stage: int, begin: int, end: int) -> int:
        own = self.first * (stage == 0) + self.last * (stage == self.stages - 1)
        return own + sum(self.size[kind] for kind in self.kinds[begin:end])


def least_worst(case: Case, *, by_memory: bool = False) -> float:
    """The shortest slowest stage of the splits that fit, or the least fullest stage of all splits."""
    cost = case.held if by_memory else case.time
    room = float("inf") if by_memory else case.room
    layers = len(case.kinds)
    best = [0.0] + [float("inf")] * layers
    for stage in range(case.stages):
        best = [
            min(
                (
                    max(best[begin], cost(stage, begin, end))
                    for begin in range(end)
                    if case.held(stage, begin, end) <= room
                ),
                default=float("inf"),
            )
            for end in range(layers + 1)
        ]
    return best[-1]


def split(case: Case) -> list[tuple[int, int]]:
    """What `split_stages` makes of it: (first layer, one past last) of each stage."""
    rows = SimpleNamespace(
        pipeline=np.array([case.stages]),
        setting=SimpleNamespace(layer_kinds=case.kinds, kinds=tuple(range(len(case.size)))),
        boundary_crosses=lambda stage, index: np.array([(*case.leaves, False)[stage]]),
    )

    class Row(SimpleNamespace):
        def __len__(self) -> int:
            return 1

    row = cast(Any, Row(**vars(rows)))
    column = np.ones(1)
    times = LayerTimes(np.array(case.seconds, float)[:, None], case.head * column, column)
    parts = MemoryParts(
        weights=np.array(case.size, float)[:, None],
        kv=np.zeros((len(case.size), 1)),
        first=case.first * column,
        last=case.last * column,
        activations=0 * column,
        reserve=0 * column,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "stage_send", lambda rows, tokens, crosses: np.where(crosses, *case.sends[::-1]) * 1.0)
        [found] = split_stages(row, times, parts, case.room + BOUNDARY)
    counts = np.bincount(found, minlength=case.stages)
    ends = np.cumsum(counts)
    assert (np.diff(found) >= 0).all() and len(counts) == case.stages and counts.min() >= 1
    return list(zip((ends - counts).tolist(), ends.tolist(), strict=True))


def check(case: Case) -> None:
    places = list(enumerate(split(case)))
    expected = least_worst(case)
    if expected == float("inf"):
        assert max(case.held(stage, *place) for stage, place in places) == least_worst(case, by_memory=True)
    else:
        assert max(case.held(stage, *place) for stage, place in places) <= case.room
        assert max(case.time(stage, *place) for stage, place in places) == expected


@st.composite
def cases(draw: st.DrawFn, *, kinds: int, sends: bool, ends: bool) -> Case:
    """With equal sends and empty ends every stage costs the same beside its layers."""
    layers = draw(st.lists(st.integers(0, kinds - 1), min_size=2, max_size=9))
    count = draw(st.integers(2, len(layers)))
    small, cost = st.integers(0, 6), st.integers(1, 9)
    return Case(
        kinds=tuple(layers),
        stages=count,
        seconds=tuple(draw(cost) for _ in range(kinds)),
        size=tuple(draw(cost) for _ in range(kinds)),
        head=draw(small) if ends else 0,
        sends=(draw(small), draw(small)) if sends else (0, 0),
        leaves=tuple(draw(st.lists(st.booleans(), min_size=count - 1, max_size=count - 1))),
        first=draw(small) if ends else 0,
        last=draw(small) if ends else 0,
        room=draw(st.integers(5, 40)),
    )


@settings(max_examples=200)
@given(cases(kinds=3, sends=False, ends=False))
def test_split_is_exact_where_stages_cost_the_same(case: Case) -> None:
    check(case)


@settings(max_examples=200)
@given(cases(kinds=1, sends=True, ends=True))
def test_split_is_exact_where_layers_cost_the_same(case: Case) -> None:
    check(case)


@settings(max_examples=400)
@given(cases(kinds=3, sends=True, ends=True))
def test_split_is_exact(case: Case) -> None:
    check(case)


def test_a_short_layer_is_left_to_a_stage_with_a_slow_send() -> None:
    # Layers of 1, 1, 10, 1 s on three stages; the second sends for 5 s. [1] [1] [10, 1] takes 1, 6, 11 s.
    # Filling the first stage as far as 11 s allow leaves the layer of 10 s to the slow stage: 15 s.
    case = Case((0, 0, 1, 0), 3, (1, 10), (1, 1), 0, (0, 5), (False, True), 0, 0, 100)
    assert least_worst(case) == 11
    check(case)
