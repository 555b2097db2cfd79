"""Engines of the pools, each priced alone: prefill, decode, and aggregated in an open loop (docs/costs.md, section 7).

An aggregated engine in a closed loop is the closed loop of programs.py with one engine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...models import Link
from . import queueing
from .cut import Cut
from .forward import Timed
from .links import node_bandwidth
from .memory import memory_parts
from .programs import ClosedLoop, Program
from .rows import Column
from .setting import Setting


def transfer_link(s: Setting) -> Link:
    """What one GPU has for moving KV cache to another engine."""
    hardware = s.scenario.hardware
    if hardware.pool_link is not None:
        slower = min(hardware.pool_link.bandwidth, s.between.bandwidth)
        return hardware.pool_link.model_copy(update={"bandwidth": slower})
    if hardware.gpu_range.max <= s.node:
        return s.inside.model_copy(update={"bandwidth": float(node_bandwidth(s, 2.0))})
    return s.between


def move(program: Program) -> Column:
    """Seconds in which the cache and states of one longest prompt leave or enter an engine: the last rank decides.

    On each card that is the rank of the stage that holds most. `program` has its stages.
    """
    rows, s = program.rows, program.s
    sizes = program.stages.most(np.array([rows.cached(kind, s.prompt.max) for kind in s.kinds]))
    seconds = [_moving(part.setting, size) for part, size in zip(program.cut.parts, sizes, strict=True)]
    return np.max(seconds, axis=0)  # type: ignore[no-any-return]


def _moving(s: Setting, size: Column) -> Column:
    link = transfer_link(s)
    return (1 - s.efficiency.overlap) * size / (link.bandwidth * s.efficiency.transfer_link) + link.latency


class Prefill(Program):
    """Prompts only: whole prompts in passes of `batch` per attention group; the KV cache is sent on, if `sends`."""

    def __init__(self, cut: Cut, batch: Column, sends: bool) -> None:
        super().__init__(cut)
        rows = self.rows
        self.batch, self.turns = batch, rows.pipeline
        self.budget = np.ceil(batch * self.prompt.max / rows.context)
        mean = self.run(self.mean_prompts(batch))
        longest = self.run(self.prompts(batch, self.prompt.max, self.prompt.max**2))
        self.split((mean, longest), memory_parts(rows, batch * (rows.pipeline + sends), self.budget))
        self.mean, self.longest = self.stages.times(mean)[0], self.stages.times(longest)[0]
        self.most_rate = rows.data * batch / self.mean
        self.transfer = move(self) if sends else self.zero

    def columns(self, back: NDArray[np.intp], utilization: Column, share: float | None) -> dict[str, Column]:
        """The priced columns of engines that are busy a share of the time; `back`: the row of each engine."""
        s, data, batch = self.s, self.rows.data[back], self.batch[back]
        if s.scenario.workload.open_loop:
            rate, wait = utilization * self.most_rate[back], _queue(s, utilization, self.mean[back], 0.0, share)
        else:
            rate, wait = self.most_rate[back], np.zeros(len(back))
        zero, stages = np.zeros(len(back)), self.rows.pipeline[back]
        ttft = self.start(self.prompt.max) + wait + stages * self.longest[back] + self.transfer[back]
        return {
            "batch": batch,
            "micro_batches": stages,
            "in_flight": batch * data * stages,
            "token_budget": self.budget[back],
            "rate": rate,
            "utilization": utilization,
            "ttft": ttft,
            "wait": wait,
            "transfer": self.transfer[back],
            "tpot": zero,
            "request_latency": ttft,
            "budget_spare": zero,
        }


class Decode(Program):
    """Answers only: prompts arrive with their KV cache, whose first step is part of the time to first token."""

    def __init__(self, cut: Cut, peak: Column) -> None:
        """`peak`: requests that an engine must have memory for."""
        super().__init__(cut)
        self.batch, self.turns = self.decode_turns()
        group = np.ceil(peak / self.rows.data)
        held = np.ceil(group / self.turns) * self.turns + np.ceil(group / self.answer.mean) + 1
        decode = self.run(self.decode(self.batch))
        self.split((decode,), memory_parts(self.rows, held, self.batch))
        slowest, total = self.stages.times(decode)
        self.tpot = np.maximum(total, self.turns * slowest)
        self.transfer = move(self)

    def columns(self, back: NDArray[np.intp], busy: Column) -> dict[str, Column]:
        """The priced columns; `back`: the row of each engine, `busy`: the share of the time that its prefill engines
        work (closed loop; else 0)."""
        tpot, transfer, held = self.tpot[back], self.transfer[back], self.rows.engine_sequences[back]
        wait = 0.5 / self.s.scenario.workload.requests_per_client * busy * self.answer.mean * tpot
        ttft = wait + transfer + tpot
        return {
            "batch": self.batch[back],
            "micro_batches": self.turns[back],
            "in_flight": held,
            "token_budget": self.batch[back],
            "rate": held / (self.answer.mean * tpot),
            "utilization": busy,
            "ttft": ttft,
            "wait": wait,
            "transfer": transfer,
            "tpot": tpot,
            "request_latency": ttft + (self.answer.max - 1) * tpot,
            "budget_spare": np.zeros(len(back)),
        }


class OpenLoop(ClosedLoop):
    """Aggregated serving of requests that arrive at random: the closed loop's passes at a mean load, and a queue."""

    def __init__(self, cut: Cut, budget: Column, peak: Column) -> None:
        self.peak = peak
        super().__init__(cut, budget)

    def sequences_held(self) -> Column:
        """Those of the peak, not of the mean."""
        return np.ceil(np.ceil(self.peak / self.rows.data) / self.turns) * self.turns

    def _wait(self, full: Timed, chunks: Column) -> Column:
        """None here: it is worked out per quantile."""
        return self.zero

    def service(self) -> Column:
        """Seconds for which a prompt of mean length keeps the engine from the next one."""
        full, chunks = self._at_mean
        slowest = self.stages.times(full)[0]
        together = np.maximum(1.0, np.floor((self.budget - self.batch) / self.prompt.mean))
        alone = chunks * slowest
        longer = self.stages.longer(full, self.decoding, self.decode_slowest)
        shared: Column = longer + self.decode_slowest / together
        return np.where(chunks > 1, alone, shared)

    def open_columns(self, share: float | None) -> dict[str, Column]:
        """The priced columns; TTFT at a share of the requests, or the mean."""
        columns = super().columns()
        rate, service = columns["requests_rate"], self.service()
        utilization = rate / self.rows.data * service
        if self.cut.ideal:  # an upper bound times a lower one; of several stages only an idle engine bounds the wait
            utilization = np.where(self.rows.pipeline > 1, 0.0, utilization)
        wait = _queue(self.s, utilization, service, self.mixed_slowest, share)
        columns["rate"], columns["utilization"], columns["wait"] = rate, utilization, wait
        columns["ttft"] = columns["ttft"] + wait
        columns["request_latency"] = columns["request_latency"] + wait
        columns["transfer"] = self.zero
        return columns


def _queue(s: Setting, utilization: Column, service: Column, vacation: Column | float, share: float | None) -> Column:
    """Waiting in an open loop: a share's quantile, or the mean (None)."""
    gaps, lengths = queueing.arrival_scv(s.scenario.workload.burstiness), queueing.length_scv(s.prompt)
    mean = queueing.waiting(utilization, service, gaps, lengths)
    if share is not None:
        return queueing.quantile(share, utilization, mean, vacation)
    return queueing.waiting_with_vacations(mean, vacation) + queueing.burst_correction(service, gaps)
