"""Measurements made by the cost model itself, at constants that a fit must find again."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import product
from math import exp
from typing import Any

from shardwise.models.measurement import Measurement, Quantity, Setup
from shardwise.solver.calibration.cases import Constants, case_of
from shardwise.solver.calibration.predict import predict

QUANTITIES: tuple[Quantity, ...] = ("ttft", "tpot", "throughput")


def setup(**changed: Any) -> Setup:
    """One H100 with a small model under a closed loop, or whatever differs."""
    usual = {
        "model": "llama-3.1-8b",
        "accelerator": "h100-sxm",
        "gpus": 1,
        "tensor": 1,
        "pipeline": 1,
        "data": 1,
        "expert": 1,
        "attention_data": 1,
        "precision": "bf16",
        "input_tokens": 1000,
        "output_tokens": 200,
        "load": "concurrency",
        "amount": 16,
        "framework": "vLLM 0.19",
    }
    return Setup(**{**usual, **changed})


def setups() -> Iterator[Setup]:
    """Models, layouts, lengths and loads in which the usual constants show."""
    models = ("llama-3.1-8b", "qwen3-32b", "llama-3.1-70b")
    for model, tensor, prompt, clients in product(models, (2, 8), (250, 4000), (1, 16, 128)):
        yield setup(model=model, gpus=tensor, tensor=tensor, input_tokens=prompt, amount=clients)


def one(what: Setup, quantity: Quantity, value: float, line: int = 1, **more: Any) -> Measurement:
    """A measurement."""
    return Measurement(f"row {line}", line, what, quantity, value, **more)


def measured(
    what: Iterable[Setup],
    constants: Constants,
    *,
    noise: float = 0.0,
    outliers: float = 0.0,
    quantities: Iterable[Quantity] = QUANTITIES,
    seed: int = 1,
) -> list[Measurement]:
    """What a cluster with these constants would show; a share of the rows is broken by a factor of 2 to 4."""
    drawn, found = random.Random(seed), []
    quantities = tuple(quantities)
    for each in what:
        case = case_of(each, constants, "datasheet")
        prediction = predict(case)
        for quantity in quantities:
            value = prediction.figure(quantity, "output", case)
            assert value is not None
            value *= exp(drawn.gauss(0, noise))
            if drawn.random() < outliers:
                value *= drawn.choice((0.25, 0.5, 2, 4))
            found.append(one(each, quantity, value, len(found) + 2))
    return found
