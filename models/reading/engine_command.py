"""A serving engine's command line into the values it states, with the data of models/catalog/commands.

Enters: words. Leaves: quantity -> (value, line), and what the engine does not know.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..claimed import Unread
from ..command_profile import CommandProfile, command_profile
from ..errors import InputError
from .tree import read_text_tree

ENGINES = ("vllm", "sglang", "trtllm")
_NUMBER = re.compile(r"-?[0-9]*\.?[0-9]+")
_COUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([kKmM]?)")
_TIMES = {"": 1, "k": 1_000, "K": 1_024, "m": 1_000_000, "M": 1_048_576}
"""vLLM reads 32k as 32,000 and 32K as 32,768."""
_MOST_HINTS = 20
"""Unknown flags for which a similar one is looked for."""
_IMAGES = {"vllm/vllm-openai": "vllm"}
"""Container images whose entry point is the engine: arguments follow the image."""


@dataclass(frozen=True)
class Word:
    """One word of a command and the line it stands in."""

    text: str
    line: int


@dataclass
class Said:
    """What one command states."""

    engine: str
    values: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Quantity -> (value as written, line); a switch has the value "yes"."""
    unread: list[Unread] = field(default_factory=list)
    environment: dict[str, tuple[str, int]] = field(default_factory=dict)
    line: int = 1
    role_by_name: bool = False
    """Its role is that of a name around it, not stated by a flag."""
    copies: int = 1
    """How many such engines are started at once (replicas of a manifest)."""

    def whole(self, quantity: str) -> int | None:
        """A count; None where it is not stated. What is no count is noted as unread."""
        if quantity not in self.values:
            return None
        text, line = self.values[quantity]
        found = _COUNT.fullmatch(text)
        if found is not None and (value := float(found[1]) * _TIMES[found[2]]) >= 1 and value == int(value):
            return int(value)
        self.unread.append(Unread(text=f"{quantity} {text[:60]}", why="is no whole number above 0", line=line))
        return None

    def number(self, quantity: str) -> float | None:
        """A share; None where it is not stated."""
        if quantity not in self.values:
            return None
        text, line = self.values[quantity]
        if _NUMBER.fullmatch(text) and 0 < float(text) <= 1:
            return float(text)
        self.unread.append(Unread(text=f"{quantity} {text[:60]}", why="is no share between 0 and 1", line=line))
        return None


def find_command(words: Sequence[Word]) -> tuple[str, int] | None:
    """(engine, place of its first argument) of a command that starts an engine; None if none does."""
    texts = ["python3" if word.text in ("python", "python3.11", "python3.12") else word.text for word in words]
    texts = [
        text.rsplit("/", 1)[-1] if text.endswith(("/vllm", "/python3", "/trtllm-serve")) else text for text in texts
    ]
    places = [i for i, text in enumerate(texts) if not (text == "-u" and i and texts[i - 1] == "python3")]
    texts = [texts[i] for i in places]
    for engine in ENGINES:
        for start in command_profile(engine).starts:
            begin = start.split()
            for i in range(len(texts) - len(begin) + 1):
                after = i + len(begin)
                if texts[i:after] == begin and not "".join(texts[after : after + 1]).startswith("disaggregated"):
                    return engine, places[after - 1] + 1
    for i, text in enumerate(texts):
        for image, engine in _IMAGES.items():
            if re.search(rf"(^|/){image}([:@]|$)", text) and (i == 0 or "run" in texts[:i]):
                return engine, places[i] + 1
    return None


def read_arguments(engine: str, words: Sequence[Word], line: int) -> Said:
    """The arguments of one command."""
    profile, said = command_profile(engine), Said(engine, line=line)
    known = {*profile.takes, *profile.switches, *profile.beyond_engine}
    hints, i = _MOST_HINTS, 0
    while i < len(words):
        word = words[i]
        i += 1
        flag, equals, value = word.text.partition("=")
        if not flag.startswith("-") or _NUMBER.fullmatch(flag):
            _loose(said, profile, word)
            continue
        if engine == "vllm" and flag.startswith("--"):
            flag = flag.replace("_", "-")
        base = flag.split(".")[0]  # --eplb-config.num_redundant_experts sets one key of a mapping
        if base not in known and base.startswith("--"):
            base = _abbreviated(base, known)
        if base not in known:
            near = difflib.get_close_matches(base[:60], known, n=1, cutoff=0.7) if hints > 0 else []
            hints -= 1
            meant = f"; did you mean {near[0]}?" if near else ""
            why = f"{profile.name} {profile.version} knows no such flag{meant}"
            said.unread.append(Unread(text=word.text[:120], why=why, line=word.line))
        switch = base in profile.switches
        taken: list[str] = [value] if equals else []
        if not equals and not switch:
            while i < len(words) and not _is_flag(words[i].text):
                taken.append(words[i].text)
                i += 1
                if profile.quantity(base) is not None:
                    break
        quantity = profile.quantity(base)
        if base == "--config" and quantity is None:
            why = "is a file of more flags, which is not read"
            said.unread.append(Unread(text=word.text[:120], why=why, line=word.line))
        if base in known and not switch and not taken:
            said.unread.append(Unread(text=word.text[:120], why="has no value", line=word.line))
        elif quantity is not None:
            said.values[quantity] = ("yes" if switch else taken[0], word.line)
    return said


def _abbreviated(base: str, known: set[str]) -> str:
    """The flag that a beginning of it stands for, as Python's argument parser takes it."""
    longer = [flag for flag in known if flag.startswith(base)]
    if len(longer) == 1:
        return longer[0]
    # --tp, --dp, --pp are ambiguous by now, and yet what SGLang's own examples have.
    return f"{base}-size" if f"{base}-size" in longer else base


def _is_flag(text: str) -> bool:
    return text.startswith("-") and not _NUMBER.fullmatch(text) and len(text) > 1


def _loose(said: Said, profile: CommandProfile, word: Word) -> None:
    if profile.positional_model and "model" not in said.values:
        said.values["model"] = (word.text, word.line)
    else:
        said.unread.append(Unread(text=word.text[:120], why="belongs to no flag", line=word.line))


def read_settings(said: Said, text: str, file: Path | None, line: int) -> None:
    """The YAML file of an engine; what it states wins over the flags. Its lines are not the command's."""
    profile = command_profile(said.engine)
    try:
        data = read_text_tree(text, file).data
    except InputError as error:
        said.unread.append(Unread(text=str(file or "settings"), why=f"is no YAML: {error.message}", line=line))
        return
    if not isinstance(data, dict):
        said.unread.append(Unread(text=str(file or "settings"), why="is no mapping", line=line))
        return
    for key in data:
        if profile.file_takes and key not in profile.file_takes:
            why = f"{profile.name} {profile.version} refuses this key"
            said.unread.append(Unread(text=f"{file.name if file else 'settings'}: {key}"[:120], why=why, line=line))
    for quantity, path in profile.file_says.items():
        value: Any = data
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None and value is not False:
            stated = ",".join(map(str, value)) if isinstance(value, list) else "yes" if value is True else str(value)
            said.values[quantity] = (stated, line)
