"""explanation.json, explanation.md and what a terminal shows, all from one Explanation.

In the manner of a compiler: errors state facts, only `help` proposes a change. Readable without colour.
"""

from __future__ import annotations

from typing import Any

from ...models.conflict import Conflict, Member, Source
from ...models.edit import Edit
from ...models.explanation import Binding, Explanation, Repair
from .readings_md import readings_section, warnings_of
from .text import bullets, plural, section, table

ORDER = "fewest edits, then what you set before hardware before knowledge, then the smallest change"


def explanation_json(explanation: Explanation) -> str:
    """The whole object."""
    return explanation.model_dump_json(indent=1, by_alias=True)


def conflict_text(number: int, conflict: Conflict, what: str = "strategy") -> str:
    """One conflict for a terminal; `what` does not exist."""
    mark = "" if conflict.proved else " (possible: the time ended before the proof)"
    lines = [f"error[{number}]: {_title(conflict, what)}{mark}"]
    for member in conflict.members:
        possible = " (possibly not needed)" if member.needed == "possible" else ""
        lines += [f"  --> {_where(member.source)}", f"   | {member.id}: {member.statement}{possible}"]
        if member.best_possible is not None:
            others = "under the others" if len(conflict.members) > 1 else "whatever else gives way"
            lines.append(f"   | best possible {others}: {member.best_possible} ({_reached(member)})")
        if member.breaks or (member.best_with_all or member.best_possible) != member.best_possible:
            best = member.best_with_all or f"no {what} keeps them all"
            lines.append(f"   | with every other condition kept: {best}")
    return "\n".join([*lines, f"   = because {conflict.because}"])


def _title(conflict: Conflict, what: str) -> str:
    if not conflict.members:
        return "nothing can be placed, whatever gives way"
    if len(conflict.members) == 1:
        return f"no {what} keeps {conflict.members[0].id}"
    return f"no {what} keeps these {len(conflict.members)} conditions together"


def _reached(member: Member) -> str:
    """The strategy that reaches the best value, and what else it would break."""
    breaks = f"; it breaks {', '.join(member.breaks)}" if member.breaks else ""
    return f"{member.reached_by}{breaks}"


def _where(source: Source) -> str:
    if source.file is None:
        return source.key
    default = "" if source.stated else ", not stated: the default counts"
    return f"{source.file}:{source.line} ({source.key}{default})"


def repair_text(number: int, repair: Repair) -> str:
    """One repair for a terminal."""
    edits = "\n      and ".join(edit_text(edit) for edit in repair.edits)
    return f"help[{number}]: {edits}\n   = then {repair.headline}"


def edit_text(edit: Edit) -> str:
    """A change of one key."""
    if edit.before is None:
        return f"set {edit.key}: {_value(edit.after)}"
    if edit.after is None:
        return f"remove {edit.key}: {_value(edit.before)}"
    return f"{edit.key}: {_value(edit.before)} → {_value(edit.after)}"


def _value(value: Any) -> str:
    """As YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_value(each)}' for key, each in value.items())}}}"
    return str(value)


def binding_text(binding: Binding) -> str:
    """One condition of a plan for a terminal."""
    verdict = {True: "binds  ", False: "slack  ", None: "unknown"}[binding.binds]
    left = "" if binding.slack is None else f", {binding.slack:.1%} left"
    lines = [f"{verdict} {binding.id} ({_place(binding.source)}): asked {binding.asked}, plan {binding.reached}{left}"]
    for effect in binding.effects:
        edits = "; ".join(edit_text(edit) for edit in effect.edits)
        lines.append(f"   = {effect.change} ({edits}) buys {effect.buys}")
    return "\n".join(lines)


def _place(source: Source) -> str:
    return source.key if source.file is None else f"{source.file}:{source.line}"


def closing_text(explanation: Explanation) -> str:
    """What a terminal shows after the conflicts, repairs and conditions."""
    lines = []
    if explanation.repairs:
        lines.append(f"note: repairs stand in this order: {ORDER}")
    if any(edit.key.startswith("hardware.gpus") for repair in explanation.repairs for edit in repair.edits):
        lines.append("note: --most-gpus N shows what else must give way where no more than N GPUs can be had")
    way_out = "--all works them out" if explanation.complete else "the time ended"
    if explanation.conflicts_left:
        lines.append(f"note: {plural(explanation.conflicts_left, 'conflict')} not shown; {way_out}")
    if explanation.repairs_left:
        lines.append(f"note: {plural(explanation.repairs_left, 'set')} of edits not solved; {way_out}")
    if not explanation.complete:
        lines.append("note: the time ended before everything was told; give a larger --budget")
    lines.append(f"note: searched {explanation.searched}")
    return "\n".join(lines)


def explanation_markdown(explanation: Explanation) -> str:
    """The report."""
    exists = explanation.headline is not None
    title = f"What holds the plan back: {explanation.scenario.name}" if exists else _verdict(explanation)
    parts = [
        section(title, *warnings_of(explanation), explanation.headline or "", level=1),
        *(conflict_section(number, one) for number, one in enumerate(explanation.conflicts, 1)),
        _repairs_section(explanation),
        _bindings_section(explanation),
        readings_section(explanation),
        section("Proof", bullets(_proof(explanation))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(explanation: Explanation) -> str:
    if explanation.status == "unknown":
        return f"Stopped before there was an answer: {explanation.scenario.name}"
    return f"No plan exists: {explanation.scenario.name}"


def conflict_section(number: int, conflict: Conflict, what: str = "strategy") -> str:
    """One conflict for the report."""
    rows = [
        (
            m.id + (" (possibly not needed)" if m.needed == "possible" else ""),
            m.asked,
            m.best_possible or "",
            _reached(m) if m.reached_by else "",
            m.best_with_all or "none",
            _where(m.source),
        )
        for m in conflict.members
    ]
    header = ("condition", "asked", "best possible under the others", "reached by", "with all others kept", "set in")
    because = f"{conflict.because[0].upper()}{conflict.because[1:]}."
    proved = "" if conflict.proved else "Not proved to the end: the time was over."
    title = _title(conflict, what)
    return section(f"Conflict {number}: {title}", because, table(header, rows), proved)


def _repairs_section(explanation: Explanation) -> str:
    if not explanation.repairs:
        return ""
    rows = [
        (number, "; ".join(edit_text(edit) for edit in repair.edits), repair.headline)
        for number, repair in enumerate(explanation.repairs, 1)
    ]
    text = (
        f"Each was applied and solved; a number one step tighter fails. In this order: {ORDER}. "
        "`shardwise explain SCENARIO --apply N --out FILE` writes the repaired scenario."
    )
    return section("Repairs", text, table(("N", "edit", "plan then"), rows))


def _bindings_section(explanation: Explanation) -> str:
    if not explanation.bindings:
        return ""
    rows = []
    for binding in explanation.bindings:
        slack = "" if binding.slack is None else f"{binding.slack:.1%}"
        verdict = {True: "yes", False: "no", None: "not decided"}[binding.binds]
        buys = "; ".join(f"{effect.change}: {effect.buys}" for effect in binding.effects)
        rows.append((binding.id, binding.asked, binding.reached, slack, verdict, buys, _place(binding.source)))
    header = ("condition", "asked", "plan", "left", "binds", "one more unit buys", "set in")
    return section("Conditions", table(header, rows))


def _proof(explanation: Explanation) -> list[str]:
    found = [f"searched {explanation.searched}"]
    if explanation.conflicts:
        found.append("CP-SAT confirms each conflict, and that it disappears without each proved member")
    if not explanation.complete:
        found.append("the time ended before everything was decided")
    left = explanation.conflicts_left, explanation.repairs_left
    if any(left):
        found.append(f"{left[0]} further conflicts and {left[1]} further sets of edits were left out")
    return [*found, explanation.proof.second_route]
