"""Residuals of benchmarks.accuracy as a picture: predicted against measured, and what remains per model and card."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from shardwise.solver.calibration.errors import Compared

PANELS = (("tpot", 1e3, "TPOT, ms"), ("ttft", 1e3, "TTFT, ms"), ("throughput", 1.0, "tokens/s"))
COLOURS = {"vllm": "#1f77b4", "sglang": "#2ca02c", "trtllm": "#d62728"}


def draw(rows: Sequence[Compared], path: Path) -> None:
    """Write a PNG. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(13, 11))
    for axis, (quantity, factor, label) in zip(axes.flat, PANELS, strict=False):
        for engine, colour in COLOURS.items():
            some = [r for r in rows if r.measured.quantity == quantity and r.measured.setup.engine == engine]
            if some:
                measured = [r.measured.value * factor for r in some]
                axis.scatter(measured, [r.predicted * factor for r in some], s=9, c=colour, alpha=0.5, label=engine)
        ends = axis.get_xlim()
        for share, style in ((1.0, "-"), (1.2, ":"), (1 / 1.2, ":")):
            axis.plot(ends, [end * share for end in ends], style, c="grey", lw=0.8)
        axis.set(xscale="log", yscale="log", xlabel=f"measured {label}", ylabel=f"predicted {label}")
        axis.legend(loc="upper left", frameon=False)
    _by_cell(axes.flat[3], rows)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _by_cell(axis: object, rows: Sequence[Compared]) -> None:
    """The error of TPOT per model, card and framework version: each cell has an offset of its own."""
    cells: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.measured.quantity == "tpot":
            setup = row.measured.setup
            cells[f"{setup.model} {setup.accelerator} {setup.framework}"].append(row.error)
    shown = sorted(
        (label for label, errors in cells.items() if len(errors) >= 8),
        key=lambda one: sum(cells[one]) / len(cells[one]),
    )
    axis.boxplot([cells[label] for label in shown], orientation="horizontal", showfliers=False)  # type: ignore[attr-defined]
    axis.set_yticks(range(1, len(shown) + 1), [label[:46] for label in shown], fontsize=6.5)  # type: ignore[attr-defined]
    axis.axvline(0, c="grey", lw=0.8)  # type: ignore[attr-defined]
    axis.set(xlabel="TPOT, predicted / measured − 1", xlim=(-0.7, 0.7))  # type: ignore[attr-defined]
