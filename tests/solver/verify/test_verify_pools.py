"""The second route for pools: figures worked out by hand from docs/costs.md, section 7."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pool_plans import ONE, engine, failing, pool_plan, table_plan
from shardwise.models.deployment import DeploymentPlan, DeploymentPredictions, Feed, Idle, Pool
from shardwise.models.engine import Memory
from shardwise.solver.verify.pools import verify_deployment
from shardwise.solver.verify.pools.waiting import (
    most_in_flight,
    quantile,
    queue_mean,
    share_within,
    spread_of_arrivals,
    waits,
)
from verify_plans import DENSE, PROOF, place, scenario

CHAT: dict[str, Any] = {"concurrency": 4, "input_tokens": 10, "output_tokens": 20, "requests_per_client": 10}


def test_the_mean_wait_of_known_queues() -> None:
    # M/D/1 at one half: (1/2)/(1/2)·(1 + 0)/2·s = s/2. M/M/1 at 0.8: 4·s. Bursts of c_a² = 3 on M/M/1 at 0.8: 8·s.
    assert queue_mean(0.5, 2.0, 1.0, 0.0) == 1.0
    assert queue_mean(0.8, 1.0, 1.0, 1.0) == pytest.approx(4.0)
    assert queue_mean(0.8, 1.0, 3.0, 1.0) == pytest.approx(8.0)
    with pytest.raises(ValueError, match="no finite wait"):
        queue_mean(1.0, 1.0, 1.0, 1.0)


def test_quantiles_without_a_vacation() -> None:
    # P(> t) = 0.8·exp(−0.8·t/4): half wait less than ln(1.6)/0.2, 1 % longer than ln(80)/0.2.
    assert quantile(0.50, 0.8, 4.0, 0.0) == pytest.approx(math.log(1.6) / 0.2, rel=1e-12)
    assert quantile(0.99, 0.8, 4.0, 0.0) == pytest.approx(math.log(80) / 0.2, rel=1e-12)
    assert quantile(0.50, 0.3, 1.0, 0.0) == 0.0  # 70 % do not wait at all


def test_quantiles_with_a_vacation() -> None:
    # An empty queue leaves the uniform time. With a queue of rate a = 0.5/2 and V = 4, past V
    # P(> t) = (1/4)·∫ 0.5·exp(−(t − u)/4) du over 0 to 4 = 0.5·exp(−t/4)·(e − 1).
    assert quantile(0.95, 0.0, 0.0, 10.0) == pytest.approx(9.5)
    assert quantile(0.95, 0.5, 2.0, 4.0) == pytest.approx(4 * math.log(10 * (math.e - 1)), rel=1e-12)
    # Before V: F(t) = (t − 2·(1 − exp(−t/4)))/4.
    assert share_within(2.0, 0.5, 2.0, 4.0) == pytest.approx((2 - 2 * (1 - math.exp(-0.5))) / 4, rel=1e-12)
    assert waits(0.5, 2.0, 1.0, 1.0, 4.0)["mean"] == pytest.approx(2.0 + 2.0)


def test_bursts_lengthen_the_mean_wait_alone() -> None:
    # c_a² = 4, c_s² = 1 at one half: a mean queue of 1·(5/2)·2 = 5 s; the mean adds V/2 = 2 s and 2·(4 − 1)/3 = 2 s.
    found = waits(0.5, 2.0, 4.0, 1.0, 4.0)
    assert found["mean"] == pytest.approx(9.0)
    assert found["p95"] == quantile(0.95, 0.5, 5.0, 4.0)
    assert (spread_of_arrivals(0.25), spread_of_arrivals(1.0), spread_of_arrivals(4.0)) == (4.0, 1.0, 1.0)


def test_requests_in_flight() -> None:
    # P(Poisson(1) ≤ 4) = (65/24)/e = 0.99634, ≤ 5: 0.99941. P(Poisson(2) ≤ 7) = 0.99890, ≤ 8: 0.99976.
    assert (most_in_flight(1), most_in_flight(2)) == (5, 8)
    assert most_in_flight(1000) == 1099  # 1000 + 3.09·√1000 is 1,098; the tail is a little longer than a normal's
    # Twice as far above the mean where c_a² = 4; 2 + 6·√2 = 10.49 where it is 2.
    assert (most_in_flight(2, 4.0), most_in_flight(2, 2.0)) == (14, 11)
    with pytest.raises(ValueError, match="summed"):
        most_in_flight(2**40)


def test_a_pair_by_hand() -> None:
    # Two layers, h 8, H 4, K 2, k 2, F 16 gated, bf16, peaks of 1e12; network 1e8 B/s of which 0.8 is reached.
    # Prefill, B = 1: 28.544 ns for a prompt of 10 (test_verify_by_hand). 1/28.544 ns is its rating.
    #   Cache of a prompt: 2 layers · 10 · 16 B = 320 B; 320/0.8e8 = 4,000 ns. Part 4,028.544 ns, no wait.
    #   Memory: 2 prompts: 640 B; weights 2,384; activations 10·2·(6·8 + 2·16) = 1,600.
    # Decode, Q = B = 4, X = 10 + 20/2 = 20. A layer: projections 2·4·192 + 384 = 1,920; attention 2·4·4·4·20 = 2,560;
    #   feed-forward 2·4·384 + 768 = 3,840: 8,320 ps, TPOT 16.64 ns. Rating 4/(20·16.64 ns).
    #   Its share of the prefill engine is busy half the time: wait (1/2)/10·0.5·20·16.64 = 8.32 ns.
    #   Part 8.32 + 4,000 + 16.64 ns. Memory: (4 + ⌈4/20⌉ + 1)·(10 + 20)·2·16 = 5,760 B; activations 4·2·80 = 640.
    scene = scenario(DENSE, CHAT, modes="disaggregated", hardware={"price_per_hour": 3.0})
    prefill = engine("prefill", token_budget=10, **ONE)
    decode = engine("decode", 4, utilization=0.5, **ONE | {"batch": 4, "in_flight": 4}, token_budget=4)
    made, taken = 1 / 28.544e-9, 4 / (20 * 16.64e-9)

    def memory(kv_cache: int, activations: int) -> Memory:
        total = 2384 + kv_cache + activations
        parts = {"weights": 2384, "kv_cache": kv_cache, "activations": activations, "reserve": 0}
        return Memory(**parts, total=total, usable=10**9, stage=0)

    prefill = prefill.model_copy(
        update={
            "requests_per_s": made,
            "ttft_s": 4028.544e-9,
            "transfer_s": 4e-6,
            "request_latency_s": 4028.544e-9,
            "memory_bytes_per_gpu": memory(640, 1600),
            "cost_per_hour": 3.0,
        }
    )
    decode = decode.model_copy(
        update={
            "requests_per_s": taken,
            "ttft_s": 4024.96e-9,
            "wait_s": 8.32e-9,
            "transfer_s": 4e-6,
            "tpot_s": 16.64e-9,
            "request_latency_s": 4024.96e-9 + 19 * 16.64e-9,
            "memory_bytes_per_gpu": memory(5760, 640),
            "cost_per_hour": 3.0,
        }
    )
    assert prefill.strategy is not None and decode.strategy is not None
    ranks = place(scene, 2, prefill.strategy)
    plan = DeploymentPlan(
        status="optimal",
        scenario=scene,
        pools=(
            Pool(
                role="prefill",
                engines=(prefill,),
                gpus=1,
                rating_requests_per_s=made,
                requests_per_s=taken,
                utilization=taken / made,
            ),
            Pool(
                role="decode",
                engines=(decode,),
                gpus=1,
                rating_requests_per_s=taken,
                requests_per_s=taken,
                utilization=1.0,
            ),
        ),
        feeds=(Feed(prefill=0, decode=0, requests_per_s=taken, transfer_s=8e-6),),
        gpus_used=2,
        gpus_idle=6,
        idle=(Idle(accelerator="inline", gpus=6),),
        predictions=DeploymentPredictions(
            requests_per_s=taken,
            ttft_s=8053.504e-9,
            tpot_s=16.64e-9,
            request_latency_s=8053.504e-9 + 19 * 16.64e-9,
            output_tokens_per_s=taken * 20,
            input_tokens_per_s=taken * 10,
            requests_per_s_per_gpu=taken / 2,
            tokens_per_s_per_gpu=taken * 10,
            cost_per_hour=6.0,
        ),
        proof=PROOF,
        placement=ranks,
    )
    assert not failing(plan)
    rows = {row.resource: row for row in verify_deployment(plan).balance}
    assert rows["weights"].mean == rows["weights"].busiest == 2384
    # Prefill holds 640 B; decode its 4 requests of 30 tokens: 3,840 B.
    assert (rows["kv_cache"].mean, rows["kv_cache"].busiest) == (2240, 3840)


def test_links_of_a_transfer() -> None:
    # 320 B over 80 % of: a node link of 1e9 B/s where the cluster is one node; else the network, or a stated link.
    def transfer(gpus: int, **hardware: Any) -> float:
        scene = scenario(DENSE, CHAT, gpus=gpus, modes="any", hardware=hardware)
        plan = pool_plan(
            scene,
            engine("prefill", token_budget=10, **ONE),
            engine("decode", 4, utilization=0.5, **ONE | {"batch": 4, "in_flight": 4}, token_budget=4),
        )
        return plan.engines[0].transfer_s

    assert transfer(4) == pytest.approx(320 / 0.8e9)
    assert transfer(8) == pytest.approx(320 / 0.8e8)
    assert transfer(4, pool_link={"bandwidth": 1e7, "latency": 1e-6}) == pytest.approx(320 / 0.8e7 + 1e-6)
    assert transfer(4, pool_link={"bandwidth": 1e12}) == pytest.approx(320 / 0.8e8)


def test_a_prefill_engine_in_an_open_loop() -> None:
    # Busy half the time: rating 0.5/28.544 ns. Mean wait 28.544/2 ns; p95: 0.5·exp(−0.5·t/14.272) = 0.05.
    # Nothing is decoded, so nothing moves: memory holds the one prompt, 320 B.
    scene = scenario(DENSE, {"request_rate": "max", "input_tokens": 10, "output_tokens": 1})
    plan = pool_plan(scene, engine("prefill", utilization=0.5, token_budget=10, **ONE))
    assert not failing(plan)
    found = plan.engines[0]
    alone = 28.544e-9
    assert found.requests_per_s == pytest.approx(0.5 / 28.544e-9)
    assert found.ttft_quantiles_s["mean"] == pytest.approx(alone + 14.272e-9, rel=1e-12)
    assert found.ttft_s == found.ttft_quantiles_s["p95"] == pytest.approx(alone + 28.544e-9 * math.log(10), rel=1e-12)
    assert found.wait_s == pytest.approx(28.544e-9 * math.log(10))
    assert found.transfer_s == 0.0
    assert found.memory_bytes_per_gpu is not None and found.memory_bytes_per_gpu.kv_cache == 320
    assert plan.predictions is not None
    assert plan.predictions.tokens_per_s_per_gpu == pytest.approx(5 / 28.544e-9)


def test_a_prefill_engine_under_bursts() -> None:
    # c_a² = 4: a mean queue of 4/2·28.544 ns, and 28.544·(4 − 1)/3 ns more at the mean;
    # p95: 0.5·exp(−0.5·t/57.088) = 0.05.
    work = {"request_rate": "max", "burstiness": 0.25, "input_tokens": 10, "output_tokens": 1}
    plan = pool_plan(scenario(DENSE, work), engine("prefill", utilization=0.5, token_budget=10, **ONE))
    assert not failing(plan)
    found = plan.engines[0].ttft_quantiles_s
    assert found["mean"] == pytest.approx(4 * 28.544e-9, rel=1e-12)
    assert found["p95"] == pytest.approx(28.544e-9 * (1 + 4 * math.log(10)), rel=1e-12)


def test_an_aggregated_engine_in_an_open_loop() -> None:
    # Q = B = 2, I 10, O 5, U 32: a prompt fits a pass, J = ⌊30/10⌋ = 3. X = 12.5.
    # full: T = 12, pairs 50: (4,608 + 384 + 1,600 + 800 + 9,216 + 768)·2 = 34.752 ns.
    # decode: (768 + 384 + 800 + 1,536 + 768)·2 = 8.512 ns.
    # mixed: 2/5 of the iterations carry a prompt: 0.6·8.512 + 0.4·34.752 = 19.008 ns, the period and V.
    # others: 1/5: 0.8·8.512 + 0.2·34.752 = 13.76 ns.
    # s = 34.752 − 8.512 + 8.512/3; ρ = 2/(5·19.008)·s = 0.6119.
    # Memory: Q⁺ = 8 sequences of 15 tokens: 8·15·2·16 = 3,840 B.
    work = {"request_rate": "max", "input_tokens": 10, "output_tokens": 5}
    scene = scenario(DENSE, work, modes="aggregated", requirements={"ttft_at": "mean"})
    plan = pool_plan(scene, engine("aggregated", 2, **ONE | {"batch": 2, "in_flight": 2}, token_budget=32))
    assert not failing(plan)
    found = plan.engines[0]
    service = 34.752 - 8.512 + 8.512 / 3
    busy = 2 / (5 * 19.008) * service
    wait = busy / (1 - busy) / 2 * service + 19.008 / 2
    assert found.requests_per_s == pytest.approx(2 / (5 * 19.008e-9), rel=1e-12)
    assert found.utilization == pytest.approx(busy, rel=1e-12)
    assert found.wait_s == pytest.approx(wait * 1e-9, rel=1e-12)
    assert found.ttft_s == pytest.approx((34.752 + wait) * 1e-9, rel=1e-12)
    assert found.tpot_s == pytest.approx(13.76e-9, rel=1e-12)
    assert found.memory_bytes_per_gpu is not None and found.memory_bytes_per_gpu.kv_cache == 3840


def test_a_chunked_prompt_is_served_in_full_passes() -> None:
    # U = 7 leaves 5 tokens beside 2 sequences: a prompt of 10 takes two passes, each serving for a full pass:
    # T = 7; prompt attention 2·4·4·25 = 800 (prefix 2.5 tokens); decode attention 2·4·4·2·15 = 960, X = 10 + 10/2.
    # Weights are read once a pass: 384 and 768 B a layer.
    work = {"request_rate": "max", "input_tokens": 10, "output_tokens": 10}
    scene = scenario(DENSE, work, modes="aggregated")
    entry = engine("aggregated", 2, **ONE | {"batch": 2, "in_flight": 2}, token_budget=7)
    found = pool_plan(scene, entry).engines[0]
    service = 2 * (2 * 7 * 192 + 384 + 800 + 960 + 2 * 7 * 384 + 768) * 2e-12
    assert found.utilization == pytest.approx(found.requests_per_s * service, rel=1e-12)


@pytest.mark.parametrize(("burstiness", "held"), [(1.0, 11), (4.0, 11), (0.25, 18)])
def test_the_load_of_a_decode_engine_in_an_open_loop(burstiness: float, held: int) -> None:
    # Q = 4: P(Poisson(4) ≤ 11) = 0.99908, ≤ 10: 0.99716; under bursts of c_a² = 4 it is 4 + 7·2.
    # Memory: (11 + ⌈11/20⌉ + 1)·30·32 B, with 18 for 11 under bursts.
    work = CHAT | {"concurrency": None, "request_rate": 1.0, "burstiness": burstiness}
    scene = scenario(DENSE, work, modes="disaggregated")
    plan = pool_plan(
        scene,
        engine("prefill", utilization=0.9, token_budget=10, **ONE),
        engine("decode", 4, **ONE | {"batch": 4, "in_flight": 4}, token_budget=4),
    )
    assert not failing(plan)
    memory = plan.engines[1].memory_bytes_per_gpu
    assert memory is not None and memory.kv_cache == (held + 2) * 30 * 32
    assert set(plan.engines[1].ttft_quantiles_s.values()) == {plan.engines[1].ttft_s}


def test_tables_by_hand(tmp_path: Path) -> None:
    # 2 P (10/s) and 1 D (8/s) and 1 E (12/s): 10/s pass through the pair; with 2 A (6/s) 16/s.
    plan = table_plan(tmp_path, ("P", 2), ("D", 1), ("E", 1), ("A", 2), workload={"request_rate": 16})
    assert not failing(plan)
    said = plan.predictions
    assert said is not None
    assert said.requests_per_s == pytest.approx(16)
    assert said.ttft_s == pytest.approx(0.15)  # A; the pair of P and E takes 110 ms
    assert said.tpot_s == pytest.approx(0.030)
    assert said.request_latency_s == pytest.approx(0.15 + 0.03)  # of 2 tokens unless given
    assert said.output_tokens_per_s is None
    assert said.cost_per_hour == pytest.approx(4 + 4 + 9 + 8 + 4 + 4)
    assert [feed.requests_per_s for feed in plan.feeds] == pytest.approx([4, 6])
    assert (plan.gpus_used, plan.gpus_idle) == (16, 16)


def test_the_latency_of_a_table_by_hand(tmp_path: Path) -> None:
    # Answers of 11 tokens. P and D: 100 + 10·20 ms; P and E: 100 + 10 + 10·25 ms; A alone: 150 + 10·30 ms.
    work = {"output_tokens": 11}
    plan = table_plan(tmp_path, ("P", 2), ("D", 1), ("E", 1), workload=work)
    assert not failing(plan)
    assert [entry.request_latency_s for entry in plan.engines] == pytest.approx([0.1, 0.2, 0.26])
    assert plan.predictions is not None and plan.predictions.request_latency_s == pytest.approx(0.36)
    plan = table_plan(tmp_path, ("P", 2), ("E", 1), ("A", 1), workload=work)
    assert not failing(plan)
    assert plan.predictions is not None and plan.predictions.request_latency_s == pytest.approx(0.45)
