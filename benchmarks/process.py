"""Commands of `shardwise` in, the CPU seconds, wall seconds and peak memory of their whole processes out."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

PACKAGES = ("shardwise", "ortools", "numpy", "pydantic", "typer")


@dataclass(frozen=True)
class Command:
    """Arguments of `shardwise` and the exit code that they must give."""

    arguments: Sequence[str]
    exit_codes: Sequence[int] = (0,)


@dataclass(frozen=True)
class Cost:
    """What one process took. `cpu_s` is user and system time of all its threads."""

    cpu_s: float
    wall_s: float
    peak_mb: float


@dataclass(frozen=True)
class Spread:
    """The smallest, middle and largest of several measurements."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(min(values), median(values), max(values))


def measure(commands: Mapping[str, Command], runs: int, *, warm_up: bool = True) -> dict[str, list[Cost]]:
    """Run every command once to warm up, unless told otherwise, then `runs` times.

    The commands take turns, so that a busy minute of a shared machine touches all of them. Bytecode is kept
    in a folder of its own, filled by the warm-up: an installed package has it, a fresh checkout does not.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(0 if warm_up else 1, runs + 1):
            for name, command in commands.items():
                cost = _run(command, environment)
                say(f"{name}: {cost.cpu_s:.2f} s of CPU ({f'run {turn} of {runs}' if turn else 'warm-up'})")
                if turn:
                    costs[name].append(cost)
    return costs


def _run(command: Command, environment: Mapping[str, str]) -> Cost:
    """One process. Its peak is never below that of this parent: the kernel counts the moment before exec."""
    script = Path(sys.executable).with_name("shardwise")
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [script, *command.arguments], stdout=subprocess.DEVNULL, stderr=errors, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in command.exit_codes:
            errors.seek(0)
            text = errors.read().decode(errors="replace")
            raise SystemExit(f"shardwise {' '.join(command.arguments)}: exit {process.returncode}\n{text}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * unit / 1e6)


def versions() -> str:
    """What was measured with, in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {packages}; {os.cpu_count()} CPUs"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    marks = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, marks, *rows])


def say(text: str) -> None:
    """Progress for a person, apart from the results."""
    print(text, file=sys.stderr)
