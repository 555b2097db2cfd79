"""What the commands say: JSON on stdout, words on stderr."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...models import Evaluation, Plan, Scenario, ScenarioFile, TableScenario
    from ...models.explanation import Explanation
    from ...models.requirements import Requirements
    from ...models.table_scenario import TableRequirements

EXIT_CODES = {"optimal": 0, "infeasible": 3, "feasible": 4, "unknown": 4}
DISAGREEMENT = 70


def say(text: str) -> None:
    """Words for people."""
    print(text, file=sys.stderr)


def say_tightened(limits: Requirements | TableRequirements) -> None:
    """What `--margin` did to the limits that are shown."""
    if limits.tightened_by:
        say(f"  limits tightened by {limits.tightened_by * 100:,.4g}% (--margin)")


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        """Only the event: an exception raised in the middle of an import would not arrive as one."""
        stop.set()
        signal.signal(number, signal.SIG_DFL)  # the second one ends the process

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop


def solve_and_save(file: ScenarioFile, folder: Path, time_limit: float | None, alternatives: int, pareto: bool) -> int:
    """Solve, write the files, print the JSON object. Returns the exit code."""
    scenario, stop = file.scenario, stop_on_signals()
    from ..errors import DisagreementError, StoppedError
    from ..frontier import frontier
    from ..solving import solve
    from ..watch import Watch
    from ..writing.pareto import save_frontier
    from ..writing.save import save_plan

    points: tuple[Plan, ...] = ()
    stopped = False
    watch = Watch(time_limit, stop)
    try:
        plan = solve(
            scenario,
            time_limit=time_limit,
            stop=stop,
            progress=_Progress(),
            alternatives=alternatives,
            conflicts=False,
        )
        if plan.status == "infeasible":
            from .explaining import explain_and_save

            return explain_and_save(file, folder, plan=plan, budget=watch.remaining(), stop=stop)
        if pareto and plan.status == "optimal":
            points = frontier(scenario, watch=watch)
    except StoppedError:
        say("stopped before the frontier was whole; the plan stands, the frontier was not written")
        stopped = True
    except DisagreementError as error:
        return disagreed(error)
    paths = save_plan(plan, folder)
    if points:
        paths |= save_frontier(points, folder)
        say(_frontier(points))
    show_plan(plan, paths)
    print(json.dumps(_summary(plan, paths), ensure_ascii=False))
    return EXIT_CODES["feasible"] if stopped else EXIT_CODES[plan.status]


def disagreed(error: Exception) -> int:
    """Two routes differ: nothing can be trusted."""
    say(f"error: {error}\nnothing was written; this is a bug, please report it with the scenario")
    return DISAGREEMENT


def _frontier(points: tuple[Plan, ...]) -> str:
    """The frontier's ends in a line."""
    from ...models.units import show_rate, show_seconds

    ends = []
    for plan in (points[0], points[-1]):
        assert plan.predictions is not None
        latency, rate = plan.predictions.request_latency_s, plan.predictions.tokens_per_s_per_gpu
        ends.append(f"{show_seconds(latency)} at {show_rate(rate)} per GPU on {plan.gpus_used} GPUs")
    return (
        f"frontier within all conditions, request latency against throughput per GPU: {len(points)} points, from "
        + (ends[0] if len(points) == 1 else " to ".join(ends))
    )


def progress() -> Callable[[str], None]:
    """Says what is being done."""
    return _Progress()


class _Progress:
    """Says what is being done once the work takes longer than a second; in a log, where it takes ten."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._patience = 1.0 if sys.stderr.isatty() else 10.0

    def __call__(self, text: str) -> None:
        if (took := time.monotonic() - self._started) > self._patience:
            say(f"… {text} (after {took:.0f} s)")


def _summary(plan: Plan, paths: dict[str, str]) -> dict[str, object]:
    summary: dict[str, object] = {"status": plan.status, **paths}
    if plan.predictions is not None:
        predicted = plan.predictions
        summary |= {
            "strategy": plan.engines[0].strategy.describe(),
            "engines": sum(entry.count for entry in plan.engines),
            "gpus_used": plan.gpus_used,
            "ttft_s": predicted.ttft_s,
            "tpot_s": predicted.tpot_s,
            "tokens_per_s_per_gpu": predicted.tokens_per_s_per_gpu,
        }
    return summary | verdict_depends_on(plan)


def verdict_depends_on(answer: Plan | Explanation) -> dict[str, object]:
    """The readings of the conditions under which the verdict is another."""
    turned = [reading.reading for reading in answer.readings if reading.changes == "verdict"]
    return {"verdict_depends_on": turned} if turned else {}


def show_plan(plan: Plan, paths: dict[str, str]) -> None:
    """The verdict, the warnings, the requirements, and where the rest is."""
    from ..figures import open_figures, tables_unused
    from ..readings import flips
    from ..writing.checks import check_lines
    from ..writing.plan_md import plain_headline
    from ..writing.results_md import band_words, measured_words

    if (flip := flips(plan)) is not None:
        say(f"warning: {flip}")
    if plan.status == "unknown":
        say("stopped before there was an answer; nothing was written")
        say("help: give more time, or bound the search with `strategy:` or fewer `hardware.gpus`")
    else:
        say(plain_headline(plan))
        say_tightened(plan.scenario.requirements)
        for line in check_lines(plan, ("requirements.", "memory.")):
            say(f"  {line}")
        if plan.uncertainty is not None:
            say(f"  {band_words(plan.uncertainty)}")
        for tables in (measured_words(plan.passes), tables_unused(plan.scenario)):
            if tables is not None:
                say(f"  {tables}")
        for other in plan.alternatives[:1]:
            close = "; inside the band, measure both" if other.inside_band else ""
            say(
                f"  next best with other degrees: {other.strategy.describe()} × {other.engines}: {other.why_not}{close}"
            )
        if plan.idle_reason:
            say(f"  {plan.idle_reason}")
        if (open_ := open_figures(plan.scenario)) and plan.engines[0].gpus_per_engine > 1:
            say(f"  note: assumed of the card, not known: {', '.join(open_)}")
        say(f"  {plan.proof.candidates:,} combinations, proof in {plan.proof.wall_s:.2f} s; {plan.proof.second_route}")
    for warning in plan.warnings:
        say(f"warning: {warning}")
    show_readings(plan)
    for kind, path in paths.items():
        say(f"  {kind}: {path}")


def show_readings(answer: Plan | Explanation) -> None:
    """What other readings of the conditions lead to."""
    from ..writing.readings_md import reading_text

    for reading in answer.readings:
        say(f"  with {reading.reading}: {reading_text(reading)}")


def show_evaluation(result: Evaluation) -> None:
    """The checks of one strategy, broken ones first."""
    from ...models.units import show_rate, show_seconds

    verdict = "keeps every condition" if result.ok else f"breaks {', '.join(result.broken)}"
    say(f"{result.strategy.describe()} × {result.engines} ({result.gpus_used} GPUs) {verdict}")
    if (predicted := result.predictions) is not None:
        tpot = f", TPOT {show_seconds(predicted.tpot_s)}" if predicted.tpot_s is not None else ""
        rate = show_rate(predicted.tokens_per_s_per_gpu)
        say(f"  TTFT {show_seconds(predicted.ttft_s)}{tpot}, {rate} per GPU")
    for check in sorted(result.checks, key=lambda check: check.ok):
        say(f"  {'ok  ' if check.ok else 'FAIL'} {check.name}: {check.predicted} ({check.required})")
    for warning in result.warnings:
        say(f"warning: {warning}")


def show_table(conditions: TableScenario) -> None:
    """What was understood of a scenario over an engine table; reads the table."""
    table, hardware = conditions.read_table(), conditions.hardware
    roles = ", ".join(f"{table.roles.count(role)} {role}" for role in dict.fromkeys(table.roles))
    say(f"{conditions.name}: {len(table):,} engines of {conditions.engines.table} ({roles})")
    counts = ", ".join(f"{gpus:,} {name or 'GPUs'}" for name, gpus in hardware.counts.items())
    say(f"  up to {counts}; modes {', '.join(conditions.modes)}; objective {', '.join(conditions.objectives)}")


def show_scenario(scenario: Scenario) -> None:
    """What was understood."""
    from ...models.counts import count_parameters
    from ...models.units import show_bytes, show_count

    h, w = scenario.hardware, scenario.workload
    load = f"concurrency {w.concurrency}" if w.concurrency else f"batch {w.batch}"
    if w.request_rate is not None:
        load = f"arrivals {w.request_rate if w.request_rate == 'max' else f'{w.request_rate:g} requests/s'}"
    cards = " and ".join(f"{stock.gpus} × {stock.accelerator.name}" for stock in h.stocks)
    say(f"{scenario.name}: {scenario.model.name} on up to {cards}")
    parameters, objective = show_count(count_parameters(scenario.model).total), ", ".join(scenario.objectives)
    say(f"  {parameters} parameters, {show_bytes(h.usable_memory)} usable per GPU")
    lengths = [f"{x.min:,} to {x.max:,}" if x.min < x.max else f"{x.max:,}" for x in (w.input_tokens, w.output_tokens)]
    say(f"  {load}, {lengths[0]} tokens in, {lengths[1]} out; objective {objective}")
