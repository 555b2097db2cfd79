"""Scenario files that are wrong: the fact, the file, line and column, a caret, and what would be right."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shardwise.models import InputError, InputErrors, Scenario
from shardwise.models.reading.tree import DEEPEST, LARGEST_FILE, read_text_tree

GOOD = """\
hardware:
  accelerator: h100-sxm
  gpus: 8
model: llama-3.1-8b
workload:
  batch: 4
  input_tokens: 10
"""
INLINE = """\
hardware:
  accelerator: {memory: 64 GB, memory_bandwidth: 1.8 TB/s, compute: 400 TFlops}
  gpus: {min: 1, max: 64}
model:
  layers: 2
  hidden: 64
  attention: {heads: 4, kv_heads: 2, head_dim: 16, window: {size: 8, pattern: [sliding, full]}}
  feed_forward: {width: 128}
  experts: {count: 8, per_token: 2, width: 64, leading_dense_layers: 1}
  declared_parameters: 1 M
  precision: {weights: fp8}
precision: {kv_cache: fp8}
workload:
  concurrency: 16
  input_tokens: {min: 4, max: 10}
  output_tokens: 20
  routing: {zipf: 0.5}
requirements: {ttft: 2 s, throughput_per_gpu: {output: 5 tokens/s}}
objective: [throughput, latency]
strategy: {tensor: [1, 2], pipeline: {max: 2}}
efficiency: {mfu: 60 %}
latencies: {layer: 5 us}
"""

Write = Callable[..., Path]
fuzz = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes, name: str = "case.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def problem(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        Scenario.load(path)
    return caught.value


def spot(error: InputError) -> tuple[int | None, int | None]:
    """Line and column."""
    assert error.place is not None
    return error.place.line, error.place.column


def test_the_good_ones_are_good(write: Write) -> None:
    assert Scenario.load(write(GOOD)).name == "case"
    assert Scenario.load(write(INLINE)).objectives == ("throughput", "latency")
    for change in (lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n"), lambda t: f"---\n{t}...\n"):
        assert Scenario.load(write(change(GOOD))) == Scenario.load(write(GOOD))


def test_json_is_read_too_with_tabs(write: Write) -> None:
    as_json = json.dumps(yaml.safe_load(GOOD), indent="\t")
    assert "\n\t" in as_json
    assert Scenario.load(write(as_json, "case.json")) == Scenario.load(write(GOOD))
    # the columns stay: one tab is one column
    error = problem(write(as_json.replace('"batch"', '"batsh"'), "case.json"))
    assert spot(error) == (8, 3)


def test_json_escapes_beyond_the_basic_plane(write: Write) -> None:
    data = yaml.safe_load(GOOD) | {"name": "plan \N{ROCKET}"}
    assert Scenario.load(write(json.dumps(data), "case.json")).name == "plan \N{ROCKET}"


def test_latencies_none_in_a_file(write: Write) -> None:
    found = Scenario.load(write(GOOD + "latencies: none\n")).latencies.model_dump()
    assert found.pop("pace") == 1  # a factor of the roofline's times, not a time
    assert set(found.values()) == {0}


def test_a_whole_message(write: Write) -> None:
    path = write(GOOD.replace("gpus:", "gpsu:"))
    assert str(problem(path)).splitlines() == [
        "error: unknown key 'gpsu'",
        f"  --> {path}:3:3",
        "   |",
        "3  |   gpsu: 8",
        "   |   ^",
        "help: did you mean 'gpus'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message", "help"),
    [
        # keys
        ("gpus: 8", "gpus_per_nod: 8", 3, 3, "unknown key 'gpus_per_nod'", "did you mean 'gpus_per_node'?"),
        ("gpus: 8", "zebra: 8", 3, 3, "unknown key 'zebra'", "known keys here: accelerator, gpus_per_node"),
        ("gpus: 8", "gpus: {mim: 1}", 3, 10, "unknown key 'mim'", "did you mean 'min'?"),
        ("  gpus: 8", "  gpus: 8\n  gpus: 9", 4, 3, "key 'gpus' stands twice", "it stands first in line 3"),
        ("  gpus: 8\n", "  gpus: 8\n  ? [a]\n  : 1\n", 4, 5, "a key must be plain text", None),
        ("  accelerator: h100-sxm\n", "", 2, 3, "missing key 'hardware.accelerator'", "'accelerator' is:"),
        ("  batch: 4\n", "", 6, 3, "workload: give concurrency (requests in flight), batch", "'workload' is:"),
        # numbers
        ("gpus: 8", "gpus: -8", 3, 9, "hardware.gpus: -8: input should be greater than or equal to 1", "'gpus' is:"),
        ("gpus: 8", "gpus: eight", 3, 9, "hardware.gpus: 'eight': input should be a valid integer", "'gpus' is:"),
        ("gpus: 8", "gpus: {min: 9, max: 8}", 3, 9, "hardware.gpus: min 9 is above max 8", "'gpus' is:"),
        ("gpus: 8", "gpus: {min: 0}", 3, 15, "hardware.gpus.min: 0: input should be greater", "use at least"),
        ("batch: 4", "batch: 1e400", 6, 10, "1e400 is not a usable number", None),
        ("batch: 4", "batch: .nan", 6, 10, ".nan is not a usable number", None),
        ("batch: 4", "batch: -.INF", 6, 10, "-.INF is not a usable number", None),
        ("batch: 4", "batch: " + "9" * 41, 6, 10, "a number of more than 40 digits", None),
        ("batch: 4", "batch: " + "9" * 40, 6, 10, "workload.batch: 9999", "'batch' is:"),
        ("batch: 4", "batch: 4.5", 6, 10, "workload.batch: 4.5: input should be a valid integer", "'batch' is:"),
        ("batch: 4", "batch: true", 6, 10, "workload.batch: True: input should be a valid integer", "'batch' is:"),
        ("input_tokens: 10", "input_tokens: 0", 7, 17, "workload.input_tokens: 0: input should be greater", "prompt"),
        ("input_tokens: 10", "input_tokens: {min: 5}", 7, 17, "missing key 'workload.input_tokens.max'", "longest"),
        # units
        ("gpus: 8", "memory_utilization: 90", 3, 23, "hardware.memory_utilization: 90", "usable share"),
        ("model:", "requirements: {ttft: 2}\nmodel:", 4, 22, "requirements.ttft: 2 has no unit", "time to first"),
        ("model:", "requirements: {ttft: 2 GB}\nmodel:", 4, 22, "unit 'GB' is not a unit of duration", "time to"),
        ("model:", "requirements: {ttft: -2 s}\nmodel:", 4, 22, "requirements.ttft: '-2 s' is negative", "time to"),
        ("model:", "requirements: {ttft: 0 s}\nmodel:", 4, 22, "requirements.ttft: '0 s': input should be", "time"),
        ("model:", "requirements: {throughput: 5}\nmodel:", 4, 28, "requirements.throughput: 5 has no unit", "of the"),
        # unions
        ("model:", "objective: fastest\nmodel:", 4, 12, "'fastest': input should be 'balanced', 'latency'", "best"),
        ("model:", "objective: [latency, latency]\nmodel:", 4, 12, "objective: an objective is named twice", "best"),
        ("model:", "objective: []\nmodel:", 4, 12, "objective: an empty list names no objective", "best"),
        ("model:", "objective: [latency, fast]\nmodel:", 4, 22, "objective.1: 'fast': input should be", None),
        ("model:", "strategy: {tensor: [1, two]}\nmodel:", 4, 24, "strategy.tensor.1: 'two': input", None),
        ("model:", "strategy: {tensor: {mni: 2}}\nmodel:", 4, 21, "unknown key 'mni'", "did you mean 'min'?"),
        ("model:", "precision: {weights: bf17}\nmodel:", 4, 22, "precision.weights: 'bf17': input should", "linear"),
        ("model:", "latencies: nothing\nmodel:", 4, 12, "latencies: 'nothing': input should be", "none"),
        # what YAML would allow
        ("batch: 4", "batch: !!int 4", 6, 10, "tags are not read: tag:yaml.org,2002:int", "remove the tag"),
        ("batch: 4", "batch: !!python/object:os.system {}", 6, 10, "tags are not read", "remove the tag"),
        ("batch: 4", "batch: &b 4\n  concurrency: *b", 7, 16, "aliases (*name) are not read", "write the value out"),
        ("model:", "<<: {gpus: 1}\nmodel:", 4, 1, "unknown key '<<'", "known keys here"),
        ("model:", "---\nmodel:", 4, 1, "a second document begins here", None),
        # no YAML
        ("gpus: 8", "gpus: [8", 4, 6, "not valid YAML: while parsing a flow sequence", None),
        ("  gpus: 8", "\tgpus: 8", 3, 1, "not valid YAML", None),
        ("gpus: 8", "gpus: 8: 9", 3, 10, "not valid YAML: mapping values are not allowed", None),
    ],
)
def test_errors_have_a_place_and_a_way_out(
    write: Write, old: str, new: str, line: int, column: int, message: str, help: str | None
) -> None:
    assert old in GOOD
    error = problem(write(GOOD.replace(old, new, 1)))
    assert not isinstance(error, InputErrors), "one mistake, one error"
    assert message in error.message
    assert spot(error) == (line, column)
    assert (help in error.help) if help and error.help else error.help is None
    lines = str(error).splitlines()
    assert lines[1].endswith(f"case.yaml:{line}:{column}")
    bar = next(i for i, text in enumerate(lines) if text.endswith("^"))
    # the caret stands under the column
    assert lines[bar].index("^") - lines[bar].index("|") == column + 1
    assert len(str(error)) < 1500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("---\n", "the file is empty"),
        ("null", "the file is empty"),
        ("- a\n- b\n", "the file must be a mapping"),
        ("just text", "the file must be a mapping"),
        ("42", "the file must be a mapping"),
        ("a: \x00", "not valid YAML"),
        (b"model: \xff\xfe", "the file is not UTF-8 text"),
        (GOOD.encode("utf-16"), "the file is not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n", "the file is not UTF-8 text"),
        (b"#" * (LARGEST_FILE + 1), "the file is larger than 1,000,000 bytes"),
    ],
)
def test_files_that_are_no_scenario(write: Write, content: str | bytes, message: str) -> None:
    path = write(content)
    error = problem(path)
    assert error.message.startswith(message)
    assert str(path) in str(error)


def test_the_line_that_is_not_utf_8(write: Write) -> None:
    assert spot(problem(write(b"a: 1\nb: 2\nc: \xff\n"))) == (3, None)


def test_a_file_of_the_largest_size_is_read(write: Write) -> None:
    assert Scenario.load(write(GOOD + "#" * (LARGEST_FILE - len(GOOD)))).workload.batch == 4


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    assert problem(tmp_path).message == "this is a folder, not a scenario file"
    error = problem(tmp_path / "nothing.yaml")
    assert (error.message, error.help) == ("no such file", "name a scenario file (.yaml, .json or .md)")
    assert "nothing.yaml" in str(error)


def test_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / b"caf\xe9.yaml".decode("utf-8", "surrogateescape")
    try:
        path.write_text(GOOD)
    except OSError:
        pytest.skip("the file system refuses such a name")
    Scenario.load(path).model_dump_json()


def test_an_unknown_accelerator_is_shown_where_it_stands(write: Write) -> None:
    error = problem(write(GOOD.replace("h100-sxm", "h100-smx")))
    assert error.message == "unknown accelerator 'h100-smx'"
    assert "h100-sxm" in str(error.help)
    assert spot(error) == (2, 16)


def test_an_unknown_model_is_shown_where_it_stands(write: Write) -> None:
    error = problem(write(GOOD.replace("llama-3.1-8b", "llama-3.1-8")))
    assert error.message == "unknown language model 'llama-3.1-8'"
    assert spot(error) == (4, 8)


def test_both_unknown_ids_are_shown(write: Write) -> None:
    error = problem(write(GOOD.replace("llama-3.1-8b", "llama").replace("h100-sxm", "h100")))
    assert isinstance(error, InputErrors)
    assert [spot(each) for each in error.errors] == [(2, 16), (4, 8)]


def test_an_impossible_declared_total_is_shown_where_it_stands(write: Write) -> None:
    error = problem(write(INLINE.replace("declared_parameters: 1 M", "declared_parameters: 100")))
    assert spot(error)[0] == 10


def test_a_malformed_precision_of_the_model_is_one_error(write: Write) -> None:
    error = problem(write(INLINE.replace("precision: {weights: fp8}", "precision: fp8").replace("precision: {kv", "#")))
    assert not isinstance(error, InputErrors)


def test_a_misspelt_key_that_is_needed_is_one_error(write: Write) -> None:
    error = problem(write(GOOD.replace("workload:", "worklod:")))
    assert (error.message, error.help) == ("unknown key 'worklod'", "did you mean 'workload'?")
    assert not isinstance(error, InputErrors)


def test_several_mistakes_are_shown_together(write: Write) -> None:
    error = problem(write(GOOD.replace("gpus: 8", "gpus: -8").replace("batch: 4", "batch: -4") + "zebra: 1\n"))
    assert isinstance(error, InputErrors)
    assert [spot(each) for each in error.errors] == [(3, 9), (6, 10), (8, 1)]
    assert str(error).count("error: ") == 3
    many = problem(write(GOOD + "".join(f"k{i}: 1\n" for i in range(50))))
    assert isinstance(many, InputErrors) and len(many.errors) == 10


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000,
        "{a: " * 20_000,
        "- " * 20_000,
        "".join(" " * i + "a:\n" for i in range(1_000)),
        "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
        "a: " + "[" * DEEPEST + "]" * DEEPEST,
    ],
    ids=["lists", "mappings", "dashes", "block", "one too many", "one too many in a mapping"],
)
def test_deep_nesting_ends_soon(write: Write, text: str) -> None:
    start = time.process_time()
    error = problem(write(text))
    assert error.message == f"nested deeper than {DEEPEST} levels"
    assert time.process_time() - start < 10


def test_nesting_up_to_the_limit_is_read() -> None:
    assert read_text_tree("[" * DEEPEST + "]" * DEEPEST).data


def test_an_alias_bomb_ends_at_its_first_alias(write: Write) -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(b)}: &{chr(b)} [{f'*{chr(b - 1)}, ' * 9}]\n" for b in range(98, 123))
    assert spot(problem(write(bomb))) == (2, 8)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "x " * 400_000,
        "- 1\n" * 200_000,
        "!" * 900_000,
        "\n" * 900_000 + "a",
        GOOD.replace("h100-sxm", "abc-" * 200_000),
        f"{GOOD}name: {'x' * 900_000}\nzebra: 1\n",
    ],
    ids=["scalar", "list", "tag", "lines", "id", "name"],
)
def test_large_files_end_soon_and_briefly(write: Write, text: str) -> None:
    start = time.process_time()
    assert len(str(problem(write(text)))) < 2_000
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "".join(f"k{i}: 1\n" for i in range(8_000)),
        f"{GOOD}strategy: {{tensor: [{'x,' * 8_000}]}}\n",
    ],
    ids=["unknown keys", "wrong items"],
)
def test_many_mistakes_end_soon(write: Write, text: str) -> None:
    start = time.process_time()
    problem(write(text))
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("0o17", "0o17"),
        ("1e3", 1000.0),
        ("-7", -7),
        ("+7", 7),
        (".5", 0.5),
        ("5.", 5.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'8'", "8"),
        ('"8"', "8"),
        ("!!str 8", "8"),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("&anchor 8", 8),
        ("|\n  8\n", "8\n"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    data = read_text_tree(f"a: {text}").data
    assert data == {"a": value} and type(data["a"]) is type(value)


def check(path: Path) -> None:
    """The reader's promise: a Scenario that survives a round trip, or an InputError that can be printed."""
    try:
        scenario = Scenario.load(path)
    except InputError as error:
        assert str(error).startswith("error: ")
        for each in error.errors if isinstance(error, InputErrors) else [error]:
            assert each.place is not None and (each.place.line or 1) >= 1
    else:
        assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario


YAMLISH = st.text(alphabet="abk:-{}[],&*!|>'\"%@`#?~ \n\t0123456789.eE<=\\\u2028\x85é\U0001f680", max_size=60)


@given(
    content=st.binary(max_size=80) | st.text(max_size=80).map(str.encode) | YAMLISH.map(str.encode),
    name=st.sampled_from(["a.yaml", "a.json", "a"]),
)
@fuzz
def test_anything_is_a_scenario_or_an_input_error(write: Write, content: bytes, name: str) -> None:
    check(write(content, name))


@given(
    base=st.sampled_from([GOOD, INLINE]),
    at=st.floats(0, 1),
    remove=st.integers(0, 12),
    insert=YAMLISH | st.text(max_size=8) | st.sampled_from(["-", "1e400", ".nan", "\n", "  ", "{}", "[]", "0"]),
)
@fuzz
def test_mutated_text_is_a_scenario_or_an_input_error(
    write: Write, base: str, at: float, remove: int, insert: str
) -> None:
    place = int(at * len(base))
    check(write(base[:place] + insert + base[place + remove :]))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5000)
    | st.sampled_from([2**41, 2**63, 10**20])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "none", "fp8", "latency", "h100-sxm", "deepseek-v3", "2 s", "60 %", "8 GB", "400 TFLOPS"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["min", "max", "weights", "bf16", "layers", "a"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and index of nested data."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [p for key, value in items for p in [(*path, key), *paths(value, (*path, key))]]


@given(base=st.sampled_from([GOOD, INLINE]), data=st.data())
@fuzz
def test_mutated_values_are_a_scenario_or_an_input_error(write: Write, base: str, data: st.DataObject) -> None:
    tree = yaml.safe_load(base)
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(paths(tree)))
        node = tree
        for step in path:
            node = node[step]
        action = data.draw(st.sampled_from(["set", "set", "drop", "rename"]))
        if action == "set" or isinstance(node, list):
            node[last] = data.draw(VALUES)
        elif action == "drop":
            del node[last]
        else:
            node[data.draw(st.text(max_size=5))] = node.pop(last)
        if not paths(tree):
            break
    check(write(json.dumps(tree, ensure_ascii=False)))


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InputError, match="no regular file"):
        Scenario.load(tmp_path / "pipe.yaml")
