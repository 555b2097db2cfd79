"""Small pieces of Markdown and the numbers in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...models.units import show_bytes, show_count, show_rate, show_seconds

__all__ = ["bullets", "plural", "section", "show_bytes", "show_count", "show_rate", "show_seconds", "spans", "table"]


def section(title: str, *parts: str, level: int = 2) -> str:
    """A heading with its text."""
    body = "\n\n".join(part for part in parts if part)
    return f"{'#' * level} {title}\n\n{body}"


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {item}" for item in items)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    """A name from a file must not break the table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def spans(first: int, past: int) -> str:
    """[first, past) as people write it: 0–13."""
    return str(first) if past - first == 1 else f"{first}–{past - 1}"
