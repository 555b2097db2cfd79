"""Does it run at all: every condition, the engine's own rules, memory, and the flags it is started with."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...models import Scenario
from ...models.audit import AuditFinding, Room
from ...models.claimed import Claimed
from ...models.engine_profile import EngineProfile
from ...models.measures import Severity
from ...models.units import show_bytes, show_seconds
from ...models.workload import Workload
from .subject import Subject, profile_of, stated_flag


def unread(claimed: Claimed) -> Iterator[AuditFinding]:
    """What the engine does not know, or nobody can read."""
    for one in claimed.unread:
        fatal = ("knows no such", "refuses", "is no whole number", "is no share", "has no value")
        sure = claimed.form in ("command", "manifest") and any(words in one.why for words in fatal)
        source = "the engine's own list of flags" if claimed.engine else "the plan's text"
        yield AuditFinding(
            severity="error" if sure else "warning", topic="runs" if sure else "reading",
            id="runs.flag" if sure else "reading.unread", statement=f"{one.text} {one.why}", stated=one.text,
            line=one.line, source=source,
        )  # fmt: skip


def broken(subject: Subject) -> Iterator[AuditFinding]:
    """Conditions other than requirements that the degrees break."""
    for check in subject.evaluation.checks:
        if check.ok or check.name.startswith("requirements."):
            continue
        yield AuditFinding(
            severity="error",
            topic="runs",
            id=check.name,
            statement=check.statement,
            stated=check.predicted,
            found=check.required,
            line=subject.engine.lines.get("command"),
            source=_source(check.name, subject),
        )


def _source(name: str, subject: Subject) -> str:
    profile = profile_of(subject.claimed)
    if name.startswith("engine.") and profile is not None:
        key = name.removeprefix("engine.").replace(".", "_")
        told = profile.sources.get(key) or profile.sources.get(key.split("_")[0])
        return f"{profile.name} {profile.version}: {told}" if told else f"{profile.name} {profile.version}"
    if name.startswith("memory."):
        return "docs/costs.md, section 5"
    return (
        "the scenario" if name.startswith(("gpus.", "node.", "strategy.", "rules.", "load.")) else "the model's shapes"
    )


def limits(subject: Subject) -> Iterator[AuditFinding]:
    """Whether the engine takes the load's sequences, their number and their length."""
    engine, work, claimed = subject.engine, subject.scenario.workload, subject.claimed
    yield from too_short(claimed, work)
    yield from overfull(subject)
    profile = profile_of(claimed)
    at_once = engine.sequences or (profile.sequences_default if profile else 0)
    if at_once and at_once < subject.needed:
        told = "" if engine.sequences else " (the engine's default)"
        severity: Severity = "error" if _late(subject) else "warning"
        yield _limit(
            subject, "sequences", severity, f"{at_once:,} sequences per attention rank{told}",
            f"{subject.needed:,} for the load", f"the engine holds fewer sequences than the load has{_wait(subject)}",
        )  # fmt: skip
    if claimed.engine and engine.token_budget is None and profile is not None and profile.token_budget_default:
        yield _limit(
            subject, "token_budget", "note", f"{profile.token_budget_default:,} tokens (the engine's default)", None,
            "the token budget is left to the engine; another one may serve this load better",
        )  # fmt: skip
    for text in subject.dropped:
        yield _limit(subject, "token_budget", "note", None, None, text)
    if (split := _split(subject, profile)) is not None:
        yield split


def _wait(subject: Subject) -> str:
    """How long the others wait, by Little's law: those outside over the rate at which requests leave."""
    predicted = subject.evaluation.predictions
    if predicted is None or not subject.waiting:
        return ""
    wait, limit = subject.waiting / predicted.requests_per_s, subject.scenario.requirements.ttft
    late = f", beyond the {show_seconds(limit)} that TTFT may take" if limit is not None and _late(subject) else ""
    return f"; the other {subject.waiting:,} wait {show_seconds(wait)} more for their first token{late}"


def _late(subject: Subject) -> bool:
    """Whether those that wait get their first token later than asked."""
    predicted, limit = subject.evaluation.predictions, subject.scenario.requirements.ttft
    if predicted is None or limit is None or not subject.waiting:
        return False
    return predicted.ttft_s + subject.waiting / predicted.requests_per_s > limit


_SIZE = re.compile(r"(?<![a-z0-9.])a?\d+(?:\.\d+)?[bm](?![a-z0-9])")
"""As in 70b or a22b."""


def another_model(claimed: Claimed, scenario: Scenario) -> Iterator[AuditFinding]:
    """A command that loads another model than the scenario has, by family and size in the names."""
    ours = scenario.model.checkpoint
    for engine in claimed.engines:
        theirs = engine.model
        if ours is None or theirs is None or theirs.startswith(("/", ".", "~")) or theirs.count("/") != 1:
            continue
        one, two = (name.rsplit("/", 1)[-1].casefold() for name in (ours, theirs))
        same_size = set(_SIZE.findall(one)) == set(_SIZE.findall(two))
        family = re.match(r"[a-z]+", one.removeprefix("meta-"))
        if same_size and (family is None or family[0] in two):
            continue
        yield AuditFinding(
            severity="error", topic="runs", id="runs.model", stated=theirs, found=ours, line=engine.lines.get("model"),
            statement="the command loads another model than the scenario has", source="the names of both",
        )  # fmt: skip


def too_short(claimed: Claimed, work: Workload) -> Iterator[AuditFinding]:
    """Engines that refuse the load's longest sequences."""
    longest = work.input_tokens.max + (work.output_tokens.max if work.decodes else 1)
    for engine in claimed.engines:
        if engine.longest is not None and engine.longest < longest:
            yield AuditFinding(
                severity="error", topic="runs", id="runs.longest",
                statement=f"{stated_flag(claimed, 'longest')}: requests beyond it are refused, and the load has longer "
                "ones", stated=f"longest sequence {engine.longest:,} tokens", found=f"{longest:,} tokens",
                line=engine.lines.get("longest"), source="the scenario's workload",
            )  # fmt: skip


def overfull(subject: Subject) -> Iterator[AuditFinding]:
    """SGLang's share leaves activations and buffers to what is left of the card."""
    predicted, stated = subject.evaluation.predictions, subject.engine.memory_share
    if subject.claimed.engine != "sglang" or predicted is None or stated is None:
        return
    m, card = predicted.memory_bytes_per_gpu, subject.scenario.hardware.accelerator.memory
    left, needed = (1 - stated) * card, m.activations + m.reserve
    if needed > left * (1 + 1e-9):
        yield _limit(
            subject, "memory_share", "error", f"{show_bytes(int(left))} left", show_bytes(int(needed)),
            "weights and KV cache leave too little of the card for activations and buffers",
        )  # fmt: skip


def _limit(
    subject: Subject, quantity: str, severity: Severity, stated: str | None, found: str | None, statement: str
) -> AuditFinding:
    return AuditFinding(
        severity=severity,
        topic="runs",
        id=f"runs.{quantity}",
        statement=f"{stated_flag(subject.claimed, quantity)}: {statement}",
        stated=stated,
        found=found,
        line=subject.engine.lines.get(quantity),
        source="the scenario's workload",
    )


def _split(subject: Subject, profile: EngineProfile | None) -> AuditFinding | None:
    """Layers per stage that the plan states, against those of the best split."""
    stated, priced = subject.engine.layers_per_stage, subject.evaluation.engine
    if priced is None or subject.strategy.pipeline == 1:
        return None
    best = priced.strategy.layers_per_stage
    theirs = stated or (profile.default_split(sum(best), len(best)) if profile else ())
    if not theirs or theirs == best:
        return None
    how = "states" if stated else "leaves to the engine"
    return AuditFinding(
        severity="warning",
        topic="runs",
        id="runs.layers",
        statement=f"the plan {how} stages of {', '.join(map(str, theirs))} layers; {', '.join(map(str, best))} is more "
        "even, and what the figures here are for",
        line=subject.engine.lines.get("layers_per_stage"),
        source="docs/costs.md, section 6",
    )


def room_of(subject: Subject) -> Room | None:
    """KV cache of the fullest rank: how many tokens, and how many of the longest sequences, it has room for."""
    predicted, priced = subject.evaluation.predictions, subject.evaluation.engine
    if predicted is None or priced is None or not subject.scenario.workload.decodes:
        return None
    m, s, work = predicted.memory_bytes_per_gpu, priced.strategy, subject.scenario.workload
    held = s.batch * s.micro_batches
    if not m.kv_cache:
        return None
    left = max(0, m.usable - m.weights - m.activations - m.reserve)
    longest = work.input_tokens.max + work.output_tokens.max
    sequences = int(left * held / m.kv_cache)
    return Room(
        role=subject.engine.role, bytes=int(left), tokens=sequences * longest,
        sequences=sequences * s.data * subject.engine.count, needed=work.sequences,
    )  # fmt: skip


def short_of_room(subject: Subject, room: Room) -> Iterator[AuditFinding]:
    """Whether the KV cache holds what the engine may take at once, and what the load has."""
    text = f"{show_bytes(room.bytes)}, {room.tokens:,} tokens on a rank"
    if room.sequences < room.needed:
        yield AuditFinding(
            severity="error", topic="runs", id="runs.kv_cache",
            statement="the KV cache does not hold the load's sequences at full length; some are cut off and begin anew",
            stated=f"{room.sequences:,} of the longest sequences ({text})", found=f"{room.needed:,} at once",
            line=subject.engine.lines.get("memory_share"), source="docs/costs.md, section 5",
        )  # fmt: skip
        return
    allowed = (subject.engine.sequences or 0) * subject.strategy.data * subject.engine.count
    if allowed > room.sequences:
        yield AuditFinding(
            severity="note", topic="runs", id="runs.kv_cache",
            statement="more sequences are allowed at once than the KV cache holds at full length",
            stated=f"{allowed:,} allowed", found=f"{room.sequences:,} of the longest ({text})",
            line=subject.engine.lines.get("sequences"), source="docs/costs.md, section 5",
        )  # fmt: skip
