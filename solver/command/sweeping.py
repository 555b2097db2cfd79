"""What `sweep` says and does."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ...models import InputError, Plan
from ...models.deployment import DeploymentPlan
from ...models.errors import Place
from ..report.data import flips_words
from ..sweep import export
from ..sweep.local import run_locally
from ..sweep.points import Point
from ..sweep.row import FAILED, Row
from ..sweep.run import Count, run
from ..sweep.store import FILE, Store
from ..sweep.sweep_file import read_sweep
from ..writing.files import save_folder
from .output import say, stop_on_signals

STOPPED, SOME_FAILED = 4, 6
PATIENCE = 10.0
"""Seconds between two lines on the progress in a log."""


def sweep_and_save(
    file: Path, vary: Sequence[str], knowledge: Sequence[Path], save: Path | None, *, workers: int | None,
    time_limit: float | None, retry_failed: bool, exported: str | None, engine: str, address: str | None,
) -> int:  # fmt: skip
    """Compute what is missing, print a JSON object or the export. Returns the exit code."""
    if engine not in ("local", "ray"):
        raise InputError(f"unknown engine '{engine[:20]}'", help="there are: local, ray")
    kind = None if exported is None else export.checked(exported)
    sweep, named = read_sweep(file, vary, knowledge)
    folder, stop = save_folder(save or named or Path("runs") / file.stem), stop_on_signals()
    count = workers or max(1, os.cpu_count() or 1)

    def runner(points: Iterable[Point]) -> Iterator[Row]:
        if engine == "ray":
            from ..sweep.on_ray import run_on_ray

            return run_on_ray(sweep.base, points, address, time_limit, stop)
        return run_locally(sweep.base, points, count, time_limit, stop)

    with Store(folder, writes=True) as store, _Bar(len(sweep)) as bar:
        done = run(sweep, store, runner, bar, stop, retry_failed=retry_failed, time_limit=time_limit)
        bar.close()
        _tell(done, folder, flips_words(store.all()) if not done.left else ())
        if kind is not None and done.prepared == done.total:  # else the store still shows the sweep before
            _export(store, kind, folder)
        else:
            print(json.dumps(_summary(done, folder)))
    if done.left:
        return STOPPED
    return SOME_FAILED if done.by_status[FAILED] else 0


def _summary(done: Count, folder: Path) -> dict[str, object]:
    status = "stopped" if done.left else "done"
    found = {"status": status, "scenarios": done.total, "stored": done.stored, "computed": done.computed}
    return {**found, **dict(done.by_status), "store": str(folder)}


def _tell(done: Count, folder: Path, flips: Iterable[str]) -> None:
    if done.prepared < done.total:
        say(f"stopped after looking at {done.prepared:,} of {done.total:,} scenarios, before any was computed")
        say("  the same command goes on")
        return
    counts = ", ".join(f"{number:,} {status}" for status, number in done.by_status.most_common())
    same = f", {done.same:,} the same as one of these" if done.same else ""
    say(f"{done.total:,} scenarios: {done.stored:,} were in the store, {done.computed:,} computed{same}")
    say(f"  {counts or 'no results'}")
    for line in flips:
        say(f"  {line}")
    if done.left:
        say(f"  stopped with {done.left:,} left; the same command goes on")
    if done.by_status["unknown"]:
        say(f"  {done.by_status['unknown']:,} have no answer yet; a longer --time-limit, or none, computes them again")
    if done.by_status["feasible"]:
        say(f"  {done.by_status['feasible']:,} have a plan without a proof; a longer --time-limit, or none, proves it")
    if done.by_status[FAILED]:
        say("  failed scenarios have a reason in the export; --retry-failed tries them again")
    say(f"  store: {folder}")


def _export(store: Store, kind: str, folder: Path) -> None:
    if kind == "parquet":
        say(f"  export: {export.write_parquet(store, folder / 'sweep.parquet')}")
    else:
        sys.stdout.write(export.as_csv(store) if kind == "csv" else export.as_json(store))


class _Bar:
    """A progress bar with rate, time left and counts; in a log a plain line every ten seconds."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm  # type: ignore[import-untyped]

        self._bar = tqdm(total=total, unit="scenario", file=sys.stderr, disable=not sys.stderr.isatty(), smoothing=0.05)
        self._at, self._said = 0, time.monotonic()

    def __call__(self, count: Count) -> None:
        if self._bar.disable:
            self._say(count)
            return
        if count.prepared < count.total:
            self._bar.set_postfix_str(f"preparing {count.prepared:,}")
            return
        done = count.stored + count.computed + count.same
        if not self._at and count.stored:
            self._bar.initial = count.stored
        self._bar.total = count.total
        self._bar.update(done - self._at)
        self._at = done
        self._bar.set_postfix(dict(count.by_status), refresh=False)

    def _say(self, count: Count) -> None:
        if (now := time.monotonic()) - self._said < PATIENCE:
            return
        self._said = now
        if count.prepared < count.total:
            say(f"… preparing: {count.prepared:,} of {count.total:,} scenarios")
            return
        told = ", ".join(f"{number:,} {status}" for status, number in count.by_status.most_common())
        say(f"… {count.total - count.left:,} of {count.total:,} scenarios{f' ({told})' if told else ''}")

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal to what comes next."""
        self._bar.close()


def report_and_save(folder: Path, out: Path | None) -> int:
    """Build the report of a stored sweep."""
    from ..report.build import report
    from ..writing.files import write_text

    with Store(folder, writes=False) as store:
        total = store.points()
        rows = list(store.all(answers=True))
    counts = ", ".join(f"{number:,} {status}" for status, number in Counter(row.status for row in rows).most_common())
    page = report(rows, f"Sweep {folder.name}", f"{len(rows):,} of {total:,} scenarios computed: {counts}")
    for line in flips_words(rows):
        say(line)
    path = write_text(out or folder / "report.html", page)
    say(f"report: {path} ({len(page) / 1e6:.1f} MB)")
    print(json.dumps({"status": "written", "report": str(path), "scenarios": len(rows)}))
    return 0


def page_of_plan(plan: Plan | DeploymentPlan, folder: Path) -> None:
    """The same page for a single plan."""
    from ..report.build import report
    from ..report.data import row_of_plan
    from ..writing.files import write_text

    page = report([row_of_plan(plan)], f"Plan: {plan.scenario.name}", "one scenario; its strategy leads to the picture")
    say(f"  page: {write_text(folder / 'report.html', page)}")


def compare_and_show(first: Path, second: Path) -> int:
    """Print what changed."""
    from ...models.reading.plan_json import read_plan
    from ..report.compare import compare_plans, compare_sweeps

    one, two = _plan_in(first), _plan_in(second)
    if one is not None and two is not None:
        print(compare_plans(read_plan(one), read_plan(two)))
        return 0
    if one is not None or two is not None:
        raise InputError("a plan and a sweep cannot be compared", help="name two plans or two folders of sweeps")
    with Store(first, writes=False) as before, Store(second, writes=False) as after:
        print(compare_sweeps(before.all(answers=True), after.all(answers=True)))
    return 0


def _plan_in(path: Path) -> Path | None:
    """The plan that a path names: a file, or the folder in which `solve` saved one; None for the folder of a sweep."""
    if not path.is_dir():
        return path
    plan = path / "plan.json"
    if (path / FILE).is_file():
        return None
    if plan.is_file():
        return plan
    raise InputError(
        "neither a plan nor a sweep is stored here",
        place=Place(path),
        help="name a plan.json, the folder of a `solve --save`, or the folder of a `sweep --save`",
    )
