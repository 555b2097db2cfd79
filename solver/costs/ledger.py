"""What the time of a pass is made of: operators by the origin of their times, and what fitted constants add."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...models import Scenario
from ...models.strategy import DEGREES, Strategy
from .cut import OneCard
from .forward import head_times, layer_times
from .measured import Measured
from .origins import ESTIMATED, KINDS
from .passes import Pass
from .programs import Program
from .rows import Column, Rows
from .setting import Setting, setting
from .source import Roofline, operator_times


@dataclass(frozen=True)
class Account:
    """Seconds of one pass through all layers."""

    carries: str
    """Decode or prompt."""
    seconds: float
    shares: dict[str, float]
    """Origin -> share of the seconds; `fitted` is what is no operator: launches, the host."""


def accounts(scenario: Scenario, strategy: Strategy, batch: int, budget: int, role: str) -> list[Account]:
    """The passes that an engine runs: one that decodes `batch` sequences, one of whole prompts within the budget."""
    s, found = setting(scenario), []
    degrees = np.array([[getattr(strategy, name) for name in DEGREES]], dtype=np.int64)
    rows = Rows.of(s, degrees, np.ones(1, dtype=np.int64), np.ones(1, dtype=np.int64))
    program = Program(OneCard(rows, operator_times(s), ideal=False))
    if role != "prefill":
        found.append(_account(s, degrees, program.decode(np.full(1, float(batch))), "decode"))
    if role != "decode":
        prompts = max(1.0, budget * strategy.context // s.prompt.mean)
        found.append(_account(s, degrees, program.mean_prompts(np.full(1, prompts)), "prompt"))
    return found


def _account(s: Setting, degrees: NDArray[np.int64], work: Pass, carries: str) -> Account:
    one = np.ones(1, dtype=np.int64)
    seconds, total = np.zeros(len(KINDS)), s.latencies.iteration * float(degrees[0, DEGREES.index("pipeline")])
    for kind, count in Counter(s.layer_kinds).items():
        alone = replace(s, kinds=(s.kinds[kind],), vocabulary=0)
        ledger = _ledger(alone)
        total += count * float(layer_times(Rows.of(alone, degrees, one, one), work, ledger).layers[0, 0])
        seconds += count * s.latencies.pace * ledger.seconds()
    ledger = _ledger(s)
    total += s.latencies.pace * float(head_times(Rows.of(s, degrees, one, one), work.logits, ledger)[0])
    seconds += s.latencies.pace * ledger.seconds()
    shares = {origin: float(part) / total for origin, part in zip(KINDS, seconds, strict=True)}
    return Account(carries, total, {**shares, "fitted": max(0.0, 1 - sum(shares.values()))})


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
        seconds, origins = zip(*self._notes, strict=True)
        found: NDArray[np.float64] = np.bincount(origins, seconds, minlength=len(KINDS)).astype(np.float64)
        return found


class _NotedTables(_Noted, Measured):
    """The same over tables."""


def _ledger(s: Setting) -> _Noted:
    return (_NotedTables if s.scenario.operator_times.source == "measured" else _Noted)(s)
