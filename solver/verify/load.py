"""Whether batch, micro-batches, sequences in flight and token budget agree (docs/costs.md, section 4)."""

from __future__ import annotations

import math

from shardwise.models.plan import Finding, Plan

from .deployment import Deployment, mean
from .text import equal, rule, show


def check_load(plan: Plan, deployment: Deployment) -> list[Finding]:
    """What the engine runs at, against what follows from the sequences of its busiest attention group."""
    strategy, cut, held = plan.engines[0].strategy, deployment.cut, deployment.group_sequences
    lengths = plan.scenario.workload
    prefill = deployment.program == "prefill only"
    rounds = math.ceil(held / deployment.batch) if prefill else min(cut.pipeline, held)
    in_flight = deployment.engine_sequences
    if prefill:
        in_turn = min(deployment.micro_batches, cut.pipeline)
        in_flight = min(in_flight, deployment.batch * cut.data * in_turn)
    carried = deployment.batch * deployment.micro_batches
    findings = [
        equal("load.micro_batches", strategy.micro_batches, rounds),
        equal("load.batch", strategy.batch, math.ceil(held / deployment.micro_batches), "sequences"),
        rule(
            "load.carries_all",
            carried >= held,
            f"{strategy.micro_batches:,} micro-batches of {strategy.batch:,}: {carried:,} sequences",
            f"at least {held:,} sequences of the busiest attention group",
        ),
        equal("load.in_flight", strategy.in_flight, in_flight, "sequences"),
    ]
    if prefill:
        needed = math.ceil(deployment.batch * lengths.input_tokens.max / cut.context)
        findings.append(equal("load.token_budget", strategy.token_budget, needed, "tokens"))
    elif deployment.program == "static batch":
        findings.append(_whole_prompts(deployment, held))
    else:
        prompts = deployment.batch * mean(lengths.input_tokens) / mean(lengths.output_tokens)
        findings.append(
            rule(
                "budget.carries_load",
                deployment.batch + prompts <= strategy.token_budget * (1 + 1e-9),  # rounding of one division
                show(strategy.token_budget, "tokens"),
                f"at least {show(deployment.batch + prompts, 'tokens')} of an average iteration",
            )
        )
    return findings


def _whole_prompts(deployment: Deployment, held: int) -> Finding:
    """The static batch's budget is B_p whole prompts, dealt as evenly as m_p rounds allow."""
    longest = deployment.scenario.workload.input_tokens.max
    batch, left = divmod(deployment.token_budget, longest)
    rounds = math.ceil(held / batch) if batch else 1
    expected = math.ceil(held / rounds) * longest
    return rule(
        "load.token_budget",
        batch > 0 and left == 0 and deployment.token_budget == expected,
        show(deployment.token_budget, "tokens"),
        f"{show(expected, 'tokens')}: whole prompts of {longest:,} over {rounds:,} micro-batches",
    )
