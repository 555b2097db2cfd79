"""A time limit and a signal end the work, and keep what was found."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ortools.sat.python import cp_model
from shardwise.solver import solve
from shardwise.solver.degrees import legal_strategies
from shardwise.solver.watch import StoppedError, Watch

from ..builders import scenario


def test_no_time_gives_no_answer() -> None:
    plan = solve(scenario(), time_limit=1e-9)
    assert plan.status == plan.proof.status == "unknown"
    assert plan.engines == plan.conflicts == plan.proof.stages == ()
    assert plan.predictions is None and plan.proof.bound is None


def test_an_enumeration_that_is_stopped_is_no_answer() -> None:
    watch = Watch(1e-9)
    with pytest.raises(StoppedError):
        legal_strategies(scenario(gpus=64), watch=watch)


def knapsack(items: int = 100, sides: int = 30) -> tuple[cp_model.CpModel, cp_model.LinearExpr]:
    """Values near the mean weight, capacities at half: a solution is easy, a proof takes far more than 20 s."""
    draw = random.Random(7)
    model = cp_model.CpModel()
    packed = [model.new_bool_var(f"item_{i}") for i in range(items)]
    weights = [[draw.randint(1, 1000) for _ in packed] for _ in range(sides)]
    for side in weights:
        model.add(cp_model.LinearExpr.weighted_sum(packed, side) <= sum(side) // 2)
    values = [sum(item) // sides + draw.randint(0, 100) for item in zip(*weights, strict=True)]
    value = cp_model.LinearExpr.weighted_sum(packed, values)
    model.maximize(value)
    return model, value


class AfterFirst(cp_model.CpSolverSolutionCallback):
    """Does something soon after the first solution."""

    def __init__(self, what: Callable[[], None]) -> None:
        super().__init__()
        self.timer = threading.Timer(0.1, what)

    def on_solution_callback(self) -> None:
        if not self.timer.ident:
            self.timer.start()


def solver() -> cp_model.CpSolver:
    made = cp_model.CpSolver()
    made.parameters.num_workers = 1
    return made


def stopped(watch: Watch, what: Callable[[], None]) -> None:
    """Solve what takes minutes, do `what` after the first solution, and check what is left."""
    (model, value), cp = knapsack(), solver()
    assert watch.solve(cp, model, AfterFirst(what)) == cp_model.FEASIBLE
    assert watch.elapsed < 30
    assert 0 < cp.value(value) < cp.best_objective_bound
    with pytest.raises(StoppedError):
        watch.check()


def test_a_stop_keeps_incumbent_and_bound() -> None:
    stop = threading.Event()
    stopped(Watch(60, stop), stop.set)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own handler, which test runners may have replaced."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_keeps_incumbent_and_bound() -> None:
    stopped(Watch(60), lambda: os.kill(os.getpid(), signal.SIGINT))


def test_a_time_limit_keeps_incumbent_and_bound() -> None:
    (model, value), cp, began = knapsack(), solver(), time.monotonic()
    watch = Watch(0.5)
    assert watch.solve(cp, model) == cp_model.FEASIBLE
    assert time.monotonic() - began < 10
    assert 0 < cp.value(value) < cp.best_objective_bound


def test_what_the_solver_raises_is_raised() -> None:
    class Failing(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            raise ZeroDivisionError

    model, _ = knapsack(items=3)
    with pytest.raises(ZeroDivisionError):
        Watch().solve(solver(), model, Failing())


def test_without_a_limit_there_is_all_the_time() -> None:
    watch = Watch()
    assert watch.remaining() is None
    watch.check()
