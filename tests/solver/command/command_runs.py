"""Runs whole commands, as a person would."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
SNAPSHOTS = Path(__file__).parent / "snapshots"
COMMAND = [sys.executable, "-c", "from shardwise.solver.command import main; main()"]


@dataclass
class Result:
    code: int
    out: str
    err: str


def shardwise(*arguments: str, cwd: Path) -> Result:
    done = subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120)
    return Result(done.returncode, done.stdout, done.stderr)


def assert_snapshot(name: str, result: Result) -> None:
    """Compare with the stored run; SNAPSHOT=write stores it anew (then read the difference)."""
    text = f"exit {result.code}\n--- stdout\n{result.out}--- stderr\n{result.err}"
    text = re.sub(r"proof in [0-9.]+ s", "proof in _ s", text)
    text = re.sub(r"(\d\.\d{6})\d+", r"\1", text)  # the last digits differ between machines
    file = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("SNAPSHOT") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
