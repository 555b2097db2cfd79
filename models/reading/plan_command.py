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
MOST_GPUS = 1_000_000
"""Of one kind of engine."""
_SHELLS = {"bash", "sh", "zsh", "ssh", "srun", "kubectl", "docker", "tmux", "screen", "su"}
"""Programs that run a command given to them as one quoted word."""
_LOOPS = {"for", "while", "until"}
_JOINED = 200
"""Lines that one quoted text may go over."""
_DEPTH = 2
"""Commands quoted inside commands (bash -c "…")."""


def read_command_text(text: str, file: Path, experts: bool) -> Claimed:
    """Every engine that a text starts. `experts`: whether the model has any. Raises InputError for none."""
    if len(text) > LARGEST_FILE:
        raise InputError(f"more than {LARGEST_FILE:,} characters are no launch command", place=Place(file))
    return claimed_of(said_in(text, file), str(file), "command", experts)


def said_in(text: str, file: Path) -> list[Said]:
    """What every command of a text states, followers on other nodes included."""
    exported: dict[str, tuple[str, int]] = {}
    return [said for line, logical in logical_lines(text) for said in _said(logical, line, file, exported, _DEPTH)]


def claimed_of(found: Sequence[Said], file: str, form: Form, experts: bool) -> Claimed:
    """What several commands state together: parts of one engine on other nodes count once, equal engines add up."""
    alike: dict[str, ClaimedEngine] = {}
    unread: list[Unread] = []
    for said in found:
        if _follows(said) or not said.copies:
            continue
        try:
            one = strategy_of(said, experts)
            one = one.model_copy(update={"count": one.count * said.copies})
        except ValueError:
            one = None
        if one is None or one.gpus > MOST_GPUS:
            text = f"degrees or copies beyond {MOST_GPUS:,} GPUs are a slip of the pen"
            raise InputError(text, place=Place(Path(file), said.line))
        unread += said.unread
        key = one.model_copy(update={"count": 1, "lines": {}}).model_dump_json()
        before = alike.get(key)
        alike[key] = one if before is None else before.model_copy(update={"count": before.count + one.count})
    engines = list(alike.values())
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


def _follows(said: Said) -> bool:
    """Whether it is the part of an engine on a further node: another command starts the engine."""
    rank = said.values.get("node_rank", ("0", 0))[0]
    data_rank = said.values.get("data_rank", ("0", 0))[0]
    literal = [text for text in (rank, data_rank) if text.isascii() and text.isdigit()]
    return "follows" in said.values or any(int(text) for text in literal)  # a variable is the first node's too


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, text) of each line, continued ones and those inside quotes put together."""
    start, held, joined = 1, "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not held:
            start, joined = number, 0
        joined += 1
        if line.rstrip().endswith("\\") and (held or not line.lstrip().startswith("#")):
            held += line.rstrip()[:-1] + "\n"
            continue
        whole = held + line
        if joined < _JOINED and _open_quote(whole):
            held = whole + "\n"
            continue
        yield start, whole
        held = ""
    if held:
        yield start, held


def _open_quote(text: str) -> bool:
    """Whether a quote is left open at the end, outside comments."""
    quote, before = "", " "
    for c in text:
        if quote:
            quote = "" if c == quote and before != "\\" else quote
        elif c in "'\"" and before != "\\":
            quote = c
        elif c == "#" and before.isspace():
            return False
        before = c
    return bool(quote)


def _said(text: str, line: int, file: Path, exported: dict[str, tuple[str, int]], depth: int) -> Iterator[Said]:
    """Commands of one logical line, and those quoted inside them. `exported` variables hold for all that follow."""
    if not text.strip() or text.lstrip().startswith("#"):
        return
    looped = False
    for part in commands_in(text, line):
        pairs = [(pair, word) for word in part if (pair := _ASSIGNMENT.fullmatch(word.text)) is not None]
        if part[0].text == "export" or len(pairs) == len(part):
            exported.update({pair[1]: (pair[2], word.line) for pair, word in pairs})
            continue
        looped = looped or part[0].text in _LOOPS
        if (found := find_command(part)) is None:
            for word in part if depth and any(word.text.rsplit("/", 1)[-1] in _SHELLS for word in part) else ():
                if re.search(r"\s", word.text):
                    yield from _said(word.text, word.line, file, exported, depth - 1)
            continue
        engine, first = found
        said = read_arguments(engine, part[first:], part[0].line)
        said.environment |= exported
        for word in part[:first]:
            if (own := _ASSIGNMENT.fullmatch(word.text)) is not None:
                said.environment[own[1]] = (own[2], word.line)
        if "file" in said.values:
            _settings(said, file)
        if looped:
            why = "stands in a loop, which may start it more than once; it is counted once"
            said.unread.append(Unread(text=" ".join(word.text for word in part[:3])[:120], why=why, line=said.line))
        yield said


def _settings(said: Said, file: Path) -> None:
    """Read the YAML file of a command; only one that lies beside it, or below."""
    name, line = said.values["file"]
    try:
        path, folder = (file.parent / name).resolve(), file.parent.resolve()
        if not path.is_relative_to(folder):
            raise OSError(None, "it lies outside the command's folder")
        if not path.is_file() or path.stat().st_size > LARGEST_FILE:
            raise OSError(None, "it is too large" if path.is_file() else "there is no such file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        why = f"is not read ({reason}), so what it states is not known"
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
    """Single commands: a shell's operators end one, redirections belong to none."""
    part: list[Word] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif not word.text or set(word.text) - set("&;|()<>"):
            part.append(word)
        elif set(word.text) & set("<>"):
            if part and part[-1].text.isdigit() and part[-1].line == word.line:
                part.pop()  # 2>&1
            skip = True
        else:
            if part:
                yield part
            part = []
    if part:
        yield part
