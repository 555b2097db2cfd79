"""Serving on a card of 1 FLOP/s, and the figures that are looked at."""

from __future__ import annotations

from typing import Any

from costs_by_hand import COMPUTE_ONLY, DENSE, changed, scenario
from pytest import approx
from shardwise.models import Scenario

TWO_LAYERS = changed(DENSE, layers=2, vocabulary=100)
"""A token takes 7,200 s in a layer, a query-key pair 80 s, a sequence's logits 2,000 s."""
CLOSED = {"concurrency": 4, "input_tokens": 8, "output_tokens": 10, "requests_per_client": 10}
TIMES = ("ttft", "ttft_mean", "tpot", "request_latency")
RATES = ("requests_rate", "output_rate", "input_rate")
CHOICE = ("batch", "micro_batches", "in_flight", "token_budget", "gpus_used")


def near(*values: float) -> Any:
    """The same but for rounding."""
    return approx(values, rel=1e-12, nan_ok=True)


def scene(model: dict[str, Any], load: dict[str, Any], link: float = 1e30, **more: Any) -> Scenario:
    """Nothing but flops takes time, and `link` where it is given."""
    card = {**COMPUTE_ONLY, "node_link": {"bandwidth": link}, **more.pop("card", {})}
    return scenario(model, load, card=card, **more)
