"""Plans in Markdown: what is a degree, a promise, a measure; what is refused, and where."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.models import InputError
from shardwise.models.claimed import Claim, Claimed, ClaimedEngine
from shardwise.models.reading.plan_markdown import LARGEST_DEGREE, MOST_LINES, read_markdown_plan
from shardwise.models.reading.plan_markdown_lines import LONGEST_LINE
from shardwise.models.reading.tree import LARGEST_FILE
from shardwise.models.strategy import Strategy

PLANS = Path(__file__).parent / "plans"
TP = "- TP: 2\n"


def plan(text: str) -> Claimed:
    return read_markdown_plan(text, "plan.md")


def saved(name: str) -> Claimed:
    return plan((PLANS / name).read_text())


def engine(text: str) -> ClaimedEngine:
    (only,) = plan(text).engines
    return only


def claims(line: str) -> list[Claim]:
    """What one line below a degree promises."""
    found = plan(f"{TP}{line}")
    assert all(claim.line == 2 for claim in found.claims)
    return list(found.claims)


def claim(line: str) -> tuple[str, float | None, float, float | None]:
    (only,) = claims(line)
    return only.what, only.value, only.half_step, only.limit


def assert_same(found: tuple[float | None, ...], wanted: tuple[float | None, ...]) -> None:
    """Equal but for rounding; None only where None is wanted."""
    for one, other in zip(found, wanted, strict=True):
        assert one == other if one is None or other is None else one == pytest.approx(other, rel=1e-12), (found, wanted)


def problem(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        plan(text)
    assert caught.value.place is not None and caught.value.place.file == Path("plan.md")
    return caught.value


def line_of(error: InputError) -> int | None:
    assert error.place is not None
    return error.place.line


# Whole plans


def test_degrees_of_a_plan_with_experts() -> None:
    found = saved("experts.md")
    assert (found.file, found.form, found.engine, found.gpus) == ("plan.md", "markdown", None, 48)
    (only,) = found.engines
    assert only.strategy == Strategy(tensor=2, data=8, pipeline=3, expert=8, expert_tensor=2)
    assert only.strategy.stage_group == only.strategy.expert * only.strategy.expert_tensor
    assert only.count == 1 and only.lines == {"expert": 22, "tensor": 23, "pipeline": 24}


def test_every_promise_of_a_plan_with_experts() -> None:
    found = [(c.line, c.what, c.value, c.half_step, c.limit) for c in saved("experts.md").claims]
    wanted = [
        (25, "gpus", 48, 0.5, None),
        (28, "memory_per_gpu", 12.25e9, 5e6, None),
        (29, "memory_utilization", 0.153, 0.0005, None),
        (30, "ttft", 0.12, 0.005, None),
        (36, "experts_per_gpu", 4, 0.5, None),
        (40, "layers_per_stage", 8, 0.5, None),
        (54, "ttft", 0.1, 0.05, 3),
        (55, "tpot", 0.0215, 0.00005, 0.04),
        (56, "throughput", 480e3, 500, None),
        (57, "throughput_per_gpu", 10e3, 500, None),
        (58, "memory_utilization", 0.15, 0.005, None),
        (59, "expert_utilization", 0.0625, 0.00005, None),
        (65, "memory_per_gpu", 12.3e9, 50e6, 80e9),
        (66, "ttft", 0.1, 0.05, 3),
        (67, "gpu_product", 47, 0.5, None),  # as written, though 8·2·3 = 48
        (67, "compatible", None, 0, None),
        (68, "balanced", None, 0, None),
    ]
    assert [one[:2] for one in found] == [one[:2] for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert_same(one[2:], other[2:])


def test_measures_of_a_plan_with_experts() -> None:
    found = saved("experts.md")
    assert [(measure.line, measure.text) for measure in found.measures] == [
        (35, "Give every group its experts"),
        (39, "Cut the layers in 3"),
        (43, "**EP Communication**: all-to-all twice per layer"),
        (44, "**TP Communication**: all-reduce"),
        (47, "Keep the KV cache in 8 bit"),
        (50, "Dynamic load balancing by expert usage"),
        (51, "TTFT: chunked prefill keeps it low"),
    ]
    assert found.unread == ()


def test_texts_are_as_written() -> None:
    texts = [one.text for one in saved("experts.md").claims]
    assert texts[6] == "TTFT: 0.1s (target: 3s)" and texts[12] == "Memory requirements satisfied: 12.3 GB ≤ 80 GB"


def test_a_plan_in_tables() -> None:
    found = saved("tables.md")
    (only,) = found.engines
    assert only.strategy == Strategy(tensor=4, pipeline=2) and only.lines == {"tensor": 21, "pipeline": 22}
    assert [(c.line, c.what, c.value) for c in found.claims] == [
        (9, "ttft", 0.25),
        (10, "tpot", 0.0205),
        (11, "throughput", 1500),
        (12, "gpus", 8),
    ]
    assert [m.text for m in found.measures] == [
        "Overlap the all-reduce",
        "Fuse the kernels",
        "Paged cache | fewer gaps",
    ]
    assert found.unread == ()


@pytest.mark.parametrize("name", ["experts.md", "tables.md"])
def test_line_ends_do_not_matter(name: str) -> None:
    text = (PLANS / name).read_text()
    assert plan(text.replace("\n", "\r\n")) == plan(text)


@pytest.mark.parametrize("marks", ["#", "##", "######"])
def test_levels_of_headings_do_not_matter(marks: str) -> None:
    lines = (PLANS / "experts.md").read_text().splitlines()
    flat = [f"{marks} {line.lstrip('# ')}" if line.startswith("#") else line for line in lines]
    assert plan("\n".join(flat)) == saved("experts.md")


def test_the_order_of_sections_does_not_matter() -> None:
    title, *sections = (
        (PLANS / "experts.md").read_text().replace("\n###", "\n##").replace("\n####", "\n##").split("\n## ")
    )
    turned = plan("\n## ".join((title, *reversed(sections))))
    straight = saved("experts.md")
    assert turned.engines[0].strategy == straight.engines[0].strategy
    assert sorted(c.text for c in turned.claims) == sorted(c.text for c in straight.claims)
    assert {m.text for m in turned.measures} == {m.text for m in straight.measures}


# Degrees


@pytest.mark.parametrize(
    "line",
    [
        "- Tensor Parallelism (TP): 4-way",
        "* Tensor Parallelism: 4",
        "+ TP: 4 ways",
        "12) **TP**: 4 GPUs",
        "    - **Tensor Parallelism (TP):** **4**-way",
        "- TP=4",
        "- TP = 4-way (inside a node)",
        "- Tensor Parallelism (TP): TP=4, over NVLink",
        "- Tensor Parallel Size: 4",
        "- TP degree: `4`",
        "- Tensor Parallelism (TP): ×4",
        "- Tensor parallelism：4 ranks within a node",
        "Tensor Parallelism: 4",
        "| Tensor Parallelism (TP) | 4-way |",
        "Tensor Parallelism | 4",
        "| TP | 4 | splits the heads |",
        "### Tensor Parallelism (TP): 4-way",
        "- Strategy: TP4",
        "- TP4 × PP1",
        "- Parallelism: TP4·PP1 = 4 GPUs",
        "- 4-way TP, 1-way PP",
        "- TP: 4, PP: 1",
        "- TP: 4\n- TP: 4",
        "<!-- - TP: 8 -->\n- TP: 4",
        "<!--\n- TP: 8\n-->\n- TP: 4",
        "> - TP: 8\n\n- TP: 4",
        "```\n- TP: 8\n```\n- TP: 4",
        "## Alternatives\n- TP: 8\n## Choice\n- TP: 4",
        "## Performance Requirements\n- TP: 8\n## Choice\n- TP: 4",
        "## Implementation\n- TP: 4\n- TP: splits the heads",
    ],
)
def test_every_form_of_a_degree(line: str) -> None:
    found = plan(f"Some prose\n\n{line}\n")
    assert found.engines[0].strategy == Strategy(tensor=4) and found.engines[0].count == 1
    assert found.unread == ()


@pytest.mark.parametrize(
    ("text", "strategy", "count"),
    [
        ("EP: 16, TP: 4, PP: 1", {"tensor": 4, "data": 16, "expert": 16, "expert_tensor": 4}, 1),
        ("EP: 16", {"data": 16, "expert": 16}, 1),
        ("EP: 8, PP: 2", {"data": 8, "expert": 8, "pipeline": 2}, 1),
        ("EP: 8, TP: 2, CP: 2", {"tensor": 2, "context": 2, "data": 8, "expert": 8, "expert_tensor": 4}, 1),
        ("EP: 8, DP: 3", {"data": 8, "expert": 8}, 3),
        ("TP: 4, DP: 3", {"tensor": 4}, 3),
        ("Data Parallelism (DP): 3", {}, 3),
        ("Context/Sequence Parallelism (CP): 2", {"context": 2}, 1),
        ("Sequence Parallelism: 2", {"context": 2}, 1),
        ("Pipeline stages: 2", {"pipeline": 2}, 1),
        ("TP: 4, EP: 1", {"tensor": 4}, 1),
        ("TP: 4, CP: 2\n# Model\n- Experts: 64\n", {"tensor": 4, "context": 2, "expert_tensor": 8}, 1),
        ("TP: 4\n# Model\n- Model: qwen3-235b-a22b", {"tensor": 4, "expert_tensor": 4}, 1),
        ("TP: 4\n# Model\n- Model: llama-3.1-70b", {"tensor": 4}, 1),
        ("TP: 4\n# Model\n- Experts per layer: none", {"tensor": 4}, 1),
        ("TP: 4\n- Each GPU handles 8 experts", {"tensor": 4, "expert_tensor": 4}, 1),
        (f"TP: {LARGEST_DEGREE:,}", {"tensor": LARGEST_DEGREE}, 1),
    ],
)
def test_degrees_become_a_strategy(text: str, strategy: dict[str, Any], count: int) -> None:
    found = engine(f"- {text}")
    assert found.strategy == Strategy(**strategy) and found.count == count


@pytest.mark.parametrize("value", ["0", "0-way", "-2", "2.5", "8193", "99999999999", "1,6", "TP=0"])
def test_what_cannot_be_a_degree_is_refused(value: str) -> None:
    error = problem(f"# Plan\n\n- Tensor Parallelism (TP): {value}")
    assert line_of(error) == 3 and "is no degree" in error.message and "8,192" in str(error.help)


@pytest.mark.parametrize("value", ["enabled", "all-to-all", "2-4", "2 or 4", "8, 16", "2 – 4", "2 × 4", "three", ""])
def test_what_is_no_number_is_not_read(value: str) -> None:
    (only,) = plan(f"- PP: 2\n- Tensor Parallelism (TP): {value}").unread
    assert only.line == 2 and "no degree" in only.why and only.text == f"Tensor Parallelism (TP): {value}".strip()


def test_the_slicing_of_experts_follows_from_the_others() -> None:
    (only,) = plan("- TP: 2\n- Expert Tensor Parallelism (ETP): 2").unread
    assert only.line == 2


@pytest.mark.parametrize("second", ["- TP = 2", "| Tensor Parallelism | 2 |", "- Strategy: EP8 × TP2", "### TP: 2-way"])
def test_two_values_of_one_degree_are_refused(second: str) -> None:
    error = problem(f"- Tensor Parallelism (TP): 4-way\n\n{second}")
    assert line_of(error) == 3 and "stated twice" in error.message
    assert error.help == "it is 4 in line 1, as 'Tensor Parallelism (TP)'"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "prose",
        "- Total GPUs: 64",
        "# Model\n- TP: 4",
        "```\nTP: 4\n```",
        "- TP communication: 4",
        "EP×TP = 64",
    ],
)
def test_a_plan_without_a_degree_is_refused(text: str) -> None:
    error = problem(text)
    assert line_of(error) == 1 and "no degree of parallelism" in error.message and error.help


def test_experts_in_too_many_slices_are_refused() -> None:
    error = problem("- EP: 2\n- TP: 8192\n- CP: 2")
    assert line_of(error) == 3 and "8,192 times" in error.message


@pytest.mark.parametrize(("text", "line"), [("- TP: 2\n\n<!-- a", 3), ("- TP: 2\n```\n- TP: 4", 2)])
def test_what_has_no_end_is_refused(text: str, line: int) -> None:
    error = problem(text)
    assert line_of(error) == line and "no end" in error.message


# Promises


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("- Total GPUs: 64", ("gpus", 64, 0.5, None)),
        ("- GPUs: 1,024 x H100", ("gpus", 1024, 0.5, None)),
        ("- Total GPUs: 64 (16×4)", ("gpus", 64, 0.5, None)),
        ("- Total GPUs: 16 × 4 = 64", ("gpus", 64, 0.5, None)),
        ("- EP × TP × PP = 64 GPUs", ("gpu_product", 64, 0.5, None)),
        ("Therefore EP*TP*PP=16*4*1=65.", ("gpu_product", 65, 0.5, None)),
        ("- Experts per GPU: 1.5", ("experts_per_gpu", 1.5, 0.05, None)),
        ("- every GPU holds about 2 routed experts", ("experts_per_gpu", 2, 0.5, None)),
        ("- Layers per pipeline stage: 12", ("layers_per_stage", 12, 0.5, None)),
        ("| Layers per stage | 12 |", ("layers_per_stage", 12, 0.5, None)),
        ("- Each pipeline stage holds 12 transformer layers", ("layers_per_stage", 12, 0.5, None)),
        ("- Memory per GPU: 1.15 GB", ("memory_per_gpu", 1.15e9, 5e6, None)),
        ("- Peak memory per GPU: 2 GiB", ("memory_per_gpu", 2**31, 2**29, None)),
        ("- VRAM usage: 1.15GB / 64GB (1.8%)", ("memory_per_gpu", 1.15e9, 5e6, 64e9)),
        ("- Memory Utilization: 1.8% of 64 GB", ("memory_utilization", 0.018, 0.0005, None)),
        ("- Memory utilisation: 0.45", ("memory_utilization", 0.45, 0.005, None)),
        ("- GPU memory utilization: 45 percent ≤ 90%", ("memory_utilization", 0.45, 0.005, 0.9)),
        ("- Memory Utilization: 180%", ("memory_utilization", 1.8, 0.005, None)),
        ("- Estimated TTFT: ≈ 350 ms", ("ttft", 0.35, 0.0005, None)),
        ("- Time to First Token (TTFT): 1.25 seconds, SLO: 2 s", ("ttft", 1.25, 0.005, 2)),
        ("✗ TTFT requirement not met: 12 s > 10 s", ("ttft", 12, 0.5, 10)),
        ("- TTFT: < 10 s", ("ttft", None, 0, 10)),
        ("- Inter-token latency: 8.5 ms", ("tpot", 0.0085, 0.00005, None)),
        ("- Request Latency: 2 min", ("request_latency", 120, 30, None)),
        ("- End-to-end latency: 1e1 s", ("request_latency", 10, 5, None)),
        ("- Total throughput: 1.5k tokens/s", ("throughput", 1500, 50, None)),
        ("- Throughput: 640 tokens/ms ≥ 100 tokens/ms", ("throughput", 640e3, 500, 100e3)),
        ("- Throughput: 12 requests/s", ("requests", 12, 0.5, None)),
        ("- Throughput/GPU: 10 tok/s", ("throughput_per_gpu", 10, 0.5, None)),
        ("- Throughput: 10 tokens/ms per GPU", ("throughput_per_gpu", 10e3, 500, None)),
        ("- Throughput: 10 tokens/s/GPU (target: 5 tokens/s)", ("throughput_per_gpu", 10, 0.5, 5)),
        ("- Expert usage: 12.5 %", ("expert_utilization", 0.125, 0.0005, None)),
        ("- Parallel degrees compatible", ("compatible", None, 0, None)),
        ("| Load balancing achieved | yes |", ("balanced", None, 0, None)),
        ("- [x] GPU load-balancing", ("balanced", None, 0, None)),
        ("✅ Load is evenly balanced", ("balanced", None, 0, None)),
        ("## Checks\nGPU load balancing achieved", ("balanced", None, 0, None)),
    ],
)
def test_every_form_of_a_promise(line: str, wanted: tuple[Any, ...]) -> None:
    (only,) = plan(f"{TP}{line}").claims
    what, *figures = wanted
    assert only.what == what
    assert_same((only.value, only.half_step, only.limit), tuple(figures))


def test_several_promises_of_one_line() -> None:
    assert [(c.what, c.value) for c in claims("- **TTFT:** 1.5 s, TPOT: 20 ms; GPUs: 8")] == [
        ("ttft", 1.5),
        ("tpot", 0.02),
        ("gpus", 8),
    ]
    assert claim("- Throughput: 1,500 tokens/s, measured") == ("throughput", 1500, 0.5, None)


def test_each_occurrence_counts() -> None:
    assert [c.value for c in plan(f"{TP}- TTFT: 1 s\n- TTFT: 2 s\n- TTFT: 1 s").claims] == [1, 2, 1]


@pytest.mark.parametrize(
    "line",
    [
        "- Batch Size: 128",
        "- Total memory: 73 GB",
        "- GPUs per node: 8",
        "- Target TTFT: 10 s",
        "- GPU: H100",
        "Prose where load balancing is achieved and degrees are compatible.",
        "- Degrees are not compatible",
        "✗ Parallelism degrees are compatible",
        "- [ ] load balancing achieved",
        "- Load balancing by usage",
        "- The plan is good",
        "# Hardware\n- Memory per GPU: 64 GB\n- Total GPUs: 8",
        "# Requirements\n## TTFT\n- TTFT: 10 s\n",
        "# Baseline\n- TTFT: 10 s\n",
        "| TTFT | TPOT |\n|---|---|",
        "---",
        "see https://host/TTFT: 1",
    ],
)
def test_what_is_no_promise(line: str) -> None:
    found = plan(f"{TP}{line}")
    assert found.claims == found.measures == found.unread == ()


@pytest.mark.parametrize(
    "line",
    [
        "- TTFT: TBD",
        "- TTFT:",
        "- TTFT: 12",
        "- TTFT: 0.5 - 1.2 s",
        "- TTFT: 0,5 s",
        "- TTFT: 1 min 30 s",
        "- TTFT: -1 s",
        "- Memory per GPU: 1.15",
        "- Memory per GPU: 12 Gb",
        "- Memory Utilization: 45",
        "- Throughput per GPU: 12 requests/s",
        "- Total GPUs: 8 nodes",
        "- Total GPUs: 8 × 8",
        "- Expert utilization: 2/16",
        "| TTFT | 1 s | 2 s |",
        "- EP×TP×PP = 16×4×1",
        f"- TTFT: {'1' * 400} s",
    ],
)
def test_what_is_not_understood_is_named(line: str) -> None:
    found = plan(f"{TP}{line}")
    (only,) = found.unread
    assert only.line == 2 and only.text == line.strip("-| ") and only.why and found.claims == ()


def test_very_long_lines_are_not_taken_apart() -> None:
    fits, longer = "x" * (LONGEST_LINE - len("TTFT: 1 s ")), "x" * LONGEST_LINE
    found = plan(f"{TP}- TTFT: 1 s {fits}\n- TTFT: 1 s {longer}\nTTFT: 1 s {longer}")
    assert [c.line for c in found.claims] == [2]
    (only,) = found.unread
    assert only.line == 3 and len(only.text) < 100 and only.text.endswith("…")


# Measures


@pytest.mark.parametrize(
    "title",
    [
        "## Memory Optimization",
        "# Performance Optimisations",
        "###### Implementation",
        "#### Phase 2: Tensor Parallelism (TP)",
        "## Communication Pattern",
        "## 4. Techniques",
        "**Measures**",
        "**Optimization techniques:**",
        "Optimizations\n=============",
        "# Implementation strategy\n## Anything",
    ],
)
def test_titles_of_measures(title: str) -> None:
    (only,) = plan(f"{TP}\n{title}\n- Do *this*\nprose\n").measures
    assert only.text == "Do *this*" and only.line == 4 + title.count("\n")


@pytest.mark.parametrize(
    "title",
    ["# Scalability Notes", "# Expected Performance", "# Optimization results", "# Measured", "# Recommended strategy"],
)
def test_titles_of_other_things(title: str) -> None:
    assert plan(f"# Optimization plan\n- a\n{TP}# Implementation\n{title}\n- Do this").measures == ()


# Hostile texts


def bounded(text: str) -> Claimed | InputError:
    began = time.process_time()
    try:
        return plan(text)
    except InputError as error:
        return error
    finally:
        assert time.process_time() - began < 20  # alone: 2 s


def test_a_file_may_not_be_larger_than_a_scenario() -> None:
    assert isinstance(bounded(TP + " " * (LARGEST_FILE - len(TP))), Claimed)
    for text in (TP + " " * LARGEST_FILE, TP + "é" * (LARGEST_FILE // 2)):
        assert "larger than" in problem(text).message


def test_a_plan_may_not_say_endlessly_much() -> None:
    assert len(plan(TP + "- TTFT: 1 s\n" * (MOST_LINES - 1)).claims) == MOST_LINES - 1
    error = problem(TP + "- TTFT: 1 s\n" * MOST_LINES)
    assert line_of(error) == MOST_LINES + 1 and "20,000" in error.message


@pytest.mark.parametrize(
    "part",
    [
        *(" ", "|", "*", "`", "=", "1,", "a: ", ",  ", "EP*", "EP=1*", "<!---->", "x\n---\n", "# a\n", "|-", "\x0c"),
        *("**a" + " " * 480 + "x\n", "- " + "EP=1*" * 90 + "x\n", "- TTFT: 1 s " + "of " * 150 + "\n"),
        *(
            "|" + "-" * 450 + "x\n",
            "- " + "a,  " * 110 + "\n",
            "parallel " * 50 + "\n",
            "- TTFT: " + "1,111" * 90 + "\n",
        ),
    ],
)
def test_hostile_files_end_in_bounded_time(part: str) -> None:
    bounded(TP + part * ((LARGEST_FILE - len(TP)) // len(part)))


TOKENS = st.sampled_from(
    [
        *(
            "# ",
            "- ",
            "* ",
            "**",
            "`",
            "```\n",
            "\n",
            "\n\n",
            ": ",
            "=",
            "|",
            "|---|",
            "×",
            "~",
            "/",
            "(",
            ")",
            ",",
            "≤",
        ),
        *("EP", "TP", "16", "4-way", "1.5", "0", "e5", " s", " ms", " GB", "%", " tokens/s", " requests/s", "per GPU"),
        *(
            "TTFT",
            "Memory per GPU",
            "Total GPUs",
            "Throughput",
            "target",
            "✓ ",
            "Each GPU handles ",
            "experts",
            "degrees ",
        ),
        *("compatible", "load balancing ", "Implementation", "Model", "<!--", "-->"),
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.one_of(st.text(), st.lists(TOKENS, max_size=60).map("".join), st.lists(TOKENS, max_size=60).map("\n- ".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    for whole in (text, f"{TP}{text}", f"{TP}{(text + chr(10)) * 20}"):
        found = bounded(whole)
        lines = whole.splitlines()
        if isinstance(found, Claimed):
            assert all(1 <= one.line <= len(lines) for one in (*found.claims, *found.measures, *found.unread))
            assert all(one.text in lines[one.line - 1] for one in found.measures if "<!--" not in whole)
        else:
            assert 1 <= (line_of(found) or 0) <= max(1, len(lines))


def test_half_of_a_character_is_no_reason_to_fail() -> None:
    assert engine(f"{TP}- \ud800: 1").strategy.tensor == 2
