"""Engine counts, micro-batches and token budgets against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model
from shardwise.models import Scenario
from shardwise.solver.conditions import all_conditions
from shardwise.solver.costs.grid import make_grid
from shardwise.solver.degrees import new_variables

from ... import builders
from .. import brute_force

Pair = tuple[int, int]
CLUSTERS = [(gpus, node) for node in range(1, 9) for gpus in range(1, 15)]


def cluster(gpus: int, node: int) -> Scenario:
    return builders.scenario(builders.DENSE, {"batch": gpus, "input_tokens": 8}, gpus=gpus, node=node)


def packed_by_hand(gpus: int, node: int) -> set[Pair]:
    """(engines, GPUs of each) that can be placed, by trying every node for every remainder."""
    free = brute_force.nodes(gpus, node)
    sizes = range(1, gpus + 1)
    return {(n, size) for size in sizes for n in sizes if brute_force.fit(n, size, free, node)}


def packed_by_grid(scene: Scenario, gpus: int) -> set[Pair]:
    strategies = np.array([[1, 1, 1, size, 1, 1] for size in range(1, gpus + 1)])
    grid = make_grid(scene, strategies)
    return set(zip(grid.engines.tolist(), grid.strategies[:, 3].tolist(), strict=True))


class Pairs(cp_model.CpSolverSolutionCallback):
    def __init__(self, *variables: cp_model.IntVar) -> None:
        super().__init__()
        self.variables, self.found = variables, set[Pair]()

    def on_solution_callback(self) -> None:
        engines, size = (self.value(variable) for variable in self.variables)
        self.found.add((engines, size))


def packed_by_condition(scene: Scenario) -> set[Pair]:
    """All solutions of node.packing alone."""
    variables = new_variables(scene)
    for name in ("tensor", "context", "data", "pipeline", "expert", "expert_tensor", "stage_group", "gpus_used"):
        variables.model.add(getattr(variables, name) == 1)
    [condition] = [c for c in all_conditions(scene) if c.id == "node.packing"]
    condition.post(variables)
    solver, pairs = cp_model.CpSolver(), Pairs(variables.engines, variables.engine_gpus)
    solver.parameters.enumerate_all_solutions = True
    solver.parameters.num_workers = 1
    solver.solve(variables.model, pairs)
    return pairs.found


@pytest.mark.parametrize("node", range(1, 9))
def test_engine_counts_are_a_bin_packing(node: int) -> None:
    for gpus in (gpus for gpus, size in CLUSTERS if size == node):
        scene, expected = cluster(gpus, node), packed_by_hand(gpus, node)
        assert packed_by_grid(scene, gpus) == expected, f"grid, {gpus} GPUs"
        assert packed_by_condition(scene) == expected, f"node.packing, {gpus} GPUs"


def test_eight_engines_of_six_fit_eight_nodes_and_ten_do_not() -> None:
    # 60 GPUs are fewer than 64, but a node of 8 holds one engine of 6 and two GPUs that no engine of 6 can use.
    scene = cluster(64, 8)
    found = {n for n, size in packed_by_grid(scene, 64) if size == 6}
    assert found == set(range(1, 9))
    assert found == {n for n, size in packed_by_condition(scene) if size == 6}


@pytest.mark.parametrize("workload", [builders.PROMPTS, builders.PROMPTS | {"output_tokens": 20}])
@pytest.mark.parametrize("sequences", [*range(1, 40), 1000, 4097])
def test_micro_batches_are_all_even_shares(workload: dict[str, int], sequences: int) -> None:
    scene = builders.scenario(workload=workload | {"batch": sequences}, gpus=1)
    grid = make_grid(scene, np.ones((1, 6), dtype=np.int64))
    assert grid.choice.tolist() == sorted({math.ceil(sequences / turns) for turns in range(1, sequences + 1)})


@settings(max_examples=60)
@given(st.integers(1, 100_000), st.integers(1, 3000), st.integers(2, 300), st.integers(1, 4))
def test_budgets_reach_what_carries_the_load(concurrency: int, prompt: int, answer: int, pipeline: int) -> None:
    workload = {"concurrency": concurrency, "input_tokens": prompt, "output_tokens": answer}
    scene = builders.scenario(workload=workload, gpus=pipeline)
    grid = make_grid(scene, np.array([[1, 1, 1, pipeline, 1, 1]]))
    budgets = {int(choice) for n, choice in zip(grid.engines, grid.choice, strict=True) if n == 1}
    batch = math.ceil(concurrency / min(pipeline, concurrency))
    needed = batch + batch * prompt / answer
    powers = [2**k for k in range(9, 60) if 2**k <= 32768 or 2 ** (k - 1) < needed]
    carrying = {budget for budget in powers if budget >= needed}
    assert carrying <= budgets <= {budget for budget in powers if budget > batch}
    assert carrying
