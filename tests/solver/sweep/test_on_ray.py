"""Sweeps on a real Ray cluster of two nodes, one of which is killed midway. Needs `pip install -e '.[ray]'`."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest
from shardwise.models import ScenarioFile
from shardwise.solver.sweep.axes import axis_of
from shardwise.solver.sweep.points import Sweep
from shardwise.solver.sweep.row import Row
from shardwise.solver.sweep.run import Count, run
from shardwise.solver.sweep.store import Store

ray = pytest.importorskip("ray", reason="an extra: pip install -e '.[ray]'")
SCENARIO = Path(__file__).parents[3] / "scenarios" / "llama-3.1-8b-h100-1.yaml"


def test_a_node_is_killed_midway(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster
    from shardwise.solver.sweep.on_ray import run_on_ray

    base = ScenarioFile.read(SCENARIO)
    sweep = Sweep(base, (axis_of("workload.concurrency=1:40:1", base.scenario),))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second, stop, seen = cluster.add_node(num_cpus=1), threading.Event(), Counter[str]()
    try:
        with Store(tmp_path, writes=True) as store:

            def progress(count: Count) -> None:
                if count.computed == 10 and second in cluster.worker_nodes:
                    cluster.remove_node(second, allow_graceful=False)

            def runner(points):  # type: ignore[no-untyped-def]
                for row in run_on_ray(base, points, cluster.address, None, stop):
                    seen[row.key] += 1
                    yield row

            done = run(sweep, store, runner, progress, stop)
            rows: list[Row] = list(store.all())
        assert done.left == 0
        assert len(rows) == 40
        assert {row.status for row in rows} == {"optimal"}
        assert set(seen.values()) == {1}
    finally:
        ray.shutdown()
        cluster.shutdown()
