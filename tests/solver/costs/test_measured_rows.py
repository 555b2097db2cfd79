"""Times from tables do not depend on which rows are asked together, and tables may fall where work grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shardwise.models import Scenario
from shardwise.solver.costs import links
from shardwise.solver.costs.forward import LayerTimes
from shardwise.solver.costs.ideal import least_growth
from shardwise.solver.costs.measured import Measured
from shardwise.solver.costs.rows import Rows
from shardwise.solver.costs.setting import Setting, setting

from tests.solver.costs.silicon import made


def deepseek(folder: Path) -> Setting:
    return setting(
        Scenario.model_validate(
            {
                "hardware": {"accelerator": "h100-sxm", "gpus": 64},
                "model": "deepseek-v3",
                "workload": {"concurrency": 256, "input_tokens": 500, "output_tokens": 200},
                "operator_times": {"tables": str(folder)},
            }
        )
    )


def rows_of(s: Setting, *strategies: tuple[int, ...]) -> Rows:
    return Rows.of(s, np.array(strategies), np.ones(len(strategies), np.int64))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made.write_card(tmp_path)


def test_a_kernel_that_was_not_measured_leaves_the_others(folder: Path) -> None:
    """Only DeepEP's low-latency kernel is in the tables; one row has too many tokens for it."""
    [normal] = folder.rglob("wideep_deepep_normal_perf.parquet")
    normal.unlink()
    s = deepseek(folder)
    rows = rows_of(s, (1, 1, 8, 1, 8, 1), (1, 1, 8, 1, 8, 1))
    tokens = np.array([64.0, 4096.0])
    together = Measured(s).dispatch_and_combine(rows, tokens)
    for row in (0, 1):
        alone = rows_of(s, (1, 1, 8, 1, 8, 1))
        assert Measured(s).dispatch_and_combine(alone, tokens[[row]])[0] == together[row]
    by_sheet = links.dispatch_and_combine(rows, tokens)
    assert together[0] != by_sheet[0]
    assert together[1] == by_sheet[1]


def test_experts_of_one_way_leave_those_of_the_other(folder: Path) -> None:
    """Without rows of one expert rank, what stands behind an exchange has no table in vLLM's form."""
    [file] = folder.rglob("moe_perf.parquet")
    made.write(file, [row for row in made.moe() if row["moe_ep_size"] > 1])
    s = deepseek(folder)
    strategies = (8, 1, 1, 1, 8, 1), (1, 1, 8, 1, 8, 1)
    group = np.array([256.0, 256.0])
    together = Measured(s).routed_experts(rows_of(s, *strategies), group)
    for row, strategy in enumerate(strategies):
        assert Measured(s).routed_experts(rows_of(s, strategy), group[:1])[0] == together[row]


def test_slices_between_the_ranks_of_deep_ep_are_the_data_sheets(folder: Path) -> None:
    """Eight expert ranks in two slices stand on two nodes; DeepEP was measured with eight on one."""
    s, tokens = deepseek(folder), np.array([64.0])
    sliced, whole = rows_of(s, (1, 1, 16, 1, 8, 2)), rows_of(s, (1, 1, 8, 1, 8, 1))
    assert Measured(s).dispatch_and_combine(sliced, tokens) == links.dispatch_and_combine(sliced, tokens)
    assert Measured(s).dispatch_and_combine(whole, tokens) != links.dispatch_and_combine(whole, tokens)


@pytest.mark.parametrize(
    ("layers", "head", "grown"),
    [
        (2.0, 1.0, 3 * 2.0),  # three layers of two seconds more each; a larger head is another stage's
        (-2.0, 1.0, 8 * -2.0),  # any stage may have all eight layers
        (2.0, -1.0, 3 * 2.0 - 1.0),
        (-2.0, -1.0, 8 * -2.0 - 1.0),
    ],
)
def test_least_growth_of_a_stage_of_three_layers_or_more(layers: float, head: float, grown: float) -> None:
    before = LayerTimes(np.full((2, 1), 5.0), np.array([3.0]), np.array([1.0]))
    after = LayerTimes(np.array([[5.0 + layers], [15.0]]), np.array([3.0 + head]), np.array([2.0]))
    assert least_growth(before, after, np.array([2.2]), 8) == grown
