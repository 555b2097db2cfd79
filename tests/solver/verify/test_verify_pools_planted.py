"""Planted errors in deployments of pools: each is caught, by the finding that is meant to catch it."""

from __future__ import annotations

import pytest
from pool_plans import failing, mixed_plan, open_plan
from pool_planting import (
    AGGREGATED,
    DECODE,
    PREFILL,
    Plant,
    with_engine,
    with_feed,
    with_figure,
    with_memory,
    with_plan,
    with_pool,
    with_rank,
    with_strategy,
)
from shardwise.models.deployment import Idle
from shardwise.solver.verify.pools import verify_deployment


def test_the_plans_themselves_pass() -> None:
    assert not failing(mixed_plan())
    assert not failing(open_plan())
    assert [row.resource for row in verify_deployment(mixed_plan()).balance] == ["weights", "kv_cache"]


# mixed_plan: engines 0 and 1 (prefill, 2 ranks each) on nodes 5 and 6, engine 2 (decode, 8 ranks) on nodes 0 and 1,
# engines 3 to 5 (aggregated, 2 ranks each) on nodes 2 and 3. Cards: big has nodes 0 to 4, small 5 to 7.
CLOSED: dict[str, tuple[Plant, set[str]]] = {
    "GPUs of a pool miscounted": (with_pool(PREFILL, gpus=3), {"gpus.prefill"}),
    "GPUs miscounted": (with_plan(gpus_used=17), {"gpus.used"}),
    "idle GPUs miscounted": (with_plan(gpus_idle=5), {"gpus.idle"}),
    "idle GPUs under another card": (
        with_plan(idle=(Idle(accelerator="big", gpus=2), Idle(accelerator="small", gpus=4))),
        {"gpus.idle_by_card"},
    ),
    "idle GPUs of no card": (with_plan(idle=(Idle(accelerator="huge", gpus=6),)), {"gpus.idle_by_card"}),
    "a rank left out": (
        lambda plan: plan.model_copy(update={"placement": plan.placement[:-1]}),
        {"gpus.placed", "placement.every_rank_once", "coverage.attention", "coverage.experts"},
    ),
    "an engine on the other card": (with_rank(0, node=4), {"placement.cards", "placement.nodes"}),
    "a node that the card lacks": (
        with_rank(0, node=8),
        {"placement.cards", "placement.gpus_exist", "placement.nodes"},
    ),
    "two ranks on one GPU": (with_rank(1, gpu=0), {"placement.one_rank_per_gpu"}),
    "a rank of no engine": (
        with_rank(15, engine=9),
        {"placement.cards", "placement.every_rank_once", "coverage.attention", "coverage.experts", "balance"},
    ),
    "exchanged coordinates": (with_rank(1, context=0), {"placement.coordinates", "coverage.attention"}),
    "a lost expert": (with_rank(8, experts=(0, 3)), {"placement.shares", "coverage.experts"}),
    "a wrong product": (
        with_engine(AGGREGATED, gpus_per_engine=1),
        {
            "degrees.engine",
            "gpus.aggregated",
            "gpus.used",
            "gpus.idle",
            "gpus.idle_by_card",
            "gpus.placed",
            "predictions.requests_per_s_per_gpu",
            "predictions.tokens_per_s_per_gpu",
        },
    ),
    "micro-batches miscounted": (with_strategy(PREFILL, micro_batches=2), {"load.micro_batches"}),
    "too many in flight": (with_strategy(DECODE, in_flight=9), {"load.in_flight"}),
    "too small a batch": (
        with_strategy(AGGREGATED, batch=1),  # fewer sequences hit fewer experts, a prompt adds more: the wait too
        {
            "engine.wait_s",
            "load.batch",
            "memory.kv_cache",
            "memory.total",
            "engine.requests_per_s",
            "engine.ttft_s",
            "engine.tpot_s",
            "engine.request_latency_s",
            "aggregated.rating_requests_per_s",
            "aggregated.requests_per_s",
            "predictions.requests_per_s",
            "predictions.output_tokens_per_s",
            "predictions.input_tokens_per_s",
            "predictions.requests_per_s_per_gpu",
            "predictions.tokens_per_s_per_gpu",
            "predictions.tpot_s",
            "predictions.request_latency_s",
        },
    ),
    "a wrong budget": (
        with_strategy(PREFILL, token_budget=51),
        {"load.token_budget", "memory.activations", "memory.total"},
    ),
    "a wrong byte count": (
        with_memory(DECODE, weights=9, total=9),
        {"memory.weights", "memory.total", "memory.sum"},
    ),
    "a wrong reserve": (with_memory(DECODE, reserve=1), {"memory.reserve", "memory.sum"}),
    "a wrong limit": (with_memory(DECODE, usable=10**9 + 1), {"memory.usable"}),
    "not the fullest stage": (with_memory(DECODE, stage=0), {"memory.stage"}),
    "no memory": (with_engine(DECODE, memory_bytes_per_gpu=None), {"memory"}),
    "a wrong rating": (with_engine(DECODE, requests_per_s=1.0), {"engine.requests_per_s"}),
    "a wrong TTFT": (with_engine(PREFILL, ttft_s=1.0), {"engine.ttft_s"}),
    "a wait forgotten": (with_engine(DECODE, wait_s=0.0), {"engine.wait_s"}),
    "a wait in a prefill engine": (with_engine(PREFILL, wait_s=1e-9), {"engine.wait_s"}),
    "a transfer forgotten": (with_engine(DECODE, transfer_s=0.0), {"engine.transfer_s"}),
    "quantiles in a closed loop": (
        with_engine(PREFILL, ttft_quantiles_s={"mean": 1.0}),
        {"engine.ttft_quantiles_s"},
    ),
    "a prefill engine with a TPOT": (with_engine(PREFILL, tpot_s=1.0), {"engine.tpot_s"}),
    "a wrong latency": (with_engine(AGGREGATED, request_latency_s=1.0), {"engine.request_latency_s"}),
    "a queue where none is priced": (with_engine(AGGREGATED, utilization=0.5), {"engine.utilization"}),
    "a busy prefill engine": (with_engine(PREFILL, utilization=0.5), {"engine.utilization"}),
    "prefill engines less busy": (
        with_engine(DECODE, utilization=0.25),
        {
            "engine.wait_s",
            "engine.ttft_s",
            "engine.request_latency_s",
            "predictions.ttft_s",
        },
    ),
    "prefill engines never busy": (
        with_engine(DECODE, utilization=0.0, wait_s=0.0),
        {
            "load.utilization",
            "engine.ttft_s",
            "engine.request_latency_s",
            "loads",
            "predictions.ttft_s",
        },
    ),
    "prefill engines busy for an unknown time": (with_engine(DECODE, utilization=None), {"engine", "together"}),
    "a batch beside the strategy": (with_engine(AGGREGATED, batch=4), {"engine.batch"}),
    "a wrong price": (with_engine(DECODE, cost_per_hour=8.0), {"engine.cost_per_hour"}),
    "a prefill engine with a load": (with_engine(PREFILL, load=3), {"load.stated"}),
    "an engine without a load": (
        with_engine(DECODE, load=None),
        {"load", "stages", "memory", "engine", "together", "balance"},
    ),
    "an engine without a strategy": (
        with_engine(PREFILL, strategy=None),
        {"degrees", "load", "stages", "memory", "engine", "strategy", "together", "placement", "coverage", "balance"},
    ),
    "a card that does not exist": (
        with_engine(PREFILL, accelerator="huge"),
        {
            "degrees",
            "load",
            "stages",
            "memory",
            "engine",
            "gpus.stock",
            "gpus.idle_by_card",
            "placement.cards",
            "together",
            "balance",
        },
    ),
    "an engine in the wrong pool": (
        with_pool(AGGREGATED, role="decode"),
        {
            "roles",
            "decode.rating_requests_per_s",
            "decode.requests_per_s",
        },
    ),
    "no decode pool": (
        lambda plan: plan.model_copy(update={"pools": (plan.pools[0], plan.pools[2])}),
        {
            "pairs",
            "gpus.used",
            "gpus.idle",
            "gpus.idle_by_card",
            "gpus.placed",
            "placement.cards",
            "placement.every_rank_once",
            "placement.coordinates",
            "placement.shares",
            "coverage.attention",
            "loads",
            "prefill.requests_per_s",
            "prefill.utilization",
            "feeds.none",
            "predictions.requests_per_s",
            "predictions.ttft_s",
            "predictions.output_tokens_per_s",
            "predictions.input_tokens_per_s",
            "predictions.requests_per_s_per_gpu",
            "predictions.tokens_per_s_per_gpu",
            "predictions.cost_per_hour",
            "balance",
        },
    ),
    "a pool that can do less": (with_pool(PREFILL, rating_requests_per_s=1.0), {"prefill.rating_requests_per_s"}),
    "a pool that does more": (with_pool(DECODE, requests_per_s=1.0), {"decode.requests_per_s"}),
    "a pool less busy": (with_pool(PREFILL, utilization=0.1), {"prefill.utilization"}),
    "requests lost on the way": (with_feed(requests_per_s=1.0), {"feeds.prefill", "feeds.decode"}),
    "a feed from nowhere": (with_feed(prefill=1), {"feeds.ends", "feeds.prefill"}),
    "a feed twice": (
        lambda plan: plan.model_copy(update={"feeds": plan.feeds * 2}),
        {"feeds.ends", "feeds.prefill", "feeds.decode"},
    ),
    "half a transfer": (with_feed(transfer_s=1.0), {"feeds.transfer_s"}),
    "no predictions": (with_plan(predictions=None), {"predictions"}),
}
FIGURES = (
    "requests_per_s",
    "ttft_s",
    "tpot_s",
    "request_latency_s",
    "output_tokens_per_s",
    "input_tokens_per_s",
    "requests_per_s_per_gpu",
    "tokens_per_s_per_gpu",
    "cost_per_hour",
    "offered_requests_per_s",
    "utilization",
)


@pytest.mark.parametrize("error", CLOSED)
def test_planted_error(error: str) -> None:
    plant, expected = CLOSED[error]
    assert failing(plant(mixed_plan())) == expected


@pytest.mark.parametrize("figure", FIGURES)
def test_a_wrong_prediction(figure: str) -> None:
    assert failing(with_figure(**{figure: 12345.0})(mixed_plan())) == {f"predictions.{figure}"}
    assert failing(with_figure(**{figure: 12345.0})(open_plan())) == {f"predictions.{figure}"}


OPEN: dict[str, tuple[Plant, set[str]]] = {
    "a quantile of an engine": (
        lambda plan: with_engine(AGGREGATED, ttft_quantiles_s=plan.engines[2].ttft_quantiles_s | {"p99": 1.0})(plan),
        {"engine.ttft_quantiles_s.p99"},
    ),
    "a quantile of the whole": (
        lambda plan: with_figure(ttft_quantiles_s=plan.predictions.ttft_quantiles_s | {"p50": 1.0})(plan),
        {"predictions.ttft_quantiles_s.p50"},
    ),
    "no quantiles": (with_figure(ttft_quantiles_s={}), {"predictions.ttft_quantiles_s"}),
    "a prefill engine with a load": (with_engine(PREFILL, load=4), {"load.stated"}),
    "a wrong utilisation": (with_engine(AGGREGATED, utilization=0.1), {"engine.utilization"}),
    "no utilisation": (with_engine(PREFILL, utilization=None), {"engine", "together"}),
    "a decode engine that asks": (with_engine(DECODE, utilization=0.5), {"engine.utilization"}),
    "a wrong load": (with_strategy(DECODE, in_flight=5), {"load.in_flight"}),
}


@pytest.mark.parametrize("error", OPEN)
def test_planted_error_in_an_open_loop(error: str) -> None:
    plant, expected = OPEN[error]
    assert failing(plant(open_plan())) == expected
