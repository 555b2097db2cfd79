"""Random tables of priced rows: small integers, so that rows tie often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from shardwise.models import Scenario
from shardwise.solver.choice.objective import Stage, stages_of
from shardwise.solver.choice.table import Table

from ...builders import CHAT, OBJECTIVES, scenario

LIMITED = ("memory", "batch", "token_budget")
"""Columns with a limit each, in the order of the bits."""


@dataclass(frozen=True)
class Case:
    """A table, the objectives, and the largest value of each limited column that keeps its limit."""

    scene: Scenario
    stages: list[Stage]
    table: Table
    most: tuple[int, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to 12 rows; every column from 0 to 6; any objective, with a wide balance."""
    named = st.lists(st.sampled_from(OBJECTIVES), min_size=1, max_size=3, unique=True)
    objective = draw(st.just(["balanced"]) | st.just(["fewest-gpus", "balanced"]) | named)
    gpus: Any = draw(st.sampled_from([8, {"min": 1, "max": 8}]))
    balance = draw(st.sampled_from([0.5, 0.2, 0.0]))
    scene = scenario(workload=CHAT, gpus=gpus, objective=objective, balance=balance)
    stages, rows = stages_of(scene), draw(st.integers(1, 12))
    values = st.lists(st.integers(0, 6), min_size=rows, max_size=rows)
    names = dict.fromkeys([*LIMITED, "engines", "gpus_used", *(stage.column for stage in stages)])
    columns = {name: np.array(draw(values), dtype=np.int64) for name in names}
    most = tuple(draw(st.integers(1, 6)) for _ in LIMITED)
    broken = sum((columns[name] > most[bit]).astype(np.int64) << bit for bit, name in enumerate(LIMITED))
    order = np.array(draw(st.permutations(range(rows))), dtype=np.int64)
    return Case(scene, stages, Table(columns, np.asarray(broken), order), most)


def best(case: Case, rows: list[int]) -> int | None:
    """The first row in the canonical order of those that no row beats, stage by stage, in plain fractions."""
    for stage in case.stages:
        if not rows:
            return None
        column = case.table.columns[stage.column]
        values = [int(column[row]) for row in rows]
        share = round(stage.slack * 10)  # tenths: exact
        if stage.sense == "max":
            rows = [row for row in rows if 10 * column[row] >= max(values) * (10 - share)]
        else:
            rows = [row for row in rows if 10 * column[row] <= min(values) * (10 + share)]
    return min(rows, key=lambda row: int(case.table.order[row]), default=None)
