"""Commands that start serving engines, in a shell script or by themselves, into what they state of a plan."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..claimed import Claimed, ClaimedEngine, Form, Unread
from ..errors import InputError, Place
from .engine_command import Said, Word, find_command, read_arguments, read_settings
from .engine_strategy import strategy_of
from .tree import LARGEST_FILE

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_MOST_WORDS = 20_000


def read_command_text(text: str, file: Path, experts: bool) -> Claimed:
    """Every engine that a text starts. `experts`: whether the model has any. Raises InputError for none."""
    if len(text) > LARGEST_FILE:
        raise InputError(f"more than {LARGEST_FILE:,} characters are no launch command", place=Place(file))
    return claimed_of(said_in(text, file), str(file), "command", experts)


def said_in(text: str, file: Path) -> list[Said]:
    """What every command of a text states, followers on other nodes included."""
    return [said for line, logical in _logical_lines(text) for said in _said(logical, line, file)]


def claimed_of(found: Sequence[Said], file: str, form: Form, experts: bool) -> Claimed:
    """What several commands state together: parts of one engine on other nodes count once, equal engines add up."""
    engines: list[ClaimedEngine] = []
    unread: list[Unread] = []
    for said in found:
        if _follows(said):
            continue
        one = strategy_of(said, experts)
        unread += said.unread
        alike = next((i for i, other in enumerate(engines) if _same(other, one)), None)
        if alike is None:
            engines.append(one)
        else:
            count = engines[alike].count + one.count
            engines[alike] = engines[alike].model_copy(update={"count": count})
    if not engines:
        raise InputError(
            "no command here starts a serving engine",
            place=Place(Path(file)),
            help="known are `vllm serve …`, `python3 -m sglang.launch_server …` and `trtllm-serve …`",
        )
    kinds = {said.engine for said in found}
    if len(kinds) > 1:
        raise InputError(f"the commands start different engines: {', '.join(sorted(kinds))}", place=Place(Path(file)))
    return Claimed(file=file, form=form, engine=kinds.pop(), engines=tuple(engines), unread=tuple(unread))


def _same(one: ClaimedEngine, other: ClaimedEngine) -> bool:
    plain = {"count": 1, "lines": {}}
    return one.model_copy(update=plain) == other.model_copy(update=plain)


def _follows(said: Said) -> bool:
    """Whether it is the part of an engine on a further node: another command starts the engine."""
    rank = said.values.get("node_rank", ("0", 0))[0]
    data_rank = said.values.get("data_rank", ("0", 0))[0]
    return "follows" in said.values or rank not in ("0", "") or data_rank not in ("0", "")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, text) of each line, continued ones put together."""
    start, held = 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not held:
            start = number
        if line.rstrip().endswith("\\"):
            held += line.rstrip()[:-1] + "\n"
            continue
        yield start, held + line
        held = ""
    if held:
        yield start, held


def _said(text: str, line: int, file: Path) -> Iterator[Said]:
    if not text.strip() or text.lstrip().startswith("#"):
        return
    for part in commands_in(text, line):
        if (found := find_command(part)) is None:
            continue
        engine, first = found
        said = read_arguments(engine, part[first:], part[0].line)
        for word in part[:first]:
            if (pair := _ASSIGNMENT.fullmatch(word.text)) is not None:
                said.environment[pair[1]] = (pair[2], word.line)
        if "file" in said.values:
            _settings(said, file)
        yield said


def _settings(said: Said, file: Path) -> None:
    name, line = said.values["file"]
    path = (file.parent / name) if not Path(name).is_absolute() else Path(name)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise OSError(None, "it is too large")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        why = f"cannot be read ({reason}), so what it states is not known"
        said.unread.append(Unread(text=name[:120], why=why, line=line))
        return
    read_settings(said, text, path, line)


def commands_in(text: str, line: int) -> Iterator[list[Word]]:
    """The single commands of a piece of shell text that begins in a line."""
    yield from _split(_words(text, line))


def _words(text: str, line: int) -> list[Word]:
    """The words of a logical line; unbalanced quotes are split at blanks."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="&;|()<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    found: list[Word] = []
    try:
        for word in lexer:
            found.append(Word(word, line + min(lexer.lineno - 1, text.count("\n"))))
            if len(found) > _MOST_WORDS:
                break
    except ValueError:
        return [Word(word, line + n) for n, part in enumerate(text.splitlines()) for word in part.split()]
    return found


def _split(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Single commands: a shell's operators end one."""
    part: list[Word] = []
    for word in words:
        if word.text and not set(word.text) - set("&;|()<>"):
            if part:
                yield part
            part = []
        else:
            part.append(word)
    if part:
        yield part
