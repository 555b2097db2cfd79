"""Rules that a scenario or its knowledge states; each is one condition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...models import Scenario
from ...models.rules import Rule
from .base import Condition, Facts, Variables, engine_inside_node, restrict
from .pins import post_bound, within
from .structure import divisors


def conditions(scenario: Scenario) -> Iterator[Condition]:
    """The rules that hold for this scenario's engines."""
    for rule in scenario.rules_in_force:
        yield _condition(rule, scenario)


def _condition(rule: Rule, scenario: Scenario) -> Condition:
    node = scenario.hardware.node_size

    def post(v: Variables) -> None:
        for name, bound in rule.bounds.items():
            post_bound(v, name, bound)
        for group in rule.inside_node:
            _keep_inside(v, group, node)

    def explain(f: Facts) -> tuple[str, str]:
        demands = [f"{name} {bound}" for name, bound in rule.bounds.items()]
        demands += [f"{group} group inside {node} GPUs" for group in rule.inside_node]
        sizes = [f"{name} {f[name]}" for name in rule.bounds]
        sizes += [f"{group} group of {_size(group, f)}, engine of {f['engine_gpus']}" for group in rule.inside_node]
        return "; ".join(demands), "; ".join(sizes)

    def keeps(f: Facts) -> Any:
        inside = [within(f[name], bound) for name, bound in rule.bounds.items()]
        inside += [_inside(group, f, node) for group in rule.inside_node]
        return np.logical_and.reduce(inside)

    return Condition(f"rules.{rule.id}", rule.statement, f"rules.{rule.id}", post, explain, keeps, "rule")


def _size(group: str, f: Facts) -> Any:
    sizes = {"tensor": f["tensor"], "context": f["tensor"] * f["context"], "expert": f["stage_group"]}
    return sizes.get(group, f["engine_gpus"])


def _inside(group: str, f: Facts, node: int) -> Any:
    whole = f["engine_gpus"] <= node
    return whole if group == "engine" else whole | np.isin(_size(group, f), divisors(node))


def _keep_inside(v: Variables, group: str, node: int) -> None:
    """A block of contiguous ranks lies inside a node if its size divides the node, or the whole engine does."""
    if group == "engine":
        v.model.add(v.engine_gpus <= node)
        return
    block = {"tensor": v.tensor, "expert": v.stage_group}.get(group)
    if block is None:
        block = v.model.new_int_var(1, v.largest, "rule_context_block")
        v.model.add_multiplication_equality(block, [v.tensor, v.context])
    inside = engine_inside_node(v, node, f"rule_{group}_engine_inside")
    restrict(v, block, divisors(node)).only_enforce_if(~inside)
