"""Each named constant in the second route, worked out by hand from docs/costs.md, section 3."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models import Latencies, Scenario
from shardwise.solver.verify.deployment import read_deployment
from shardwise.solver.verify.forward import Forward, Pass
from shardwise.solver.verify.shapes import Layer
from verify_plans import CARD, DENSE, EXPERTS, PEAK, plan_of, scenario

FULL, EXPERT = Layer(expert=False, sliding=False), Layer(expert=True, sliding=False)
QUIET = Latencies.model_validate("none").model_dump()
FREE = CARD | {"compute": 1e30, "memory_bandwidth": 1e30, "node_link": {"bandwidth": 1e30}}
"""A card on which only fixed times are left."""
LATENT = DENSE | {
    "attention": {
        "heads": 4,
        "latent": {"query_rank": 3, "kv_rank": 4, "nope_dim": 2, "rope_dim": 1, "value_dim": 2},
    }
}
BLOCK = {"weights": "fp8", "block": 128}
SEVEN = Pass(decoding=7, reach=10)


def one(model: dict[str, Any], card: dict[str, Any] = CARD, **more: Any) -> Scenario:
    return scenario(model, {"batch": 1, "input_tokens": 10}, hardware={"accelerator": card}, **more)


def forward(scene: Scenario, **strategy: Any) -> Forward:
    """The times of a deployment whose load does not matter."""
    load = {"batch": 1, "micro_batches": 1, "in_flight": 1, "token_budget": 10}
    return Forward(read_deployment(plan_of(scene, **(load | strategy))))


def test_none_leaves_pace_alone() -> None:
    assert {name: value for name, value in QUIET.items() if value} == {"pace": 1.0}


@pytest.mark.parametrize(
    ("layer", "share", "seconds"),
    # launches are half as long on this card; the eager layers of prompts are not
    [(FULL, 0, 0.5), (FULL, 1, 0.5 + 4), (EXPERT, 0, 0.5 * (1 + 2)), (EXPERT, 0.5, 0.5 * (1 + 2) + 0.5 * 4)],
)
def test_launches(layer: Layer, share: float, seconds: float) -> None:
    latencies = QUIET | {"layer": 1, "expert_layer": 2, "eager_layer": 4}
    scene = one(EXPERTS, FREE | {"launches": 0.5}, latencies=latencies)
    assert forward(scene).layer(Pass(decoding=7, prompt_share=share), layer) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "layer", "precision", "matrices"),
    [
        (DENSE, FULL, BLOCK, 2 + 2),
        (LATENT, FULL, BLOCK, 4 + 2),
        (EXPERTS, EXPERT, BLOCK, 2 + 2),  # attention and shared experts; neither the router nor the routed ones
        (EXPERTS, EXPERT, {"weights": "bf16", "experts": "fp8", "block": 128}, 2),
        (EXPERTS, EXPERT, {"weights": "fp8", "experts": "bf16", "block": 128}, 2),
        (EXPERTS, FULL, {"weights": "bf16", "experts": "fp8", "block": 128}, 0),
        (EXPERTS | {"experts": EXPERTS["experts"] | {"shared_width": 0}}, EXPERT, BLOCK, 2),
        (DENSE, FULL, {"weights": "fp8"}, 0),
    ],
)
def test_inputs_of_block_fp8_matrices_are_quantised(
    model: dict[str, Any], layer: Layer, precision: dict[str, Any], matrices: int
) -> None:
    found = forward(one(model, FREE, precision=precision, latencies=QUIET | {"block_matrix": 3}))
    assert found.layer(SEVEN, layer) == pytest.approx(3 * matrices, abs=1e-12)
    assert found.layer(Pass(), layer) == 0


def test_pace_lengthens_layers_and_head_and_nothing_else() -> None:
    # T 7, X 10: projections 2·7·192 + 384 = 3,072; attention 2·4·4·70 = 2,240; feed-forward 2·7·384 + 768 = 6,144:
    # 11,456 ps. Head of 3: 2·3·512 + 1,024 = 4,096 ps, and 2 µs a sequence. Send: 7·8·2 = 112 B and 0.4 µs a token.
    latencies = QUIET | {"pace": 1.5, "iteration": 1e-6, "sequence": 2e-6, "send_token": 4e-7}
    scene = one(DENSE | {"vocabulary": 64}, latencies=latencies)
    found = forward(scene, pipeline=2, layers_per_stage=(1, 1))
    load = Pass(decoding=7, reach=10, logits=3)
    layer, head = 1.5 * 11.456e-9, 1.5 * (4.096e-9 + 6e-6)
    assert found.layers(load) == pytest.approx([layer, layer], rel=1e-12)
    assert found.stages(load) == pytest.approx([1e-6 + layer + 112e-9 + 2.8e-6, 1e-6 + layer + head], rel=1e-12)


def test_no_vocabulary_no_head() -> None:
    assert forward(one(DENSE, latencies=QUIET | {"sequence": 1})).ends(Pass(decoding=7, logits=3), 0) == 0


@pytest.mark.parametrize(
    ("compute", "precision", "weights", "experts"),
    [
        # a 4-bit unit multiplies nvfp4, of its rate 0.75; mxfp4 meets 8-bit activations; weight-only kernels: 16 bit
        ({"fp8": 2e12, "fp4": 4e12}, {"weights": "nvfp4", "experts": "mxfp4"}, 3e12, 2e12),
        ({"fp8": 2e12, "fp4": 4e12}, {"weights": "fp8", "experts": "nvfp4"}, 2e12, 3e12),
        ({"fp8": 2e12, "fp4": 4e12}, {"weights": "int4", "experts": "fp4"}, 1e12, 1e12),
        ({"fp8": 2e12}, {"weights": "nvfp4", "experts": "mxfp4"}, 1e12, 1e12),
    ],
)
def test_rates_of_narrow_matrices(
    compute: dict[str, float], precision: dict[str, str], weights: float, experts: float
) -> None:
    card = CARD | {"compute": {"bf16": 1e12} | compute}
    found = forward(one(EXPERTS, card, precision=precision, efficiency=PEAK | {"fp4": 0.75}))
    assert (found.weight_rate, found.expert_rate, found.half_rate) == (weights, experts, 1e12)


def test_few_tokens_per_expert() -> None:
    # T 8, X 10: projections 2·8·192 + 384 = 3,456; attention 2·4·4·80 = 2,560; router 2·8·64 + 128 = 1,152; shared
    # 2·8·96 + 192 = 1,728. Routed: W_ex 96; 8·2/8 = 2 tokens to an expert, where 1 halves the mfu: 2·96·2·8·3/2 = 4,608
    # flops; 8·(1 − (3/4)^8)·96·2 B.
    found = forward(one(EXPERTS, efficiency=PEAK | {"expert_half_rows": 1}))
    picoseconds = 3_456 + 2_560 + 1_152 + 1_728 + 4_608 + 1_536 * (1 - 0.75**8)
    assert found.layer(Pass(decoding=8, reach=10), EXPERT) == pytest.approx(picoseconds * 1e-12, rel=1e-12)
    # dense matrices have their own
    found = forward(one(EXPERTS, efficiency=PEAK | {"half_rows": 8}))
    picoseconds += 3_072 + 1_024 + 1_536 - 4_608 / 3
    assert found.layer(Pass(decoding=8, reach=10), EXPERT) == pytest.approx(picoseconds * 1e-12, rel=1e-12)
