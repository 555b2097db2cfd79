"""Conflicts from corrections: against every subset, and a case whose answer is known."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from shardwise.solver.explanation.conflicts import hitting_sets

ELEMENTS = 6


def naive(masks: list[int]) -> set[int]:
    hitting = [each for each in range(1 << ELEMENTS) if all(each & mask for mask in masks)]
    return {each for each in hitting if not any(other != each and other & ~each == 0 for other in hitting)}


@given(st.lists(st.integers(1, (1 << ELEMENTS) - 1), max_size=8))
def test_all_minimal_hitting_sets(masks: list[int]) -> None:
    found = hitting_sets(masks)
    assert len(found) == len(set(found)) and set(found) == naive(masks)
    assert found == sorted(found, key=lambda mask: (mask.bit_count(), mask))


def test_three_pairs() -> None:
    # The corrections {0,1}, {2,3}, {4,5} are met by one of each: 2³ conflicts of three members.
    pairs = [0b11, 0b1100, 0b110000]
    assert len(hitting_sets(pairs)) == 8
    assert set(hitting_sets(pairs)) == {
        sum(1 << each for each in chosen) for chosen in itertools.product((0, 1), (2, 3), (4, 5))
    }


def test_nothing_to_correct_is_no_conflict() -> None:
    assert hitting_sets([]) == [0]
