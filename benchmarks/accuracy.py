"""Predictions beside a file of measurements: `python -m benchmarks.accuracy FILE [--json] [--plot PNG]`.

It runs from the root of the repository, where the folder benchmarks/ lies.
docs/accuracy.md tells the protocol. Shares are fractions: 0.12 is 12 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import yaml
from shardwise.models import InputError
from shardwise.models.measurement import Measurement, Setup
from shardwise.models.operator_times import Source
from shardwise.models.reading.measurements import read_measurements
from shardwise.models.silicon_folder import tables_folder, tables_name
from shardwise.solver.calibration.compare import Comparison, compare
from shardwise.solver.calibration.errors import Compared, Errors, ranking

from .process import table, versions

QUANTITIES = ("ttft", "tpot", "throughput")
REAL_LENGTHS = {"SIL": 0.9}
"""Sources that draw lengths between 0.8 and 1 of the nominal ones: mean over nominal."""
SMALLEST_GROUP = 4
"""Rows that a group needs for a line of its own."""
Breakdown = Callable[[Setup], str]
BREAKDOWNS: dict[str, Breakdown] = {
    "model": lambda setup: setup.model,
    "GPU": lambda setup: setup.accelerator,
    "model and GPU": lambda setup: f"{setup.model} on {setup.accelerator}",
    "engine": lambda setup: setup.engine or setup.framework or "(blank)",
    "load": lambda setup: setup.load,
    "degrees": lambda setup: (
        f"TP{setup.tensor} PP{setup.pipeline} DP{max(setup.data, setup.attention_data)} EP{setup.expert}"
    ),
    "pipeline": lambda setup: f"PP{setup.pipeline}",
}


def suspicious_rules() -> list[dict[str, Any]]:
    """The rules of suspicious.yaml."""
    rules: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "suspicious.yaml").read_text("utf-8"))
    return rules


def is_suspicious(setup: Setup, rules: Iterable[dict[str, Any]]) -> bool:
    """Whether a rule speaks of this setup."""
    return any(
        setup.framework.startswith(rule.get("framework", ""))
        and rule.get("model", setup.model) == setup.model
        and rule.get("gpu", setup.accelerator) == setup.accelerator
        and rule.get("concurrency", setup.amount) == setup.amount
        and setup.gpus <= rule.get("most_gpus", setup.gpus)
        for rule in rules
    )


def measured(path: Path) -> tuple[list[Measurement], list[Measurement], dict[str, int]]:
    """(rows to score, suspicious rows, rows left out by reason), with real lengths in place of nominal ones."""
    found, rules = read_measurements(path), suspicious_rules()
    sound: list[Measurement] = []
    doubtful: list[Measurement] = []
    for one in found.rows:
        (doubtful if is_suspicious(one.setup, rules) else sound).append(_with_real_lengths(one))
    return sound, doubtful, dict(found.left_out)


def _with_real_lengths(one: Measurement) -> Measurement:
    factor, setup = REAL_LENGTHS.get(one.source), one.setup
    if factor is None:
        return one
    lengths = {
        "input_tokens": max(1, round(factor * setup.input_tokens)),
        "output_tokens": max(min(2, setup.output_tokens), round(factor * setup.output_tokens)),
    }
    return replace(one, setup=replace(setup, **lengths))


def errors_of(rows: Iterable[Compared], quantity: str) -> Errors:
    """The errors of one quantity."""
    return Errors.of(row.error for row in rows if row.measured.quantity == quantity)


def as_json(scored: Comparison, doubtful: Comparison, left_out: dict[str, int]) -> dict[str, Any]:
    """The result for programs."""
    return {
        **{quantity: asdict(errors_of(scored.rows, quantity)) for quantity in QUANTITIES},
        "ranking": ranking(scored.rows).as_dict(),
        "skipped": {**left_out, **scored.skipped},
        "suspicious": {quantity: asdict(errors_of(doubtful.rows, quantity)) for quantity in QUANTITIES},
        "operators": dict(scored.operators),
        "unit": "fraction",
    }


def report(scored: Comparison, doubtful: Comparison, left_out: dict[str, int]) -> str:
    """The result for people."""
    parts = [operators_words(scored)]
    parts += [_line_table("All", {quantity: errors_of(scored.rows, quantity) for quantity in QUANTITIES})]
    for name, key in BREAKDOWNS.items():
        for quantity in QUANTITIES:
            groups: dict[str, list[Compared]] = defaultdict(list)
            for row in scored.rows:
                if row.measured.quantity == quantity:
                    groups[key(row.measured.setup)].append(row)
            lines = {
                label: errors_of(rows, quantity)
                for label, rows in sorted(groups.items())
                if len(rows) >= SMALLEST_GROUP
            }
            if len(lines) > 1:
                parts.append(_line_table(f"{quantity} by {name}", lines))
    order = ranking(scored.rows)
    if order.groups and order.top1 is not None and order.mean_regret is not None:
        said = f"in {order.top1:.0%} the best layout is chosen; mean regret {order.mean_regret:.1%}"
        parts.append(f"Ranking at equal concurrency per GPU: {order.groups} groups, {said}.")
    parts.append(
        _line_table("Suspicious rows", {quantity: errors_of(doubtful.rows, quantity) for quantity in QUANTITIES})
    )
    reasons = {**left_out, **scored.skipped}
    rows = [(reason, str(count)) for reason, count in sorted(reasons.items(), key=lambda item: -item[1])]
    parts.append("Skipped\n\n" + table(("reason", "rows"), rows) if rows else "Nothing was skipped.")
    return "\n\n".join(parts)


def operators_words(scored: Comparison) -> str:
    """Which times of operators the predictions rest on."""
    names = {"datasheet": lambda: "the cards' data sheets", "measured": lambda: f"measured tables ({tables_name()})"}
    parts = [f"{names[source]()}, {count:,} rows" for source, count in scored.operators.most_common()]
    return f"Operator times: {'; '.join(parts) or 'of no row'}."


def _must_be_here(operators: Source | None, plot: bool) -> None:
    """What takes packages is refused before anything is computed. Raises InputError."""
    if plot and find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib", help="pip install 'shardwise[bench]', or leave --plot out")
    if operators == "measured":
        if find_spec("pyarrow") is None:
            raise InputError("measured operator times need pyarrow", help="pip install 'shardwise[silicon]'")
        tables_folder()


def _line_table(title: str, lines: dict[str, Errors]) -> str:
    rows = []
    for label, errors in lines.items():
        shares = (errors.median, errors.mean, errors.bias, errors.within_20)
        rows.append((label, str(errors.n), *("" if share is None else f"{share:.1%}" for share in shares)))
    return f"{title}\n\n" + table(("", "rows", "median", "mean", "bias", "within 20 %"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("file", type=Path, help="measurements, a .csv with the columns of docs/calibration.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", type=Path, help="also draw predicted against measured, a PNG (needs matplotlib)")
    parser.add_argument(
        "--operators", choices=get_args(Source), help="times of operators; absent: tables where they are"
    )
    options = parser.parse_args(arguments)
    try:
        _must_be_here(options.operators, options.plot is not None)
        sound, doubtful, left_out = measured(options.file)
    except InputError as error:
        sys.exit(str(error))
    scored, apart = (compare(rows, operators=options.operators) for rows in (sound, doubtful))
    if options.plot is not None:
        from .accuracy_plot import draw

        draw(scored.rows, options.plot)
    if options.json:
        print(json.dumps(as_json(scored, apart, left_out), indent=2))
    else:
        print(f"{versions()}\n\n{report(scored, apart, left_out)}")


if __name__ == "__main__":
    main()
