"""The three serving programs: which passes they run and what follows from their times (docs/costs.md, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cut import Cut, CutStages
from .forward import Timed, blend, choose
from .memory import MemoryParts, memory_parts
from .passes import Pass, pairs_of, prefix_of
from .rows import Column


class Program:
    """What the three programs share: prompts that arrive together, and the split by a reference pass."""

    memory: MemoryParts
    stage_of_layer: NDArray[np.int16]
    stages: CutStages

    def __init__(self, cut: Cut) -> None:
        self.cut, self.rows, self.s = cut, cut.rows, cut.rows.setting
        self.zero = np.zeros(len(self.rows))
        self.prompt, self.answer = self.s.prompt, self.s.answer

    def split(self, passes: tuple[Timed, ...], memory: MemoryParts) -> None:
        """Choose the stages by these passes, in their order."""
        self.memory = memory
        self.stage_of_layer, self.stages = self.cut.split(passes, memory)

    def run(self, work: Pass) -> Timed:
        """Price a pass."""
        return self.cut.run(work)

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

    def start(self, length: float) -> float:
        """Seconds that a request of so many prompt tokens is handled before its first pass."""
        return self.s.latencies.startup + self.s.latencies.prompt_token * length

    def makespan(self, slowest: Column, turns: Column) -> Column:
        """Seconds until the last micro-batch has left the pipeline."""
        return (turns + self.rows.pipeline - 1) * slowest


class PrefillOnly(Program):
    """Prompts that arrive together; their first token ends them."""

    def __init__(self, cut: Cut, batch: Column) -> None:
        super().__init__(cut)
        self.batch, self.turns = batch, np.ceil(self.rows.group_sequences / batch)
        self.budget = np.ceil(batch * self.prompt.max / self.rows.context)
        held = batch * np.minimum(self.turns, self.rows.pipeline)
        mean = self.run(self.mean_prompts(batch))
        longest = self.run(self.prompts(batch, self.prompt.max, self.prompt.max**2))
        self.split((mean, longest), memory_parts(self.rows, held, self.budget))
        self.mean = self.makespan(self.stages.times(mean)[0], self.turns)
        self.longest = self.makespan(self.stages.times(longest)[0], self.turns)

    def columns(self) -> dict[str, Column]:
        """The priced columns."""
        start, start_mean = self.start(self.prompt.max), self.start(self.prompt.mean)
        held = self.batch * self.rows.data * np.minimum(self.turns, self.rows.pipeline)
        requests = self.rows.sequences / self.mean
        return {
            "batch": self.batch,
            "micro_batches": self.turns,
            "in_flight": np.minimum(self.rows.engine_sequences, held),
            "token_budget": self.budget,
            "ttft": start + self.longest,
            "ttft_mean": start_mean + self.mean,
            "tpot": self.zero + np.nan,
            "request_latency": start + self.longest,
            "requests_rate": requests,
            "output_rate": self.zero + np.nan,
            "input_rate": requests * self.prompt.mean,
            "budget_spare": self.zero,
        }


class StaticBatch(Program):
    """Prompts that arrive together and then decode together."""

    def __init__(self, cut: Cut, prompts: Column) -> None:
        super().__init__(cut)
        self.batch, self.decode_count = self.decode_turns()
        self.turns = np.ceil(self.rows.group_sequences / prompts)
        self.budget = prompts * self.prompt.max
        decode = self.run(self.decode(self.batch))
        longest = self.run(self.prompts(prompts, self.prompt.max, self.prompt.max**2))
        largest = np.maximum(self.budget, self.batch)
        self.split((decode, longest), memory_parts(self.rows, self.rows.group_sequences, largest))
        slowest, total = self.stages.times(decode)
        self.tpot = np.maximum(total, self.decode_count * slowest)
        mean = self.stages.times(self.run(self.mean_prompts(prompts)))[0]
        self.mean = self.makespan(mean, self.turns)
        self.longest = self.makespan(self.stages.times(longest)[0], self.turns)

    def columns(self) -> dict[str, Column]:
        """The priced columns."""
        start, start_mean = self.start(self.prompt.max), self.start(self.prompt.mean)
        requests = self.rows.sequences / (self.mean + (self.answer.mean - 1) * self.tpot)
        ttft = start + self.longest
        return {
            "batch": self.batch,
            "micro_batches": self.decode_count,
            "in_flight": self.rows.engine_sequences,
            "token_budget": self.budget,
            "ttft": ttft,
            "ttft_mean": start_mean + self.mean,
            "tpot": self.tpot,
            "request_latency": ttft + (self.answer.max - 1) * self.tpot,
            "requests_rate": requests,
            "output_rate": requests * self.answer.mean,
            "input_rate": requests * self.prompt.mean,
            "budget_spare": self.zero,
        }


class ClosedLoop(Program):
    """Continuous batching at constant concurrency: decode tokens and prompt chunks share each iteration."""

    def __init__(self, cut: Cut, budget: Column) -> None:
        super().__init__(cut)
        self.budget = budget
        self.batch, self.turns = self.decode_turns()
        self.load = self.batch + self.batch / self.answer.mean * self.prompt.mean
        self.decoding = self.run(self.decode(self.batch))
        self._at_mean = self._full(self.prompt.mean, self.prompt.mean_square)
        fixed = self.prompt.min == self.prompt.max
        full = self._at_mean if fixed else self._full(self.prompt.max, self.prompt.max**2)
        average, others = self._iteration(self.batch), self._iteration(self.batch - 1)
        self.split((average, full[0]), memory_parts(self.rows, self.sequences_held(), budget))
        self.mixed_slowest, total = self.stages.times(average)
        self.period = np.maximum(total, self.turns * self.mixed_slowest)
        slowest, total = self.stages.times(others)
        self.tpot = np.maximum(total, slowest + (self.turns - 1) * self.mixed_slowest)
        self.decode_slowest = self.stages.times(self.decoding)[0]
        self.wait = self._wait(*full)
        self.ttft = self._ttft(self.prompt.max, *full) + self.wait

    def sequences_held(self) -> Column:
        """Sequences per attention group that memory is kept for."""
        return self.batch * self.turns

    def _chunks(self, length: float) -> tuple[Column, Column]:
        """(prompt tokens per pass, passes per prompt): equal chunks, as few as the budget allows."""
        chunks = np.ceil(length / np.minimum(length, self.budget - self.batch))
        return length / chunks, chunks

    def _iteration(self, bringing: Column) -> Timed:
        """The average iteration in which so many sequences bring a new prompt once per answer.

        Some iterations only decode, the others carry one prompt's chunk too; where prompts are so many that every
        iteration carries some, the average one stands for all.
        """
        chunks = self._at_mean[1]
        share = bringing / self.answer.mean * chunks
        blended = blend(self.decoding, self._at_mean[0], np.minimum(share, 1.0))
        if not (share > 1).any():
            return blended
        return choose(share > 1, self.run(self._crowded(bringing, chunks)), blended)

    def _crowded(self, bringing: Column, chunks: Column) -> Pass:
        """An iteration that carries several prompts."""
        starting = bringing / self.answer.mean
        full, sliding = pairs_of(self.s, self.prompt.mean, self.prompt.mean_square)
        prefix = prefix_of(self.s, self.prompt.mean, chunks)
        work = self.decode(self.batch)
        work.prompt = starting * self.prompt.mean
        work.pairs = (starting * full, starting * sliding)
        work.prefix = (starting * prefix[0], starting * prefix[1])
        work.logits = self.batch + starting
        work.prompt_share = self.zero + 1
        return work

    def _full(self, length: float, mean_square: float) -> tuple[Timed, Column]:
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

    def _ttft(self, length: float, full: Timed, chunks: Column) -> Column:
        """Start-up, iterations of the running batch, the prompt's own passes at the full budget."""
        slowest, total = self.stages.times(full)
        prompt = chunks * np.maximum(total, slowest + (self.turns - 1) * self.mixed_slowest)
        ttft: Column = self.start(length) + self.s.latencies.wait_steps * self.tpot + prompt
        return ttft

    def _wait(self, full: Timed, chunks: Column) -> Column:
        """The opening burst, averaged over a client's requests."""
        burst = 0.5 / self.s.scenario.workload.requests_per_client
        longer = self.stages.longer(full, self.decoding, self.decode_slowest)
        wait: Column = burst * self.rows.group_sequences * chunks * longer
        return wait

    def columns(self) -> dict[str, Column]:
        """The priced columns."""
        fixed = self.prompt.min == self.prompt.max
        mean = self.ttft if fixed else self._ttft(self.prompt.mean, *self._at_mean) + self._wait(*self._at_mean)
        output = self.rows.sequences / self.period
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
