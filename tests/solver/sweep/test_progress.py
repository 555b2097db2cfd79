"""Progress of a sweep where no terminal watches: a plain line, ten seconds after the last at the earliest."""

from __future__ import annotations

from collections import Counter

import pytest
from shardwise.solver.command import sweeping
from shardwise.solver.sweep.run import Count


def test_a_plain_line_every_ten_seconds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    monkeypatch.setattr(sweeping.time, "monotonic", lambda: now[0])
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    with sweeping._Bar(4000) as bar:
        for second, count in (
            (9, Count(4000, 0, 0, Counter(), prepared=1000)),
            (11, Count(4000, 0, 0, Counter(), prepared=2000)),
            (20, Count(4000, 5, 3, Counter(optimal=8), prepared=4000)),
            (22, Count(4000, 5, 1200, Counter(optimal=1200, infeasible=5), prepared=4000)),
            (31, Count(4000, 5, 1300, Counter(optimal=1300, infeasible=5), prepared=4000)),
        ):
            now[0] = 100.0 + second
            bar(count)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "… preparing: 2,000 of 4,000 scenarios",
        "… 1,205 of 4,000 scenarios (1,200 optimal, 5 infeasible)",
    ]
