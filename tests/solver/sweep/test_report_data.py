"""What a report and a comparison say, without a browser."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import InputError
from shardwise.solver.report.compare import compare_sweeps
from shardwise.solver.report.data import flips_words, mark_flips, name_apart, record_of
from shardwise.solver.report.picture import picture_of
from shardwise.solver.sweep.row import FAILED, Row


def flips(*points: tuple[dict[str, Any], str]) -> tuple[list[str | None], list[str]]:
    records = [record_of(Row(str(i), "optimal", changes, s, 1)) for i, (changes, s) in enumerate(points)]
    blind = mark_flips(records)
    return [one.get("flips") for one in records], blind


def test_flips_are_against_a_factor_of_one_however_it_is_written() -> None:
    for one in ("x1", "x1.0", "x1.00"):
        found, blind = flips(({"a": one}, "TP4"), ({"a": "x2"}, "TP8"), ({"a": "x3"}, "TP4"))
        assert (found, blind) == ([None, "1 × TP4 at x1", None], [])


def test_without_a_factor_of_one_it_is_said() -> None:
    found, blind = flips(({"a": "x2", "b": 1}, "TP4"), ({"a": "x3", "b": 1}, "TP8"))
    assert (found, blind) == ([None, None], ["a"])
    assert flips(({"a": "x1", "b": "x2"}, "TP4"), ({"a": "x3", "b": "x2"}, "TP8"))[1] == ["b"]


def test_flips_are_counted() -> None:
    points = [("x1", 1, "TP4"), ("x2", 1, "TP8"), ("x3", 1, "TP4"), ("x1", 2, "TP4"), ("x2", 2, "TP4")]
    rows = [Row(f"{a}{b}", "optimal", {"a": a, "b": b}, s, 1) for a, b, s in points]
    assert flips_words(rows) == ["1 of 3 scenarios flip against x1"]
    assert flips_words(rows[:1] + rows[2:3]) == ["0 of 1 scenarios flip against x1"]
    assert flips_words(rows[1:3]) == ["a: no factor is x1, so that no flips can be marked; add x1"]
    assert flips_words([Row("k", "optimal", {"b": 1}, "TP4", 1)]) == []


def test_points_of_one_scenario_have_a_page_each() -> None:
    records = [record_of(Row("k", "optimal", {"name": name})) for name in "ab"]
    name_apart(records)
    assert [one["id"] for one in records] == ["k", "k-2"]


def test_a_damaged_plan() -> None:
    import zlib

    with pytest.raises(InputError, match="damaged"):
        record_of(Row("k", "optimal", answer=b"nothing"))
    with pytest.raises(InputError, match="damaged"):
        record_of(Row("k", "optimal", answer=zlib.compress(b"{")))


def _card(name: str, node: float) -> dict[str, Any]:
    return {
        "id": name,
        "node_link": {"bandwidth": node, "latency": 2e-6},
        "network_link": {"bandwidth": 5e10, "latency": 8e-6},
    }


def test_nodes_of_two_cards_have_their_own() -> None:
    """One prefill engine of which the first stage stands on an L40S in node 1, the second on an H100 in node 0."""
    degrees = dict.fromkeys(("tensor", "context", "data", "expert", "expert_tensor"), 1)
    parts = [{"accelerator": "l40s", "stages": 1, "gpus": 1}, {"accelerator": "h100", "stages": 1, "gpus": 1}]
    split = {"role": "prefill", "name": "PP2", "count": 1, "accelerator": "l40s+h100", "parts": parts}
    whole = {"role": "decode", "name": "TP1", "count": 1, "accelerator": "h100", "parts": []}
    plan = {
        "scenario": {
            "hardware": {"inventory": [{"accelerator": _card("h100", 4.5e11)}, {"accelerator": _card("l40s", 3.2e10)}]}
        },
        "pools": [
            {"engines": [split | {"strategy": degrees | {"pipeline": 2, "layers_per_stage": [1, 2]}}]},
            {"engines": [whole | {"strategy": degrees | {"pipeline": 1, "layers_per_stage": [3]}}]},
        ],
        "feeds": [{"prefill": 0, "decode": 0, "requests_per_s": 3.0, "transfer_s": 0.01}],
        "placement": [
            {"engine": 0, "stage": 0, "node": 1, "gpu": 0},
            {"engine": 0, "stage": 1, "node": 0, "gpu": 0},
            {"engine": 1, "stage": 0, "node": 0, "gpu": 1},
        ],
    }
    found = picture_of(plan)
    assert found["cards"] == {1: "l40s", 0: "h100"}
    assert found["links"]["l40s"] == ["32 GB/s, 2 µs", "50 GB/s, 8 µs"]
    assert found["feeds"] == [[0, 1, 3.0, 0.01]]


def test_a_comparison_says_why() -> None:
    before = [
        Row("a", "optimal", {"x": 1, "y": 1}, "TP4", 1),
        Row("b", "infeasible", {"x": 2, "y": 1}, binding="memory.fits"),
        Row("c", "infeasible", {"x": 3, "y": 1}, binding="memory.fits"),
    ]
    after = [
        Row("a", "infeasible", {"y": 1, "x": 1}, binding="requirements.ttft"),
        Row("b", FAILED, {"y": 1, "x": 2}, reason="its worker died"),
        Row("c", "infeasible", {"y": 1, "x": 3}, binding="gpus.available"),
    ]
    told = compare_sweeps(before, after)
    assert "3 scenarios in both" in told, "the order of the axes does not matter"
    assert "x 1, y 1 (now requirements.ttft)" in told
    assert "x 2, y 1 (was memory.fits; now its worker died)" in told
    assert "for another reason: 1\n    x 3, y 1 (was memory.fits; now gpus.available)" in told
