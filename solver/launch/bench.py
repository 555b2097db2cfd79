"""The load test that puts the prediction to the proof: the scenario's load, sent by vLLM's own client.

It speaks the OpenAI protocol, so it measures every engine alike; only the client need be installed where it runs.
"""

from __future__ import annotations

import json
import math

from ...models import Scenario
from ...models.workload import Lengths

LEAST_PROMPTS = 200
"""Requests of an open loop's test at least; a closed loop sends requests_per_client of each client."""
SECONDS = 120
"""How long an open loop is tested."""


def bench_command(scenario: Scenario, url: str, share: float, rate: float) -> list[str]:
    """The client's command for a share of the load; `rate` is what the deployment is predicted to carry there."""
    work = scenario.workload
    outputs = work.output_tokens if work.decodes else Lengths(min=1, max=1)
    spread = {"input": _spread(work.input_tokens), "output": _spread(outputs)}
    command = ["vllm", "bench", "serve", "--backend", "openai", "--base-url", url, "--model", "$MODEL"]
    command += ["--dataset-name", "random", "--random-input-len", str(round(work.input_tokens.mean))]
    command += ["--random-output-len", str(round(outputs.mean))]
    command += ["--random-range-ratio", json.dumps(spread), "--ignore-eos"]
    command += ["--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,95,99"]
    command += ["--save-result"]  # `calibrate` reads it
    if work.open_loop:
        sent = rate if work.request_rate == "max" else min(rate, float(work.request_rate or rate) * share)
        command += ["--request-rate", f"{sent:.6g}", "--burstiness", f"{work.burstiness:g}"]
        prompts = max(LEAST_PROMPTS, math.ceil(sent * SECONDS))
    else:
        clients = max(1, round(work.sequences * share))
        command += ["--max-concurrency", str(clients)]
        prompts = round(clients * (work.requests_per_client if work.concurrency else 1))
    return [*command, "--num-prompts", str(prompts)]


def _spread(lengths: Lengths) -> float:
    """Half the range over the mean, as the client wants it: lengths fall in mean · (1 ± r)."""
    return round((lengths.max - lengths.min) / (lengths.max + lengths.min), 6)
