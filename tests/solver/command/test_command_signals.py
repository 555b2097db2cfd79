"""Ctrl-C and SIGTERM end a run cleanly whenever they come."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_runs import COMMAND
from shardwise.models import Plan


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("after", [0.5, 0.9, 1.3])
def test_a_stopped_run_keeps_what_it_found(desk: Path, name: str, after: float) -> None:
    command = [*COMMAND, "solve", "scenarios/deepseek-v3-h200-1024.yaml", "--save", "plans"]
    process = subprocess.Popen(command, cwd=desk, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(after)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    if process.returncode in (130, -signal.SIGINT, -signal.SIGTERM):
        return  # before the command had begun
    status = json.loads(out)["status"]
    assert (process.returncode, status) in {(4, "unknown"), (4, "feasible"), (0, "optimal")}
    written = desk / "plans/plan.json"
    assert written.exists() == (status != "unknown")
    if written.exists():
        assert Plan.model_validate_json(written.read_text()).status == status
