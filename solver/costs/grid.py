"""What is free beside the degrees: engine counts, micro-batches, token budgets. The proof is over these grids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...models import Bound, Scenario
from ..conditions.resources import nodes_taken

Integers = NDArray[np.int64]
BUDGETS = tuple(2**k for k in range(9, 16))
"""512 to 32,768 tokens."""
OPEN_BUDGETS = (2_048, 8_192, 32_768)
"""Budgets of engines in an open loop, each at many loads."""
MOST_SHARES = 64
"""Keeps the micro-batches of a large batch to a few; every size of up to 64 sequences or 64 turns is among them."""


@dataclass
class Grid:
    """Rows before pricing. `choice` is the micro-batch (prompts) or the token budget (closed loop)."""

    strategies: Integers
    """Shape (rows, 6)."""
    engines: Integers
    choice: Integers

    def __len__(self) -> int:
        return len(self.engines)

    def at(self, rows: NDArray[np.intp]) -> Grid:
        """Some of the rows, by index."""
        return Grid(self.strategies[rows], self.engines[rows], self.choice[rows])

    def part(self, rows: slice) -> Grid:
        """Some of the rows."""
        return Grid(self.strategies[rows], self.engines[rows], self.choice[rows])


def make_grid(
    scenario: Scenario,
    strategies: Integers,
    *,
    engines: int | None = None,
    batch: int | None = None,
    token_budget: int | None = None,
    fewest: bool = False,
) -> Grid:
    """Every strategy with every engine count that the nodes and the load allow, and every batch or budget.

    `fewest` leaves out engines that do not lighten the load of the busiest one: the same prices on more GPUs.
    `engines` takes the place of the counts, whether they can be placed or not; so does 1 for a strategy without any.
    A batch or token budget asked for is added to the grid.
    """
    base, counts = _engine_counts(scenario, strategies)
    if fewest:
        load = -(-scenario.workload.sequences // counts)
        lighter = np.r_[True, (base[1:] != base[:-1]) | (load[1:] != load[:-1])] if len(base) else []
        base, counts = base[lighter], counts[lighter]
    if engines is not None or not len(base):
        base, counts = np.arange(len(strategies)), np.full(len(strategies), engines or 1)
    work = scenario.workload
    if work.concurrency and work.decodes:
        asked = [] if token_budget is None else [token_budget]
        index, choice = _budgets(scenario, strategies[base], counts, asked)
    else:
        asked = [batch] if batch is not None and not work.decodes else []
        if token_budget is not None and token_budget % work.input_tokens.max == 0:
            asked.append(token_budget // work.input_tokens.max)
        index, choice = _micro_batches(scenario, strategies[base], counts, asked)
    return Grid(strategies[base][index], counts[index], choice)


def describe(scenario: Scenario) -> dict[str, str]:
    """The grids in words, for the plan."""
    gpus = scenario.hardware.gpu_range
    text = {
        "degrees": "all whole numbers that the conditions allow",
        "engines": f"1 to {gpus.max} as far as GPUs, nodes and sequences allow",
    }
    if scenario.workload.concurrency and scenario.workload.decodes:
        text["batch"] = "the concurrency divided over engines, attention replicas and stages, rounded up"
        pinned = _pinned(scenario.strategy.token_budget)
        text["token_budget"] = f"powers of two, {BUDGETS[0]} to {BUDGETS[-1]:,}, or the smallest that carries the load"
        if pinned:
            text["token_budget"] += f"; and {', '.join(map(str, pinned))} as pinned"
    else:
        text["micro_batch"] = (
            f"prompts of a replica over m turns, rounded up: every size and every m up to {MOST_SHARES}"
        )
    return text


def _engine_counts(scenario: Scenario, strategies: Integers) -> tuple[Integers, Integers]:
    """(row of the strategy, engines) for every count that can be placed and has work."""
    hardware = scenario.hardware
    gpus = strategies[:, 0] * strategies[:, 1] * strategies[:, 2] * strategies[:, 3]
    most = np.minimum(hardware.gpu_range.max // gpus, scenario.workload.sequences // strategies[:, 2])
    index = np.repeat(np.arange(len(gpus)), np.maximum(most, 0))
    engines = _ramp(np.maximum(most, 0)) + 1
    fits = nodes_taken(engines, gpus[index], hardware.node_size, hardware.tail_gpus) <= hardware.full_nodes
    return index[fits], engines[fits]


def _ramp(lengths: Integers) -> Integers:
    """0, 1, … of each length, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def _group_sequences(scenario: Scenario, strategies: Integers, engines: Integers) -> Integers:
    per_engine = -(-scenario.workload.sequences // engines)
    return -(-per_engine // strategies[:, 2])


def _micro_batches(
    scenario: Scenario, strategies: Integers, engines: Integers, extra: list[int]
) -> tuple[Integers, Integers]:
    """(row, sequences per micro-batch): every distinct ⌈Q_d/m⌉, and what was asked for beside them."""
    prompts = _group_sequences(scenario, strategies, engines)
    distinct, inverse = np.unique(prompts, return_inverse=True)
    more = np.array([*extra, *_pinned(scenario.strategy.batch)], dtype=np.int64)
    sizes = [np.union1d(_distinct_shares(int(c)), _even(more[more <= c], int(c))) for c in distinct]
    lengths = np.array([len(s) for s in sizes], dtype=np.int64)
    index = np.repeat(np.arange(len(prompts)), lengths[inverse])
    choice = np.concatenate([sizes[i] for i in inverse]) if len(inverse) else np.empty(0, dtype=np.int64)
    return index, choice


def _distinct_shares(count: int) -> Integers:
    """Values of ⌈count/m⌉, ascending: all up to MOST_SHARES, and those of at most MOST_SHARES micro-batches."""
    few = np.arange(1, min(count, MOST_SHARES) + 1)
    sizes = np.union1d(-(-count // few), few)
    return _even(sizes, count)


def _even(sizes: Integers, count: int) -> Integers:
    """Sizes that arise when so many sequences are dealt evenly over whole turns."""
    kept: Integers = sizes[-(-count // -(-count // sizes)) == sizes].astype(np.int64)
    return kept


def _budgets(
    scenario: Scenario, strategies: Integers, engines: Integers, extra: list[int]
) -> tuple[Integers, Integers]:
    """(row, token budget): the powers of two, more where the load needs more, and pinned values."""
    group = _group_sequences(scenario, strategies, engines)
    return _budgets_of_groups(scenario, strategies, group, extra)


def budgets_for(scenario: Scenario, strategies: Integers, load: Integers) -> tuple[Integers, Integers]:
    """(row, token budget) for single engines that hold so many sequences each."""
    return _budgets_of_groups(scenario, strategies, -(-load // strategies[:, 2]), [])


def _budgets_of_groups(
    scenario: Scenario, strategies: Integers, group: Integers, extra: list[int]
) -> tuple[Integers, Integers]:
    work = scenario.workload
    batch = -(-group // np.minimum(strategies[:, 3], group))
    needed = batch * (1 + work.input_tokens.mean / work.output_tokens.mean)
    enough = 2 ** np.ceil(np.log2(np.maximum(needed, 1))).astype(np.int64)
    usual = OPEN_BUDGETS if work.open_loop else BUDGETS
    fixed = np.array(sorted({*usual, *extra, *_pinned(scenario.strategy.token_budget)}), dtype=np.int64)
    table = np.tile(fixed, (len(group), 1))
    table = np.column_stack([table, np.where(enough > BUDGETS[-1], enough, 0)])
    usable = table > batch[:, None]  # at least one prompt token per pass
    row, column = np.nonzero(usable)
    return row, table[row, column]


def _pinned(bound: Bound | None) -> list[int]:
    """Values that a person named."""
    if bound is None:
        return []
    return sorted({value for value in (bound.min, bound.max, *(bound.any_of or ())) if value is not None})
