"""Between and beyond the points: marked, bounded by the efficiencies around, monotone where the table is."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.solver.costs.silicon import EXTRAPOLATED, INTERPOLATED, Silicon
from shardwise.solver.costs.silicon.grids import Answer, Grid

Ask = Callable[[Silicon, float], Answer]
SIZES: dict[str, tuple[Ask, float, float]] = {
    "rows": (lambda s, x: s.matrix("bf16", x, 3000, 5000), 1, 1e6),
    "rows, fp8": (lambda s, x: s.matrix("fp8", x, 8192, 2048), 1, 1e6),
    "inputs": (lambda s, x: s.matrix("bf16", 100, x, 5000), 16, 1e5),
    "outputs": (lambda s, x: s.matrix("bf16", 100, 3000, x), 16, 1e5),
    "prompts": (lambda s, x: s.prompt_attention(x, 1000, 0, 32, 8, 128), 1, 1e4),
    "prompt": (lambda s, x: s.prompt_attention(4, x, 0, 32, 8, 128), 1, 1e5),
    "sequences": (lambda s, x: s.decode_attention(x, 5000, 64, 8, 128), 1, 1e4),
    "sequences of unmeasured heads": (lambda s, x: s.decode_attention(x, 5000, 24, 6, 128), 1, 1e4),
    "context": (lambda s, x: s.decode_attention(16, x, 32, 8, 64, "fp8"), 1, 1e6),
    "latent prompts": (lambda s, x: s.latent_prompt(x, 1000, 0, 32), 1, 1e4),
    "latent context": (lambda s, x: s.latent_decode(8, x, 128), 1, 1e6),
    "absorbed tokens": (lambda s, x: s.latent_absorb(x, 64), 1, 1e5),
    "tokens of experts": (lambda s, x: s.experts(x, 7168, 2048, 8, 256, 8, 1, "bf16"), 1, 1e6),
    "tokens of unmeasured experts": (lambda s, x: s.experts(x, 5120, 1536, 6, 160, 1, 1, "fp8_block"), 1, 1e6),
    "bytes to sum": (lambda s, x: s.all_reduce(8, x), 1, 1e10),
    "bytes to gather": (lambda s, x: s.collective("all_gather", 4, x), 1, 1e10),
    "bytes to send": (lambda s, x: s.point_to_point(x), 1, 1e10),
    "tokens to dispatch": (lambda s, x: s.exchange(x, 7168, 8, 256, 8, "dispatch"), 1, 1e5),
}


@pytest.mark.parametrize("name", SIZES)
@settings(max_examples=60)
@given(share=st.floats(0, 1), step=st.floats(0, 1))
def test_more_work_takes_no_less(silicon: Silicon, name: str, share: float, step: float) -> None:
    """From a law that is monotone; tables with jumps have theirs (docs/silicon.md, section 6)."""
    ask, low, high = SIZES[name]
    size = low * (high / low) ** share
    more = size * (high / size) ** step
    assert ask(silicon, more)[0] >= ask(silicon, size)[0] * (1 - 1e-9)


@pytest.mark.parametrize("name", SIZES)
def test_beyond_the_table_efficiency_is_held(silicon: Silicon, name: str) -> None:
    """Far above, time grows with the work; below, it stays that of the first point."""
    ask, _, high = SIZES[name]
    (one, kind), (two, _) = ask(silicon, 100 * high), ask(silicon, 200 * high)
    grown = 4 if name == "prompt" else 2  # the pairs of a causal core
    assert kind >= EXTRAPOLATED
    assert two / one == pytest.approx(grown, rel=1e-3)


def test_below_the_table_time_is_held(silicon: Silicon) -> None:
    (small, kind), (first, _) = silicon.decode_attention(4, 2, 8, 8, 128), silicon.decode_attention(4, 128, 8, 8, 128)
    assert kind == EXTRAPOLATED
    assert small == first
    assert silicon.matrix("bf16", 0.5, 256, 256)[0] == silicon.matrix("bf16", 1, 256, 256)[0]


def test_between_two_points_efficiency_lies_between_theirs(silicon: Silicon) -> None:
    """Half-way in the logarithm it is their geometric mean."""
    flops = 2 * 8192 * 8192 / 989e12
    rows = np.array([512.0, math.sqrt(512 * 4096), 4096.0])
    seconds, kind = silicon.matrix("bf16", rows, 8192, 8192)
    floor = np.min(silicon.matrix("bf16", 1, 256, 256)[0])
    share = seconds / (floor + rows * flops)
    assert list(kind) == [0, INTERPOLATED, 0]
    assert share[1] == pytest.approx(math.sqrt(share[0] * share[2]), rel=1e-9)


def test_a_hole_is_extrapolated(silicon: Silicon) -> None:
    """64 sequences of 8192 tokens are not in the table; both coordinates are within its axes."""
    assert silicon.decode_attention(64, 8192, 32, 8, 128)[1] == EXTRAPOLATED
    assert silicon.decode_attention(64, 500, 32, 8, 128)[1] == INTERPOLATED


def test_unmeasured_heads_are_interpolated_between_measured_ones(silicon: Silicon) -> None:
    seconds, kind = silicon.decode_attention(4, 1024, [16, 24, 32], [4, 6, 8], 128)
    assert list(kind) == [0, INTERPOLATED, 0]
    assert seconds[0] < seconds[1] < seconds[2]


def test_a_prefix_is_extrapolated_and_costs_its_reading(silicon: Silicon) -> None:
    plain = silicon.prompt_attention(1, 1024, 0, 32, 8, 128)[0]
    seconds, kind = silicon.prompt_attention(1, 1024, 7168, 32, 8, 128)
    assert kind == EXTRAPOLATED
    assert plain < seconds < silicon.prompt_attention(1, 8192, 0, 32, 8, 128)[0]


def test_a_fraction_of_a_sequence_costs_its_share(silicon: Silicon) -> None:
    """Means over time may be below one; a part of the time there is none."""
    whole, part = silicon.decode_attention(1, 1024, 8, 8, 128), silicon.decode_attention(0.25, 1024, 8, 8, 128)
    assert part[0] == pytest.approx(whole[0] / 4)
    assert (whole[1], part[1]) == (0, INTERPOLATED)


def test_larger_groups_than_measured(silicon: Silicon) -> None:
    (eight, _), (many, kind) = silicon.all_reduce(8, 256), silicon.all_reduce(32, 256)
    assert kind == EXTRAPOLATED
    assert many == pytest.approx(2 * eight, rel=0.01)


POINTS = st.lists(
    st.tuples(st.sampled_from([1.0, 2, 5, 40]), st.sampled_from([1.0, 3, 9, 81]), st.floats(-3, 3)), min_size=1
)


@given(POINTS, st.floats(0.01, 1000), st.floats(0.01, 1000))
def test_any_grid_stays_within_its_values(points: list[tuple[float, float, float]], x: float, y: float) -> None:
    a, b, e = (np.array(column) for column in zip(*points, strict=True))
    grid = Grid((a, b), e)
    value, kind = grid.query([np.array([x]), np.array([y])])
    assert e.min() - 1e-9 <= value[0] <= e.max() + 1e-9
    outside = not (a.min() <= x <= a.max() and b.min() <= y <= b.max())
    assert kind[0] == EXTRAPOLATED or not outside
    on, where = grid.query([a, b])
    fastest = [min(e[(a == i) & (b == j)]) for i, j in zip(a, b, strict=True)]
    np.testing.assert_allclose(on, fastest, rtol=0, atol=1e-12)
    assert (where == 0).all()
