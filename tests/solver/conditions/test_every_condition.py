"""Mutation: every condition, left out, changes what the solver finds. A new condition needs an instance here."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import Scenario, Strategy
from shardwise.solver import evaluate, evaluation
from shardwise.solver.conditions import all_conditions

from ...builders import CHAT, DENSE, EXPERTS, LATENT, PROMPTS, scenario
from . import test_limits, test_pins, test_resources, test_structure
from .twins import Twins, possible, without

TWINS: dict[str, Twins] = test_structure.TWINS | test_resources.TWINS | test_limits.TWINS | test_pins.TWINS
RATES = dict.fromkeys(("tokens", "input", "output", "requests"), 1.0)
REQUIREMENTS: dict[str, Any] = {
    **dict.fromkeys(("ttft", "tpot", "request_latency"), 10.0),
    "throughput": RATES,
    "throughput_per_gpu": RATES,
    "memory_per_gpu": 1e9,
}
PINNED = ("tensor", "context", "data", "pipeline", "expert", "expert_tensor", "engines", "batch", "token_budget")
RICH = (
    scenario(
        DENSE | {"vocabulary": 128},
        PROMPTS,
        gpus={"min": 2, "max": 4},
        strategy={name: {"min": 1, "max": 4} for name in PINNED},
    ),
    scenario(
        EXPERTS | {"experts": EXPERTS["experts"] | {"shared_width": 32}},
        CHAT,
        hardware={"use_all_gpus": True},
        requirements=REQUIREMENTS,
        strategy={name: [1, 2] for name in PINNED},
    ),
    scenario(DENSE | {"attention": LATENT}, CHAT),
)
IDS = sorted({condition.id for scene in RICH for condition in all_conditions(scene)})


def test_every_condition_has_an_instance() -> None:
    assert set(IDS) == set(TWINS)


def test_ids_are_unique() -> None:
    for scene in RICH:
        ids = [condition.id for condition in all_conditions(scene)]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("id", [id for id in IDS if id != "gpus.available"])
def test_leaving_a_condition_out_is_noticed(id: str) -> None:
    broken = TWINS[id].broken
    assert not possible(broken, all_conditions(broken))
    assert possible(broken, without(broken, id))


def test_leaving_gpus_available_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes never hold more than the cluster, so node.packing alone gives the same plans; it is named on its own."""
    broken, strategy = TWINS["gpus.available"].broken, Strategy(tensor=8)

    def found(scene: Scenario) -> set[str]:
        return set(evaluate(scene, strategy).broken)

    assert found(broken) == {"gpus.available", "node.packing"}
    conditions = [c for c in evaluation.structural_of(broken) if c.id != "gpus.available"]
    monkeypatch.setattr(evaluation, "structural_of", lambda scene: conditions)
    assert found(broken) == {"node.packing"}


@pytest.mark.parametrize("id", IDS)
def test_both_twins_state_the_condition(id: str) -> None:
    for scene in (TWINS[id].met, TWINS[id].broken):
        assert id in {condition.id for condition in all_conditions(scene)}


@pytest.mark.parametrize("scene", RICH, ids=["dense", "experts", "latent"])
def test_conditions_explain_themselves(scene: Scenario) -> None:
    strategy = Strategy()
    for check in evaluate(scene, strategy).checks:
        assert check.statement and check.required and check.predicted
