"""From passes to the predictions: the three programs of docs/costs.md, section 4."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shardwise.models.plan import Finding, Plan

from .deployment import Deployment, mean, mean_square
from .forward import Blend, Load, Pass, Relay
from .text import agree

Pair = tuple[float, float]


@dataclass(frozen=True)
class Served:
    """The recomputed predictions, without memory."""

    ttft: float
    ttft_mean: float
    tpot: float | None
    requests: float
    output_rate: float | None
    input_rate: float
    latency: float
    gpus: int

    @property
    def rate(self) -> float:
        """Tokens per second, unqualified: generated ones, or prompts where nothing is generated."""
        return self.input_rate if self.output_rate is None else self.output_rate


class Program:
    """The passes and times of one deployment; `further`: the same engine on the cards that its pipeline goes on to."""

    def __init__(self, deployment: Deployment, *further: Deployment) -> None:
        workload = deployment.scenario.workload
        self.deployment, self.forward = deployment, Relay(deployment, *further)
        self.longest = workload.input_tokens.max
        self.prompt_mean, self.answer_mean = mean(workload.input_tokens), mean(workload.output_tokens)
        self.prompt_square = mean_square(workload.input_tokens)
        self.reach = self.prompt_mean + self.answer_mean / 2

    def prompt_pairs(self, tokens: float, square: float) -> Pair:
        """Query·key pairs of one prompt, in a full and in a sliding layer; `square` stands for S²."""
        window = self.deployment.shapes.window
        sliding = tokens**2 / 2 if tokens <= window else tokens * window - window**2 / 2
        return square / 2, sliding

    def prompt_prefix(self, tokens: float, chunks: int) -> Pair:
        """Prefix tokens of one prompt that its chunks read again, in a full and in a sliding layer."""
        full = tokens * (chunks - 1) / 2
        return full, min(full, (chunks - 1) * self.deployment.shapes.window) if chunks > 1 else 0.0

    def prompt_pass(self, batch: float, tokens: float, square: float) -> Pass:
        """Whole prompts, nothing decoded: pass(S) of the prefill-only program."""
        pairs = self.prompt_pairs(tokens, square)
        return Pass(
            prompt=batch * tokens,
            pairs=(batch * pairs[0], batch * pairs[1]),
            logits=batch,
            prompt_share=1.0,
        )

    def decode_pass(self) -> Pass:
        """Answers only."""
        batch = self.deployment.batch
        return Pass(decoding=batch, reach=self.reach, logits=batch)

    def chunks(self, tokens: float) -> tuple[float, int]:
        """chunk(S) and j(S): a prompt's tokens per full pass, and how many such passes it takes."""
        room = self.deployment.token_budget - self.deployment.batch
        if room <= 0:
            raise ValueError(
                f"a token budget of {self.deployment.token_budget} leaves no room for prompts beside "
                f"{self.deployment.batch} sequences"
            )
        count = math.ceil(tokens / min(tokens, room))
        return tokens / count, count

    def iteration(self, bringing: int | None = None) -> Load:
        """mixed(b): the average iteration of the closed loop in which b sequences (else all) bring a prompt each."""
        bringing = self.deployment.batch if bringing is None else bringing
        share = bringing / self.answer_mean * self.chunks(self.prompt_mean)[1]
        if share > 1:
            return self.crowded_pass(bringing)
        full = self.full_pass(self.prompt_mean, self.prompt_square)
        return Blend(((1 - share, self.decode_pass()), (share, full)))

    def crowded_pass(self, bringing: int) -> Pass:
        """What an iteration carries on average, when b sequences bring a prompt per answer."""
        arriving = bringing / self.answer_mean
        pairs = self.prompt_pairs(self.prompt_mean, self.prompt_square)
        _, count = self.chunks(self.prompt_mean)
        prefix = self.prompt_prefix(self.prompt_mean, count)
        return Pass(
            decoding=self.deployment.batch,
            reach=self.reach,
            prompt=bringing * self.prompt_mean / self.answer_mean,
            pairs=(arriving * pairs[0], arriving * pairs[1]),
            prefix=(arriving * prefix[0], arriving * prefix[1]),
            logits=self.deployment.batch + arriving,
            prompt_share=min(1.0, arriving * count),  # 1 wherever its time is asked for
        )

    def full_pass(self, tokens: float, square: float) -> Pass:
        """An iteration of the closed loop that is filled with a prompt."""
        size, count = self.chunks(tokens)
        pairs, prefix = self.prompt_pairs(tokens, square), self.prompt_prefix(tokens, count)
        return Pass(
            decoding=self.deployment.batch,
            reach=self.reach,
            prompt=size,
            pairs=(pairs[0] / count, pairs[1] / count),
            prefix=(prefix[0] / count, prefix[1] / count),
            logits=self.deployment.batch + 1,
            prompt_share=1.0,
        )

    def reference_pass(self) -> Pass:
        """What passes carry on average: the work that is balanced over the ranks."""
        if self.deployment.program == "closed loop":
            return self.crowded_pass(self.deployment.batch)
        return self._alone()

    def reference_load(self) -> Load:
        """The passes by which layers are dealt to stages; section 6."""
        return self.iteration() if self.deployment.program == "closed loop" else self._alone()

    def _alone(self) -> Pass:
        if self.deployment.program == "prefill only":
            return self.prompt_pass(self.deployment.batch, self.prompt_mean, self.prompt_square)
        return self.decode_pass()

    def prompts_alone(self) -> tuple[float, float]:
        """Seconds for all prompts of the busiest group, at the longest and at the mean length."""
        deployment = self.deployment
        if deployment.program == "prefill only":
            batch: float = deployment.batch
        else:
            batch = deployment.token_budget / self.longest
        rounds = math.ceil(deployment.group_sequences / batch) + deployment.cut.pipeline - 1
        longest = max(self.forward.stages(self.prompt_pass(batch, self.longest, self.longest**2)))
        average = max(self.forward.stages(self.prompt_pass(batch, self.prompt_mean, self.prompt_square)))
        return rounds * longest, rounds * average

    def _token_time(self, load: Load) -> float:
        """One round of a pass: the pipeline's length, or its slowest stage for every micro-batch."""
        stages = self.forward.stages(load)
        return max(sum(stages), self.deployment.micro_batches * max(stages))

    def prompt_time(self, tokens: float, square: float) -> float:
        """prompt(S): a prompt through the closed loop, chunk after chunk."""
        _, count = self.chunks(tokens)
        full = self.forward.stages(self.full_pass(tokens, square))
        mixed = max(self.forward.stages(self.iteration()))
        return count * max(sum(full), max(full) + (self.deployment.micro_batches - 1) * mixed)

    def burst_wait(self, tokens: float, square: float) -> float:
        """wait(S): the opening burst of the closed loop, averaged over a client's requests."""
        _, count = self.chunks(tokens)
        longer = max(self.forward.stages(self.full_pass(tokens, square)))
        longer -= max(self.forward.stages(self.decode_pass()))
        burst = 0.5 / self.deployment.scenario.workload.requests_per_client
        return burst * self.deployment.group_sequences * count * longer

    def period(self) -> float:
        """One round of the closed loop's mixed pass."""
        return self._token_time(self.iteration())

    def decode_time(self) -> float:
        """TPOT where nothing but decoding happens."""
        return self._token_time(self.decode_pass())

    def mixed_time(self) -> float:
        """TPOT of the closed loop: the others bring prompts while a sequence decodes."""
        others = self.forward.stages(self.iteration(self.deployment.batch - 1))
        in_turn = (self.deployment.micro_batches - 1) * max(self.forward.stages(self.iteration()))
        return max(sum(others), max(others) + in_turn)

    def start(self, tokens: float) -> float:
        """start(S): what happens to a request before its first pass, if nobody is there."""
        latencies = self.deployment.scenario.latencies
        return latencies.startup + latencies.prompt_token * tokens

    def first_token(self, tokens: float, square: float) -> float:
        """The time to first token in the closed loop, without the opening burst."""
        steps = self.deployment.scenario.latencies.wait_steps
        return self.start(tokens) + steps * self.mixed_time() + self.prompt_time(tokens, square)

    def served(self) -> Served:
        """All predictions but memory."""
        deployment, held = self.deployment, self.deployment.sequences
        tpot: float | None = None
        if deployment.program == "closed loop":
            lengths = ((self.longest, self.longest**2), (self.prompt_mean, self.prompt_square))
            longest, average = (self.first_token(*size) + self.burst_wait(*size) for size in lengths)
            period, tpot = self.period(), self.mixed_time()
            output: float | None = held / period
            requests = held / period / self.answer_mean
        elif deployment.program == "static batch":
            longest, average = self.prompts_alone()
            tpot = self.decode_time()
            requests = held / (average + (self.answer_mean - 1) * tpot)
            output = requests * self.answer_mean
        else:
            longest, average = self.prompts_alone()
            requests, output = held / average, None
        if deployment.program != "closed loop":
            longest, average = longest + self.start(self.longest), average + self.start(self.prompt_mean)
        last = deployment.scenario.workload.output_tokens.max - 1
        return Served(
            ttft=longest,
            ttft_mean=average,
            tpot=tpot,
            requests=requests,
            output_rate=output,
            input_rate=requests * self.prompt_mean,
            latency=longest + last * (tpot or 0.0),
            gpus=deployment.engines * deployment.cut.gpus,
        )


def check_predictions(plan: Plan, served: Served) -> list[Finding]:
    """Every prediction but memory against the recomputed one."""
    said = plan.predictions
    if said is None:
        raise ValueError("the plan has no predictions")
    return [
        agree("predictions.ttft_s", said.ttft_s, served.ttft, "s"),
        agree("predictions.ttft_mean_s", said.ttft_mean_s, served.ttft_mean, "s"),
        agree("predictions.tpot_s", said.tpot_s, served.tpot, "s"),
        agree("predictions.request_latency_s", said.request_latency_s, served.latency, "s"),
        agree("predictions.requests_per_s", said.requests_per_s, served.requests, "requests/s"),
        agree("predictions.output_tokens_per_s", said.output_tokens_per_s, served.output_rate, "tokens/s"),
        agree("predictions.input_tokens_per_s", said.input_tokens_per_s, served.input_rate, "tokens/s"),
        agree(
            "predictions.tokens_per_s_per_gpu",
            said.tokens_per_s_per_gpu,
            served.rate / served.gpus,
            "tokens/s per GPU",
        ),
    ]
