"""Parts of the cost model that the whole plans of the other files do not reach, each worked out by hand."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.solver.verify.deployment import Cut, Deployment, mean_square, read_deployment, routing_load
from shardwise.solver.verify.forward import Forward, Pass
from shardwise.solver.verify.links import Links
from shardwise.solver.verify.memory import ROUNDING, MemoryOf
from shardwise.solver.verify.serving import Program
from shardwise.solver.verify.shapes import Layer, read_shapes
from shardwise.solver.verify.split import check_split
from verify_plans import CARD, DENSE, EXPERTS, PEAK, experts_plan, failing, plan_of, scenario

FULL, SLIDING = Layer(expert=False, sliding=False), Layer(expert=False, sliding=True)


def deployment(scene: Any, **strategy: Any) -> Deployment:
    """A deployment whose load does not matter."""
    load = {"batch": 1, "micro_batches": 1, "in_flight": 1, "token_budget": 10}
    return read_deployment(plan_of(scene, **(load | strategy)))


def test_blocks_and_boundaries_cross_nodes() -> None:
    # Nodes of 8. Twelve GPUs in stages of 4: stages 0 and 1 share node 0, stage 2 begins node 1.
    cut = Cut(tensor=4, context=1, data=1, pipeline=3, expert=1, expert_tensor=1, node=8)
    assert [cut.boundary_crosses(stage) for stage in (0, 1)] == [False, True]
    assert not cut.crosses(4) and cut.expert_nodes == 1
    # Stages of 12 on nodes of 8: a block of 3 does not divide 8, a stage spans ⌈12/8⌉ = 2 nodes.
    wide = Cut(tensor=3, context=1, data=4, pipeline=1, expert=12, expert_tensor=1, node=8)
    assert wide.crosses(3) and wide.expert_nodes == 2
    # The same inside one node of 16.
    assert not Cut(3, 1, 4, 1, 12, 1, 16).crosses(3)


def test_expert_exchange_across_nodes() -> None:
    # d = e = 8 on two nodes of 4: M = 2; r = 2 of 8 experts, fp8 experts, h 8; 16 tokens on the rank, t = 1.
    # δ = min(2, 2·(1 − (1/2)²))·1/2 = min(2, 1.5)/2 = 0.75; with a node limit of 1: 0.5.
    # dispatch (1 B): inside 16·2·8·1·7/8 = 224 B / 1e9 = 0.224 µs; across 16·0.75·8 = 96 B / 1e8 = 0.96 µs
    # combine (2 B): across 1.92 µs. A quarter overlaps: 0.75·2.88 = 2.16 µs.
    # start: max(1 µs·(8/8)^0.2, 8 µs) twice: 16 µs.
    card = CARD | {"network_link": {"bandwidth": 1e8, "latency": 8e-6}}
    experts = EXPERTS["experts"]

    def exchange(**limit: int) -> float:
        scene = scenario(
            EXPERTS | {"experts": experts | limit},
            {"batch": 8, "input_tokens": 10},
            hardware={"accelerator": card},
            precision={"experts": "fp8"},
            efficiency=PEAK | {"overlap": 0.25},
            latencies=dict.fromkeys(("layer", "startup"), 0) | {"exchange": 1e-6},
        )
        return Links(deployment(scene, data=8, expert=8)).expert_exchange(16)

    assert exchange() == pytest.approx(16e-6 + 2.16e-6, rel=1e-12)
    # With the limit: dispatch 16·0.5·8/1e8 = 0.64 µs, combine 1.28 µs; 0.75·1.92 = 1.44 µs.
    assert exchange(node_limit=1) == pytest.approx(16e-6 + 1.44e-6, rel=1e-12)


def test_expert_tensor_over_four_ranks() -> None:
    # t = s = 4 in one node, e = 1: T_g = 10, min(1, r/e) = 1, b = 10·8·(2 + 2)/2 = 160 B;
    # 2·3/4·160/1e9 = 240 ns, the switch does not help; start max(18 µs·(4/4)^0.48, 2·3·1 µs) = 18 µs.
    node = {"bandwidth": 1e9, "latency": 1e-6, "reduces_in_switch": True}
    scene = scenario(
        EXPERTS,
        {"batch": 4, "input_tokens": 10},
        hardware={"accelerator": CARD | {"node_link": node}},
        latencies={"all_reduce": 18e-6},
    )
    links = Links(deployment(scene, tensor=4, expert_tensor=4))
    assert links.expert_tensor(10) == pytest.approx(18.24e-6, rel=1e-12)
    # After attention it does: min(1.5, 1 + 1/4) = 1.25; 1.25·160/1e9 = 200 ns.
    assert links.all_reduce(160, 4, False) == pytest.approx(18.2e-6, rel=1e-12)


def test_a_mesh_has_few_links_among_few() -> None:
    # Nodes of 4, mesh of 3 GB/s: two ranks have one link of 1 GB/s, four have all three.
    mesh = {"bandwidth": 3e9, "mesh": True}
    scene = scenario(DENSE, {"batch": 1, "input_tokens": 10}, hardware={"accelerator": CARD | {"node_link": mesh}})
    links = Links(deployment(scene, tensor=2))
    # 2·1/2·160/1e9 and 2·3/4·160/3e9; a send of 10·8·2 B goes over one link.
    assert links.all_reduce(160, 2, False) == pytest.approx(160e-9)
    assert links.all_reduce(160, 4, False) == pytest.approx(80e-9)
    assert links.send(10, 0) == pytest.approx(160e-9)


def test_context_ranks_pass_keys_round() -> None:
    # c = 2, P = 10: 1 hop of 5 tokens · κ₁₆ 2·2·2·2 = 16 B = 80 B / 1e9 = 80 ns + 1 µs.
    card = CARD | {"node_link": {"bandwidth": 1e9, "latency": 1e-6}}
    scene = scenario(
        DENSE,
        {"batch": 1, "input_tokens": 10},
        hardware={"accelerator": card},
        precision={"kv_cache": "fp8"},
    )
    links = Links(deployment(scene, context=2))
    assert links.context(10) == pytest.approx(1.08e-6, rel=1e-12)
    assert links.context(0) == 0


def test_prompt_pairs_and_prefix_under_a_window() -> None:
    # w = 4. S = 10: full 50, sliding 10·4 − 16/2 = 32; S = 3: sliding 9/2.
    # Three chunks of 10: full 10, sliding min(10, 2·4) = 8. Cache tokens: full 10, sliding 4.
    attention = DENSE["attention"] | {"window": {"size": 4, "pattern": ["sliding", "full"]}}
    scene = scenario(DENSE | {"attention": attention}, {"batch": 1, "input_tokens": 10})
    here = deployment(scene)
    program = Program(here)
    assert here.shapes.layers == (SLIDING, FULL)
    assert program.prompt_pairs(10, 100) == (50, 32)
    assert program.prompt_pairs(3, 9) == (4.5, 4.5)
    assert program.prompt_prefix(10, 3) == (10, 8)
    assert MemoryOf(here).layer_cache(FULL) == 160 and MemoryOf(here).layer_cache(SLIDING) == 64


def test_fixed_times_and_quotients() -> None:
    # T = 16 rows: half_rows 16 doubles every matrix; H·k/t = 8 with half_width 8 doubles projections again,
    # F = 16 by 1.5; their bytes do not slow down. Projections 2·16·192·4 + 384 = 24,960; feed-forward
    # 2·16·384·2·1.5 + 768 = 37,632; attention 2·4·4·128 = 4,096; traffic 16·2·8·2 B = 512: 67,200 ps.
    # Launches 1 + φ·3 = 4 µs.
    scene = scenario(
        DENSE,
        {"batch": 1, "input_tokens": 16},
        efficiency=PEAK | {"half_rows": 16, "half_width": 8},
        latencies={"layer": 1e-6, "eager_layer": 3e-6, "token_traffic": 2},
    )
    forward = Forward(deployment(scene))
    load = Pass(prompt=16, pairs=(128, 128), prompt_share=1)
    assert forward.layer(load, FULL) == pytest.approx(4e-6 + 67.2e-9, rel=1e-12)
    # Nothing to do: the launches of a pass without prompts.
    assert forward.layer(Pass(), FULL) == pytest.approx(1e-6)


def test_latent_attention() -> None:
    # h 8, H 4, q_rank 3, kv_rank 4, nope 2, rope 1, v 2: k = 3.
    # by_head 3·4·3 + 4·4·(2 + 2) + 4·2·8 = 164; replicated 8·5 + 8·3 = 64; t = 2: 82 + 64 = 146.
    # κ = 5·2 B on every rank; σ = 5, σ_dec = 9; small 3 + 4.
    latent = {"query_rank": 3, "kv_rank": 4, "nope_dim": 2, "rope_dim": 1, "value_dim": 2}
    model = DENSE | {"attention": {"heads": 4, "latent": latent}}
    shapes = read_shapes(scenario(model, {"batch": 1, "input_tokens": 10}))
    assert (shapes.by_head, shapes.replicated, shapes.small) == (164, 64, 7)
    assert shapes.attention_per_rank(FULL, 2) == 146
    assert shapes.cache_bytes(2, 2.0) == 10
    assert (shapes.prompt_score, shapes.decode_score, shapes.head_dim) == (5, 9, 3)
    # Without a query rank: 8·4·3 + 64 + 64 = 224, and 8·5.
    direct = DENSE | {"attention": {"heads": 4, "latent": latent | {"query_rank": None}}}
    shapes = read_shapes(scenario(direct, {"batch": 1, "input_tokens": 10}))
    assert (shapes.by_head, shapes.replicated, shapes.small) == (224, 40, 4)


def test_a_declared_total_widens_the_feed_forward() -> None:
    # DENSE holds 2·(192 + 384 + 16) + 8 = 1,192, of them 768 in the feed-forward.
    # 1,960 declared: 768 more, so the feed-forward doubles. 1,200 is the same number, rounded.
    def matrices(declared: float, **more: Any) -> float:
        model = DENSE | {"declared_parameters": declared}
        return read_shapes(scenario(model, {"batch": 1, "input_tokens": 1}, **more)).dense_matrices

    assert matrices(1960) == pytest.approx(768)
    assert matrices(1200) == 384
    assert matrices(1960, parameters="from-shapes") == 384


def test_popular_experts_load_their_rank() -> None:
    # Popularity 1, 1/2, 1/3, 1/4 dealt to two ranks: 1 + 1/3 over half of 25/12 is 1.28.
    load = {"batch": 1, "input_tokens": 1, "routing": {"zipf": 1}}
    workload = scenario(EXPERTS, load).workload
    assert routing_load(workload, 4, 2) == pytest.approx(1.28)
    assert routing_load(workload, 4, 1) == 1


def test_the_mean_square_of_a_range() -> None:
    # Uniform on 1 … 7: variance 36/12 = 3, mean 4: 19.
    lengths = scenario(DENSE, {"batch": 1, "input_tokens": {"min": 1, "max": 7}}).workload.input_tokens
    assert mean_square(lengths) == 19


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(0, 7), st.integers(0, 3), st.integers(2300, 9000), st.data())
def test_the_split_is_judged_like_by_trying_all(
    stages: int, more: int, dense: int, memory: int, data: st.DataObject
) -> None:
    layers = stages + more
    model = EXPERTS | {
        "layers": layers,
        "experts": EXPERTS["experts"] | {"leading_dense_layers": min(dense, layers)},
    }
    scene = scenario(
        model,
        {"batch": 1, "input_tokens": 10},
        hardware={"accelerator": CARD | {"memory": float(memory * 2), "node_link": {"bandwidth": 1e12}}},
    )
    cuts = [(0, *cut, layers) for cut in combinations(range(1, layers), stages - 1)]
    splits = [tuple(b - a for a, b in pairwise(cut)) for cut in cuts]
    times, fits = {}, {}
    for split in splits:
        here = deployment(scene, pipeline=stages, layers_per_stage=split)
        program = Program(here)
        times[split] = max(program.forward.stages(program.reference_pass()))
        fits[split] = all(held.total <= memory * 2 - ROUNDING for held in MemoryOf(here).stages())
    chosen = data.draw(st.sampled_from(splits))
    better = any(fits[split] and times[split] < times[chosen] * (1 - 1e-6) for split in splits)
    here = deployment(scene, pipeline=stages, layers_per_stage=chosen)
    assert check_split(here)[0].ok is not better


def test_experts_in_every_second_layer() -> None:
    # Four layers, the second and fourth with experts; the first stage ends with a dense layer that follows one.
    model = EXPERTS | {
        "layers": 4,
        "experts": EXPERTS["experts"] | {"interval": 2, "leading_dense_layers": 0},
    }
    scene = scenario(model, {"batch": 2, "input_tokens": 10})
    plan = plan_of(
        scene,
        data=2,
        pipeline=2,
        expert=2,
        batch=1,
        micro_batches=1,
        in_flight=2,
        token_budget=10,
        layers_per_stage=(3, 1),
    )
    assert [layer.expert for layer in read_deployment(plan).shapes.layers] == [False, True, False, True]
    assert not failing(plan) - {"stages.slowest"}


def test_experts_plan_is_placed_over_four_nodes() -> None:
    assert {rank.node for rank in experts_plan().placement} == {0, 1, 2, 3}
