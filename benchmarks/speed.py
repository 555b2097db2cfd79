"""Commands, timed, beside their targets: `python -m benchmarks.speed [--runs 5] [--json]`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .process import Command, Cost, Spread, measure, say, table, versions

SCENARIOS = Path(__file__).parents[1] / "scenarios"
PEAK_TARGET_MB = 500
PEER_TARGET = 10
PEER_SECONDS = {"dense": (11, 13), "deepseek-v3": (46, 51), "qwen3-235b": (79, 85)}
"""AIConfigurator 0.12, whole process, measured earlier on a two-core machine of the same kind.

The notes of that day do not say whether these are CPU or wall seconds: the table divides by both of ours.
"""
MISSPELT = "hardware: {accelerator: h100-sxm, gpus_per_nod: 8, gpus: 8}\nmodel: llama-3.1-70b\n"


@dataclass(frozen=True)
class Case:
    """A command line, what it may take, and the question of the peer that it answers."""

    name: str
    target_s: float | None = None
    peer: str | None = None


SOLVED = (
    Case("llama-3.1-70b-h100-8", peer="dense"),
    Case("gpt-oss-120b-h100-8"),
    Case("deepseek-v3-h200-32", peer="deepseek-v3"),
    Case("qwen3-235b-h200-64", target_s=1.5, peer="qwen3-235b"),
    Case("deepseek-v3-h100-128", peer="deepseek-v3"),
    Case("deepseek-v3-h200-1024", target_s=5, peer="deepseek-v3"),
)
EXPLAINED = (
    Case("qwen3-235b-h200-64-impossible", target_s=3),
    Case("source-document-64-declared", target_s=3),
    Case("deepseek-v3-h200-1024-impossible", target_s=10),
)
CASES = (Case("--help", target_s=0.3), Case("bad input", target_s=0.3), *SOLVED, *EXPLAINED)


def commands(folder: Path) -> dict[str, Command]:
    """The command of every case; `folder` takes what they read and write."""
    misspelt = folder / "misspelt.yaml"
    misspelt.write_text(MISSPELT, encoding="utf-8")
    given = {
        "--help": Command(["--help"]),
        "bad input": Command(["solve", str(misspelt), "--save", str(folder)], exit_codes=(1,)),
    }
    for case in SOLVED:
        scenario = SCENARIOS / f"{case.name}.yaml"
        given[case.name] = Command(["solve", str(scenario), "--save", str(folder / case.name)])
    for case in EXPLAINED:
        scenario = SCENARIOS / f"{case.name}.yaml"
        given[case.name] = Command(["explain", str(scenario), "--save", str(folder / case.name)], exit_codes=(3,))
    return given


def report(costs: dict[str, list[Cost]]) -> str:
    """The table, then the worst memory and the worst ratio of all cases."""
    rows, ratios, peaks = [], [], []
    for case in CASES:
        runs = costs[case.name]
        cpu = Spread.of([run.cpu_s for run in runs])
        wall = Spread.of([run.wall_s for run in runs]).middle
        peaks.append(max(run.peak_mb for run in runs))
        target = "" if case.target_s is None else f"≤ {case.target_s:g}"
        by_cpu = by_wall = ""
        if case.peer:
            fastest = PEER_SECONDS[case.peer][0]
            ratios.append(fastest / cpu.middle)
            by_cpu, by_wall = f"{fastest / cpu.middle:.0f}×", f"{fastest / wall:.0f}×"
        seconds = (f"{cpu.middle:.2f}", f"{cpu.low:.2f}", f"{cpu.high:.2f}", f"{wall:.2f}")
        rows.append((case.name, target, *seconds, f"{peaks[-1]:.0f}", by_cpu, by_wall))
    header = "case", "target, CPU s", "median", "min", "max", "wall s", "peak MB"
    peak = f"Largest peak: {max(peaks):.0f} MB (target ≤ {PEAK_TARGET_MB} MB)."
    ratio = f"Smallest ratio to the peer, by CPU: {min(ratios):.1f}× (target ≥ {PEER_TARGET}×)."
    costs_table = table((*header, "peer ÷ CPU", "peer ÷ wall"), rows)
    return f"{costs_table}\n\n{peak} {ratio}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each case, after one warm-up")
    parser.add_argument("--json", action="store_true", help="print every measurement instead of the table")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(commands(Path(folder)), options.runs)
    say(versions())
    if options.json:
        print(json.dumps({name: [asdict(cost) for cost in runs] for name, runs in costs.items()}, indent=2))
    else:
        print(report(costs))


if __name__ == "__main__":
    main()
