"""What the cluster demands: how many GPUs there are, how engines fall on nodes, and that every rank has work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...models import Scenario
from .base import Condition, Facts, Variables, engine_inside_node, restrict
from .structure import LARGEST_DEGREE, divisors


def conditions(scenario: Scenario) -> Iterator[Condition]:
    """The resource conditions of a scenario."""
    gpus = scenario.hardware.gpu_range
    yield _gpus_available(gpus.max)
    yield _tensor_in_node(scenario)
    yield _packing(scenario)
    yield _work_for_every_rank(scenario)


def _gpus_available(most: int) -> Condition:
    def post(v: Variables) -> None:
        v.model.add(v.gpus_used <= most)

    return Condition(
        "gpus.available",
        f"at most {most} GPUs",
        "hardware.gpus",
        post,
        lambda f: (f"≤ {most} GPUs", f"{f['gpus_used']} GPUs"),
        lambda f: f["gpus_used"] <= most,
        "resource",
    )


def _tensor_in_node(scenario: Scenario) -> Condition:
    node = scenario.hardware.node_size

    def post(v: Variables) -> None:
        aligned = {*divisors(node), *range(node, min(v.largest, LARGEST_DEGREE) + 1, node)}
        inside = engine_inside_node(v, node, "engine_inside_node")
        restrict(v, v.tensor, aligned).only_enforce_if(~inside)

    def explain(f: Facts) -> tuple[str, str]:
        return (
            f"tensor divides {node}, or is a multiple, or the engine fits a node",
            f"tensor {f['tensor']}, engine of {f['engine_gpus']} GPUs",
        )

    def keeps(f: Facts) -> Any:
        return (f["engine_gpus"] <= node) | np.isin(f["tensor"], divisors(node)) | (f["tensor"] % node == 0)

    statement = f"a tensor group does not straddle the nodes of {node} GPUs: it divides a node or takes whole ones"
    return Condition("node.tensor_group", statement, "hardware.gpus_per_node", post, explain, keeps, "fact")


def _packing(scenario: Scenario) -> Condition:
    """Engines take whole nodes plus at most one remainder inside a single node; equal remainders share nodes."""
    node, full, tail = scenario.hardware.node_size, scenario.hardware.full_nodes, scenario.hardware.tail_gpus

    def post(v: Variables) -> None:
        m, largest = v.model, v.largest

        def number(name: str, least: int, most: int):  # type: ignore[no-untyped-def]
            return m.new_int_var(least, most, f"packing_{name}")

        whole, rest, share = (
            number("whole", 0, largest),
            number("rest", 0, node - 1),
            number("share", 1, node),
        )
        m.add_division_equality(whole, v.engine_gpus, node)
        m.add(rest == v.engine_gpus - node * whole)
        m.add_max_equality(share, [rest, 1])
        per_node, per_tail = number("per_node", 1, node), number("per_tail", 0, node)
        m.add_division_equality(per_node, node, share)
        m.add_division_equality(per_tail, tail, share)
        has_rest = m.new_bool_var("packing_has_rest")
        m.add(rest >= 1).only_enforce_if(has_rest)
        m.add(rest == 0).only_enforce_if(~has_rest)
        remainders, homeless = number("remainders", 0, largest), number("homeless", 0, largest)
        m.add_multiplication_equality(remainders, [v.engines, has_rest])
        m.add_max_equality(homeless, [remainders - per_tail, 0])
        shared, taken = number("shared", 0, largest), number("taken", 0, largest)
        m.add_division_equality(shared, homeless + per_node - 1, per_node)
        m.add_multiplication_equality(taken, [v.engines, whole])
        m.add(taken + shared <= full)

    def explain(f: Facts) -> tuple[str, str]:
        allowed = f"≤ {full} whole nodes of {node}" + (f" and one of {tail}" if tail else "")
        return allowed, f"{nodes_taken(f['engines'], f['engine_gpus'], node, tail)} nodes"

    def keeps(f: Facts) -> Any:
        return nodes_taken(f["engines"], f["engine_gpus"], node, tail) <= full

    statement = f"the engines fit the {full} nodes of {node} GPUs" + (f" and the one of {tail}" if tail else "")
    return Condition(
        "node.packing", statement, "hardware.gpus_per_node", post, explain, keeps, "fact", part_of="gpus.available"
    )


def nodes_taken(engines: Any, engine_gpus: Any, node: int, tail: int) -> Any:
    """Whole nodes that equal engines occupy, remainders placed on the partial node first; arrays elementwise."""
    whole, rest = np.divmod(engine_gpus, node)
    share = np.maximum(rest, 1)
    homeless = np.where(rest > 0, np.maximum(0, engines - tail // share), 0)
    return engines * whole - (-homeless // (node // share))


def gpus_needed(engines: Any, engine_gpus: Any, node: int) -> Any:
    """GPUs of the smallest machine on which equal engines can be placed; arrays elementwise.

    The last node needs only the GPUs of the remainders it holds.
    """
    whole, rest = np.divmod(engine_gpus, node)
    per_node = node // np.maximum(rest, 1)
    full = (engines - 1) // per_node
    last = (engines - full * per_node) * rest
    return engines * whole * node + np.where(rest > 0, full * node + last, 0)


def _work_for_every_rank(scenario: Scenario) -> Condition:
    sequences = scenario.workload.sequences
    key = "workload.concurrency" if scenario.workload.concurrency else "workload.batch"

    def post(v: Variables) -> None:
        groups = v.model.new_int_var(1, v.largest, "attention_groups")
        v.model.add_multiplication_equality(groups, [v.engines, v.data])
        v.model.add(groups <= min(sequences, v.largest))  # there are no more groups than GPUs; one text for all loads

    def explain(f: Facts) -> tuple[str, str]:
        return f"engines · data ≤ {sequences}", f"{f['engines']}·{f['data']} = {f['engines'] * f['data']}"

    statement = f"each attention replica has one of the {sequences} sequences"
    return Condition(
        "load.every_rank", statement, key, post, explain, lambda f: f["engines"] * f["data"] <= sequences, "fact"
    )
