"""How the cost of an answer grows with the GPUs: `python -m benchmarks.growth [--out docs/growth.png]`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .process import Command, Cost, Spread, measure, say, table, versions

MODELS = {"deepseek-v3": "DeepSeek-V3", "qwen3-235b-a22b": "Qwen3-235B", "llama-3.1-70b": "Llama-3.1-70B"}
GPUS = tuple(2**k for k in range(3, 13))
"""8 to 4,096."""
SCENARIO = """\
hardware: {{accelerator: h200-sxm, gpus: {gpus}}}
model: {model}
workload: {{concurrency: {concurrency}, input_tokens: 2000, output_tokens: 1000}}
requirements: {{ttft: 20 s, tpot: 200 ms}}
objective: [throughput, latency]
"""
CONCURRENCY_PER_GPU = 32
# Okabe and Ito's colours, told apart by every kind of colour vision; markers and line styles serve in grey.
LOOKS = (
    {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    {"color": "#D55E00", "marker": "s", "linestyle": "--", "markerfacecolor": "white"},
    {"color": "#000000", "marker": "^", "linestyle": ":"},
)


@dataclass(frozen=True)
class Point:
    """One model on one number of GPUs: sizes of the search, and the cost of the whole process."""

    model: str
    gpus: int
    status: str
    strategies: int
    candidates: int
    rows: int
    cpu_s: Spread
    peak_mb: float


def points(models: Sequence[str], gpus: Sequence[int], runs: int) -> list[Point]:
    """Measure every model on every number of GPUs, in the order given."""
    with tempfile.TemporaryDirectory() as name:
        folder, commands = Path(name), {}
        cases = {f"{model}-{count}": (model, count) for model in models for count in gpus}
        for case, (model, count) in cases.items():
            path = folder / f"{case}.yaml"
            path.write_text(SCENARIO.format(model=model, gpus=count, concurrency=count * CONCURRENCY_PER_GPU))
            commands[case] = Command(["solve", str(path), "--save", str(folder / case)], exit_codes=(0, 3))
        costs = measure(commands, runs)
        return [_point(model, count, folder / case, costs[case]) for case, (model, count) in cases.items()]


def _point(model: str, gpus: int, folder: Path, costs: Sequence[Cost]) -> Point:
    proof: Mapping[str, int | str] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["proof"]
    strategies, candidates, rows = (int(proof[name]) for name in ("strategies", "candidates", "rows"))
    cpu = Spread.of([cost.cpu_s for cost in costs])
    peak = max(cost.peak_mb for cost in costs)
    return Point(model, gpus, str(proof["status"]), strategies, candidates, rows, cpu, peak)


def report(measured: Sequence[Point]) -> str:
    """The Markdown table."""
    names = "model", "GPUs", "strategies", "candidates", "rows", "CPU s, median", "min", "max"
    rows = []
    for point in measured:
        sizes = (f"{size:,}" for size in (point.gpus, point.strategies, point.candidates, point.rows))
        seconds = (f"{value:.2f}" for value in (point.cpu_s.middle, point.cpu_s.low, point.cpu_s.high))
        rows.append((MODELS[point.model], *sizes, *seconds, f"{point.peak_mb:.0f}", point.status))
    return table((*names, "peak MB", "status"), rows)


def draw(measured: Sequence[Point], path: Path) -> None:
    """Two log-log panels over the GPUs: CPU seconds, candidates. Only proved optima are drawn."""
    import matplotlib  # here, because a large parent would show in the peak memory of every child

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullLocator

    pyplot.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for model, own in zip(dict.fromkeys(p.model for p in measured), LOOKS, strict=False):
        solved = [p for p in measured if p.model == model and p.status == "optimal"]
        gpus = [p.gpus for p in solved]
        look: dict[str, Any] = {**own, "linewidth": 1.8, "markersize": 7, "markeredgewidth": 1.6}
        spread = [
            [p.cpu_s.middle - p.cpu_s.low for p in solved],
            [p.cpu_s.high - p.cpu_s.middle for p in solved],
        ]
        panels[0].errorbar(gpus, [p.cpu_s.middle for p in solved], spread, capsize=2.5, elinewidth=1, **look)
        panels[1].plot(gpus, [p.candidates for p in solved], label=MODELS[model], **look)
    panels[0].set(title="Whole process (median; bars: min to max)", ylabel="CPU time (s)")
    panels[1].set(title="Search (all bounded, the best priced exactly)", ylabel="Candidates")
    plain = FuncFormatter(lambda value, _: f"{value:,g}" if value < 1e6 else f"{value / 1e6:,g} million")
    counts = sorted({p.gpus for p in measured})
    for panel in panels:
        panel.set(xscale="log", yscale="log", xlabel="H200 GPUs")
        panel.set_xticks(counts, [f"{count:,}" for count in counts], rotation=45)
        panel.xaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter(plain)
        panel.grid(which="major", color="0.88", linewidth=0.8)
        panel.set_axisbelow(True)
    panels[0].set_yticks([0.5, 1, 2, 5, 10])
    panels[0].yaxis.set_minor_locator(NullLocator())
    figure.legend(loc="outside lower center", ncols=len(MODELS), frameon=False)
    figure.savefig(path, dpi=150)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each case, after one warm-up")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--gpus", nargs="+", type=int, default=GPUS, metavar="GPUS")
    parser.add_argument("--out", type=Path, help="where to draw the plot (PNG); needs matplotlib")
    options = parser.parse_args(arguments)
    measured = points(options.models, options.gpus, options.runs)
    say(versions())
    print(report(measured))
    if options.out:
        draw(measured, options.out)


if __name__ == "__main__":
    main()
