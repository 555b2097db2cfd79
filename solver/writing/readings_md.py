"""Other readings of the conditions, and what they change."""

from __future__ import annotations

from ...models import Plan
from ...models.explanation import Explanation
from ...models.plan import Reading
from ..readings import flips
from .text import plural, section, show_rate, show_seconds, table


def warnings_of(plan: Plan | Explanation) -> list[str]:
    """A verdict that hangs on a reading first, then the contradictions."""
    flip = flips(plan)
    return [f"> **Warning.** {text}" for text in ((flip,) if flip else ()) + plan.warnings]


def readings_section(plan: Plan | Explanation) -> str:
    """Every other reading with its own optimum."""
    if not plan.readings:
        return ""
    rows = [(reading.reading, reading.changes, reading_text(reading)) for reading in plan.readings]
    return section("Other readings of the conditions", table(("read with", "changes", "answer"), rows))


def reading_text(reading: Reading) -> str:
    """One reading's answer in a line."""
    if reading.strategy is None or reading.ttft_s is None or reading.tokens_per_s_per_gpu is None:
        why = f": {', '.join(reading.conflicts)}" if reading.conflicts else ""
        return f"{reading.status}{why}"
    rate = show_rate(reading.tokens_per_s_per_gpu)
    return (
        f"{reading.strategy} × {plural(reading.engines, 'engine')}, TTFT {show_seconds(reading.ttft_s)}, "
        f"{rate} per GPU ({reading.status})"
    )
