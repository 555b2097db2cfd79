"""pareto.json and pareto.csv: the frontier, each point a full plan."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from ...models import Plan
from .files import write_text

_HEADER = (
    "request_latency_s", "tokens_per_s_per_gpu", "tokens_per_s", "ttft_s", "tpot_s", "gpus_used", "engines", "strategy",
    "batch", "token_budget", "memory_bytes_per_gpu",
)  # fmt: skip


def save_frontier(plans: tuple[Plan, ...], folder: Path) -> dict[str, str]:
    """Write both files; returns their paths by kind."""
    points = json.dumps({"points": [plan.model_dump(mode="json") for plan in plans]}, ensure_ascii=False)
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(_HEADER)
    rows.writerows(_row(plan) for plan in plans)
    return {
        "pareto": str(write_text(folder / "pareto.json", points + "\n")),
        "pareto_csv": str(write_text(folder / "pareto.csv", table.getvalue())),
    }


def _row(plan: Plan) -> tuple[object, ...]:
    predicted, entry = plan.predictions, plan.engines[0]
    assert predicted is not None
    output = predicted.output_tokens_per_s
    return (
        predicted.request_latency_s,
        predicted.tokens_per_s_per_gpu,
        predicted.input_tokens_per_s if output is None else output,
        predicted.ttft_s,
        predicted.tpot_s,
        plan.gpus_used,
        entry.count,
        entry.strategy.describe(),
        entry.strategy.batch,
        entry.strategy.token_budget,
        predicted.memory_bytes_per_gpu.total,
    )
