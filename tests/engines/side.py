"""One verdict per line: commands come in as JSON, each is checked in a process of its own, forked after the imports."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Ask = dict[str, Any]
"""command, environment, model_dir, gpu, gpus_per_node, deep."""
Answer = dict[str, Any]
Check = Callable[[Ask], Answer]
PACKAGES = "site-packages/"


class RejectedError(Exception):
    """The engine refuses a command."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(reason)
        self.stage, self.reason = stage, reason


def stage(name: str, action: Callable[[], Any]) -> Any:
    """What an action of the engine returns. Raises RejectedError if it fails."""
    try:
        return action()
    except (Exception, SystemExit) as error:
        if os.environ.get("TRACE"):
            traceback.print_exc()
        raise RejectedError(name, _reason(error)) from error


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())[:600]
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = last.filename.rpartition(PACKAGES)[2]
    return f"{type(error).__name__}: {text} [{where}:{last.lineno} {last.name}]"


def apart(action: Callable[[], Answer]) -> Answer:
    """What an action returns in a forked process: engines keep global state."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        _write(writes, _outcome(action))
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else {"verdict": "crash", "stage": "process", "reason": "the process died"}


def _outcome(action: Callable[[], Answer]) -> Answer:
    try:
        return {"verdict": "accept"} | action()
    except RejectedError as error:
        return {"verdict": "reject", "stage": error.stage, "reason": error.reason}
    except BaseException as error:
        traceback.print_exc()
        return {"verdict": "crash", "stage": "harness", "reason": _reason(error)}


def _write(pipe: int, answer: Answer) -> None:
    with os.fdopen(pipe, "wb") as out:
        out.write(json.dumps(answer, default=str).encode())


def rank_of(action: Callable[[], Answer]) -> Answer:
    """What one rank holds. Raises RejectedError where the engine cannot build it."""
    found = apart(action)
    if found.pop("verdict") != "accept":
        raise RejectedError(found["stage"], found["reason"])
    return found


def serve(check: Check) -> None:
    """Answer stdin. Whatever engines print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        if line.strip():
            ask = json.loads(line)
            print(json.dumps(apart(lambda ask=ask: _checked(check, ask))), file=answers, flush=True)


def _checked(check: Check, ask: Ask) -> Answer:
    os.environ.update(ask["environment"])
    return check(ask | {"model_dir": str(Path(ask["model_dir"]).resolve())})


def after(command: list[str], *starts: str) -> list[str]:
    """The options of a command. Raises RejectedError if it begins otherwise."""
    for start in starts:
        words = start.split()
        if command[: len(words)] == words:
            return command[len(words) :]
    raise RejectedError("parse", f"begins with none of {starts}")
