"""Deployment documents in Markdown: what is understood, what is refused and where, and that nothing is ignored."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shardwise.models import InputError, InputErrors, Scenario
from shardwise.models.reading import validated
from shardwise.models.reading.markdown import read_markdown_tree
from shardwise.models.reading.markdown_keys import KEYS, SECTIONS, TITLES
from shardwise.models.reading.tree import LARGEST_FILE

SCENARIOS = Path(__file__).parents[2] / "scenarios"

DOCUMENT = """\
# A deployment plan (tuned)

## Hardware Environment
- GPU Compute Power: 400 TFlops
- Single-card VRAM: 64 GB
- VRAM Bandwidth: 1.8 TBps
- MFU Utilization: 60.0%
- Bandwidth Utilization: 80.0%

## Model Configuration
- Parameters: 10.0B
- Layers: 16
- Experts per Layer: 16
- Precision: FP16
- Token Dimension: 512
- Attention Heads: 16 x 32
- MoE Hidden Size: 1024

## Input Data
- Batch Size: 128
- Sequence Length: 128 - 10240 tokens

## Performance Requirements
- TTFT: 10s
- Throughput per GPU: 100 tokens/ms

## Recommended Parallel Strategy

### Strategy Composition
- Expert Parallelism (EP): 16-way
- Total GPUs: 64

#### Phase 1: Model
- Each GPU handles 1 experts
- Layers: 3

### Expected Performance
- TTFT: 0.0s (target: 10s)

### Validation Checklist
✓ TTFT requirement met: 0.0s ≤ 10s"""
CATALOG = """\
# Hardware
- Accelerator: h200-sxm
# Model
- Model: qwen3-235b-a22b
# Workload
- Batch: 4
- Prompt length: 10
- Output length: 5
# Requirements
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "case.md") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def data(text: str) -> Any:
    return read_markdown_tree(text).data


def scene(text: str) -> Scenario:
    return validated(read_markdown_tree(text), Scenario)


def problem(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        scene(text)
    return caught.value


def spot(error: InputError) -> tuple[int | None, int | None]:
    assert error.place is not None
    return error.place.line, error.place.column


def with_line(line: str, section: str, text: str = CATALOG) -> str:
    """The document with one more line under a heading."""
    head = next(part for part in text.splitlines() if part.strip("# ") == section)
    return text.replace(f"{head}\n", f"{head}\n{line}\n", 1)


def at(tree_data: Any, path: str) -> Any:
    for step in path.split("."):
        tree_data = tree_data[step]
    return tree_data


# The document of the project's beginning


def test_the_documents_layout_is_the_declared_scenario(write: Write) -> None:
    found = Scenario.load(write(DOCUMENT))
    wanted = Scenario.load(SCENARIOS / "source-document-64-declared.yaml")
    assert (found.name, found.hardware.gpus, found.hardware.gpu_range.max) == ("case", None, 1024)
    assert found.hardware.gpus_per_node is None and found.hardware.node_size == 8
    assert set(found.hardware.accelerator.assumed) == {"gpus_per_node", "node_link", "network_link"}
    hardware = {"gpus": 64, "gpus_per_node": 8}
    model = {"name": wanted.model.name, "assumed": wanted.model.assumed}
    same = found.model_copy(
        update={
            "name": wanted.name,
            "hardware": found.hardware.model_copy(update=hardware),
            "model": found.model.model_copy(update=model),
        }
    )
    assert same == wanted


def test_what_the_document_leaves_open_is_assumed_openly() -> None:
    assert scene(DOCUMENT).model.assumed == (
        "experts.per_token = 2",
        "experts.gated = true (three matrices per expert)",
        "attention.kv_heads = 16 (as many as query heads)",
        "vocabulary = 0 (neither embedding nor LM head)",
    )


def test_the_assumptions_stand_in_the_plan() -> None:
    from shardwise.solver.answer import assumptions_of

    found = "\n".join(assumptions_of(scene(DOCUMENT)))
    for figure in ("experts.per_token = 2", "experts.gated", "vocabulary = 0", "gpus_per_node = 8", "kv_heads"):
        assert figure in found


def test_what_is_stated_is_not_assumed() -> None:
    lines = "Experts per token: 1", "Matrices per expert: 2", "KV heads: 4", "Vocabulary: 32,000"
    text = DOCUMENT
    for line in lines:
        text = with_line(f"- {line}", "Model Configuration", text)
    model = scene(text).model
    assert model.assumed == () and model.experts is not None
    assert (model.experts.per_token, model.experts.gated, model.attention.kv_heads, model.vocabulary) == (
        1,
        False,
        4,
        32000,
    )


def test_the_examples_load() -> None:
    assert Scenario.load(SCENARIOS / "source-document.md").hardware.gpus == 64
    found, wanted = (Scenario.load(SCENARIOS / f"qwen3-235b-h200-64.{kind}") for kind in ("md", "yaml"))
    assert found == wanted.model_copy(update={"strategy": found.strategy})


# Keys

SAMPLES: dict[str, tuple[str, str, Any]] = {
    # label: (value, path in the tree, what it becomes there)
    "Accelerator": ("MyCard 1", "hardware.accelerator.name", "MyCard 1"),
    "GPU Compute Power": ("400 TFlops", "hardware.accelerator.compute.bf16", "400 TFlops"),
    "FP8 Compute Power": ("800 TFlops", "hardware.accelerator.compute.fp8", "800 TFlops"),
    "INT8 Compute Power": ("800 TOPS", "hardware.accelerator.compute.int8", "800 TOPS"),
    "Single-card VRAM": ("64 GB", "hardware.accelerator.memory", "64 GB"),
    "VRAM Bandwidth": ("1.8 TB/s", "hardware.accelerator.memory_bandwidth", "1.8 TB/s"),
    "MFU Utilization": ("60.0%", "efficiency.mfu", "60.0%"),
    "Bandwidth Utilization": ("0.8", "efficiency.bandwidth", "0.8"),
    "Memory Utilization": ("90 %", "hardware.memory_utilization", "90 %"),
    "GPUs": ("1 - 64 GPUs", "hardware.gpus", {"min": 1, "max": 64}),
    "GPUs per Node": ("4", "hardware.accelerator.gpus_per_node", 4),
    "Use All GPUs": ("no", "hardware.use_all_gpus", False),
    "Node Link": ("64 GB/s", "hardware.accelerator.node_link.bandwidth", "64 GB/s"),
    "Node Link Latency": ("2 us", "hardware.accelerator.node_link.latency", "2 us"),
    "Network Link": ("400 Gb/s", "hardware.accelerator.network_link.bandwidth", "400 Gb/s"),
    "Network Link Latency": ("8 us", "hardware.accelerator.network_link.latency", "8 us"),
    "Model": ("my model", "model.name", "my model"),
    "Parameters": ("10.0B", "model.declared_parameters", "10.0B"),
    "Parameters Reading": ("from shapes", "parameters", "from-shapes"),
    "Layers": ("16", "model.layers", 16),
    "Token Dimension": ("512", "model.hidden", 512),
    "Attention Heads": ("16", "model.attention.heads", 16),
    "Head Dimension": ("32", "model.attention.head_dim", 32),
    "KV Heads": ("4", "model.attention.kv_heads", 4),
    "FFN Hidden Size": ("1,024", "model.feed_forward.width", 1024),
    "Matrices per FFN": ("2", "model.feed_forward.gated", False),
    "Experts per Layer": ("16 experts", "model.experts.count", 16),
    "Experts per Token": ("Top-2", "model.experts.per_token", 2),
    "MoE Hidden Size": ("1024", "model.experts.width", 1024),
    "Matrices per Expert": ("3", "model.experts.gated", True),
    "Shared Expert Hidden Size": ("64", "model.experts.shared_width", 64),
    "Leading Dense Layers": ("1", "model.experts.leading_dense_layers", 1),
    "Vocabulary": ("0", "model.vocabulary", 0),
    "Precision": ("FP16", "precision.activations", "bf16"),
    "Weight Precision": ("FP8", "precision.weights", "fp8"),
    "Expert Precision": ("MXFP4", "precision.experts", "mxfp4"),
    "Activation Precision": ("BFloat16", "precision.activations", "bf16"),
    "KV Cache Precision": ("FP8", "precision.kv_cache", "fp8"),
    "Batch Size": ("128", "workload.batch", 128),
    "Concurrency": ("512 requests", "workload.concurrency", 512),
    "Sequence Length": ("4,000 tokens", "workload.input_tokens", 4000),
    "Output Length": ("100 to 200", "workload.output_tokens", {"min": 100, "max": 200}),
    "TTFT": ("10s", "requirements.ttft", "10s"),
    "TPOT": ("≤ 30 ms", "requirements.tpot", "30 ms"),
    "Request Latency": ("at most 60 s", "requirements.request_latency", "60 s"),
    "Throughput per GPU": ("100 tokens/ms", "requirements.throughput_per_gpu", "100 tokens/ms"),
    "Throughput": (">= 12 requests/s", "requirements.throughput.requests", "12 requests/s"),
    "Memory per GPU": ("50 GB", "requirements.memory_per_gpu", "50 GB"),
    "Objective": ("throughput per GPU, latency", "objective", ["throughput-per-gpu", "latency"]),
    "Balance": ("2 %", "balance", "2 %"),
}
NOT_TOGETHER = {"Weight Precision", "Activation Precision", "Batch Size"}


def full_document(**other: str) -> str:
    """Every key once; `other` names some of them otherwise (spaces as underscores)."""
    lines = []
    for id, section in SECTIONS.items():
        lines.append(f"## {section.title}")
        for key in section.keys:
            if key.label not in NOT_TOGETHER or key.label in other:
                lines.append(f"- {other.get(key.label, key.label)}: {SAMPLES[key.label][0]}")
        assert id in KEYS
    return "\n".join(lines)


def test_every_key_has_a_sample() -> None:
    assert set(SAMPLES) == {key.label for section in SECTIONS.values() for key in section.keys}


def test_every_key_together() -> None:
    found = scene(full_document())
    assert found.requirements.tpot == pytest.approx(0.03) and found.hardware.accelerator.assumed == ()


@pytest.mark.parametrize(
    ("section", "label", "name"),
    [
        pytest.param(section, key.label, name, id=f"{section}-{name}")
        for section, names in KEYS.items()
        for name, key in names.items()
    ],
)
def test_each_name_of_each_key(section: str, label: str, name: str) -> None:
    value, path, wanted = SAMPLES[label]
    text = full_document(**{label: name.upper()})
    if label == "Batch Size":
        text = text.replace("- Concurrency: 512 requests\n", "")
    tree = read_markdown_tree(text)
    assert at(tree.data, path) == wanted
    line = next(i for i, line in enumerate(text.splitlines(), 1) if line == f"- {name.upper()}: {value}")
    steps = tuple(path.split("."))
    if label != "Precision":  # the more specific keys are there too
        assert tree.place(steps).line == line
        assert isinstance(wanted, dict) or tree.place(steps).column == len(name) + 5
    validated(tree, Scenario)


def test_names_are_unique_and_short() -> None:
    for section, names in KEYS.items():
        assert len(names) == sum(len(key.names) for key in SECTIONS[section].keys)
        assert all(len(name.split()) <= 5 and name == name.casefold().strip() for name in names)


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("form", ["# {}", "###### {} ######", "  ## 3. **{}** (ours):", "{}\n---", "{}\n======"])
def test_each_title_at_any_level(title: str, form: str) -> None:
    old = {"hardware": "# Hardware", "model": "# Model", "workload": "# Workload", "requirements": "# Requirements"}
    heading = f"{old[TITLES[title]]}\n"
    text = CATALOG.replace(heading, f"{form.format(title.title())}\n", 1)
    assert text != CATALOG or title == "requirements" or form == "# {}"
    assert scene(text) == scene(CATALOG)


@pytest.mark.parametrize(
    "line",
    [
        "* GPUs: 64",
        "+ GPUs: 64",
        "12) GPUs: 64",
        "3. GPUs:64",
        "    - GPUs: 64",
        "- **GPUs**: 64",
        "- **GPUs:** 64",
        "- __GPUs__ : `64`",
        "- *Number of GPUs*: **64**",
        "- GPUs：64",
        "GPUs: 64",
        "**Total GPUs:** 64",
        "- GPUs: 64 <!-- or more? -->",
        "| GPUs | 64 |",
        "GPUs | 64",
        "| Key | Value |\n|---|:-:|\n| **GPUs** | `64` |",
        "| GPUs | 64 |\n|---|---|",
        "### Count\n- GPUs: 64",
        "- GPUs: 64\n\n---\n",
        "- GPUs: 64\n\nSome prose\nthat says nothing\n",
        "> - GPUs: 65\n\n- GPUs: 64",
        "<!--\n- GPUs: 65\n-->\n- GPUs: 64",
    ],
)
def test_every_form_of_a_condition(line: str) -> None:
    assert scene(with_line(line, "Hardware")).hardware.gpus == 64


@pytest.mark.parametrize("dash", ["-", " – ", "—", " to ", " ~ "])
def test_every_form_of_a_range(dash: str) -> None:
    text = CATALOG.replace("length: 10", f"length: 1,000{dash}2000 tokens")
    assert data(text)["workload"]["input_tokens"] == {"min": 1000, "max": 2000}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("100 tokens/s", "100 tokens/s"),
        ("≥ 100 output tokens/s", {"output": "100 tokens/s"}),
        ("at least 1,000 prompt tokens/s", {"input": "1,000 tokens/s"}),
        ("100 generated tokens/min", {"output": "100 tokens/min"}),
        ("> 3 req/s", {"requests": "3 req/s"}),
    ],
)
def test_every_form_of_a_rate(value: str, wanted: Any) -> None:
    text = f"{CATALOG}- Throughput: {value}\n"
    assert data(text)["requirements"]["throughput"] == wanted
    assert scene(text).requirements.throughput is not None


@pytest.mark.parametrize("cross", ["x", " X ", " × ", "*"])
def test_heads_times_dimension(cross: str) -> None:
    found = scene(DOCUMENT.replace("16 x 32", f"16{cross}32"))
    assert (found.model.attention.heads, found.model.attention.head_dim) == (16, 32)


@pytest.mark.parametrize(
    ("name", "weights", "rest"),
    [("FP16", "bf16", "bf16"), ("BF16", "bf16", "bf16"), ("fp32", "fp32", "fp32"), ("FP8", "fp8", "bf16")],
)
def test_precisions(name: str, weights: str, rest: str) -> None:
    found = scene(DOCUMENT.replace("FP16", name))
    assert found.precision.model_dump(exclude_none=True) == {"weights": weights, "activations": rest, "kv_cache": rest}
    open_ones = {text.split()[0] for text in found.model.assumed if text.startswith("precision")}
    assert open_ones == (set() if name != "FP8" else {"precision.activations", "precision.kv_cache"})


def test_a_document_without_a_precision_assumes_16_bit() -> None:
    found = scene(DOCUMENT.replace("- Precision: FP16\n", ""))
    assert {"precision.weights = bf16", "precision.kv_cache = bf16"} <= set(found.model.assumed)


def test_specific_precisions_win_wherever_they_stand() -> None:
    for text in (
        DOCUMENT.replace("- Precision", "- KV cache: FP8\n- Precision"),
        DOCUMENT.replace("- Layers", "- KV cache: FP8\n- Layers"),
        DOCUMENT.replace("- Token", "- KV cache: FP8\n- Token"),
    ):
        assert scene(text).precision.kv_cache == "fp8" and scene(text).precision.weights == "bf16"


def test_a_dense_model() -> None:
    text = DOCUMENT.replace("- Experts per Layer: 16\n", "").replace("MoE Hidden", "FFN Hidden")
    model = scene(text.replace("- Parameters: 10.0B\n", "")).model
    assert model.experts is None and model.feed_forward is not None and model.feed_forward.width == 1024
    assert any(text.startswith("feed_forward.gated") for text in model.assumed)


# The catalog


@pytest.mark.parametrize("name", ["h200-sxm", "H200 SXM", "H200_SXM", "NVIDIA H200 SXM", "`h200-sxm`"])
def test_accelerators_by_id_or_name(name: str) -> None:
    found = scene(CATALOG.replace("h200-sxm", name))
    assert found == scene(CATALOG) and found.hardware.accelerator.id == "h200-sxm"


@pytest.mark.parametrize("name", ["Qwen3-235B-A22B", "qwen3 235b a22b"])
def test_models_by_id_or_name(name: str) -> None:
    assert scene(CATALOG.replace("qwen3-235b-a22b", name)).model.id == "qwen3-235b-a22b"


def test_links_of_a_card_from_the_catalog_keep_what_is_not_stated() -> None:
    text = with_line("- Node link: 20 GB/s", "Hardware", CATALOG.replace("h200-sxm", "mi300x"))
    link = scene(text).hardware.inside
    assert link.bandwidth == 20e9 and link.mesh and link.latency > 0


def test_a_declared_total_beside_a_model_of_the_catalog() -> None:
    found = scene(with_line("- Parameters: 235B", "Model"))
    assert found.model.declared_parameters == 235e9 and found.model.id == "qwen3-235b-a22b"
    assert found.model.sources == scene(CATALOG).model.sources


def test_a_checkpoints_precision_is_kept_where_nothing_is_stated() -> None:
    text = CATALOG.replace("qwen3-235b-a22b", "deepseek-v3")
    assert scene(text).precision.weights == "fp8"
    assert scene(with_line("- Precision: BF16", "Model", text)).precision.weights == "bf16"


# Mistakes


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message", "help"),
    [
        # keys
        ("Batch:", "Batsh:", 6, 3, "unknown key 'Batsh'", "did you mean 'Batch Size'?"),
        ("- Batch: 4", "- Zebra: 4\n- Batch: 4", 6, 3, "unknown key 'Zebra'", "known keys here: Batch Size, Concurr"),
        ("- Batch: 4", "- Batch: 4\n- TTFT: 4 s", 7, 3, "unknown key 'TTFT'", "section 'Performance Requirements'"),
        ("- Batch: 4", "Zebra: 4\n- Batch: 4", 6, 1, "unknown key 'Zebra'", "known keys"),
        ("- Batch: 4", "- Batch: 4\n- batch size: 5", 7, 3, "'batch size' stands twice", "in line 6, as 'Batch'"),
        ("- Batch: 4", "- Batch:", 6, 3, "'Batch' has no value", "- Key: value"),
        ("- Batch: 4", "- Batch:\n  - Size: 4", 6, 3, "'Batch' has no value", "- Key: value"),
        ("- Batch: 4", "- Batch 4", 6, 3, "a bullet without 'Key: value'", "state a condition"),
        ("- Batch: 4", "- Batch: 4\n  or 5", 7, 3, "this line continues a condition", "one line"),
        ("- Batch: 4", "| Batch | 4 | or 5 |", 6, 1, "a table row that is no pair", "two cells"),
        ("- Batch: 4", "### Batch: 4", 6, 1, "a condition in a heading is not read", "- Key: value"),
        ("- Batch: 4", "```\n- Batch: 4\n```\n- Batch: 4", 6, 1, "a code block among the conditions", "- Key: value"),
        # values
        ("Batch: 4", f"Batch: {'4' * 201}", 6, 10, "a value of more than 200 characters", None),
        ("Batch: 4", "Batch: four", 6, 10, "Batch Size: 'four' is not a whole number", None),
        ("Batch: 4", "Batch: 4 nodes", 6, 10, "Batch Size: '4 nodes' is not a whole number", None),
        ("Batch: 4", "Batch: -4", 6, 10, "Batch Size: '-4' is not a whole number", None),
        ("Batch: 4", "Batch: 4.5", 6, 10, "Batch Size: '4.5' is not a whole number", None),
        ("Batch: 4", "Batch: 1,00", 6, 10, "Batch Size: '1,00' is not a whole number", None),
        ("Batch: 4", "Batch: 0", 6, 10, "workload.batch: 0: input should be greater", "'batch' is:"),
        ("Batch: 4", "Batch: **0**", 6, 12, "workload.batch: 0: input should be greater", "'batch' is:"),
        ("Batch: 4", f"Batch: {'9' * 150}", 6, 10, "workload.batch: 9999", "'batch' is:"),
        ("length: 10", "length: 4k", 7, 18, "Sequence Length: '4k' is not a whole number or a range", None),
        ("length: 10", "length: 9 - 8", 7, 18, "workload.input_tokens: min 9 is above max 8", "prompt length"),
        ("length: 10", "length: 1 - 2 - 3", 7, 18, "is not a whole number or a range", None),
        ("h200-sxm", "h200-smx", 2, 16, "unknown accelerator 'h200-smx'", "h200-sxm"),
        ("h200-sxm", "h200-sxm\n- GPUs: some", 3, 9, "GPUs: 'some' is not a whole number or a range", None),
        ("h200-sxm", "h200-sxm\n- Use all GPUs: 8", 3, 17, "Use All GPUs: '8' is neither yes nor no", None),
        ("h200-sxm", "h200-sxm\n- MFU: 60", 3, 8, "efficiency.mfu: 60.0: input should be less", "dense matrices"),
        ("h200-sxm", "h200-sxm\n- Node link: 50 GB", 3, 14, "unit 'GB' is not a unit of bandwidth", "bytes per"),
        ("qwen3-235b-a22b", "qwen3-235", 4, 10, "unknown language model 'qwen3-235'", "did you mean"),
        ("a22b", "a22b\n- Precision: FP9", 5, 14, "'fp9': input should be 'fp32'", "linear layers"),
        ("a22b", "a22b\n- Parameters: many", 5, 15, "'many' is not a count", "declared"),
        ("a22b", "a22b\n- Parameters reading: none", 5, 23, "'none': input should be 'declared'", "which count"),
        ("# Requirements", "# Requirements\n- TTFT: 2", 10, 9, "'2' has no unit", "time to first"),
        ("# Requirements", "# Requirements\n- TTFT: > 2 s", 10, 9, "'> 2 s' is not a duration", "time to first"),
        ("# Requirements", "# Requirements\n- TTFT: 2 s (p99)", 10, 9, "'s (p99)' is not a unit", "time to first"),
        ("# Requirements", "# Requirements\n- Throughput: < 2 tokens/s", 10, 15, "is not a token rate", None),
        ("# Requirements", "# Requirements\n- Objective: fast", 10, 14, "'fast': input should be", "what is best"),
        # what is missing
        ("- Batch: 4\n", "", 5, 1, "'Input Data' lacks Batch Size or Concurrency", "add '- Batch Size: …'"),
        ("- Batch: 4", "- Batch: 4\n- Concurrency: 4", 5, 1, "workload: give concurrency", "the load"),
        ("- Prompt length: 10\n", "", 5, 1, "'Input Data' lacks Sequence Length", "add '- Sequence Length: …'"),
        ("# Workload", "# Werkload", 6, 3, "the section 'Werkload' is unknown", "did you mean 'Input Data'?"),
        ("# Workload", "# Something else", 6, 3, "the section 'Something else' is unknown", "the sections are: Hardw"),
        ("# Hardware\n", "", 1, 3, "no section has begun, and a condition stands here: Acc", "the sections are:"),
        ("# Requirements", "# More\n| TTFT | 2 s |", 10, 1, "the section 'More' is unknown", "the sections"),
        (
            "# Requirements",
            "# Requirments\n\nTTFT: 2 s",
            11,
            1,
            "'Requirments' is unknown",
            "'Performance Requirements'?",
        ),
        ("# Requirements", "# Strategy\n- Tensor: 4", 10, 3, "the section 'Strategy' is unknown", "the sections"),
        # catalog and description
        ("a22b", "x/config.json\n- Parameters: 1B", 5, 3, "Parameters beside the model", "remove one"),
        # blocks
        (
            "# Requirements",
            "# Notes\n```\n# Requirements",
            10,
            1,
            "this code block has no end",
            "close it with the same marks",
        ),
        ("# Requirements", "# Requirements\n<!-- - TTFT: 1 s", 10, 1, "this comment has no end", "close it with -->"),
        ("# Hardware", "---\nname: x\n---\n# Hardware", 1, 1, "front matter is not read", "the sections are"),
    ],
)
def test_mistakes_have_a_place_and_a_way_out(
    old: str, new: str, line: int, column: int, message: str, help: str | None
) -> None:
    assert old in CATALOG
    error = problem(CATALOG.replace(old, new, 1))
    assert message in str(error.message) and spot(error) == (line, column)
    assert help is None or help in str(error.help)
    assert len(str(error)) < 1500


@pytest.mark.parametrize(
    ("old", "message", "line", "help"),
    [
        ("- Layers: 16\n", "'Model Configuration' lacks Layers", 10, "or '- Model: ID' alone"),
        ("- Token Dimension: 512\n", "'Model Configuration' lacks Token Dimension", 10, "add '- Token Dimension"),
        ("- Attention Heads: 16 x 32\n", "'Model Configuration' lacks Attention Heads", 10, "add"),
        (" x 32", "Attention Heads without Head Dimension", 16, "write '16 x 32'"),
        ("- MoE Hidden Size: 1024\n", "'Model Configuration' lacks MoE Hidden Size", 10, "add"),
        ("- Single-card VRAM: 64 GB\n", "'Hardware Environment' lacks Single-card VRAM", 3, "or '- Accelerator: ID'"),
    ],
)
def test_a_description_lacks_a_figure(old: str, message: str, line: int, help: str) -> None:
    error = problem(DOCUMENT.replace(old, ""))
    assert error.message == message and spot(error)[0] == line and help in str(error.help)
    assert not isinstance(error, InputErrors)


@pytest.mark.parametrize("section", ["Hardware Environment", "Model Configuration", "Input Data"])
def test_each_missing_section(section: str) -> None:
    parts = DOCUMENT.split("\n## ")
    error = problem("\n## ".join(part for part in parts if not part.startswith(section)))
    assert error.message == f"there is no section '{section}'" and spot(error) == (1, 1)


def test_requirements_may_be_missing() -> None:
    assert scene(CATALOG.replace("# Requirements\n", "")).requirements.ttft is None


def test_a_catalog_id_and_a_description_contradict_each_other() -> None:
    error = problem(with_line("- Accelerator: H200 SXM", "Hardware Environment", DOCUMENT))
    assert error.message == "'H200 SXM' names the accelerator, and this section describes one too"
    for name in ("qwen3-32b", "our/config.json"):
        error = problem(with_line(f"- Model: {name}", "Model Configuration", DOCUMENT))
        assert error.message == f"'{name}' names the model, and this section describes one too"
        assert spot(error) == (11, 10)


def test_the_head_dimension_twice() -> None:
    error = problem(with_line("- Head size: 32", "Model Configuration", DOCUMENT))
    assert error.message.endswith("stands twice") and "line 11" in str(error.help)


def test_output_requirements_need_an_output_length() -> None:
    for line in ("TPOT: 30 ms", "Throughput: 5 output tokens/s"):
        error = problem(with_line(f"- {line}", "Performance Requirements", DOCUMENT))
        assert "there is no Output Length" in error.message and spot(error)[0] == 24


def test_several_mistakes_are_shown_together_and_not_too_many() -> None:
    error = problem(CATALOG.replace("Batch", "Zebra").replace("10", "ten"))
    assert isinstance(error, InputErrors) and [spot(each)[0] for each in error.errors] == [6, 7]
    many = problem(CATALOG + "".join(f"- k{i}: 1\n" for i in range(50)))
    assert isinstance(many, InputErrors) and len(many.errors) == 10


def test_a_whole_message(write: Write) -> None:
    path = write(CATALOG.replace("Batch", "Batsh"))
    with pytest.raises(InputError) as caught:
        Scenario.load(path)
    assert str(caught.value).splitlines() == [
        "error: unknown key 'Batsh'",
        f"  --> {path}:6:3",
        "   |",
        "6  | - Batsh: 4",
        "   |   ^",
        "help: did you mean 'Batch Size'?",
    ]


# What is no condition


def test_prose_and_plans_are_no_conditions() -> None:
    text = CATALOG.replace(
        "# Model", "\nThere are two halls.\n\nWe measured it twice, and found this: nothing.\n# Model"
    )
    text += "\n# Background\nSome words.\n- a point\n- we did this for two reasons only: cost and time\n"
    text += "```sh\n# Hardware\n- GPUs: 3\n```\n## Expected Performance\n- GPUs: 8\n### Model\n- Layers: 3\n"
    assert scene(text) == scene(CATALOG)


def test_a_plan_ends_where_the_next_section_begins() -> None:
    text = CATALOG.replace("# Workload", "# Resource allocation\n- GPUs: 8\n# Workload")
    assert scene(text) == scene(CATALOG)
    error = problem(CATALOG + "# Resource allocation\n- GPUs: 8\n# Other\n- GPUs: 8")
    assert "'Other' is unknown" in error.message


def test_a_plans_title_inside_a_section_hides_nothing() -> None:
    error = problem(CATALOG.replace("# Requirements", "# Requirements\n## Expected performance\n- TTTF: 1 s"))
    assert error.message == "unknown key 'TTTF'" and spot(error) == (11, 3)


def test_html_and_links_are_text() -> None:
    assert "unknown accelerator" in problem(CATALOG.replace("h200-sxm", "<b>h200-sxm</b>")).message
    assert "unknown accelerator" in problem(CATALOG.replace("h200-sxm", "[h200-sxm](https://a.b)")).message


def test_files(write: Write) -> None:
    for change in (lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")):
        assert Scenario.load(write(change(CATALOG), "case.MD")) == Scenario.load(write(CATALOG))
    for text in ("", " \n"):
        with pytest.raises(InputError, match="the file is empty"):
            Scenario.load(write(text))


@pytest.mark.parametrize("text", [CATALOG, DOCUMENT.split("## Recommended")[0]], ids=["catalog", "document"])
@pytest.mark.parametrize("line", ["- Zebra: 1", "| Zebra | 1 |", "  * **Zebra**: 1"])
def test_a_condition_anywhere_is_read_or_refused(text: str, line: str) -> None:
    lines = text.splitlines()
    for i in range(len(lines) + 1):
        with pytest.raises(InputError) as caught:
            scene("\n".join([*lines[:i], line, *lines[i:]]))
        assert spot(caught.value)[0] == i + 1


@pytest.mark.parametrize("text", [CATALOG, DOCUMENT.split("## Recommended")[0], full_document()])
def test_every_line_counts(text: str) -> None:
    lines, whole = text.splitlines(), data(text)
    for i, line in enumerate(lines):
        if line.startswith("- "):
            without = "\n".join([*lines[:i], *lines[i + 1 :]])
            with suppress(InputError):
                assert data(without) != whole


# Hostile text


def check(text: str) -> None:
    """The reader's promise: a scenario, or an InputError with a place that can be printed."""
    try:
        scene(text)
    except InputError as error:
        for each in error.errors if isinstance(error, InputErrors) else [error]:
            assert each.place is not None and (each.place.line or 1) >= 1
            assert len(str(each)) < 3000


PIECES = [
    *("#", "##", "- ", "* ", "1. ", "|", ": ", "：", "**", "`", "```", "~~~", "> ", "<!--", "-->", "\n", "\n\n", " "),
    *("---", "===", "|---|---|", "\t", "    ", "\u2028", "\x0c", "\r\n", "é", "64", "16 x 32", "1 - 2", "∞", "[a](b)"),
    *(section.title for section in SECTIONS.values()),
    *(f"\n- {label}: {value}\n" for label, (value, _, _) in SAMPLES.items()),
    *("\n# Hardware\n", "\n# Model\n", "\n## Workload\n", "\n# Expected Performance\n", "\n# Other\n", "h200-sxm"),
]


@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_markdown(text: str) -> None:
    check(text)


@given(st.data())
def test_any_change_of_a_good_document(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([CATALOG, DOCUMENT, full_document()]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    check(text[:start] + data.draw(st.sampled_from(PIECES) | st.text(max_size=8)) + text[end:])


@pytest.mark.parametrize(
    "block",
    [
        *(
            "#",
            "# a\n",
            "###### a\n",
            "## Hardware\n### Model\n",
            "#\n##\n###\n",
            "    - ",
            "- a: b\n",
            "- ",
            "* * ",
            "> ",
        ),
        *("a\n---\n", "a\n", "|", "| a | b |\n", "|-", "<!--", "<!---->", "```\n", "~", "`", "**", "[", "](", ":", " "),
        *("- GPUs: 1\n", "1,", "1 ", "\n", "\t", "\u2028", "- Layers: 1 - \n", "=", "GPUs "),
        *("# Expected Performance\n- a: b\n", "# x\n- a: b\n"),
    ],
)
@pytest.mark.parametrize("head", ["", "# Hardware\n- GPUs: "])
def test_a_megabyte_ends_soon(block: str, head: str) -> None:
    start = time.process_time()
    check((head + block * (LARGEST_FILE // len(block)))[:LARGEST_FILE])
    assert time.process_time() - start < 5
