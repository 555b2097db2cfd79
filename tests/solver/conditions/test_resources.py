"""GPUs, nodes and work for every rank, each in the smallest instance where it alone decides."""

from __future__ import annotations

import pytest
from shardwise.models import Scenario
from shardwise.solver import solve

from ...builders import DENSE, EXPERTS, GROUPED, scenario
from .twins import Twins, check, check_conflict, twins

EIGHT_HEADS = DENSE | {"attention": GROUPED | {"heads": 8, "kv_heads": 8}}
THREE_HEADS = DENSE | {"attention": GROUPED | {"heads": 3, "kv_heads": 3}, "feed_forward": {"width": 96}}


def straddling(node: int) -> Scenario:
    """Two stages of three tensor ranks."""
    return scenario(THREE_HEADS, gpus=12, node=node, strategy={"tensor": 3, "pipeline": 2})


TWINS: dict[str, Twins] = {
    # A tensor group of 8 on a node of 8 needs 8 GPUs.
    "gpus.available": twins(lambda gpus: scenario(EIGHT_HEADS, gpus=gpus, node=8, strategy={"tensor": 8}), 8, 7),
    # 6 GPUs leave a node of 4 or 5; 3 ranks straddle nodes of 5, and fill nodes of 6 twice.
    "node.tensor_group": twins(straddling, 6, 5),
    # Engines of 3 on nodes of 4: one fits the whole node, the other needs a partial node of 3, not of 2.
    "node.packing": twins(
        lambda gpus: scenario(THREE_HEADS, gpus=gpus, node=4, strategy={"tensor": 3, "engines": 2}), 7, 6
    ),
    # Two attention replicas have work from two sequences on.
    "load.every_rank": twins(
        lambda batch: scenario(EXPERTS, {"batch": batch, "input_tokens": 8}, strategy={"data": 2}), 2, 1
    ),
}


@pytest.mark.parametrize("id", TWINS)
def test_twins(id: str) -> None:
    check(TWINS[id])


@pytest.mark.parametrize("id", TWINS)
def test_conflict(id: str) -> None:
    check_conflict(id, TWINS[id])


@pytest.mark.parametrize(("node", "status"), [(2, "optimal"), (3, "infeasible")])
def test_a_tensor_group_may_take_whole_nodes(node: int, status: str) -> None:
    # 4 ranks on nodes of 2: two whole nodes. On nodes of 3 they would lie on one node and a third.
    assert solve(scenario(gpus=6, node=node, strategy={"tensor": 4})).status == status
