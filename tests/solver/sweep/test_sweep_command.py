"""Sweeps from the command line: killed and taken up again, parallel and alone, what is wrong told clearly."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCENARIO = Path(__file__).parents[3] / "scenarios" / "llama-3.1-8b-h100-1.yaml"
KILLS = 20


def command(*words: object) -> list[str]:
    return [str(Path(sys.executable).parent / "shardwise"), *map(str, words)]


def shardwise(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=300, check=False)


def figures(folder: Path) -> list[dict[str, str]]:
    """Every row but for the time it took."""
    done = shardwise("sweep", SCENARIO, *GRID, "--save", folder, "--export", "csv")
    assert done.returncode == 0, done.stderr
    return [
        {name: value for name, value in row.items() if name != "wall"}
        for row in csv.DictReader(io.StringIO(done.stdout))
    ]


GRID = ("--vary", "workload.concurrency=1:120:1", "--vary", "requirements.ttft=1 ms,1 s")


def test_killed_at_random_moments_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    draw, stored = random.Random(7), []
    for _ in range(KILLS):
        process = subprocess.Popen(
            command("sweep", SCENARIO, *GRID, "--save", tmp_path / "killed", "--workers", 2),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(draw.uniform(0.6, 2.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        stored.append(len(shown(tmp_path / "killed")))
    assert stored == sorted(stored), "a kill lost rows"
    whole = figures(tmp_path / "killed")
    assert len(whole) == 240
    assert whole == figures(tmp_path / "undisturbed")


def shown(folder: Path) -> list[dict[str, object]]:
    if not (folder / "sweep.db").exists():
        return []
    import sqlite3

    with sqlite3.connect(folder / "sweep.db") as rows:
        try:
            return [{"key": key} for (key,) in rows.execute("SELECT key FROM rows")]
        except sqlite3.OperationalError:
            return []


def test_alone_and_in_parallel_and_never_twice(tmp_path: Path) -> None:
    few = ("--vary", "workload.concurrency=1:8:x2", "--vary", "model=llama-3.1-8b,qwen3-8b,nothing-of-that-name")
    one = shardwise("sweep", SCENARIO, *few, "--save", tmp_path / "one", "--workers", 1, "--export", "csv")
    two = shardwise("sweep", SCENARIO, *few, "--save", tmp_path / "two", "--workers", 2, "--export", "csv")
    assert one.returncode == two.returncode == 6
    assert _plain(one.stdout) == _plain(two.stdout)
    failed = [row for row in csv.DictReader(io.StringIO(one.stdout)) if row["status"] == "failed"]
    assert len(failed) == 4
    assert all("unknown language model" in row["reason"] for row in failed)
    second = shardwise("sweep", SCENARIO, *few, "--save", tmp_path / "one")
    assert second.returncode == 6, "what failed before is still failed"
    again = json.loads(second.stdout)
    assert (again["stored"], again["computed"], again["failed"]) == (12, 0, 4)
    retried = json.loads(shardwise("sweep", SCENARIO, *few, "--save", tmp_path / "one", "--retry-failed").stdout)
    assert (retried["stored"], retried["computed"]) == (8, 4)
    more = json.loads(
        shardwise(
            "sweep", SCENARIO, *few[:3], "model=qwen3-8b", "--vary", "hardware.gpus=1", "--save", tmp_path / "one"
        ).stdout
    )
    assert more["scenarios"] == 4


def _plain(text: str) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "wall"} for row in csv.DictReader(io.StringIO(text))]


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("sweep", SCENARIO, *GRID, "--save", tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 120
    while not shown(tmp_path):  # on a busy machine it takes seconds until the command has begun; before, Ctrl-C is 130
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert "the same command goes on" in err
    told = json.loads(out)
    assert told["status"] == "stopped" and 1 <= told["computed"] == len(shown(tmp_path)) < told["scenarios"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells a worker of its parent's end")
def test_workers_end_with_a_sweep_that_is_killed(tmp_path: Path) -> None:
    """Only the sweep itself is killed: its workers must neither go on nor keep the store locked."""
    words = command("sweep", SCENARIO, *GRID, "--save", tmp_path, "--workers", 2)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers: list[str] = []
    while process.poll() is None and (len(workers) < 2 or not shown(tmp_path)):
        workers = children.read_text().split()
        time.sleep(0.02)
    process.kill()
    process.wait()
    for _ in range(1000):  # the kernel kills them soon, not at once
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            break
        time.sleep(0.02)
    else:
        pytest.fail("a worker outlived its sweep")
    few = ("--vary", "workload.concurrency=1")
    again = shardwise("sweep", SCENARIO, *few, "--save", tmp_path)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--vary", "hardware.gpuz=1"), "hardware.gpuz"),
        (("--vary", "hardware.gpus=1", "--vary", "hardware.gpus=2"), "varied twice"),
        (("--vary", "hardware.gpus=1", "--export", "xml"), "cannot export"),
        (("--vary", "hardware.gpus=1", "--engine", "spark"), "unknown engine"),
        (("--vary", "hardware.gpus=1", "--save", "/proc/none"), "cannot save"),
    ],
)
def test_mistakes(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    save = () if "--save" in words else ("--save", tmp_path / "s")
    done = shardwise("sweep", SCENARIO, *words, *save)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s" / "sweep.db").exists(), "it began all the same"


def test_time_limits(tmp_path: Path) -> None:
    words = ("sweep", SCENARIO, "--vary", "workload.concurrency=4,8", "--save", tmp_path)
    short = shardwise(*words, "--time-limit", "0")
    assert json.loads(short.stdout)["unknown"] == 2
    assert "2 have no answer yet; a longer --time-limit" in short.stderr
    found = json.loads(shardwise(*words).stdout)
    assert (found["computed"], found["optimal"], found.get("unknown")) == (2, 2, None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("more", [(), ("--export", "csv")])
def test_output_that_cannot_be_written(tmp_path: Path, more: tuple[str, ...]) -> None:
    words = command("sweep", SCENARIO, "--vary", "workload.concurrency=4,8", "--save", tmp_path, *more)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "cannot read or write the output: No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_compare_and_report(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    for name, bandwidth in (("a", "x1"), ("b", "x0.5")):
        words = ("--vary", "workload.concurrency=4,64", "--vary", f"efficiency.bandwidth={bandwidth}")
        assert shardwise("sweep", SCENARIO, *words, "--save", tmp_path / name).returncode == 0
    report = shardwise("report", tmp_path / "a")
    assert report.returncode == 0, report.stderr
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "https://" not in page.split('<script type="application/json"')[0]
    told = shardwise("compare", tmp_path / "a", tmp_path / "a").stdout
    assert "2 scenarios in both" in told
    assert "another strategy: 0 of 2" in told


def test_flips_are_told_by_sweep_and_report(tmp_path: Path) -> None:
    words = ("--vary", "hardware.gpus=1,2", "--vary", "efficiency.bandwidth=x1,x0.5", "--save", tmp_path)
    swept = shardwise("sweep", SCENARIO, *words)
    told = [line.strip() for line in swept.stderr.splitlines() if "flip against x1" in line]
    assert told in ([f"{n} of 2 scenarios flip against x1"] for n in range(3)), swept.stderr
    pytest.importorskip("plotly")
    assert told[0] in shardwise("report", tmp_path).stderr.splitlines()


def test_compare_takes_the_folders_of_plans(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert shardwise("solve", SCENARIO, "--save", tmp_path / name).returncode == 0
    for second in (tmp_path / "b", tmp_path / "b" / "plan.json"):
        told = shardwise("compare", tmp_path / "a", second)
        assert (told.returncode, told.stdout.count("  the same")) == (0, 2), told
    (tmp_path / "empty").mkdir()
    refused = shardwise("compare", tmp_path / "a", tmp_path / "empty")
    assert refused.returncode == 1
    assert "neither a plan nor a sweep is stored here" in refused.stderr
    assert "help: name a plan.json, the folder of a `solve --save`" in refused.stderr
    words = ("--vary", "workload.concurrency=4", "--save", tmp_path / "sweep")
    assert shardwise("sweep", SCENARIO, *words).returncode == 0
    refused = shardwise("compare", tmp_path / "a", tmp_path / "sweep")
    assert refused.returncode == 1 and "a plan and a sweep cannot be compared" in refused.stderr


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for it: the store cannot grow any more."""
    import resource

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    words = command("sweep", SCENARIO, *GRID, "--save", tmp_path, "--workers", 2)
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, preexec_fn=limited)
    assert done.returncode == 1
    assert "the store cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    kept = len(shown(tmp_path))
    assert 0 < kept < 240
    again = shardwise("sweep", SCENARIO, *GRID, "--save", tmp_path)
    assert json.loads(again.stdout)["stored"] >= kept
