"""What the time of a pass is made of: operators by the origin of their times, and what fitted constants add."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...models import Scenario
from ...models.engine import EngineStrategy
from ...models.pass_time import Origin, PassTime
from ...models.strategy import DEGREES
from .cut import OneCard
from .forward import head_times, layer_times
from .origins import ESTIMATED, KINDS
from .passes import Pass
from .programs import Program
from .rows import Column, Rows
from .setting import Setting, setting
from .source import Roofline, operator_times


def pass_times(scenario: Scenario, role: str, strategy: EngineStrategy) -> tuple[PassTime, ...]:
    """The passes that an engine of a role runs on the scenario's card."""
    s = setting(scenario)
    engine = f"{role} {strategy.describe()}, {scenario.hardware.accelerator.id}"
    degrees = np.array([[getattr(strategy, name) for name in DEGREES]], dtype=np.int64)
    program = Program(OneCard(_row(s, degrees), operator_times(s), ideal=False))
    carried: list[tuple[Literal["decode", "prompt"], Pass]] = []
    if role != "prefill":
        carried.append(("decode", program.decode(np.full(1, float(strategy.batch)))))
    if role != "decode":
        prompts = max(1.0, strategy.token_budget * strategy.context // s.prompt.mean)
        carried.append(("prompt", program.mean_prompts(np.full(1, prompts))))
    return tuple(_pass_time(s, degrees, work, engine, carries) for carries, work in carried)


def _row(s: Setting, degrees: NDArray[np.int64]) -> Rows:
    return Rows.of(s, degrees, np.ones(1, dtype=np.int64), np.ones(1, dtype=np.int64))


def _pass_time(
    s: Setting, degrees: NDArray[np.int64], work: Pass, engine: str, carries: Literal["decode", "prompt"]
) -> PassTime:
    """Every kind of layer apart, so that its operators count as often as there are layers of it."""
    pace, operators = s.latencies.pace, np.zeros(len(KINDS))
    total = s.latencies.iteration * float(degrees[0, DEGREES.index("pipeline")])
    for kind, count in Counter(s.kinds[i] for i in s.layer_kinds).items():
        projected = {kind.projects: s.attention[kind.projects]}
        alone = replace(s, kinds=(kind,), attention=projected, vocabulary=0)
        ledger = _ledger(alone)
        total += count * float(layer_times(_row(alone, degrees), work, ledger).layers[0, 0])
        operators += count * pace * ledger.seconds()
    ledger = _ledger(s)
    total += pace * float(head_times(_row(s, degrees), work.logits, ledger)[0])
    operators += pace * ledger.seconds()
    shares: dict[Origin, float] = dict(zip(KINDS, (operators / total).tolist(), strict=True))
    return PassTime(
        engine=engine,
        carries=carries,
        seconds=total,
        shares={**shares, "fitted": max(0.0, 1 - sum(shares.values()))},
    )


class _Noted(Roofline):
    """Writes down the times that leave, of the only row."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._notes: list[tuple[float, int]] = []

    def note(self, seconds: Column, origins: NDArray[np.int8] | int = ESTIMATED) -> Column:
        """See Roofline."""
        self._notes.append((float(seconds[0]), int(np.broadcast_to(origins, seconds.shape)[0])))
        return seconds

    def expert_exchange(self, rows: Rows, tokens: Column) -> Column:
        """See Roofline; only the way that is taken is written down."""
        before, ways = self._notes, []
        for way in (self.gathered, self.sent) if rows.context[0] * rows.data[0] > 1 else (self.gathered,):
            self._notes = []
            ways.append((way(rows, tokens), self._notes))
        seconds, notes = min(ways, key=lambda taken: float(taken[0][0]))
        self._notes = before + notes
        return seconds

    def seconds(self) -> NDArray[np.float64]:
        """By kind."""
        found = np.zeros(len(KINDS))
        for seconds, origin in self._notes:
            found[origin] += seconds
        return found


@cache
def _noted_tables() -> type[_Noted]:
    """The same over tables, which most runs do without: they are imported where they count."""
    from .measured import Measured

    class NotedTables(_Noted, Measured):
        """Writes down what tables answer."""

    return NotedTables


def _ledger(s: Setting) -> _Noted:
    return (_noted_tables() if s.scenario.operator_times.source == "measured" else _Noted)(s)
