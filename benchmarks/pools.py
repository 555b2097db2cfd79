"""Deployments of pools, timed as whole processes: `python -m benchmarks.pools [--runs 3] [--large]`."""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .process import Command, Cost, Spread, measure, say, table, versions

SCENARIOS = Path(__file__).parents[1] / "scenarios" / "pools"
SHIPPED = (
    "llama-3.1-8b-l4-table",
    "llama-3.1-70b-h200-arrivals",
    "deepseek-v3-h200-64-pools",
    "llama-3.1-70b-two-cards",
)
TARGETS = {
    "deepseek-v3-h200-64-pools": 3.0,
    "llama-3.1-70b-two-cards": 10.0,
    "deepseek-v3-h200-1024-pools": 8.0,
}
ROWS, GPUS = 2000, 128


def random_table(path: Path, seed: int, sizes: Sequence[int], spread: float) -> None:
    """Engines of all roles with rates about proportional to their GPUs."""
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("engine", "role", "gpus", "batch", "ttft_ms", "tpot_ms", "requests_per_s"))
        for number in range(ROWS):
            role, gpus = draw.choice(("prefill", "decode", "aggregated")), draw.choice(sizes)
            rate = gpus * draw.uniform(1 - spread, 1 + spread) * (0.4 if role == "aggregated" else 1.0)
            ttft = "" if role == "decode" else round(draw.uniform(100, 3000), 3)
            tpot = "" if role == "prefill" else round(draw.uniform(5, 80), 3)
            rows.writerow((f"e{number}", role, gpus, draw.randint(1, 256), ttft, tpot, round(rate, 6)))


def commands(folder: Path, large: bool) -> dict[str, Command]:
    """The command of every case."""
    given = {}
    kinds = {
        "powers of two": [1, 2, 4, 8, 16],
        "1 to 64 GPUs": list(range(1, 65)),
        "3 to 128 GPUs": list(range(3, 129)),
    }
    for seed, (kind, sizes) in enumerate(kinds.items()):
        for spread in (0.05, 0.7):
            name = f"table of {ROWS:,}, {kind}, rates ±{spread:.0%}"
            file = folder / f"{seed}-{spread}.csv"
            random_table(file, seed, sizes, spread)
            scenario = folder / f"{seed}-{spread}.yaml"
            scenario.write_text(
                f"engines: {{table: {file.name}}}\nhardware: {{gpus: {GPUS}}}\n"
                "requirements: {ttft: 2 s, tpot: 40 ms}\nworkload: {output_tokens: 500}\n",
                encoding="utf-8",
            )
            given[name] = Command(["solve", str(scenario), "--save", str(folder / "plans")])
    for name in SHIPPED:
        given[name] = Command(["solve", str(SCENARIOS / f"{name}.yaml"), "--save", str(folder / "plans")])
    if large:
        text = (SCENARIOS / "deepseek-v3-h200-64-pools.yaml").read_text(encoding="utf-8")
        scenario = folder / "deepseek-v3-h200-1024-pools.yaml"
        scenario.write_text(
            text.replace("gpus: 64", "gpus: 1024").replace("concurrency: 1024", "concurrency: 16384"), encoding="utf-8"
        )
        name = "deepseek-v3-h200-1024-pools"
        given[name] = Command(["solve", str(scenario), "--save", str(folder / "plans")], exit_codes=(0, 4))
    return given


def report(costs: dict[str, list[Cost]]) -> str:
    """One row a case."""
    rows = []
    for name, runs in costs.items():
        cpu = Spread.of([run.cpu_s for run in runs])
        wall, peak = Spread.of([run.wall_s for run in runs]).middle, max(run.peak_mb for run in runs)
        target = f"≤ {TARGETS[name]:g}" if name in TARGETS else ""
        rows.append(
            (name, target, f"{cpu.middle:.2f}", f"{cpu.low:.2f}", f"{cpu.high:.2f}", f"{wall:.2f}", f"{peak:.0f}")
        )
    return table(("case", "target, CPU s", "median", "min", "max", "wall s", "peak MB"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pools", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each case, after one warm-up")
    parser.add_argument("--large", action="store_true", help="DeepSeek-V3 on 1,024 GPUs too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(commands(Path(folder), options.large), options.runs)
    say(versions())
    print(report(costs))


if __name__ == "__main__":
    main()
