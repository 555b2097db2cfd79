"""What `calibrate` says and does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ...models import InputError
from ...models.errors import Place
from ...models.measurement import Measurement
from ...models.plan import Plan
from ..calibration.errors import Errors
from .output import say


def calibrate_and_save(files: Sequence[Path], plan: Path | None, engine: str | None, gpu: str | None, out: Path) -> int:
    """Fit, write the knowledge file, print a JSON object. Returns the exit code."""
    try:
        import scipy  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        raise InputError(
            "`calibrate` needs scipy, which is missing", help="pip install 'shardwise[calibrate]'"
        ) from None
    from ..calibration.fit import fit
    from ..calibration.knowledge import errors_of, written
    from ..calibration.problem import Problem
    from ..writing.files import write_text

    _may_write(out)
    measurements, skipped = _read(files, plan)
    if not measurements:
        raise InputError(
            f"no row can be compared ({_most(skipped)})" if skipped else "there are no measurements",
            help="docs/calibration.md lists the metrics and loads",
        )
    chosen = _one_kind(measurements, engine, gpu)
    problem = Problem(chosen)
    for reason, count in skipped.items():
        problem.skipped[reason] = problem.skipped.get(reason, 0) + count
    say(f"  operator times: {problem.operators}")
    say(f"… fitting {len(problem.rows)} figures of {len(problem.cases)} setups")
    found = fit(problem)
    source = ", ".join(file.name for file in files)
    path = write_text(out, written(found, out.stem, source, problem.skipped))
    stages = {"before": found.before, "after": found.after, "held_out": found.held_out}
    errors = {
        quantity: {name: errors_of(found, residuals, quantity) for name, residuals in stages.items()}
        for quantity in ("ttft", "tpot", "throughput")
    }
    for quantity, of in errors.items():
        if of["after"].n:
            say(f"  {quantity}: {_words(of)}")
    worse = [quantity for quantity, of in errors.items() if _worse_elsewhere(of)]
    for (group, name), value in found.values.items():
        say(f"  {group}.{name}: {found.start[group, name]:.4g} → {value:.4g}, ± {found.spread[group, name]:.0%}")
    if found.left_alone:
        say(f"  left as they are, the figures do not tell them: {', '.join(name for _, name in found.left_alone)}")
    if problem.skipped:
        say(f"  left out: {sum(problem.skipped.values())} rows ({_most(problem.skipped)})")
    if worse:
        say(
            f"warning: on groups left out {' and '.join(worse)} is no better than before the fit: these constants may "
            "be right for what was measured and for nothing else"
        )
    say(f"  knowledge: {path}")
    print(
        json.dumps(
            {
                "status": "fitted",
                "knowledge": str(path),
                "constants": {f"{group}.{name}": value for (group, name), value in found.values.items()},
                "left_alone": {f"{group}.{name}": why for (group, name), why in found.left_alone.items()},
                "errors": {q: {name: asdict(e) for name, e in of.items()} for q, of in errors.items() if of["after"].n},
                "no_better_elsewhere": worse,
                "skipped": problem.skipped,
            },
            ensure_ascii=False,
        )
    )
    return 0


def _may_write(out: Path) -> None:
    """Before the work: a knowledge file, in a folder that is there, in place of nothing but an earlier one."""
    from ..calibration.knowledge import SIGNATURE

    if out.suffix.lower() not in (".yaml", ".yml"):
        raise InputError("a knowledge file is written as .yaml", place=Place(out), help="--out my-cluster.yaml")
    if out.is_dir() or not out.parent.is_dir():
        raise InputError("there is no such folder" if not out.is_dir() else "this is a folder", place=Place(out))
    if out.exists() and not out.read_bytes().startswith(SIGNATURE.encode()):
        help = "name a new file, or one that `calibrate` wrote"
        raise InputError("this file is not overwritten: `calibrate` did not write it", place=Place(out), help=help)


def _most(skipped: dict[str, int]) -> str:
    """The reasons that speak of most rows."""
    order = sorted(skipped.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{reason}: {count}" for reason, count in order[:4])
    return shown + (f", {len(order) - 4} reasons more" if len(order) > 4 else "")


def _worse_elsewhere(of: dict[str, Errors]) -> bool:
    """Whether the constants make matters worse for what they were not fitted to."""
    return bool(of["after"].n) and (of["held_out"].median or 0.0) > (of["before"].median or 0.0)


def _words(of: dict[str, Errors]) -> str:
    before, after, held_out = (of[name].median or 0.0 for name in ("before", "after", "held_out"))
    return (
        f"median error {before:.1%} before, {after:.1%} fitted, {held_out:.1%} on groups left out "
        f"({of['after'].n} figures)"
    )


def _read(files: Sequence[Path], plan: Path | None) -> tuple[list[Measurement], dict[str, int]]:
    """The measurements of all files, and rows left out by reason."""
    from ...models.reading.bench_results import read_results
    from ...models.reading.measurements import read_measurements
    from ...models.reading.plan_json import read_plan

    found: list[Measurement] = []
    skipped: dict[str, int] = {}
    launched = None if plan is None else read_plan(plan)
    if launched is not None and not isinstance(launched, Plan):
        raise InputError("a deployment of pools has no one layout", help="name the plan.json of one strategy")
    for file in files:
        if file.suffix.lower() == ".csv":
            table = read_measurements(file)
            found += table.rows
            for reason, count in table.left_out.items():
                skipped[reason] = skipped.get(reason, 0) + count
        elif launched is None:
            raise InputError(
                f"{file.name} does not tell hardware and layout",
                help="name the plan that ran: --plan plan.json (or write the figures into a .csv, docs/calibration.md)",
            )
        else:
            found += read_results(file, launched)
    return found, skipped


def _one_kind(measurements: list[Measurement], engine: str | None, gpu: str | None) -> list[Measurement]:
    """Those of one engine: its start-up and its host's work are its own. Raises InputError where there are several."""
    kept = [one for one in measurements if gpu is None or one.setup.accelerator.lower() == gpu.lower()]
    if gpu is not None and not kept:
        there = ", ".join(sorted({one.setup.accelerator for one in measurements}))
        raise InputError(f"no measurement is of GPU '{gpu[:40]}'", help=f"there are: {there}")
    engines = sorted({one.setup.engine or "another" for one in kept})
    if engine is None and len(engines) > 1:
        raise InputError(
            f"the measurements are of several engines ({', '.join(engines)}), each with a host of its own",
            help=f"fit them one after the other: --engine {engines[0]}",
        )
    chosen = [one for one in kept if engine is None or (one.setup.engine or "another") == engine]
    if not chosen:
        raise InputError(
            f"no measurement is of engine '{(engine or '')[:40]}'", help=f"there are: {', '.join(engines)}"
        )
    return chosen
