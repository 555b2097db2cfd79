"""Markdown text into the conditions that stand in its sections: key, value and the place of each.

Understood are headings, bullets (also numbered ones), `Key: value` lines, tables of two columns, quotes, comments and
code blocks; everything else is prose. Whatever looks like a condition and would go unread is a mistake. One pass over
the lines, each looked at with patterns that cannot run wild.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

from ..errors import InputError, InputErrors
from .markdown_keys import KEYS, PLAN_TITLES, SECTIONS, TITLES, plain
from .markdown_values import LONGEST_VALUE
from .tree import Tree

At = tuple[int, int]
"""Line and column, from 1."""
LONGEST_LABEL = 5
"""Words; a longer text before a colon is prose."""

_MOST_MISTAKES = 10
_BULLET = re.compile(r"\s*(?:[-*+]|[0-9]{1,9}[.)])[ \t]+(?=\S)")
_COLON = re.compile(r"[:：](?!//)")
_EMPHASIS = " \t*_`"
_PLAN = "plan"


@dataclass(frozen=True)
class Condition:
    """What a person wrote: a key and its value in one of the sections."""

    section: str
    key: str
    value: str
    key_at: At
    value_at: At


@dataclass
class Mistakes:
    """The mistakes found so far; at most ten are worth reading."""

    tree: Tree
    found: list[InputError] = field(default_factory=list)

    def add(self, message: str, at: At, help: str | None = None) -> None:
        """Note a mistake. Raises all of them when there are enough."""
        self.found.append(InputError(message, place=self.tree.at(*at), help=help))
        if len(self.found) == _MOST_MISTAKES:
            self.end()

    def end(self) -> None:
        """Raise what was found, if anything was."""
        if self.found:
            raise self.found[0] if len(self.found) == 1 else InputErrors(self.found)


def known_sections() -> str:
    """The titles of the sections, for help texts."""
    return ", ".join(section.title for section in SECTIONS.values())


def read_sections(text: str, mistakes: Mistakes) -> tuple[dict[str, At], list[Condition]]:
    """Where each known section begins, and all conditions in reading order."""
    reader = _Reader(_without_comments(text, mistakes).splitlines(), mistakes)
    reader.read()
    return reader.headings, reader.conditions


class _Reader:
    """Goes through the lines and remembers the section it is in."""

    def __init__(self, lines: list[str], mistakes: Mistakes) -> None:
        self.lines = lines
        self.mistakes = mistakes
        self.headings: dict[str, At] = {}
        self.conditions: list[Condition] = []
        self.section: str | None = None
        """A known section, a plan's, or None."""
        self.level = 0
        self.title = ""
        self.blamed = False
        """Whether the unknown section's mistake was noted."""
        self.after_condition = False

    def read(self) -> None:
        """Read all lines."""
        fence, fence_at = "", (1, 1)
        for number, line in enumerate(self.lines, 1):
            if fence:
                text = line.strip()
                if len(text) >= len(fence) and set(text) == {fence[0]}:
                    fence = ""
            elif fence := _fence(line):
                fence_at = (number, _indent(line) + 1)
                if self.section in SECTIONS:
                    self.mistakes.add(
                        "a code block among the conditions is not read", fence_at, "write them as '- Key: value'"
                    )
            else:
                self._line(number, line)
        if fence:
            self.mistakes.add("this code block has no end", fence_at, "close it with the same marks")

    def _line(self, number: int, line: str) -> None:
        text = line.strip()
        follows, self.after_condition = self.after_condition, False
        if number == 1 and text == "---":
            self.mistakes.add("front matter is not read", (1, 1), f"the sections are: {known_sections()}")
        if not text or text.startswith(">") or _is_rule(text):
            return
        if (level := _heading_level(line)) > 0:
            self._heading(number, line, level, _indent(line) + level)
            return
        after = self.lines[number].strip() if number < len(self.lines) else ""
        bullet = _BULLET.match(line)
        start = bullet.end() if bullet else _indent(line)
        pair = _row(line) if not bullet and "|" in text else _pair(line, start)
        if _is_underline(after) and not bullet and "|" not in text and (pair is None or not _short(line, pair)):
            self._heading(number, line, 1 if after[0] == "=" else 2, start)
        elif self.section != _PLAN:
            self._entry(number, line, pair, start, follows, _is_delimiter(after))

    def _heading(self, number: int, line: str, level: int, start: int) -> None:
        """A heading, whose title begins after `start` characters."""
        title, at = line[start:].strip().rstrip("#").rstrip(), (number, _indent(line) + 1)
        name = plain(re.sub(r"[0-9]+", " ", title[:LONGEST_VALUE].split("(")[0]))
        if self.section == _PLAN and level > self.level:
            return
        if name in TITLES:
            self.section = TITLES[name]
            self.headings.setdefault(self.section, at)
        elif self.section in SECTIONS and level > self.level:
            if (pair := _pair(line, start)) is not None and _short(line, pair):
                self.mistakes.add("a condition in a heading is not read", at, "write it as '- Key: value'")
            return  # a part of the section
        else:
            self.section = _PLAN if name in PLAN_TITLES else None
        self.level, self.title, self.blamed = level, title, False

    def _entry(
        self, number: int, line: str, pair: tuple[slice, slice] | None, start: int, follows: bool, header: bool
    ) -> None:
        """A bullet, a table row or a line of text, outside a plan's sections."""
        at, is_bullet = (number, start + 1), _BULLET.match(line) is not None
        is_row = "|" in line and not is_bullet
        if is_row and header and pair is not None and not any(c.isdigit() for c in line[pair[1]]):
            return  # the names of the columns
        if self.section is None:
            known = pair is not None and any(plain(line[pair[0]][:LONGEST_VALUE]) in names for names in KEYS.values())
            if pair is not None and (is_row or is_bullet or known) and _short(line, pair):
                self._blame(line[start:].strip(), at)
        elif pair is not None and (is_row or is_bullet or _short(line, pair)):
            self._condition(number, line, *pair)
        elif is_bullet:
            self.mistakes.add("a bullet without 'Key: value'", at, "state a condition, or write prose without a bullet")
        elif is_row:
            self.mistakes.add("a table row that is no pair of key and value", at, "a row has two cells")
        elif follows:
            self.mistakes.add(
                "this line continues a condition", at, "a condition stands in one line; leave one empty before prose"
            )

    def _condition(self, number: int, line: str, key: slice, value: slice) -> None:
        assert self.section is not None
        key_at, value_at = (number, key.start + 1), (number, value.start + 1)
        self.after_condition = True
        if not line[value]:
            self.mistakes.add(f"'{line[key][:60]}' has no value", key_at, "write '- Key: value' in one line")
        elif value.stop - value.start > LONGEST_VALUE:
            self.mistakes.add(f"a value of more than {LONGEST_VALUE} characters", value_at)
        else:
            self.conditions.append(Condition(self.section, line[key], line[value], key_at, value_at))

    def _blame(self, text: str, at: At) -> None:
        if self.blamed:
            return
        self.blamed = True
        where = f"the section '{self.title[:60]}' is unknown" if self.title else "no section has begun"
        near = difflib.get_close_matches(plain(self.title[:60]), TITLES, n=1, cutoff=0.6)
        meant = f"did you mean '{SECTIONS[TITLES[near[0]]].title}'? " if near else ""
        message = f"{where}, and a condition stands here: {text[:60]}"
        self.mistakes.add(message, at, f"{meant}the sections are: {known_sections()}")


def _without_comments(text: str, mistakes: Mistakes) -> str:
    """The text with blanks for HTML comments; every other character keeps its place."""
    kept, end = [], 0
    while (start := text.find("<!--", end)) >= 0:
        kept.append(text[end:start])
        end = text.find("-->", start + 4) + 3
        if end < 3:
            line = len(f"{text[:start]}<".splitlines())
            mistakes.add("this comment has no end", (line, 1), "close it with -->")
            mistakes.end()
        kept.append("".join(c if c.isspace() else " " for c in text[start:end]))
    return "".join((*kept, text[end:]))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _heading_level(line: str) -> int:
    """1 to 6, or 0 for a line that is no heading."""
    text = line.lstrip(" ")
    level = len(text) - len(text.lstrip("#"))
    return level if level <= 6 and len(line) - len(text) < 4 and text[level : level + 1] in ("", " ", "\t") else 0


def _fence(line: str) -> str:
    """The mark that opens a code block, or nothing."""
    text = line.strip()
    if not text.startswith(("```", "~~~")):
        return ""
    mark = text[: len(text) - len(text.lstrip(text[0]))]
    return "" if text[0] == "`" and "`" in text[len(mark) :] else mark


def _is_rule(text: str) -> bool:
    """A line across the page, an underline of a heading or the line under a table's head."""
    return _is_delimiter(text) or (len(text) > 1 and len(set(text.replace(" ", ""))) == 1 and text[0] in "-*_=")


def _is_underline(text: str) -> bool:
    return len(text) > 1 and (set(text) == {"="} or set(text) == {"-"})


def _is_delimiter(text: str) -> bool:
    return "|" in text and "-" in text and set(text) <= set("|:- \t")


def _pair(line: str, start: int) -> tuple[slice, slice] | None:
    """Where key and value of `Key: value` stand."""
    colon = _COLON.search(line, start)
    if colon is None:
        return None
    key = _bare(line, start, colon.start())
    return (key, _bare(line, colon.end(), len(line))) if plain(line[key][:LONGEST_VALUE]) else None


def _row(line: str) -> tuple[slice, slice] | None:
    """Where key and value of a table row stand; None if it has not two cells."""
    start, end = _indent(line), len(line.rstrip())
    start += line[start] == "|"
    end -= end > start and line[end - 1] == "|"
    if line.count("|", start, end) != 1:
        return None
    bar = line.index("|", start, end)
    key = _bare(line, start, bar)
    return (key, _bare(line, bar + 1, end)) if plain(line[key][:LONGEST_VALUE]) else None


def _bare(line: str, start: int, end: int) -> slice:
    """The part of line[start:end] inside blanks and emphasis."""
    text = line[start:end]
    start += len(text) - len(text.lstrip(_EMPHASIS))
    return slice(start, max(start, end - len(text) + len(text.rstrip(_EMPHASIS))))


def _short(line: str, pair: tuple[slice, slice]) -> bool:
    """Whether a pair has a value and a key of few words, as conditions have and sentences have not."""
    return bool(line[pair[1]]) and len(plain(line[pair[0]][:LONGEST_VALUE]).split()) <= LONGEST_LABEL
