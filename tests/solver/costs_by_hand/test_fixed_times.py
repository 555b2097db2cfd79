"""Times that do not follow from flops and bytes, worked out by hand from docs/costs.md, section 3."""

from __future__ import annotations

from typing import Any

import pytest
from costs_by_hand import DENSE, EXPERTS, LATENT, Recorder, a_pass, changed, one, rows_of, scenario
from pytest import approx
from shardwise.models import Scenario
from shardwise.solver.costs.forward import LayerTimes, layer_times
from shardwise.solver.costs.passes import Pass
from shardwise.solver.costs.source import Roofline

SEVEN = a_pass(decoding=7)
FREE = {"memory_bandwidth": 1e30, "compute": {"bf16": 1e30}}
"""A card on which only fixed times are left."""
BLOCK = {"weights": "fp8", "block": 128}


def bare(scene: Scenario, work: Pass = SEVEN, **degrees: int) -> LayerTimes:
    """A pass whose operators take no time."""
    rows = rows_of(scene, **degrees)
    return layer_times(rows, work, Recorder(rows.setting))


def timed(scene: Scenario, work: Pass = SEVEN, **degrees: int) -> LayerTimes:
    """A pass on the card of the scenario."""
    rows = rows_of(scene, **degrees)
    return layer_times(rows, work, Roofline(rows.setting))


@pytest.mark.parametrize(
    ("model", "share", "launches", "seconds"),
    [
        (DENSE, 0, 1, 1),
        (DENSE, 0.5, 1, 1 + 0.5 * 4),
        (EXPERTS, 0, 1, 1 + 2),
        (EXPERTS, 1, 1, 1 + 2 + 4),
        # a host that is twice as quick; the eager layers of prompts are not
        (DENSE, 0, 0.5, 0.5),
        (DENSE, 1, 0.5, 0.5 + 4),
        (EXPERTS, 0.5, 0.5, 0.5 * (1 + 2) + 0.5 * 4),
    ],
)
def test_launches(model: dict[str, Any], share: float, launches: float, seconds: float) -> None:
    latencies = {"layer": 1, "expert_layer": 2, "eager_layer": 4}
    scene = scenario(model, latencies=latencies, card={"launches": launches})
    assert one(bare(scene, a_pass(decoding=7, prompt_share=share)).layers[0]) == seconds


def test_kinds_of_layers_are_priced_apart() -> None:
    # one leading dense layer, then experts; kinds are ordered dense before expert
    model = changed(EXPERTS, layers=3, feed_forward={"width": 100}, experts={"leading_dense_layers": 1})
    scene = scenario(model, latencies={"layer": 1, "expert_layer": 2})
    assert rows_of(scene).setting.layer_kinds == (0, 1, 1)
    assert bare(scene).layers.tolist() == [[1], [3]]


@pytest.mark.parametrize(
    ("model", "precision", "matrices"),
    [
        (DENSE, BLOCK, 2 + 2),  # query, key and value; output; up with gate; down
        (LATENT, BLOCK, 4 + 2),
        (changed(LATENT, attention={"latent": {**LATENT["attention"]["latent"], "query_rank": None}}), BLOCK, 4 + 2),
        (EXPERTS, BLOCK, 2 + 2),  # attention and shared experts; neither the router nor the routed ones
        (changed(EXPERTS, experts={"shared_width": 0}), BLOCK, 2),
        (EXPERTS, {"weights": "bf16", "experts": "fp8", "block": 128}, 2),  # shared experts alone
        (EXPERTS, {"weights": "fp8", "experts": "bf16", "block": 128}, 2),  # attention alone
        (DENSE, {"weights": "fp8"}, 0),  # one scale for the whole matrix
        (DENSE, {"weights": "bf16"}, 0),
    ],
)
def test_inputs_of_block_fp8_matrices_are_quantised(
    model: dict[str, Any], precision: dict[str, Any], matrices: int
) -> None:
    scene = scenario(changed(model, vocabulary=100), precision=precision, card=FREE, latencies={"block_matrix": 3})
    times = timed(scene, a_pass(decoding=7, logits=7))
    assert one(times.layers[0]) == approx(3 * matrices, abs=1e-9)
    assert one(times.head) == approx(0, abs=1e-9)  # 16 bit
    assert one(timed(scene, a_pass()).layers[0]) == 0  # nothing to multiply


def test_block_matrices_are_those_of_each_rank() -> None:
    # four ranks: each has its part of all four matrices
    card = FREE | {"node_link": {"bandwidth": 1e30}}
    scene = scenario(DENSE, precision=BLOCK, card=card, latencies={"block_matrix": 3})
    assert one(timed(scene, tensor=4).layers[0]) == approx(12)


def test_no_vocabulary_no_head() -> None:
    scene = scenario(DENSE, latencies={"sequence": 5})
    assert one(timed(scene, a_pass(decoding=7, logits=3)).head) == 0


@pytest.mark.parametrize("tensor", [1, 4])
def test_every_sequence_with_logits_takes_its_time(tensor: int) -> None:
    # 2·3·10·100/t flops and 10·100·2/t bytes at 1 a second; 3 sequences of 5 s on every rank
    scene = scenario(changed(DENSE, vocabulary=100), latencies={"sequence": 5})
    found = timed(scene, a_pass(decoding=7, logits=3), tensor=tensor).head
    assert one(found) == approx((6_000 + 2_000) / tensor + 15)


def test_pace_lengthens_layers_and_head_and_nothing_else() -> None:
    # A layer: 2·7·3,600 flops and 7,200 B; traffic 7·2·10·2 = 280 B; launches 1; no context, no prompt.
    # Two all-reduces of 140 B over two: 2·(1·140/100 + 4·√(2/4)) where there are two ranks.
    # Head: 6,000 flops, 2,000 B, 3 sequences of 5 s.
    latencies = {"layer": 1, "token_traffic": 2, "sequence": 5, "all_reduce": 4, "all_reduce_growth": 0.5, "pace": 1.5}
    scene = scenario(changed(DENSE, vocabulary=100), latencies=latencies)
    work = a_pass(decoding=7, logits=3)
    found = timed(scene, work)
    assert one(found.layers[0]) == approx(1.5 * (50_400 + 7_200 + 280 + 1), rel=1e-12)
    assert one(found.head) == approx(1.5 * (6_000 + 2_000 + 15), rel=1e-12)
    assert one(found.tokens) == 7
    found = timed(scene, work, tensor=2)
    reduces = 2 * (1.4 + 4 * 0.5**0.5)
    assert one(found.layers[0]) == approx(1.5 * (25_200 + 3_600 + 280 + 1 + reduces), rel=1e-12)


def test_none_leaves_pace_alone() -> None:
    latencies = scenario(DENSE).latencies
    assert latencies.pace == 1
    assert set(latencies.model_dump(exclude={"pace"}).values()) == {0}
