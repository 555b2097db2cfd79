"""A plan in Markdown into the lines that say something: bullets, table rows, marked and `Key: value` lines.

Left out are the conditions (read by markdown.py), sections on alternatives, quotes, comments and code blocks. One pass
over the lines, with patterns that cannot run wild and at most LONGEST_LINE characters of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .markdown_keys import TITLES, plain
from .markdown_sections import Mistakes
from .markdown_values import LONGEST_VALUE

LONGEST_LINE = 500
"""Characters; a longer line is not taken apart."""

Form = Literal["bullet", "mark", "row", "text", "heading"]
"""How a line is written; `mark` is a line that begins with ✓ or the like, `text` any other."""
Section = Literal["model", "conditions", "aside", "checklist", "measures", "results"]

_BULLET = re.compile(r"\s*(?:[-*+•]|[0-9]{1,9}[.)])[ \t]+(?=\S)")
_MARK = re.compile(r"(?:\[[xX ]\]|[✓✔☑✅✗✘❌☐])\ufe0f?\s*")
_BROKEN = ("✗", "✘", "❌", "☐", "[ ]")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)")
_BOLD = re.compile(r"\s*\*\*([^*]{1,80})\*\*\s*:?\s*")
_BELOW_ALL = 7
"""Level of a line in bold that stands for a heading."""
_UNDERLINE = re.compile(r"\s{0,3}(?:=+|--+)\s*")
_PAIR = re.compile(r"[:：](?!//)|=")
_TITLE = re.compile(r"\b(?:plan|deployment|report)\b")
_SPEAKS_OF: tuple[tuple[Section, re.Pattern[str]], ...] = (
    ("aside", re.compile(r"\b(?:alternatives?|rejected|considered|baselines?|comparisons?)\b")),
    ("checklist", re.compile(r"\b(?:validations?|checklist|checks|verification)\b")),
    ("results", re.compile(r"\b(?:expected|results?|scalability|allocation|composition|summary)\b")),
    (
        "measures",
        re.compile(r"\b(?:optimi[sz]ations?|implementation|phases?|communications?|techniques?|measures?)\b"),
    ),
    ("results", re.compile(r"\b(?:strategy|strategies|plan|degrees)\b")),
)
"""Tried in this order: "Expected performance after optimization" are results, "Implementation strategy" is measures."""


@dataclass(frozen=True)
class Item:
    """One line that says something, without its bullet and mark."""

    text: str
    line: int
    column: int
    form: Form
    section: Section
    broken: bool = False
    """Whether its mark says that it is not so."""

    @property
    def too_long(self) -> bool:
        """Whether the text is only the line's beginning."""
        return len(self.text) > LONGEST_LINE


def read_items(text: str, mistakes: Mistakes) -> Iterator[Item]:
    """The items in reading order; of the conditions only the model's. Notes comments and code blocks without end."""
    lines = _without_comments(text, mistakes).splitlines()
    outline, fence, fence_at = _Outline(), "", 0
    for number, line in enumerate(lines, 1):
        start = line[: LONGEST_LINE + 1].strip()
        if fence:
            if start.startswith(fence) and not start.strip(fence[0]):
                fence = ""
            continue
        if start.startswith(("```", "~~~")) and start[0] not in start.lstrip(start[0]):
            fence, fence_at = start[: len(start) - len(start.lstrip(start[0]))], number
        elif start and not start.startswith(">"):
            after = lines[number][: LONGEST_LINE + 1] if number < len(lines) else ""
            item = _item(number, line[: LONGEST_LINE * 2].rstrip(), after.rstrip(), outline)
            if item is not None and item.section not in ("conditions", "aside"):
                yield item
    if fence:
        mistakes.add("this code block has no end", (fence_at, 1), "close it with the same marks")


class _Outline:
    """The headings above a line."""

    def __init__(self) -> None:
        self.above: list[tuple[int, Section]] = []
        self.first = True

    @property
    def section(self) -> Section:
        return self.above[-1][1] if self.above else "results"

    def enter(self, level: int, title: str) -> None:
        """Go below a heading; one that says nothing known belongs to the heading above it."""
        self.above = [(other, section) for other, section in self.above if other < level]
        name = plain(re.sub(r"[0-9]+", " ", title[:LONGEST_VALUE].split("(")[0]))
        section = next((section for section, pattern in _SPEAKS_OF if pattern.search(name)), self.section)
        if name in TITLES:
            section = "model" if TITLES[name] == "model" else "conditions"
        elif self.first and _TITLE.search(name):
            section = "results"  # the document's title, even where it speaks of optimization
        self.first = False
        self.above.append((level, section))


def _item(number: int, line: str, after: str, outline: _Outline) -> Item | None:
    """What one line says; a heading is entered. None for rules, table heads and empty bullets."""
    stripped = line.lstrip()
    if _is_delimiter(stripped) or not stripped.strip("-*_= \t"):
        return None
    start, broken = len(line) - len(stripped), False
    form: Form = "text"
    found = _heading(line, after)
    if found is not None:
        level, title = found
        outline.enter(level, title)
        return Item(title, number, start + 1, "heading", outline.section)
    if (bullet := _BULLET.match(line)) is not None:
        start, form = bullet.end(), "bullet"
    elif "|" in stripped:
        if _is_delimiter(after) and not any(c.isdigit() for c in stripped):
            return None  # the names of the columns
        form = "row"
    if form != "row" and (mark := _MARK.match(line, start)) is not None:
        start, broken = mark.end(), mark[0].startswith(_BROKEN)
        form = "mark"
    text = line[start:].strip().strip("|" if form == "row" else "").strip()
    return Item(text, number, start + 1, form, outline.section, broken) if text else None


def _heading(line: str, after: str) -> tuple[int, str] | None:
    """Level and title, where a line is a heading."""
    if (found := _HEADING.match(line)) is not None:
        return len(found[1]), line[found.end() :].strip().rstrip("#").strip()
    if (bold := _BOLD.fullmatch(line)) is not None and _PAIR.search(bold[1].rstrip(": ")) is None:
        return _BELOW_ALL, bold[1].strip(": ")
    if _UNDERLINE.fullmatch(after) and _BULLET.match(line) is None and "|" not in line and not _PAIR.search(line):
        return (1 if "=" in after else 2), line.strip()
    return None


def _is_delimiter(text: str) -> bool:
    """Whether this is the line under a table's head."""
    return "|" in text and "-" in text and set(text) <= set("|:- \t")


def _without_comments(text: str, mistakes: Mistakes) -> str:
    """The text with blanks for HTML comments; every line keeps its number. Raises InputError for one without end."""
    kept, end = [], 0
    while (start := text.find("<!--", end)) >= 0:
        kept.append(text[end:start])
        end = text.find("-->", start + 4) + 3
        if end < 3:
            mistakes.add("this comment has no end", (len(f"{text[:start]}<".splitlines()), 1), "close it with -->")
            mistakes.end()
        kept.append("".join(c if c.isspace() else " " for c in text[start:end]))
    return "".join((*kept, text[end:]))
