"""Linear layers and indexers, worked out by hand from docs/costs.md: operators, weights, what sequences keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from costs_by_hand import DENSE, LATENT, PROMPT, a_pass, changed, one, rows_of, scenario
from shardwise.models import Scenario, Transformer
from shardwise.solver.conditions.structure import conditions
from shardwise.solver.costs.cores import decode_cores, prompt_cores
from shardwise.solver.costs.memory import memory_parts
from shardwise.solver.costs.passes import Pass
from shardwise.solver.costs.source import Roofline
from shardwise.solver.verify.shapes import read_shapes

# q, k 2·2·3 and v 4·5: 32 channels. Matrices 10·(32 + 20 + 8) + 20·10 = 800; small 32·4 + 8 + 5 = 141.
# States 4·3·5 of 4 B, convolution 32·3 of 2 B: 240 + 192 = 432 B.
LINEAR: dict[str, Any] = {"key_heads": 2, "value_heads": 4, "key_dim": 3, "value_dim": 5, "convolution": 4}
HYBRID = {**DENSE, "layers": 2, "linear_attention": {**LINEAR, "pattern": ("linear", "full")}}
ALL_LINEAR = {**DENSE, "linear_attention": LINEAR}
# Indexer: 6·3·4 + 10·4 + 10·3 = 142 on every rank, norm 8; it caches 4 + 4 B.
SPARSE = changed(LATENT, attention={"latent": {**LATENT["attention"]["latent"], "sparse": {}}})
SPARSE["attention"]["latent"]["sparse"] = {"top_k": 8, "heads": 3, "dim": 4}


def cores(scene: Scenario, work: Pass, **degrees: int) -> list[tuple[float, float]]:
    """(flops, bytes) of the first layer's cores that do anything: those of prompts, then those of decoding."""
    rows, mixer = rows_of(scene, **degrees), scene.model.kinds[0].mixer
    found = [*prompt_cores(rows, work, mixer), *decode_cores(rows, work, mixer)]
    pairs = [(one(flops), one(size)) for flops, size in found]
    return [pair for pair in pairs if any(pair)]


@pytest.mark.parametrize("tensor", [1, 2])
def test_states_are_read_and_written_in_decode_and_chunks_are_scanned_in_prompts(tensor: int) -> None:
    found = cores(scenario(ALL_LINEAR), a_pass(decoding=3, context=20, prompt=7), tensor=tensor)
    prompt, decode = (7 * 4 * (6 * 15 + 2 * 64 * (9 + 10)), 0), (3 * 4 * 6 * 15, 2 * 3 * 432)
    assert found == [(prompt[0] / tensor, 0), (decode[0] / tensor, decode[1] / tensor)]


def test_projections_of_a_linear_layer_are_divided_with_its_heads() -> None:
    scene = scenario(ALL_LINEAR)
    rows, kind = rows_of(scene, tensor=2), scene.model.kinds[0].projects
    assert [(one(i), one(o)) for i, o in rows.attention_shapes[kind]] == [(10, 30), (10, 10)]
    assert rows.setting.attention[kind].width == 20


@pytest.mark.parametrize("tensor", [1, 2, 4])
@pytest.mark.parametrize("model", [DENSE, changed(DENSE, attention={"output_gate": True}), LATENT, SPARSE, HYBRID])
def test_shapes_sum_to_what_a_rank_holds(model: dict[str, Any], tensor: int) -> None:
    rows = rows_of(scenario(model), tensor=tensor)
    for kind, count in rows.setting.attention.items():
        held = sum(one(inputs) * one(outputs) for inputs, outputs in rows.attention_shapes[kind])
        assert held == one(rows.attention_matrices(count))


@pytest.mark.parametrize(("model", "products"), [(DENSE, 2), (ALL_LINEAR, 2), (LATENT, 4), (SPARSE, 6)])
def test_inputs_of_block_fp8_matrices_are_quantised(model: dict[str, Any], products: int) -> None:
    blocks = {"weights": "fp8", "block": 128}
    scene = scenario(model, precision=blocks, latencies={"block_matrix": 1000.0, "pace": 1.0, "wait_steps": 0})
    rows, kind = rows_of(scene), scene.model.kinds[0].projects
    shapes = rows.attention_shapes[kind]
    seconds = Roofline(rows.setting).matrices(rows, "weights", np.array([1.0]), 20.0, shapes)
    plain = Roofline(rows_of(scenario(model, precision={"weights": "fp8"})).setting)
    assert one(seconds) - one(plain.matrices(rows, "weights", np.array([1.0]), 20.0, shapes)) == products * 1000
    found = read_shapes(scene)
    assert found.attention_products(found.layers[0]) == products


def test_cores_of_a_layer_come_one_after_the_other() -> None:
    scene = scenario(SPARSE)
    rows, work = rows_of(scene), a_pass(decoding=3, context=20)
    asked = cores(scene, work)
    assert one(Roofline(rows.setting).decode_attention(rows, work, scene.model.kinds[0].mixer)) == pytest.approx(
        sum(max(flops / scene.efficiency.attention_mfu, size / scene.efficiency.kv_bandwidth) for flops, size in asked)
    )


@pytest.mark.parametrize(("context", "picked"), [(20, 8), (5, 5)])
def test_a_sparse_layer_reads_what_its_indexer_picks(context: int, picked: int) -> None:
    found = cores(scenario(SPARSE), a_pass(decoding=3, context=context), tensor=4)
    index = (2 * 12 * 3 * context, 3 * context * 8)  # whole on every rank
    assert found == [(2 * 18 * 3 * picked, 3 * picked * 20), index]


@pytest.mark.parametrize(("full", "scores"), [(72, 10 * 72), (720, 18 * 64)])
def test_prompts_take_the_cheaper_of_all_keys_and_the_picked_ones(full: int, scores: int) -> None:
    work = a_pass(prompt=12, pairs=(full, 64), prefix=(30, 8))
    assert cores(scenario(SPARSE), work) == [(2 * 4 * scores, 30 * 20), (2 * 12 * full, 30 * 8)]


def test_layers_that_share_a_choice_have_no_indexer() -> None:
    shared = {
        **SPARSE["attention"]["latent"],
        "sparse": {"top_k": 8, "heads": 3, "dim": 4, "pattern": ("own", "shared")},
    }
    scene = scenario({**SPARSE, "layers": 2, "attention": {**SPARSE["attention"], "latent": shared}})
    parts = memory_parts(rows_of(scene), np.array([3.0]), np.array([1.0]))
    assert (parts.weights[1] - parts.weights[0]).tolist() == [2 * 142 + 2 * 8]  # kinds are ordered shared before own
    assert parts.kv[:, 0].tolist() == [3 * 20 * 10, 3 * (20 + 8) * 10]


@pytest.mark.parametrize("tensor", [1, 2])
def test_memory_of_a_hybrid_model(tensor: int) -> None:
    scene = scenario(HYBRID)
    parts = memory_parts(rows_of(scene, tensor=tensor), np.array([3.0]), np.array([1.0]))
    full, linear = parts.weights[:, 0].tolist()
    assert full == 2 * 3600 / tensor + 40
    assert linear == 2 * (800 + 3000) / tensor + 2 * 141 + 40
    assert parts.kv[:, 0].tolist() == [3 * 40 * 10 / tensor, 3 * 432 / tensor]  # a prompt of 10, or the state
    shapes = read_shapes(scene)
    assert [3 * shapes.kept(layer, tensor, 10) for layer in shapes.layers] == parts.kv[::-1, 0].tolist()


def test_a_16_bit_state() -> None:
    scene = scenario({**ALL_LINEAR, "linear_attention": {**LINEAR, "state": "bf16"}})
    assert one(rows_of(scene).cached(scene.model.kinds[0], 10)) == 120 + 192


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (changed(HYBRID, attention={"window": {"size": 4}}), "not modelled"),
        (changed(HYBRID, linear_attention={"key_heads": 3}), "multiple of key_heads"),
        (changed(LATENT, attention={"window": {"size": 4}, "latent": SPARSE["attention"]["latent"]}), "not modelled"),
        (changed(SPARSE, attention={"latent": {**SPARSE["attention"]["latent"], "query_rank": None}}), "query_rank"),
    ],
)
def test_contradictions_are_refused(model: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Transformer.model_validate(model)


def test_conditions_of_linear_layers() -> None:
    found = {condition.id: condition for condition in conditions(scenario(HYBRID, PROMPT))}
    assert [bool(found["linear_heads.divisible"].keeps({"tensor": t})) for t in (1, 2, 4)] == [True, True, False]
    assert [bool(found["context.linear"].keeps({"context": c})) for c in (1, 2)] == [True, False]
