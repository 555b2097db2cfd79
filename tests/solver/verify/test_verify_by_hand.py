"""Figures worked out by hand from docs/costs.md; nothing here is computed by the verifier's own formulas."""

from __future__ import annotations

import pytest
from shardwise.models import Plan
from shardwise.solver.verify import TOLERANCE, verify
from verify_plans import CARD, DENSE, failing, plan_of, predict, scenario


def test_one_gpu_prefill() -> None:
    # One prompt of 10 tokens, 2 layers, h 8, H 4, K 2, k 2, F 16 gated, bf16, Φ = W = 1e12, shares 1.
    # projections: A_r = 2·8·4·2 + 2·8·2·2 = 192; (2·10·192 + 192·2) / 1e12 = 4,224 ps
    # attention: pairs 10²/2 = 50; 2·4·(2·2)·50 = 1,600 ps; no prefix
    # feed-forward: 3·8·16 = 384; 2·10·384 + 768 = 8,448 ps
    # two layers of 14,272 ps; no vocabulary, one stage, one micro-batch: TTFT = 28.544 ns
    plan = plan_of(
        scenario(DENSE, {"batch": 1, "input_tokens": 10}),
        batch=1,
        micro_batches=1,
        in_flight=1,
        token_budget=10,
    )
    said = predict(plan)
    assert said.ttft_s == pytest.approx(28.544e-9, rel=1e-12)
    assert said.ttft_mean_s == said.request_latency_s == said.ttft_s
    assert said.tpot_s is None and said.output_tokens_per_s is None
    assert said.requests_per_s == pytest.approx(1 / 28.544e-9)
    assert said.input_tokens_per_s == said.tokens_per_s_per_gpu == pytest.approx(10 / 28.544e-9)
    # weights: per layer (192 + 384)·2 + norms 2·8·2 = 1,184; two of them + final norm 8·2 = 2,384 B
    # KV: 1 sequence · 2·2·2·2 B · 10 tokens · 2 layers = 320 B
    # activations: 10·2·(6·8 + 2·max(4·2, 16)) = 1,600 B
    memory = said.memory_bytes_per_gpu
    assert (memory.weights, memory.kv_cache, memory.activations, memory.reserve) == (2384, 320, 1600, 0)
    assert (memory.total, memory.usable, memory.stage) == (4304, 10**9, 0)
    assert verify(plan).ok


def test_static_batch_on_two_stages() -> None:
    # Three sequences of 10 + 5 tokens, one engine of two stages, a layer each; link 1e9 B/s, 1 µs.
    # Prompts: B_p = 3, one micro-batch. A layer: projections 2·30·192 + 384 = 11,904; attention 2·4·4·150 = 4,800;
    #   feed-forward 2·30·384 + 768 = 23,808: 40,512 ps. send: 30·8·2 B / 1e9 + 1 µs = 1.48 µs.
    #   Stage 0 is slowest: 1.520512 µs; TTFT = (1 + 2 − 1)·1.520512 = 3.041024 µs.
    # Decode: m = 2, B = ⌈3/2⌉ = 2, X = 10 + 5/2 = 12.5. Projections 2·2·192 + 384 = 1,152;
    #   attention: flops 2·4·4·2·12.5 = 800, bytes 2·12.5·(2·2·2·2) = 400;
    #   feed-forward 2·2·384 + 768 = 2,304. Sum 4,256 ps.
    #   send 2·8·2 / 1e9 + 1 µs = 1.032 µs. Stages 1.036256 and 0.004256 µs; total 1.040512;
    #   TPOT = max(1.040512, 2·1.036256) = 2.072512 µs.
    card = CARD | {"node_link": {"bandwidth": 1e9, "latency": 1e-6}}
    scene = scenario(DENSE, {"batch": 3, "input_tokens": 10, "output_tokens": 5}, hardware={"accelerator": card})
    plan = plan_of(scene, pipeline=2, batch=2, micro_batches=2, in_flight=3, token_budget=30, layers_per_stage=(1, 1))
    said = predict(plan)
    assert said.ttft_s == pytest.approx(3.041024e-6, rel=1e-12)
    assert said.tpot_s == pytest.approx(2.072512e-6, rel=1e-12)
    assert said.request_latency_s == pytest.approx(3.041024e-6 + 4 * 2.072512e-6, rel=1e-12)
    assert said.requests_per_s == pytest.approx(3 / (3.041024e-6 + 4 * 2.072512e-6), rel=1e-12)
    # stage 0: (192 + 384 + 16)·2 = 1,184, the last one 16 B more; KV 3·16·15 = 720;
    # activations 30·2·(48 + 32) = 4,800
    memory = said.memory_bytes_per_gpu
    assert (memory.stage, memory.weights, memory.kv_cache, memory.activations) == (1, 1200, 720, 4800)
    assert verify(plan).ok


def test_closed_loop_with_experts_on_two_gpus() -> None:
    # One expert layer, h 4, one head of 2, 4 ungated experts of width 2, 1 per token; t 1, d 2, e 2, s 1.
    # N = 4, Q_d = 2, m = 1, B = 2, U = 8; I = 12, O = 4; X = 14; chunk = 6, j = 2; link 1e9 B/s; γ = 1.
    # Weights: by_head 2·4·2 = 16, by_kv_head 16, A_r = 32; W_ex = 2·4·2 = 16; router 16.
    # full: D = 2, P = 6, T = 8, T_g = 16; pairs 72/2 = 36, prefix (12·1/2)/2 = 3.
    #   projections 2·8·32 + 64 = 576; prompt attention max(2·4·36, 3·8) = 288;
    #   decode attention max(2·4·2·14, 2·14·8) = 224; router 2·8·16 + 32 = 288;
    #   routed: flops 2·16·1·16/2 = 256, bytes (4/2)·(1 − 0.75^16)·16·2. Sum 1,632 ps + 64·(1 − 0.75^16).
    #   sent: u = 8; twice 8·1·4·2·(1 − 1/2) / 1e9 = 64 ns; summed: 16·4·2 / 1e9 = 128 ns.
    # decode: T = 2, T_g = 4: projections 128 + 64; attention 224; router 64 + 32;
    #   routed: flops 64, bytes 64·(1 − 0.75^4) = 43.75. Sum 619.75 ps; exchange 2·8 = 16 ns.
    # mixed: s = (2/4)·2 = 1: every iteration is full. others: s = (1/4)·2: half of them are.
    # TTFT = 2·full + (1/2)/10·2·2·(full − decode).
    model = {
        "layers": 1,
        "hidden": 4,
        "attention": {"heads": 1, "head_dim": 2},
        "experts": {"count": 4, "per_token": 1, "width": 2, "gated": False},
    }
    load = {"concurrency": 4, "input_tokens": 12, "output_tokens": 4, "requests_per_client": 10}
    scene = scenario(model, load, gpus=2)
    plan = plan_of(scene, data=2, expert=2, batch=2, micro_batches=1, in_flight=4, token_budget=8)
    said = predict(plan)
    full, decode = (64_000 + 1_632 + 64 * (1 - 0.75**16)) * 1e-12, 16_619.75e-12
    assert said.tpot_s == pytest.approx((full + decode) / 2, rel=1e-12)
    assert said.ttft_s == said.ttft_mean_s == pytest.approx(2 * full + 0.2 * (full - decode), rel=1e-12)
    assert said.output_tokens_per_s == pytest.approx(4 / full, rel=1e-12)
    assert said.input_tokens_per_s == pytest.approx(4 / full * 3, rel=1e-12)
    assert said.tokens_per_s_per_gpu == pytest.approx(2 / full, rel=1e-12)
    # weights: (32 + 2·4)·2 + 2·16·2 + 16·2 + final norm 4·2 = 80 + 64 + 32 + 8 = 184 B; KV 2·8·16 = 256 B
    # activations: 8·2·(24 + 2·2) + 8·2·(1/2)·2·(4 + 2·2) = 448 + 128 = 576 B
    memory = said.memory_bytes_per_gpu
    assert (memory.weights, memory.kv_cache, memory.activations) == (184, 256, 576)
    assert verify(plan).ok
    weights, flops, cache = verify(plan).balance
    assert (weights.mean, weights.ratio, cache.busiest, cache.ratio) == (184, 1, 256, 1)
    # projections 512 + prompt attention 288 + decode attention 224 + router 256 + routed 256 flops
    assert (flops.busiest, flops.ratio) == (1536, 1)


def test_uneven_sequences_show_in_the_balance() -> None:
    # Three prompts over two engines: 2 and 1; KV 16 B · 10 tokens · 2 layers = 320 B per prompt.
    scene = scenario(DENSE, {"batch": 3, "input_tokens": 10})
    plan = plan_of(scene, engines=2, batch=2, micro_batches=1, in_flight=2, token_budget=20)
    assert verify(plan).ok
    cache = verify(plan).balance[2]
    assert (cache.mean, cache.busiest, cache.ratio) == (480, 640, pytest.approx(4 / 3))


def test_an_all_reduce_across_nodes() -> None:
    # t = 8 over two nodes of 4: l = 4, M = 2. b = 10·8·2 = 160 B on links of 1e9 and 1e8 B/s:
    # 2·3/4·160/1e9 + 2·1/2·(160/4)/1e8 = 240 ns + 400 ns; two per layer, 2 layers: 2.56 µs.
    # Per layer and rank, each KV head on four ranks: A_r = 2·8·8·2/8 + 2·8·2·2·⌈2/8⌉/2 = 64, 2·10·64 + 128 = 1,408;
    # attention 2·(8/8)·4·50 = 400; feed-forward 2·10·48 + 96 = 1,056. Sum 2,864 ps a layer, 5.728 ns in all.
    model = DENSE | {"attention": {"heads": 8, "kv_heads": 2, "head_dim": 2}}
    scene = scenario(model, {"batch": 1, "input_tokens": 10})
    plan = plan_of(scene, tensor=8, batch=1, micro_batches=1, in_flight=1, token_budget=10)
    assert predict(plan).ttft_s == pytest.approx(2.56e-6 + 5.728e-9, rel=1e-12)
    assert not failing(plan)


@pytest.mark.parametrize(("factor", "ok"), [(1 + TOLERANCE / 2, True), (1 + TOLERANCE * 2, False)])
def test_the_tolerance_separates_twins(factor: float, ok: bool) -> None:
    scene = scenario(DENSE, {"batch": 1, "input_tokens": 10})
    plan = plan_of(scene, batch=1, micro_batches=1, in_flight=1, token_budget=10)
    assert plan.predictions is not None
    other = plan.predictions.model_copy(update={"ttft_s": plan.predictions.ttft_s * factor})
    twin: Plan = plan.model_copy(update={"predictions": other})
    assert verify(twin).ok is ok
