"""Sweeps of the dense 64-GPU case, timed as whole processes: `python -m benchmarks.sweep [--runs 3] [--points 400]`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .process import Command, Cost, Spread, measure, say, table, versions

BASE = """hardware: {accelerator: h100-sxm, gpus: 64}
model: llama-3.1-70b
workload: {concurrency: 256, input_tokens: 2048, output_tokens: 512}
requirements: {ttft: 2 s, tpot: 50 ms}
"""
FEW = 20
"""Scenarios of the sweep that start and imports are told from."""
TARGET_RATE, TARGET_RESUME_S = 20, 3.0


def commands(folder: Path, points: int) -> dict[str, Command]:
    """Fresh sweeps of a few and of many scenarios with one worker, the many again, and their report."""
    base = folder / "base.yaml"
    base.write_text(BASE, encoding="utf-8")

    def sweep(count: int, store: str) -> Command:
        axis = f"workload.concurrency=8:{8 + 2 * (count - 1)}:2"
        return Command(["sweep", str(base), "--vary", axis, "--workers", "1", "--save", str(folder / store)])

    return {
        "few": sweep(FEW, "few"),
        "many": sweep(points, "many"),
        "resumed": sweep(points, "many"),
        "report": Command(["report", str(folder / "many")]),
    }


def report(costs: dict[str, list[Cost]], points: int) -> str:
    """The table, and the rate of a worker that has started."""
    rows = []
    for name, runs in costs.items():
        cpu = Spread.of([run.cpu_s for run in runs])
        wall = Spread.of([run.wall_s for run in runs]).middle
        numbers = (f"{cpu.middle:.2f}", f"{cpu.low:.2f}", f"{cpu.high:.2f}", f"{wall:.2f}")
        rows.append((name, *numbers, f"{max(run.peak_mb for run in runs):.0f}"))
    pairs = zip(costs["many"], costs["few"], strict=True)
    rate = Spread.of([(points - FEW) / (many.cpu_s - few.cpu_s) for many, few in pairs])
    said = f"{rate.middle:.1f} scenarios per CPU second after the start ({rate.low:.1f} to {rate.high:.1f}"
    header = "case", "CPU s", "min", "max", "wall s", "peak MB"
    return f"{table(header, rows)}\n\n{said}; target ≥ {TARGET_RATE}); resume target ≤ {TARGET_RESUME_S:g} s."


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each case, after one warm-up")
    parser.add_argument("--points", type=int, default=400, help="scenarios of the large sweep")
    options = parser.parse_args(arguments)
    costs: dict[str, list[Cost]] = {}
    for _ in range(options.runs):  # a store that is there would be gone on with: every run has a folder of its own
        folder = Path(tempfile.mkdtemp())
        try:
            for name, command in commands(folder, options.points).items():
                costs.setdefault(name, []).extend(measure({name: command}, 1, warm_up=False)[name])
        finally:
            shutil.rmtree(folder)
    say(versions())
    print(report(costs, options.points))


if __name__ == "__main__":
    main()
