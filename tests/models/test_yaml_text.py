"""Comments and layout of a YAML text in which keys come and go."""

from __future__ import annotations

from typing import Any

import pytest
from shardwise.models.reading.tree import read_text_tree
from shardwise.models.yaml_text import YamlText, written

TEXT = """# top

hardware: # what we have
    # first
    accelerator: h200  # the card
    gpus:
        min: 1
        max: 8 # most

    # below the GPUs

# the load
workload: {a: 1,  # one
  b: +2}  # two

# rules
rules:
  - {id: 'a'} # r

# pace
requirements:
    ttft: 1 s
    # per token
    tpot: 2 s  # slow
strategy:
    pipeline: 2

# end
"""


@pytest.mark.parametrize(
    ("path", "value", "gone", "come"),
    [
        ("hardware.gpus", 3, ["    gpus:", "        min: 1", "        max: 8 # most"], ["    gpus: 3"]),
        ("hardware.gpus", None, ["    gpus:", "        min: 1", "        max: 8 # most"], []),
        ("hardware.gpus.max", 9, ["        max: 8 # most"], ["        max: 9 # most"]),
        ("hardware.accelerator", None, ["    accelerator: h200  # the card"], []),
        ("hardware.share", "9 %", [], ["    share: 9 %"]),
        ("requirements.ttft", None, ["    ttft: 1 s"], []),
        ("requirements.tpot", None, ["    tpot: 2 s  # slow"], []),
        ("requirements.rate", "5", [], ["    rate: '5'"]),
        ("strategy", None, ["strategy:", "    pipeline: 2"], []),
        ("strategy.pipeline", {"max": 3}, ["    pipeline: 2"], ["    pipeline: {max: 3}"]),
        ("strategy.tensor", [1, 2], [], ["    tensor: [1, 2]"]),
        ("waive", ["a"], [], ["waive: [a]"]),
    ],
)
def test_only_what_is_changed_changes(path: str, value: Any, gone: list[str], come: list[str]) -> None:
    text = YamlText(TEXT)
    text.change(tuple(path.split(".")), value)
    old, new = TEXT.splitlines(), str(text).splitlines()
    assert [line for line in old if line not in new] == gone
    assert [line for line in new if line not in old] == come
    assert [line for line in new if line not in come] == [line for line in old if line not in gone]


def test_a_new_key_stands_above_the_comment_of_the_next_section() -> None:
    text = YamlText(TEXT)
    text.change(("hardware", "share"), "9 %")
    lines = str(text).splitlines()
    assert lines[lines.index("    share: 9 %") - 1] == "    # below the GPUs"
    assert lines[lines.index("    share: 9 %") + 2] == "# the load"


def test_the_first_key_leaves_its_comments() -> None:
    text = YamlText(TEXT)
    text.change(("hardware",), None)
    assert str(text).startswith("# top\n\n\n    # below the GPUs\n\n# the load\nworkload:")
    text = YamlText("a:\n  b: 1\n  # c\n  c: 2\n")
    text.change(("a", "b"), None)
    assert str(text) == "a:\n  # c\n  c: 2\n"


def test_mappings_in_braces_stay_so() -> None:
    text = YamlText('{"a": {"b": 1}, "c": [1, 2]}\n')
    text.change(("a", "d"), {"e": 2})
    assert str(text) == '{"a": {"b": 1, d: {e: 2}}, "c": [1, 2]}\n'


def test_plain_data_is_read_back() -> None:
    data = {
        "name": "1e3",
        "odd": ["yes", "12:30", "null", "", " x", "#", "é: 1", "0x10", "2001-01-01"],
        "numbers": {"a": 1e-7, "b": 10**20, "c": 0.1, "d": True, "e": None},
        "long": {"text": "word " * 60, "list": list(range(50)), "deep": {"a": {"b": "x" * 90}}},
    }
    assert read_text_tree(written(data)).data == data


@pytest.mark.parametrize("head", ["# a\n# b\n\n---\n", "# a\n--- # b\n# c\n", "%YAML 1.1\n---\n", "# a\n"])
@pytest.mark.parametrize("tail", ["", "# z\n", "...\n", "# y\n...\n# z\n"])
def test_marks_of_the_document_and_what_stands_beyond_them_stay(head: str, tail: str) -> None:
    text = YamlText(f"{head}a: {{b: yes}} # c\nd: 1\n{tail}")
    text.change(("d",), 2)
    assert str(text) == f"{head}a: {{b: yes}} # c\nd: 2\n{tail}"
    assert read_text_tree(str(text)).data == {"a": {"b": "yes"}, "d": 2}
