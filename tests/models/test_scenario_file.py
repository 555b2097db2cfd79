"""A scenario in its file: places of keys, and the same file with keys changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shardwise.models import Scenario, ScenarioFile
from shardwise.models.edit import Edit

SCENARIOS = Path(__file__).parents[2] / "scenarios"
FILES = sorted([*SCENARIOS.glob("*.yaml"), *SCENARIOS.glob("*.md")])
TEXT = """# what we have
hardware: {accelerator: h200-sxm, gpus: 64}  # eight servers
model: llama-3.1-8b
workload:
  concurrency: 8
  input_tokens: 1_000
  output_tokens: 50
requirements:
  # interactive
  ttft: 2 s
  throughput_per_gpu: 100 tokens/s
rules:
  - {id: small, statement: "small engines: yes", tensor: {max: 2}}
"""


def write(folder: Path, text: str, name: str = "s.yaml") -> ScenarioFile:
    (folder / name).write_text(text, encoding="utf-8")
    return ScenarioFile.read(folder / name)


@pytest.fixture
def file(tmp_path: Path) -> ScenarioFile:
    return write(tmp_path, TEXT.replace("1_000", "1000"))


@pytest.mark.parametrize(
    ("key", "line", "stated", "value"),
    [
        ("hardware.gpus", 2, True, 64),
        ("hardware.memory_utilization", 2, False, None),
        ("requirements.ttft", 10, True, "2 s"),
        ("requirements.throughput_per_gpu.tokens", 11, True, "100 tokens/s"),
        ("requirements.tpot", 10, False, None),
        ("strategy.tensor", 2, False, None),
    ],
)
def test_where_a_key_stands(file: ScenarioFile, key: str, line: int, stated: bool, value: object) -> None:
    place, found = file.place(key)
    assert (place.line, found, file.stated(key)) == (line, stated, value)


def test_rules_stand_in_the_scenario_or_in_the_knowledge(tmp_path: Path, file: ScenarioFile) -> None:
    assert file.place("rules.small")[0].line == 13
    known = tmp_path / "known.yaml"
    known.write_text("# site\nrules:\n  - {id: one, statement: one, pipeline: 1}\n")
    place, stated = ScenarioFile.read(tmp_path / "s.yaml", [known]).place("rules.one")
    assert (place.file, place.line, stated) == (known, 3, True)


def test_only_the_edited_line_changes(tmp_path: Path, file: ScenarioFile) -> None:
    edits = [Edit(key="requirements.ttft", after="3 s"), Edit(key="hardware.gpus", after=72)]
    old, new = TEXT.replace("1_000", "1000").splitlines(), file.text(edits, tmp_path).splitlines()
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert [b.strip() for _, b in changed] == [
        "hardware: {accelerator: h200-sxm, gpus: 72} # eight servers",
        "ttft: 3 s",
    ] or [b.strip() for _, b in changed] == [
        "hardware: {accelerator: h200-sxm, gpus: 72}  # eight servers",
        "ttft: 3 s",
    ]


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_every_shipped_scenario_is_changed_faithfully(path: Path, tmp_path: Path) -> None:
    file = ScenarioFile.read(path)
    edits = [
        Edit(key="requirements.ttft", after="1.25 s"),
        Edit(key="hardware.gpus", after=24),
        Edit(key="strategy.pipeline", after={"max": 3}),
        Edit(key="hardware.memory_utilization", after="77 %"),
    ]
    target = tmp_path / f"changed{file.suffixes[0]}"
    target.write_text(file.text(edits, tmp_path), encoding="utf-8")
    found = Scenario.load(target)
    assert found.model_copy(update={"name": ""}) == file.edited(edits).model_copy(update={"name": ""})
    assert (found.requirements.ttft, found.hardware.gpus) == (1.25, 24)
    if path.suffix == ".yaml":
        new = target.read_text().splitlines()
        touched = ("hardware:", "gpus:", "strategy:", "requirements:", "ttft:")
        kept = [line for line in path.read_text().splitlines() if not line.lstrip().startswith(touched)]
        assert [line for line in new if line in kept] == kept


def test_a_card_with_more_memory_is_read_back(file: ScenarioFile, tmp_path: Path) -> None:
    edits = [Edit(key="hardware.accelerator.memory", after="200 GB")]
    target = tmp_path / "more.yaml"
    target.write_text(file.text(edits, tmp_path))
    assert Scenario.load(target).hardware.accelerator.memory == 200e9


def test_json_stays_json(tmp_path: Path, file: ScenarioFile) -> None:
    other = write(tmp_path, json.dumps(file.tree.data, indent="\t"), "s.json")
    text = other.text([Edit(key="hardware.gpus", after=72)], tmp_path)
    assert json.loads(text)["hardware"]["gpus"] == 72 and other.suffixes == (".json",)


def test_odd_text_survives(tmp_path: Path) -> None:
    text = TEXT.replace("1_000", "1000").replace("model:", "name: 'on 12:30 é'\nmodel:")
    file = write(tmp_path, "\ufeff" + text.replace("\n", "\r\n"))
    changed = write(tmp_path, file.text([Edit(key="hardware.gpus", after=72)], tmp_path), "t.yaml")
    assert changed.scenario.name == "on 12:30 é" and changed.scenario.hardware.gpus == 72


def test_the_path_of_a_config_moves_along(tmp_path: Path) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "intermediate_size": 128,
        "vocab_size": 256,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    file = write(tmp_path, TEXT.replace("1_000", "1000").replace("llama-3.1-8b", "./config.json"))
    folder = tmp_path / "deep/er"
    folder.mkdir(parents=True)
    (folder / "t.yaml").write_text(file.text([Edit(key="hardware.gpus", after=72)], folder))
    assert "model: ../../config.json" in (folder / "t.yaml").read_text()
    found = Scenario.load(folder / "t.yaml").model
    assert found.model_copy(update={"sources": file.scenario.model.sources}) == file.scenario.model


def test_knowledge_still_lies_under_a_card_that_is_written_out(tmp_path: Path) -> None:
    known = tmp_path / "known.yaml"
    known.write_text(
        "links:\n  network: {bandwidth: 25 GB/s, latency: 10 us}\naccelerators:\n  h200-sxm: {gpus_per_node: 4}\n"
    )
    (tmp_path / "s.yaml").write_text(TEXT.replace("1_000", "1000"))
    file = ScenarioFile.read(tmp_path / "s.yaml", [known])
    edits = [Edit(key="hardware.accelerator.memory", after="200 GB")]
    (tmp_path / "t.yaml").write_text(file.text(edits, tmp_path))
    found = Scenario.load(tmp_path / "t.yaml", knowledge=[known]).hardware
    assert (found.between, found.inside) == (file.scenario.hardware.between, file.scenario.hardware.inside)
    assert (found.node_size, found.accelerator.memory) == (4, 200e9)


def test_markdown_is_written_as_yaml_that_means_the_same(tmp_path: Path) -> None:
    lines = {
        "Hardware": ["Accelerator: h200-sxm", "GPUs: 8"],
        "Model": ["Model: llama-3.1-8b"],
        "Workload": ["Concurrency: 8", "Input length: 100 tokens", "Output length: 50 tokens"],
    }
    sections = "\n".join(f"\n## {name}\n" + "".join(f"- {line}\n" for line in lines[name]) for name in lines)
    file = write(tmp_path, f"# 1e3\n{sections}", "1e3.md")
    text = file.text([Edit(key="requirements.ttft", after="1 s")], tmp_path)
    assert write(tmp_path, text, "t.yaml").scenario.requirements.ttft == 1.0 and file.suffixes[0] == ".yaml"
    assert file.path == tmp_path / "1e3.md"


def test_tabs_between_key_and_value_cost_the_comments_but_the_first(tmp_path: Path) -> None:
    file = write(tmp_path, "# site\n# two\n" + TEXT.replace("1_000", "1000").replace("hardware: ", "hardware:\t"))
    text = file.text([Edit(key="hardware.gpus", after=72)], tmp_path)
    assert text.startswith("# site\n# two\n# what we have\nhardware: {accelerator: h200-sxm, gpus: 72}\n")
    assert write(tmp_path, text, "t.yaml").scenario.hardware.gpus == 72


def test_a_stated_name_is_read_back_too(tmp_path: Path) -> None:
    names = ["yes", "0o17", "12:30", "1_000", "1e3", "010", "null", " x", "a: b # c", "two\nlines", "模型 😀"]
    for suffix in ("yaml", "json"):
        for name in names:
            data = {**write(tmp_path, TEXT.replace("1_000", "1000")).tree.data, "name": "old"}
            file = write(tmp_path, json.dumps(data), f"s.{suffix}")
            target = write(tmp_path, file.text([Edit(key="name", after=name)], tmp_path), f"t.{suffix}")
            assert target.scenario.name == name


def test_json_with_characters_that_yaml_refuses(tmp_path: Path) -> None:
    data = {**write(tmp_path, TEXT.replace("1_000", "1000")).tree.data, "name": "a\u2028b\u0085c\x7f\ufeff"}
    file = write(tmp_path, json.dumps(data), "s.json")
    text = file.text([Edit(key="hardware.gpus", after=72)], tmp_path)
    assert write(tmp_path, text, "t.json").scenario.name == json.loads(text)["name"] == data["name"]
