"""A fit as a knowledge file: the constants, the bands of what remains, and where all of it comes from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import date

import numpy as np

from ...models.constants import Efficiency
from .errors import Errors
from .fit import Fitted
from .problem import Name, Vector

_QUANTITIES = ("ttft", "tpot", "throughput")
_SHARES = set(Efficiency.model_fields)
_COUNTS = {"wait_steps", "pace"}
_SPREADS = {"mfu": ("expert_mfu", "attention_mfu"), "bandwidth": ("expert_bandwidth", "kv_bandwidth")}
"""Shares that, stated alone, speak for others too (Efficiency): these are then written as well, as they were."""
SIGNATURE = "# Constants of the cost model, fitted by `shardwise calibrate`"
"""How a file that `calibrate` wrote begins."""
FEWEST_FOR_A_BAND = 8
"""Measurements of a quantity below which the packaged band stays."""


def quantile_band(residuals: Vector) -> tuple[float, float]:
    """Measured over predicted, 10 % and 90 %; never narrower than to either side of the prediction."""
    low, high = np.quantile(-residuals, [0.1, 0.9])
    return round(float(np.exp(min(low, 0.0))), 3), round(float(np.exp(max(high, 0.0))), 3)


def residuals_of(found: Fitted, residuals: Vector, quantity: str) -> Vector:
    """Those of one quantity."""
    chosen: Vector = residuals[np.array([row.quantity == quantity for row in found.rows], dtype=bool)]
    return chosen


def errors_of(found: Fitted, residuals: Vector, quantity: str) -> Errors:
    """Relative errors of one quantity."""
    return Errors.of(np.exp(residuals_of(found, residuals, quantity)) - 1)


def written(found: Fitted, name: str, source: str, skipped: dict[str, int]) -> str:
    """The text of the file."""
    setups = {row.setup for row in found.rows}
    cards, engines = (
        sorted({key for key in keys if key})
        for keys in zip(*((s.accelerator, s.engine or "") for s in setups), strict=True)
    )
    lines = [
        f"{SIGNATURE} on {date.today():%Y-%m-%d} to {_plain(source)}:",
        f"# {len(found.rows)} figures of {len(setups)} setups, {_listed(engines)} on {_listed(cards)}.",
        "# Lay it under a scenario: shardwise solve SCENARIO --knowledge THIS_FILE",
        f"name: {_text(name)}",
        f"operator_times: {found.operators}  # the constants were fitted beside these",
    ]
    for group in ("efficiency", "latencies"):
        values = {key: value for key, value in found.values.items() if key[0] == group}
        if values:
            lines.append(f"{group}:")
            lines += [f"  {key[1]}: {_shown(key, value)}  # ± {found.spread[key]:.0%}" for key, value in values.items()]
        if group == "efficiency":
            lines += [f"  {name}: {found.start[group, name]:.4g}  # as it was" for name in _spoken_for(found)]
    lines += _bands(found, source)
    lines += _calibration(found, setups=len(setups), groups=found.groups, skipped=skipped)
    return "\n".join(lines) + "\n"


def _spoken_for(found: Fitted) -> list[str]:
    names = [other for name, others in _SPREADS.items() if ("efficiency", name) in found.values for other in others]
    return [name for name in names if ("efficiency", name) not in found.values]


def _text(words: str) -> str:
    """A YAML scalar, whatever stands in it: names come from people's files."""
    return json.dumps(words, ensure_ascii=True)


def _plain(words: str) -> str:
    """For a comment, on one line."""
    return words if words.isprintable() else ascii(words)


def _listed(names: Iterable[str]) -> str:
    return _plain(", ".join(names)) or "another engine"


def _shown(name: Name, value: float) -> str:
    if name[1] in _SHARES or name[1] in _COUNTS:
        return f"{value:.4g}"
    unit, size = ("us", 1e-6) if value < 1e-3 else ("ms", 1e-3)
    return f"{value / size:.4g} {unit}"


def _bands(found: Fitted, source: str) -> list[str]:
    told = {quantity: residuals_of(found, found.held_out, quantity) for quantity in _QUANTITIES}
    enough = {quantity: values for quantity, values in told.items() if len(values) >= FEWEST_FOR_A_BAND}
    if not enough:
        return []
    lines = ["bands:  # measured / predicted of eight in ten, cross-validated"]
    lines += [f"  {quantity}: [{low}, {high}]" for quantity, (low, high) in
              ((quantity, quantile_band(values)) for quantity, values in enough.items())]  # fmt: skip
    packaged = [quantity for quantity in _QUANTITIES if quantity not in enough]
    rest = f"; {' and '.join(packaged)}: packaged, too few figures" if packaged else ""
    return [*lines, f"  source: {_text(f'cross-validated fit to {source}{rest}')}"]


def _calibration(found: Fitted, *, setups: int, groups: int, skipped: dict[str, int]) -> list[str]:
    lines = ["calibration:", f"  figures: {len(found.rows)}", f"  setups: {setups}", f"  groups: {groups}", "  errors:"]
    for quantity in _QUANTITIES:
        stages = {"before": found.before, "after": found.after, "held_out": found.held_out}
        shown = {name: errors_of(found, residuals, quantity) for name, residuals in stages.items()}
        if shown["after"].n:
            medians = ", ".join(f"{name}: {errors.median:.3f}" for name, errors in shown.items())
            lines.append(f"    {quantity}: {{n: {shown['after'].n}, {medians}}}")
    if found.left_alone:
        lines.append("  left_alone:")
        lines += [f"    {group}.{name}: {_text(why)}" for (group, name), why in found.left_alone.items()]
    if skipped:
        lines.append("  skipped:")
        lines += [f"    {_text(reason)}: {count}" for reason, count in Counter(skipped).most_common()]
    return lines
