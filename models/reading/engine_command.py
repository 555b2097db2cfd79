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
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
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

    def whole(self, quantity: str) -> int | None:
        """A count; None where it is not stated. What is no count is noted as unread."""
        if quantity not in self.values:
            return None
        text, line = self.values[quantity]
        if re.fullmatch(r"\d{1,12}", text) and int(text) > 0:
            return int(text)
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
    for engine in ENGINES:
        for start in command_profile(engine).starts:
            begin = start.split()
            for i in range(len(texts) - len(begin) + 1):
                if texts[i : i + len(begin)] == begin:
                    return engine, i + len(begin)
    for i, text in enumerate(texts):
        for image, engine in _IMAGES.items():
            if text.split(":")[0].endswith(image):
                return engine, i + 1
    return None


def read_arguments(engine: str, words: Sequence[Word], line: int) -> Said:
    """The arguments of one command."""
    profile, said = command_profile(engine), Said(engine, line=line)
    known = {*profile.takes, *profile.switches, *profile.beyond_engine}
    i = 0
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
        if base not in known:
            near = difflib.get_close_matches(base[:60], known, n=1, cutoff=0.7)
            meant = f"; did you mean {near[0]}?" if near else ""
            why = f"{profile.name} {profile.version} knows no such flag{meant}"
            said.unread.append(Unread(text=word.text[:120], why=why, line=word.line))
        switch = base in profile.switches
        taken: list[str] = [value] if equals else []
        if not equals and not switch:
            while i < len(words) and not _is_flag(words[i].text):
                taken.append(words[i].text)
                i += 1
                if base in known and len(taken) == 1 and base not in ("--config", "--extra_llm_api_options"):
                    break
        quantity = profile.quantity(base)
        if base in known and not switch and not taken:
            said.unread.append(Unread(text=word.text[:120], why="has no value", line=word.line))
        elif quantity is not None:
            said.values[quantity] = ("yes" if switch else taken[0], word.line)
    return said


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
