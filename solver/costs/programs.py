"""The three serving programs: which passes they run and what follows from their times (docs/costs.md, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .forward import LayerTimes, Pass, layer_times, pairs_of, prefix_of
from .links import stage_send
from .memory import MemoryParts, memory_parts
from .rows import Column, Rows
from .source import OperatorTimes
from .stages import IdealStages, Stages, split_stages


class Program:
    """What the three programs share: prompts that arrive together, and the split by a reference pass."""

    memory: MemoryParts
    stage_of_layer: NDArray[np.int16]
    stages: Stages | IdealStages

    def __init__(self, rows: Rows, times: OperatorTimes, ideal: bool) -> None:
        self.rows, self.times, self.s, self.ideal = rows, times, rows.setting, ideal
        self.zero = np.zeros(len(rows))
        self.prompt, self.answer = rows.setting.prompt, rows.setting.answer

    def split(self, passes: tuple[LayerTimes, ...], memory: MemoryParts) -> None:
        """Choose the stages by these passes, in their order."""
        self.memory = memory
        if self.ideal:
            self.stage_of_layer = np.empty((len(self.rows), 0), dtype=np.int16)
            self.stages = IdealStages(self.rows)
            return
        self.stage_of_layer = split_stages(self.rows, passes, memory, self.s.room)
        self.stages = Stages.of(self.rows, self.stage_of_layer)

    def run(self, work: Pass) -> LayerTimes:
        """Price a pass."""
        return layer_times(self.rows, work, self.times)

    def prompts(self, batch: Column, length: float, mean_square: float) -> Pass:
        """A pass of whole prompts."""
        full, sliding = pairs_of(self.s, length, mean_square)
        return Pass(
            decoding=self.zero,
            context=self.zero,
            prompt=batch * length,
            pairs=(batch * full, batch * sliding),
            prefix=(self.zero, self.zero),
            logits=batch,
            prompt_share=self.zero + 1,
        )

    def mean_prompts(self, batch: Column) -> Pass:
        """A pass of prompts of mean length."""
        return self.prompts(batch, self.prompt.mean, self.prompt.mean_square)

    def decode(self, batch: Column) -> Pass:
        """A pass that only decodes."""
        return Pass(
            decoding=batch,
            context=self.zero + self.prompt.mean + self.answer.mean / 2,
            prompt=self.zero,
            pairs=(self.zero, self.zero),
            prefix=(self.zero, self.zero),
            logits=batch,
            prompt_share=self.zero,
        )

    def decode_turns(self) -> tuple[Column, Column]:
        """(B, m) of decoding: as many micro-batches as there are stages."""
        group = self.rows.group_sequences
        turns = np.minimum(self.rows.pipeline, group)
        return np.ceil(group / turns), turns

    def makespan(self, slowest: Column, turns: Column) -> Column:
        """Seconds until the last micro-batch has left the pipeline."""
        return (turns + self.rows.pipeline - 1) * slowest


class PrefillOnly(Program):
    """Prompts that arrive together; their first token ends them."""

    def __init__(self, rows: Rows, batch: Column, times: OperatorTimes, ideal: bool) -> None:
        super().__init__(rows, times, ideal)
        self.batch, self.turns = batch, np.ceil(rows.group_sequences / batch)
        self.budget = np.ceil(batch * self.prompt.max / rows.context)
        held = batch * np.minimum(self.turns, rows.pipeline)
        mean = self.run(self.mean_prompts(batch))
        longest = self.run(self.prompts(batch, self.prompt.max, self.prompt.max**2))
        self.split((mean, longest), memory_parts(rows, held, self.budget))
        self.mean = self.makespan(self.stages.times(mean)[0], self.turns)
        self.longest = self.makespan(self.stages.times(longest)[0], self.turns)

    def columns(self) -> dict[str, Column]:
        """The priced columns."""
        start, work = self.s.latencies.startup, self.s.scenario.workload
        held = self.batch * self.rows.data * np.minimum(self.turns, self.rows.pipeline)
        requests = work.sequences / self.mean
        return {
            "batch": self.batch,
            "micro_batches": self.turns,
            "in_flight": np.minimum(self.rows.engine_sequences, held),
            "token_budget": self.budget,
            "ttft": start + self.longest,
            "ttft_mean": start + self.mean,
            "tpot": self.zero + np.nan,
            "request_latency": start + self.longest,
            "requests_rate": requests,
            "output_rate": self.zero + np.nan,
            "input_rate": requests * self.prompt.mean,
            "budget_spare": self.zero,
        }


class StaticBatch(Program):
    """Prompts that arrive together and then decode together."""

    def __init__(self, rows: Rows, prompts: Column, times: OperatorTimes, ideal: bool) -> None:
        super().__init__(rows, times, ideal)
        self.batch, self.decode_count = self.decode_turns()
        self.turns = np.ceil(rows.group_sequences / prompts)
        self.budget = prompts * self.prompt.max
        decode = self.run(self.decode(self.batch))
        longest = self.run(self.prompts(prompts, self.prompt.max, self.prompt.max**2))
        largest = np.maximum(self.budget, self.batch)
        self.split((decode, longest), memory_parts(rows, rows.group_sequences, largest))
        slowest, total = self.stages.times(decode)
        self.tpot = np.maximum(total, self.decode_count * slowest)
        mean = self.stages.times(self.run(self.mean_prompts(prompts)))[0]
        self.mean = self.makespan(mean, self.turns)
        self.longest = self.makespan(self.stages.times(longest)[0], self.turns)

    def columns(self) -> dict[str, Column]:
        """The priced columns."""
        start, work = self.s.latencies.startup, self.s.scenario.workload
        requests = work.sequences / (self.mean + (self.answer.mean - 1) * self.tpot)
        ttft = start + self.longest
        return {
            "batch": self.batch,
            "micro_batches": self.decode_count,
            "in_flight": self.rows.engine_sequences,
            "token_budget": self.budget,
            "ttft": ttft,
            "ttft_mean": start + self.mean,
            "tpot": self.tpot,
            "request_latency": ttft + (self.answer.max - 1) * self.tpot,
            "requests_rate": requests,
            "output_rate": requests * self.answer.mean,
            "input_rate": requests * self.prompt.mean,
            "budget_spare": self.zero,
        }


class ClosedLoop(Program):
    """Continuous batching at constant concurrency: decode tokens and prompt chunks share each iteration."""

    def __init__(self, rows: Rows, budget: Column, times: OperatorTimes, ideal: bool) -> None:
        super().__init__(rows, times, ideal)
        self.budget = budget
        self.batch, self.turns = self.decode_turns()
        mixed, others = self._mixed(self.batch), self._mixed(self.batch - 1)
        self.load = self.batch + mixed.prompt
        average, full = self.run(mixed), self._full(self.prompt.max, self.prompt.max**2)
        self.split((average, full[0]), memory_parts(rows, self.batch * self.turns, budget))
        self.mixed_slowest, total = self.stages.times(average)
        self.period = np.maximum(total, self.turns * self.mixed_slowest)
        slowest, total = self.stages.times(self.run(others))
        self.tpot = np.maximum(total, slowest + (self.turns - 1) * self.mixed_slowest)
        self.decoding = self.run(self.decode(self.batch))
        self.decode_slowest = self.stages.times(self.decoding)[0]
        self.ttft = self._ttft(*full)

    def _chunks(self, length: float) -> tuple[Column, Column]:
        """(prompt tokens per pass, passes per prompt)."""
        chunk = np.minimum(length, self.budget - self.batch)
        return chunk, np.ceil(length / chunk)

    def _mixed(self, bringing: Column) -> Pass:
        """The average iteration in which so many sequences bring a new prompt once per answer."""
        starting = bringing / self.answer.mean
        _, chunks = self._chunks(self.prompt.mean)
        full, sliding = pairs_of(self.s, self.prompt.mean, self.prompt.mean_square)
        prefix = prefix_of(self.s, self.prompt.mean, chunks)
        work = self.decode(self.batch)
        work.prompt = starting * self.prompt.mean
        work.pairs = (starting * full, starting * sliding)
        work.prefix = (starting * prefix[0], starting * prefix[1])
        work.logits = self.batch + starting
        work.prompt_share = np.minimum(1.0, starting * chunks)
        return work

    def _full(self, length: float, mean_square: float) -> tuple[LayerTimes, Column]:
        """(a pass that carries as much of one prompt as the budget allows, passes per prompt)."""
        chunk, chunks = self._chunks(length)
        full, sliding = pairs_of(self.s, length, mean_square)
        prefix = prefix_of(self.s, length, chunks)
        work = self.decode(self.batch)
        work.prompt = chunk
        work.pairs = (full / chunks, sliding / chunks)
        work.prefix = (prefix[0] / chunks, prefix[1] / chunks)
        work.logits = self.batch + 1
        work.prompt_share = self.zero + 1
        return self.run(work), chunks

    def _ttft(self, full: LayerTimes, chunks: Column) -> Column:
        """Start-up, the prompt's own passes at the full budget, and the averaged opening burst."""
        slowest, total = self.stages.times(full)
        prompt = chunks * np.maximum(total, slowest + (self.turns - 1) * self.mixed_slowest)
        burst = 0.5 / self.s.scenario.workload.requests_per_client
        longer = slowest - self.decode_slowest
        if self.ideal:  # with one stage both are exact; else the difference of two lower bounds bounds nothing
            longer = np.where(self.rows.pipeline > 1, self._least_longer(full), longer)
        wait = burst * self.rows.group_sequences * chunks * longer
        return self.s.latencies.startup + prompt + wait

    def _least_longer(self, full: LayerTimes) -> Column:
        """By how much the slowest stage of a full pass exceeds that of a decode pass, at least, in any split.

        The stage that is slowest in decode takes longer in a full pass by what its layers do, and it holds as many
        layers as its decode time, which is at least the mean, cannot do without.
        """
        decode, rows = self.decoding, self.rows
        send = np.maximum(*(stage_send(rows, decode.tokens, np.full(len(rows), crosses)) for crosses in (False, True)))
        beside = self.s.latencies.iteration + np.maximum(decode.head, send)
        layers = np.maximum(1.0, (self.decode_slowest - beside) / decode.layers.max(axis=0))
        longer: Column = np.ceil(layers - 1e-9) * np.maximum((full.layers - decode.layers).min(axis=0), 0.0)
        return longer

    def columns(self) -> dict[str, Column]:
        """The priced columns."""
        fixed = self.prompt.min == self.prompt.max
        mean = self.ttft if fixed else self._ttft(*self._full(self.prompt.mean, self.prompt.mean_square))
        output = self.s.scenario.workload.sequences / self.period
        return {
            "batch": self.batch,
            "micro_batches": self.turns,
            "in_flight": self.rows.engine_sequences,
            "token_budget": self.budget,
            "ttft": self.ttft,
            "ttft_mean": mean,
            "tpot": self.tpot,
            "request_latency": self.ttft + (self.answer.max - 1) * self.tpot,
            "requests_rate": output / self.answer.mean,
            "output_rate": output,
            "input_rate": output / self.answer.mean * self.prompt.mean,
            "budget_spare": self.budget - self.load,
        }
