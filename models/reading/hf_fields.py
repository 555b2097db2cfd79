"""The keys of a Hugging Face configuration, each checked when it is asked for; every complaint names key and line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..errors import InputError
from .tree import Path_, Tree

LARGEST: Final = 2**24
"""No shape of a model is larger; the models' own ceiling."""
INLINE: Final = "describe the model in the scenario (`shardwise schema` shows the keys of `model`)"
"""The way out where a file cannot be read."""


class Config:
    """One mapping of a configuration file, with what was found out while reading it."""

    def __init__(self, tree: Tree, within: Path_ = (), outer: Config | None = None) -> None:
        self.tree, self.within, self.outer = tree, within, outer
        data = tree.data
        for step in within:
            data = data[step]
        self.data: dict[str, Any] = data
        self.assumed: list[str] = []
        """Figures that the file does not state exactly."""
        self.sources: dict[str, str] = {}
        """Figure -> why it is what it is, where that is not plain from the file."""

    def inner(self, key: str) -> Config:
        """The mapping under `key`; `outer` of it is this one."""
        if not isinstance(self.data.get(key), dict):
            raise self._unlike(key, "a mapping")
        return Config(self.tree, (*self.within, key), self)

    def owner(self, key: str) -> Config:
        """This mapping, or the one around it if only that states `key` (null is not a statement)."""
        outer = self.outer
        return outer if self.data.get(key) is None and outer is not None and key in outer.data else self

    def assume(self, figure: str, why: str) -> None:
        """Note that the model's `figure` is not exactly what the file states."""
        self.assumed += [] if figure in self.assumed else [figure]
        self.sources[figure] = why

    def stop(self, message: str, key: str | None = None, help: str | None = None) -> InputError:
        """An error at `key`, or at the mapping itself."""
        path = self.within if key is None else (*self.within, key)
        return InputError(message, place=self.tree.place(path), help=help)

    def refuse(self, reason: str, key: str | None = None) -> InputError:
        """An error that says what shardwise does not model."""
        return self.stop(reason, key, INLINE)

    def whole(self, *names: str, default: int | None = None, least: int = 1, most: int = LARGEST) -> int:
        """The whole number under the first of `names` that the file states; absent or null: `default`."""
        key = next((name for name in names if self.data.get(name) is not None), names[0])
        value = self.data.get(key, default)
        value = default if value is None else value
        if value is None:
            raise self._unlike(key, f"a whole number from {least:,} on")
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._unlike(key, f"a whole number from {least:,} to {most:,}")
        return value

    def optional(self, key: str, default: int | None = None) -> int | None:
        """The whole number under `key`; null: None; absent: `default`."""
        return default if key not in self.data else None if self.data[key] is None else self.whole(key)

    def flag(self, key: str, default: bool = False) -> bool:
        """The truth value under `key`; absent or null: `default`."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._unlike(key, "true or false")
        return default if value is None else value

    def text(self, key: str) -> str | None:
        """The text under `key`; absent or null: None."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, str):
            raise self._unlike(key, "text")
        return value

    def items(self, key: str, kind: type[str] | type[int]) -> Sequence[Any]:
        """The list under `key`, all of one kind; absent or null: empty."""
        value = self.data.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
            raise self._unlike(key, f"a list of {'text' if kind is str else 'whole numbers'}")
        return value

    def _unlike(self, key: str, wanted: str) -> InputError:
        value = self.data.get(key)
        if value is None:
            return self.stop(f"missing key '{key}'", None, f"it is {wanted}")
        shown = "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)[:60]
        return self.stop(f"{key}: {shown} is not {wanted}", key)


def shortest(pattern: Sequence[str]) -> tuple[str, ...]:
    """The shortest beginning that, repeated, gives the whole (the last repetition may be cut)."""
    for period in range(1, len(pattern)):
        if all(kind == pattern[i % period] for i, kind in enumerate(pattern)):
            return tuple(pattern[:period])
    return tuple(pattern)
