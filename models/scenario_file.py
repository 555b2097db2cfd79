"""A scenario as it stands in its file: where each key was set, and the same file with keys changed."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from .edit import Edit, edited, resolved
from .errors import Place
from .knowledge import files_of, lay_under, load_knowledge
from .reading import named, validated
from .reading.tree import Path_, Tree, read_file_tree, read_text_tree
from .requirements import with_margin
from .scenario import Scenario
from .yaml_text import YamlText, written

_NOT_PLAIN = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that JSON may hold as they are, but YAML, as which it is read, may not."""


@dataclass(frozen=True)
class ScenarioFile:
    """A file, the knowledge that was laid under it, and the scenario that both make."""

    tree: Tree
    """The file's own data, without knowledge."""
    knowledge: tuple[Path, ...]
    scenario: Scenario
    margin: float = 0.0
    """Share by which the requirements of `scenario` are tighter than the file's."""

    @classmethod
    def read(cls, path: str | Path, knowledge: Sequence[str | Path] = ()) -> ScenarioFile:
        """Read a file with knowledge files or folders under it. Raises InputError with the file and line."""
        tree, paths = read_file_tree(Path(path)), tuple(Path(each) for each in knowledge)
        return cls(tree, paths, _scenario(tree, paths))

    @property
    def path(self) -> Path:
        """The file."""
        assert self.tree.file is not None
        return self.tree.file

    def place(self, key: str) -> tuple[Place, bool]:
        """Where a dotted key stands, and whether it stands there: else where it would."""
        group, _, id = key.partition(".")
        if group == "rules":
            return self._rule(id)
        path, found = self._follow(key)
        return self.tree.place(path), found

    def stated(self, key: str) -> Any:
        """What the file says at a dotted key; None where it says nothing."""
        path, found = self._follow(key)
        value = self.tree.data
        for step in path:
            value = value[step]
        return value if found else None

    def _follow(self, key: str) -> tuple[Path_, bool]:
        """The part of a key that exists; a scalar on the way is short for a mapping and ends it."""
        path: Path_ = ()
        node = self.tree.data
        for step in key.split("."):
            if not isinstance(node, dict):
                return path, node is not None
            if step not in node:
                return path, False
            path, node = (*path, step), node[step]
        return path, node is not None

    def _rule(self, id: str) -> tuple[Place, bool]:
        for tree in (self.tree, *(read_file_tree(file) for path in self.knowledge for file in files_of(path))):
            rules = tree.data.get("rules") if isinstance(tree.data, dict) else None
            for index, rule in enumerate(rules or ()):
                if isinstance(rule, dict) and rule.get("id") == id:
                    return tree.place(("rules", index)), True
        return self.tree.place(()), False

    def edited(self, edits: Sequence[Edit]) -> Scenario:
        """The scenario that the changed file would make, with the margin. Raises InputError for what cannot be."""
        return with_margin(_scenario(self._changed(edits), self.knowledge), self.margin)

    def _changed(self, edits: Sequence[Edit]) -> Tree:
        return replace(self.tree, data=edited(self.tree.data, edits, self.scenario))

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the files that `text` can be written to: Markdown conditions are written as YAML."""
        return (".json",) if self._suffix == ".json" else (".yaml", ".yml")

    @property
    def _suffix(self) -> str:
        return self.path.suffix.lower()

    def text(self, edits: Sequence[Edit], folder: Path) -> str:
        """The changed file, to be written in a folder; comments and layout of YAML are kept.

        Raises RuntimeError if it would not be read as `edited` says.
        """
        if self._suffix == ".json":
            data = self._moved(self._changed(edits).data, folder)
            text = (
                _NOT_PLAIN.sub(lambda at: f"\\u{ord(at[0]):04x}", json.dumps(data, ensure_ascii=False, indent=2)) + "\n"
            )
        elif self._suffix in (".md", ".markdown"):
            text = written(self._moved(self._changed(edits).data, folder))
        else:
            text = self._round_trip(edits, folder)
        again, meant = read_text_tree(text, folder / f"repaired{self.suffixes[0]}"), self._changed(edits)
        same_name = again.data.get("name") == meant.data.get("name")
        if not same_name or _conditions(_scenario(again, self.knowledge)) != _conditions(
            _scenario(self._changed(edits), self.knowledge)
        ):
            raise RuntimeError("the changed scenario would be read as something else; nothing was written")
        return text

    def _round_trip(self, edits: Sequence[Edit], folder: Path) -> str:
        from ruamel.yaml.error import YAMLError

        try:
            text = YamlText("\n".join(self.tree.lines) + "\n")
        except YAMLError:  # it refuses tabs between key and value, which YAML allows
            first = takewhile(lambda line: line.startswith("#"), self.tree.lines)
            return "".join(f"{line}\n" for line in first) + written(self._moved(self._changed(edits).data, folder))
        for edit in edits:
            if (change := resolved(text.data, edit, self.scenario)) is not None:
                text.change(*change)
        if (model := self._moved(text.data, folder).get("model")) != text.data.get("model"):
            text.change(("model",), model)
        return str(text)

    def _moved(self, data: dict[str, Any], folder: Path) -> dict[str, Any]:
        """A copy, in which the path of a config.json is relative to the folder."""
        model = data.get("model")
        a_file = isinstance(model, str) and ("/" in model or model.endswith(".json")) and not Path(model).is_absolute()
        if a_file:
            moved = Path(os.path.relpath(self.path.parent / str(model), folder)).as_posix()
            # A / tells a path from the id of a catalog's model.
            data = {**data, "model": moved if "/" in moved or moved.endswith(".json") else f"./{moved}"}
        return data


def _conditions(scenario: Scenario) -> Scenario:
    """Without what follows from the place of the file: its name, and the path to a config.json."""
    model = scenario.model.model_copy(update={"sources": {}})
    return scenario.model_copy(update={"name": "", "model": model})


def _scenario(tree: Tree, knowledge: Sequence[Path]) -> Scenario:
    """Validate a file's data with the knowledge under it."""
    tree = named(replace(tree, data=copy.deepcopy(tree.data), laid={}))
    if not knowledge:
        return validated(tree, Scenario)
    known = load_knowledge(knowledge)
    if isinstance(tree.data, dict):
        if known.operator_times is not None and "operator_times" not in tree.data:
            tree.laid["operator_times"] = _last_with("operator_times", knowledge)
        tree.data = lay_under(tree.data, known)
    scenario = validated(tree, Scenario)
    in_force = {f"rules.{rule.id}" for rule in scenario.rules_in_force}
    used = {
        what: file for what, file in scenario.knowledge.items() if not what.startswith("rules.") or what in in_force
    }
    return scenario.model_copy(update={"knowledge": used})


def _last_with(key: str, knowledge: Sequence[Path]) -> Tree:
    """The last of the knowledge files that state a key, which is the one that counts."""
    trees = [read_file_tree(file) for path in knowledge for file in files_of(path)]
    return [tree for tree in trees if isinstance(tree.data, dict) and key in tree.data][-1]
