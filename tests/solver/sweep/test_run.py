"""A sweep over a store, with a runner that makes rows up."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from shardwise.models import ScenarioFile
from shardwise.solver.sweep import run as running
from shardwise.solver.sweep.axes import axis_of
from shardwise.solver.sweep.export import records
from shardwise.solver.sweep.points import Point, Sweep
from shardwise.solver.sweep.row import FAILED, Row
from shardwise.solver.sweep.run import Count, Runner
from shardwise.solver.sweep.store import Store

BASE = ScenarioFile.read(Path(__file__).parents[3] / "scenarios" / "llama-3.1-8b-h100-1.yaml")


def swept(folder: Path, *axes: str, runner: Runner | None = None, limit: float | None = None) -> Count:
    sweep = Sweep(BASE, tuple(axis_of(text, BASE.scenario) for text in axes))
    with Store(folder, writes=True) as store:
        return running.run(
            sweep, store, runner or answers("optimal"), lambda count: None, threading.Event(), time_limit=limit
        )


def answers(status: str, limit: float | None = None) -> Runner:
    def runner(points: Iterable[Point]) -> Iterator[Row]:
        for point in points:
            yield Row(point.key, status, dict(point.changes), time_limit=limit)

    return runner


def shown(folder: Path, *keys: str) -> list[tuple[object, ...]]:
    with Store(folder, writes=False) as store:
        return [tuple(one[key] for key in keys) for one in records(store)]


def test_a_row_has_the_changes_of_its_point(tmp_path: Path) -> None:
    """The base has one GPU: half of the second sweep's scenarios are those of the first."""
    swept(tmp_path, "workload.concurrency=8,16")
    done = swept(tmp_path, "hardware.gpus=1,2", "workload.concurrency=8,16")
    assert (done.stored, done.computed) == (2, 2)
    assert shown(tmp_path, "hardware.gpus", "workload.concurrency") == [(1, 8), (1, 16), (2, 8), (2, 16)]


def test_points_that_are_one_scenario(tmp_path: Path) -> None:
    """A share is at most 1, so that x2 and x3 of the bandwidth's are the same; a name changes nothing."""
    done = swept(tmp_path, "efficiency.bandwidth=x1,x1.5,x2,x3")
    assert shown(tmp_path, "efficiency.bandwidth") == [("x1",), ("x1.5",), ("x2",), ("x3",)]
    assert done.computed + done.same == 4
    assert done.same >= 1
    assert done.left == 0
    assert done.by_status == {"optimal": 4}
    done = swept(tmp_path, "name=a,b")
    assert shown(tmp_path, "name") == [("a",), ("b",)]
    assert (done.computed + done.stored + done.same, done.left) == (2, 0)


@pytest.mark.parametrize("status", ["unknown", "feasible", "infeasible"])
def test_what_a_limit_cut_short_is_computed_again(tmp_path: Path, status: str) -> None:
    """Not under the same limit, or a shorter one. An infeasible row lacks its conflict."""
    axis = "workload.concurrency=8,16"
    assert swept(tmp_path, axis, runner=answers(status, 2.0), limit=2.0).by_status == {status: 2}
    again = swept(tmp_path, axis, limit=2.0)
    assert (again.stored, again.computed, again.by_status) == (2, 0, {status: 2})
    assert swept(tmp_path, axis, limit=1.0).computed == 0
    assert swept(tmp_path, axis, runner=answers(status, 3.0), limit=3.0).computed == 2
    final = swept(tmp_path, axis)
    assert (final.stored, final.computed, final.by_status) == (0, 2, {"optimal": 2})
    assert swept(tmp_path, axis).computed == 0


def test_statuses_are_of_the_whole_sweep(tmp_path: Path) -> None:
    swept(tmp_path, "workload.concurrency=8", runner=answers(FAILED))
    done = swept(tmp_path, "workload.concurrency=8,16,32")
    assert done.by_status == {FAILED: 1, "optimal": 2}
    assert swept(tmp_path, "workload.concurrency=8,16,32").by_status == {FAILED: 1, "optimal": 2}


def test_stopped_while_keys_are_made(tmp_path: Path) -> None:
    """Before the end of them nothing in the store changes."""
    swept(tmp_path, "workload.concurrency=8,16")
    stop, seen = threading.Event(), list[int]()

    def progress(count: Count) -> None:
        seen.append(count.prepared)
        stop.set()

    sweep = Sweep(BASE, (axis_of("workload.concurrency=1:60000", BASE.scenario),))
    with Store(tmp_path, writes=True) as store:
        done = running.run(sweep, store, answers("optimal"), progress, stop)
        assert (done.left, done.computed, seen) == (60_000, 0, [1000])
        assert store.points() == 2
