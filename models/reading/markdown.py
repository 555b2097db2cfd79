"""A deployment document in Markdown into the plain data of a scenario, with the place of every value.

Four sections hold the conditions: hardware, model, input data, performance requirements. markdown_sections.py finds
them, markdown_keys.py names their keys, markdown_values.py reads their values; here they become one tree. A key that
is unknown, misplaced or doubled is a mistake, never ignored. What a model's description leaves open is filled in and
named in its `assumed`; `gpus` stays absent. HTML and links are plain text, nothing is executed.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import catalog
from .markdown_keys import KEYS, SECTIONS, Key, catalog_id, plain
from .markdown_sections import At, Condition, Mistakes, known_sections, read_sections
from .markdown_values import rate
from .tree import Path_, Tree

__all__ = ["read_markdown_tree"]

_CARD: Path_ = ("hardware", "accelerator")
_CARD_FIGURES = ("GPU Compute Power", "Single-card VRAM", "VRAM Bandwidth")
_OF_THE_CARD = ("gpus_per_node", "node_link", "network_link")
_BESIDE_A_MODEL = ("Model", "Parameters")
"""Keys of `model` that do not describe its shapes."""


@dataclass(frozen=True)
class _Given:
    """A condition that was understood."""

    key: Key
    value: Any
    said: Condition


def read_markdown_tree(text: str, file: Path | None = None) -> Tree:
    """Parse a deployment document. Raises InputError with the line."""
    tree = Tree(None, file, text.splitlines())
    if not text.strip():
        return tree
    mistakes = Mistakes(tree)
    headings, conditions = read_sections(text, mistakes)
    given = _understood(conditions, mistakes)
    mistakes.end()
    _complete(given, headings, mistakes)
    mistakes.end()
    tree.data = {}
    for section in ("hardware", "model", "workload"):
        tree.data[section] = {}
        tree.values[(section,)] = headings[section]
    for one in sorted(given.values(), key=lambda one: one.key.label == "Precision"):  # what is more specific is first
        _put(tree, _path(one, given), one.value, one.said, mistakes)
    _from_catalog(tree, given, mistakes)
    mistakes.end()
    if isinstance(tree.data["model"], dict) and "id" not in tree.data["model"]:
        _assume(tree.data["model"], tree.data.get("precision", {}))
    return tree


def _understood(conditions: list[Condition], mistakes: Mistakes) -> dict[str, _Given]:
    """The conditions by their keys' labels."""
    given: dict[str, _Given] = {}
    for one in conditions:
        name = plain(one.key)
        key = KEYS[one.section].get(name)
        if key is None:
            mistakes.add(f"unknown key '{one.key[:60]}'", one.key_at, _meant(name, one.section))
        elif (first := given.get(key.label)) is not None:
            line, other = first.said.key_at[0], first.said.key
            mistakes.add(f"'{one.key}' stands twice", one.key_at, f"it stands first in line {line}, as '{other[:60]}'")
        else:
            try:
                given[key.label] = _Given(key, key.read(one.value), one)
            except ValueError as error:
                mistakes.add(f"{key.label}: '{one.value[:60]}' {error}", one.value_at)
    return given


def _meant(name: str, section: str) -> str:
    for other, keys in KEYS.items():
        if name in keys:
            return f"'{keys[name].label}' belongs to the section '{SECTIONS[other].title}'"
    near = difflib.get_close_matches(name[:60], KEYS[section], n=1, cutoff=0.6)
    if near:
        return f"did you mean '{KEYS[section][near[0]].label}'?"
    return f"known keys here: {', '.join(key.label for key in SECTIONS[section].keys)}"


def _complete(given: dict[str, _Given], headings: dict[str, At], mistakes: Mistakes) -> None:
    """Note the sections and keys that are missing, in the document's words."""
    for id in ("hardware", "model", "workload"):
        title = SECTIONS[id].title
        if id not in headings:
            mistakes.add(f"there is no section '{title}'", (1, 1), f"the sections are: {known_sections()}")
            continue
        for labels in _needed(id, given):
            if not any(label in given for label in labels.split(" or ")):
                more = ""
                if id != "workload" and SECTIONS[id].keys[0].label not in given:
                    more = f"; or '- {SECTIONS[id].keys[0].label}: ID' alone, as `shardwise catalog list` names it"
                mistakes.add(f"'{title}' lacks {labels}", headings[id], f"add '- {labels.split(' or ')[0]}: …'{more}")
    heads = given.get("Attention Heads")
    if heads is not None and "head_dim" not in heads.value and "Head Dimension" not in given:
        mistakes.add(
            "Attention Heads without Head Dimension",
            heads.said.value_at,
            "write '16 x 32' (heads times head dimension) or add '- Head Dimension: 32'",
        )
    if "Output Length" in given:
        return
    for one in given.values():
        if one.key.label == "TPOT" or (one.key.read is rate and isinstance(one.value, dict) and "output" in one.value):
            what, at = one.key.label, one.said.value_at
            mistakes.add(f"{what} speaks of output, and there is no Output Length", at, "add it under 'Input Data'")


def _needed(section: str, given: dict[str, _Given]) -> list[str]:
    """Labels that a section must have, given the others."""
    if section == "workload":
        return ["Sequence Length", "Batch Size or Concurrency"]
    if section == "hardware":
        return [] if "Accelerator" in given and not _describes_card(given) else list(_CARD_FIGURES)
    if "Model" in given and not _describes_model(given):
        return []
    needed = ["Layers", "Token Dimension", "Attention Heads", "Experts per Layer or FFN Hidden Size"]
    if any(one.key.path[:2] == ("model", "experts") for one in given.values()):
        needed += ["Experts per Layer", "MoE Hidden Size"]
    return needed


def _describes_card(given: dict[str, _Given]) -> bool:
    return any(one.key.path[:2] == _CARD and label != "Accelerator" for label, one in given.items())


def _describes_model(given: dict[str, _Given]) -> bool:
    return any(one.key.path[0] == "model" and label not in _BESIDE_A_MODEL for label, one in given.items())


def _path(one: _Given, given: dict[str, _Given]) -> Path_:
    """Where a value goes. A card that is described has its links itself; one from the catalog gets them replaced."""
    path = one.key.path
    if path[0] == "hardware" and path[1] in _OF_THE_CARD and _describes_card(given):
        return (*_CARD, *path[1:])
    return path


def _put(tree: Tree, path: Path_, value: Any, said: Condition, mistakes: Mistakes) -> None:
    """Set the value at a path, with the places of it and of the mappings around it."""
    if isinstance(value, dict):
        for step, part in value.items():
            _put(tree, (*path, step), part, said, mistakes)
        return
    if path in tree.keys:
        if path[0] != "precision":  # there, the general key only fills what the specific ones leave open
            mistakes.add(f"'{said.key}' stands twice", said.key_at, f"it stands first in line {tree.keys[path][0]}")
        return
    node = tree.data
    for depth, step in enumerate(path[:-1], 1):
        node = node.setdefault(step, {})
        tree.values.setdefault(path[:depth], said.value_at)
    node[path[-1]] = value
    tree.keys[path], tree.values[path] = said.key_at, said.value_at


def _from_catalog(tree: Tree, given: dict[str, _Given], mistakes: Mistakes) -> None:
    """Put catalog entries where an accelerator or a model is only named."""
    hardware = tree.data["hardware"]
    if (named := given.get("Accelerator")) is not None:
        id = catalog_id("accelerators", named.value)
        if not _describes_card(given):
            hardware["accelerator"] = id or named.value
            tree.values[_CARD] = named.said.value_at
            entry = catalog.accelerator(id) if id else {}
            for link in ("node_link", "network_link"):
                if link in hardware:
                    hardware[link] = {**entry.get(link, {}), **hardware[link]}
        elif id:
            mistakes.add(*_both("accelerator", named))
    declared = given.get("Parameters")
    if (named := given.get("Model")) is not None:
        id = catalog_id("language_models", named.value)
        if _describes_model(given):
            if id or _is_file(named.value):
                mistakes.add(*_both("model", named))
        else:
            tree.values[("model",)] = named.said.value_at
            tree.data["model"] = id or named.value
            if declared is not None and id:
                tree.data["model"] = {**catalog.language_model(id), "declared_parameters": declared.value}
            elif declared is not None:
                message = f"Parameters beside the model '{named.value[:60]}', which is not in the catalog"
                mistakes.add(message, declared.said.key_at, "remove one, or describe the model")


def _is_file(name: str) -> bool:
    """Whether the scenario would read a model's name as the path of its configuration."""
    return "/" in name or name.endswith(".json")


def _both(what: str, named: _Given) -> tuple[str, At, str]:
    message = f"'{named.value[:60]}' names the {what}, and this section describes one too"
    return message, named.said.value_at, "keep one of them; a described one may have a name that is no id and no path"


def _assume(model: dict[str, Any], precision: dict[str, Any]) -> None:
    """Fill in what the description of a model leaves open, and say so. An entry begins with the figure's path."""
    assumed = []
    experts, dense = model.get("experts"), model.get("feed_forward")
    if experts is not None and "per_token" not in experts:
        experts["per_token"] = min(2, experts["count"])
        assumed.append(f"experts.per_token = {experts['per_token']}")
    if experts is not None and "gated" not in experts:
        assumed.append("experts.gated = true (three matrices per expert)")
    if dense is not None and "gated" not in dense:
        assumed.append("feed_forward.gated = true (three matrices)")
    if "kv_heads" not in model["attention"]:
        assumed.append(f"attention.kv_heads = {model['attention']['heads']} (as many as query heads)")
    if "vocabulary" not in model:
        model["vocabulary"] = 0
        assumed.append("vocabulary = 0 (neither embedding nor LM head)")
    assumed += [f"precision.{part} = bf16" for part in ("weights", "activations", "kv_cache") if part not in precision]
    model["assumed"] = assumed
