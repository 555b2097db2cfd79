"""Command lines of serving engines: degrees, limits and counts by hand, and that nothing but InputError comes out."""

from __future__ import annotations

import os
import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shardwise.models import InputError
from shardwise.models.claimed import Claimed, ClaimedEngine
from shardwise.models.command_profile import command_profile
from shardwise.models.reading.claimed import read_words
from shardwise.models.reading.engine_command import ENGINES
from shardwise.models.reading.plan_command import read_command_text
from shardwise.models.strategy import DEGREES

SGLANG = "python3 -m sglang.launch_server --model-path m"


def read(text: str, *, experts: bool = True, file: Path = Path("start.sh")) -> Claimed:
    return read_command_text(text, file, experts)


def one(text: str, *, experts: bool = True, file: Path = Path("start.sh")) -> ClaimedEngine:
    found = read(text, experts=experts, file=file)
    assert len(found.engines) == 1
    return found.engines[0]


def degrees(engine: ClaimedEngine) -> dict[str, int]:
    return {name: value for name in DEGREES if (value := getattr(engine.strategy, name)) != 1}


def why(text: str) -> list[str]:
    return [f"{one.text} {one.why}" for one in read(text).unread]


# Degrees

CASES: list[tuple[str, bool, dict[str, int]]] = [
    # command, has experts, degrees other than 1 by docs/design of each engine
    ("vllm serve m", False, {}),
    ("vllm serve m -tp 8 -pp 2", False, {"tensor": 8, "pipeline": 2}),
    ("vllm serve m --tensor-parallel-size=8 -pp=2", False, {"tensor": 8, "pipeline": 2}),
    ("vllm serve m --tensor_parallel_size 8 --pipeline_parallel_size=2", False, {"tensor": 8, "pipeline": 2}),
    ("vllm serve m -tp 8", True, {"tensor": 8, "expert_tensor": 8}),
    ("vllm serve m -tp 8 -ep", True, {"tensor": 8, "expert": 8}),
    ("vllm serve m -tp 2 -dp 4 --enable-expert-parallel", True, {"tensor": 2, "data": 4, "expert": 8}),
    ("vllm serve m -dp 8", True, {"data": 8, "expert_tensor": 8}),
    ("vllm serve m -tp 2 -pcp 2 -ep", True, {"tensor": 2, "context": 2, "expert": 4}),
    ("python -m vllm.entrypoints.openai.api_server --model m -tp 4", False, {"tensor": 4}),
    ("/opt/venv/bin/vllm serve m -tp 4", False, {"tensor": 4}),
    ("python3 -m dynamo.vllm --model m -tp 4", False, {"tensor": 4}),
    (f"{SGLANG} --tp-size 8", False, {"tensor": 8}),
    (f"{SGLANG} --tp-size 8 --ep-size 8", True, {"tensor": 8, "expert": 8}),
    (f"{SGLANG} --tp-size 8 --ep-size 2", True, {"tensor": 8, "expert": 2, "expert_tensor": 4}),
    (f"{SGLANG} --tp-size=8 --attn-dp-size=4 --ep=8", True, {"tensor": 2, "data": 4, "expert": 8}),
    (f"{SGLANG} --tp-size 8 --dp-size 8 --enable-dp-attention --ep-size 8", True, {"data": 8, "expert": 8}),
    (f"{SGLANG} --tp-size 8 --attn-cp-size 2", False, {"tensor": 4, "context": 2}),
    ("sglang serve --model-path m --tensor-parallel-size 4 --pp-size 2", False, {"tensor": 4, "pipeline": 2}),
    ("trtllm-serve m --tp_size 8 --pp_size 2", False, {"tensor": 8, "pipeline": 2}),
    ("trtllm-serve serve m --tensor_parallel_size=8 --ep_size=8", True, {"tensor": 8, "expert": 8}),
    ("trtllm-serve m --tp_size 8 --ep_size 2", True, {"tensor": 8, "expert": 2, "expert_tensor": 4}),
    ("trtllm-serve m --tp_size 8", True, {"tensor": 8, "expert_tensor": 8}),
    ("mpirun -n 16 -H a:8,b:8 trtllm-llmapi-launch trtllm-serve m --tp_size 16", False, {"tensor": 16}),
]


@pytest.mark.parametrize(("text", "experts", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_degrees(text: str, experts: bool, wanted: dict[str, int]) -> None:
    found = read(text, experts=experts)
    assert degrees(found.engines[0]) == wanted and found.engines[0].count == 1 and found.unread == ()


def test_replicas_of_sglang_are_engines() -> None:
    found = one(f"{SGLANG} --tp-size 4 --dp-size 2", experts=False)
    assert (degrees(found), found.count, found.gpus) == ({"tensor": 4}, 2, 8)


def test_stage_that_does_not_divide_is_said() -> None:
    assert why(f"{SGLANG} --tp-size 16 --attn-dp-size 3") == [
        "--tp-size 16 is no multiple of 3 data and 1 context ranks"
    ]


# Limits, formats and roles


def test_vllm_limits_are_of_a_rank() -> None:
    found = one(
        "vllm serve org/m -tp 2 -dp 4 --max-num-seqs 32 --max-num-batched-tokens 4096 --max-model-len 5000 "
        "--gpu-memory-utilization 0.85 --kv-cache-dtype fp8 --quantization fp8"
    )
    limits = found.sequences, found.token_budget, found.longest, found.memory_share
    assert limits == (32, 4096, 5000, 0.85)
    assert (found.kv_format, found.weight_format, found.model) == ("fp8", "fp8", "org/m")


def test_sglang_limits_are_of_all_ranks() -> None:
    found = one(
        f"{SGLANG} --tp-size 8 --attn-dp-size 4 --max-running-requests 128 --chunked-prefill-size 16384 "
        "--context-length 9000 --mem-fraction-static 0.8 --kv-cache-dtype fp8_e4m3"
    )
    assert (found.sequences, found.token_budget, found.longest) == (32, 4096, 9000)
    assert (found.memory_share, found.kv_format) == (0.8, "fp8")


def test_old_attention_data_divides_the_limits_too() -> None:
    found = one(f"{SGLANG} --tp-size 16 --dp-size 16 --enable-dp-attention --max-running-requests 64")
    assert (degrees(found)["data"], found.count, found.sequences) == (16, 1, 4)


def test_replicas_do_not_divide_the_limits() -> None:
    assert one(f"{SGLANG} --tp-size 4 --dp-size 2 --max-running-requests 64").sequences == 64


def test_the_kv_format_auto_is_the_engines_choice() -> None:
    assert one("vllm serve m --kv-cache-dtype auto").kv_format is None


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ('vllm serve m --kv-transfer-config \'{"kv_role":"kv_producer"}\'', "prefill"),
        ('vllm serve m --kv-transfer-config=\'{"kv_role": "kv_consumer"}\'', "decode"),
        ('vllm serve m --kv-transfer-config \'{"kv_role":"kv_both"}\'', "aggregated"),
        ("vllm serve m --kv-transfer-config '{broken'", "aggregated"),
        ("vllm serve m --kv-transfer-config.kv_role kv_both", "aggregated"),
        (f"{SGLANG} --disaggregation-mode prefill", "prefill"),
        (f"{SGLANG} --disaggregation-mode decode", "decode"),
        (f"{SGLANG} --disaggregation-mode null", "aggregated"),
        ("python3 -m dynamo.vllm --model m --disaggregation-mode decode", "decode"),
        ("python3 -m dynamo.trtllm --model-path m --disaggregation-mode prefill", "prefill"),
    ],
)
def test_roles(text: str, role: str) -> None:
    found = read(text)
    assert found.engines[0].role == role and found.unread == ()


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("VLLM_PP_LAYER_PARTITION=31,30 vllm serve m -pp 2", (31, 30)),
        ('env SGLANG_PP_LAYER_PARTITION="1,2,3" ' + SGLANG + " --pp-size 3", (1, 2, 3)),
        ("docker run -e VLLM_PP_LAYER_PARTITION=3,5 vllm/vllm-openai --model m -pp 2", (3, 5)),
        ("vllm serve m -pp 2", ()),
    ],
)
def test_layers_of_stages(text: str, layers: tuple[int, ...]) -> None:
    assert one(text).layers_per_stage == layers


def test_layers_that_fit_no_stages_are_said() -> None:
    assert why("VLLM_PP_LAYER_PARTITION=31,x vllm serve m -pp 2") == ["31,x are no layers of 2 stages"]


# What a script looks like

CONTINUED = """\
#!/usr/bin/env bash
set -euo pipefail
# vllm serve nothing -tp 64

CUDA_VISIBLE_DEVICES=0,1 \\
vllm serve "org/my model" \\
  --tensor-parallel-size 2 \\
  --eplb-config.num_redundant_experts 4 \\
  --max-num-seqs '16' # as measured
wait
"""


def test_a_script_with_continued_lines() -> None:
    found = read(CONTINUED)
    engine = found.engines[0]
    assert (engine.model, engine.sequences, engine.lines["tensor"], engine.lines["sequences"]) == (
        "org/my model",
        16,
        7,
        9,
    )
    assert found.unread == () and found.engine == "vllm"


def test_equal_commands_add_up_and_others_stand_apart() -> None:
    text = "vllm serve m -tp 2 --port 1 & vllm serve m -tp 2 --port 2 && vllm serve m -tp 4; wait\n"
    found = read(text, experts=False)
    assert [(degrees(e), e.count) for e in found.engines] == [({"tensor": 2}, 2), ({"tensor": 4}, 1)]
    assert found.gpus == 8


def test_inside_a_condition() -> None:
    assert degrees(one("if true; then vllm serve m -tp 8 | tee log; fi", experts=False)) == {"tensor": 8}


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve m -dp 16 -dpl 8\nvllm serve m -dp 16 -dpl 8 --headless --data-parallel-start-rank 8",
        "vllm serve m -dp 16 --nnodes 2 --node-rank 0\nvllm serve m -dp 16 --nnodes 2 --node-rank 1 --headless",
        "\n".join(f"vllm serve m -dp 16 --data-parallel-rank {rank}" for rank in range(16)),
        "\n".join(f"vllm serve m -dp 16 --nnodes 4 --node-rank={rank}" for rank in range(4)),
    ],
)
def test_followers_on_other_nodes_are_not_counted(text: str) -> None:
    found = one(text, experts=False)
    assert (found.count, found.gpus) == (16, 16)  # without experts, as many engines


def test_containers_of_the_vllm_image() -> None:
    text = "docker run --gpus all -v /a:/b -p 8000:8000 vllm/vllm-openai:v0.33.0 --model m -tp 8"
    found = read(text, experts=False)
    assert (degrees(found.engines[0]), found.engines[0].model, found.unread) == ({"tensor": 8}, "m", ())


def test_different_engines_do_not_go_together() -> None:
    with pytest.raises(InputError, match="different engines"):
        read(f"vllm serve m\n{SGLANG}")


@pytest.mark.parametrize(
    "text", ["", "\n", "# vllm serve m", "ls -l", "vllm bench serve --model m", "echo 'vllm serve'"]
)
def test_no_engine_at_all(text: str) -> None:
    with pytest.raises(InputError, match="no command here starts a serving engine") as caught:
        read(text)
    assert caught.value.place is not None and str(caught.value.place.file) == "start.sh"


# What is not understood


def test_an_unknown_flag_has_a_suggestion() -> None:
    [said] = why("vllm serve m --tensor-paralel-size 8")
    assert "vLLM 0.33.0 knows no such flag; did you mean --tensor-parallel-size?" in said


def test_underscores_are_vllms_alone() -> None:
    assert why(f"{SGLANG} --tp_size 8")[0].startswith("--tp_size SGLang")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vllm serve m -tp", "-tp has no value"),
        ("vllm serve m -tp --port 8000", "-tp has no value"),
        ("vllm serve m -tp 0", "tensor 0 is no whole number above 0"),
        ("vllm serve m -tp -1", "tensor -1 is no whole number above 0"),
        ("vllm serve m -tp 2.5", "tensor 2.5 is no whole number above 0"),
        ("vllm serve m --gpu-memory-utilization 1.5", "memory_share 1.5 is no share between 0 and 1"),
        ("vllm serve m -dcp 2", "--decode-context-parallel-size 2 decode context parallelism is not modelled; read"),
        ("vllm serve m x", "x belongs to no flag"),
    ],
)
def test_what_is_not_understood_is_said(text: str, said: str) -> None:
    [found] = why(text)
    assert found.startswith(said)


# The file of TensorRT-LLM


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text(
        "tensor_parallel_size: 8\nmoe_expert_parallel_size: 8\nenable_attention_dp: true\nmax_batch_size: 7\n"
        "kv_cache_config: {free_gpu_memory_fraction: 0.5, dtype: fp8}\n"
        "pipeline_parallel_size: 2\npp_partition: [3, 5]\n"
    )
    return tmp_path


def test_the_file_wins_over_the_flags(folder: Path) -> None:
    text = "trtllm-serve m --tp_size 2 --max_batch_size 99 --max_num_tokens 100 --config c.yaml"
    found = read(text, file=folder / "s.sh")
    engine = found.engines[0]
    assert degrees(engine) == {"data": 8, "pipeline": 2, "expert": 8} and found.unread == ()
    assert (engine.sequences, engine.token_budget, engine.memory_share, engine.kv_format) == (7, 100, 0.5, "fp8")
    assert engine.layers_per_stage == (3, 5)


def test_a_key_that_the_file_has_not_is_said(folder: Path) -> None:
    (folder / "c.yaml").write_text("tensor_parallel_size: 2\nmoe_tensor_parallel: 2\nenable_attention_dp: false\n")
    found = read("trtllm-serve m --extra_llm_api_options c.yaml", experts=False, file=folder / "s.sh")
    assert degrees(found.engines[0]) == {"tensor": 2}
    assert [one.text for one in found.unread] == ["c.yaml: moe_tensor_parallel"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is not read"), (b"[1", "is no YAML"), (b"- 1\n", "is no mapping"), (b"\xff\xfe", "is no UTF-8")],
)
def test_a_file_that_says_nothing_is_said(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "c.yaml").write_bytes(content)
    found = read("trtllm-serve m --config c.yaml", file=tmp_path / "s.sh")
    assert len(found.unread) == 1 and said in found.unread[0].why


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: 1\n" * 400_000)
    assert "too large" in read("trtllm-serve m --config c.yaml", file=tmp_path / "s.sh").unread[0].why


# Any text

_PIECES = st.sampled_from(
    (
        *("vllm serve", SGLANG, "trtllm-serve", "-tp", "--tp-size", "8", "0", "--config", "nowhere.yaml", "\\\n", "\n"),
        *("'", '"', "$X", "$(", "`", "|", "&&", ";", "#", "--headless", "-pp=2", "=", "--", "-", "<<EOF", "é", "\0"),
        *("\r\n", "--kv-transfer-config", '{"kv_role":1}', "[]", "--enable-dp-attention", "--dp-size", "3"),
    )
)


def _only_input_errors(text: str) -> None:
    began = time.process_time()
    try:
        found = read(text)
    except InputError:
        return
    finally:
        assert time.process_time() - began < 10
    assert found.engines and all(engine.gpus >= 1 for engine in found.engines)


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    _only_input_errors(text)


@given(st.lists(_PIECES, max_size=25).map(" ".join))
def test_any_command(text: str) -> None:
    _only_input_errors(f"vllm serve m {text}")
    _only_input_errors(text)


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40))
def test_quoted_words_come_back(word: str) -> None:
    if word.startswith("-") or not word.split() or len(f"{word}x".splitlines()) != 1 or word.rstrip().endswith("\\"):
        return
    found = one(f"vllm serve {shlex.quote(word)} -tp 2")
    assert found.model == (None if "$" in word else word)
    assert read_words(["vllm", "serve", word, "-tp", "2"], True).engines[0].strategy.tensor == 2


@given(st.sampled_from(ENGINES), st.data())
def test_every_flag_is_known_with_and_without_equals(engine: str, data: st.DataObject) -> None:
    profile = command_profile(engine)
    flag = data.draw(st.sampled_from(profile.takes))
    start = {"vllm": "vllm serve m", "sglang": SGLANG, "trtllm": "trtllm-serve m"}[engine]
    for text in (f"{start} {flag} 1", f"{start} {flag}=1"):
        with suppress(InputError):  # of a follower on another node
            assert not [one for one in read(text).unread if "knows no such flag" in one.why]


def test_thousands_of_words_end_soon() -> None:
    began = time.process_time()
    read("vllm serve m " + "--port 8000 " * 9_000)
    read("vllm serve m -tp 2 \\\n" + "  --port 8000 \\\n" * 5_000)
    assert time.process_time() - began < 30


# Defects


@pytest.mark.parametrize(
    ("text", "wanted", "count"),
    [(f"{SGLANG} --tp 8", {"tensor": 8}, 1), (f"{SGLANG} --tp 4 --dp 2", {"tensor": 4}, 2)],
)
def test_short_flags_of_sglang(text: str, wanted: dict[str, int], count: int) -> None:
    found = read(text, experts=False)
    assert (degrees(found.engines[0]), found.engines[0].count, found.unread) == (wanted, count, ())


def test_all_to_all_backend_deals_experts_over_the_stage() -> None:
    assert degrees(one(f"{SGLANG} --tp-size 8 --moe-a2a-backend deepep")) == {"tensor": 8, "expert": 8}


def test_data_parallelism_of_a_dense_model_is_engines() -> None:
    found = one("vllm serve m -tp 2 -dp 4", experts=False)
    assert (degrees(found), found.count) == ({"tensor": 2}, 4)


@pytest.mark.parametrize("text", ["vllm serve m -tp 9000", "trtllm-serve m --tp_size 999999999999"])
def test_huge_degrees(text: str) -> None:
    try:
        read(text)
    except InputError:
        return


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve m -tp 16 --nnodes 2 --node-rank $RANK",
        f"{SGLANG} --tp-size 16 --nnodes 2 --node-rank ${{LWS_WORKER_INDEX}}",
        "vllm serve m -tp 16 --nnodes 2 --node-rank 00",
    ],
)
def test_node_rank_in_a_variable(text: str) -> None:
    assert read(text, experts=False).gpus == 16


@pytest.mark.parametrize("more", ["trtllm-serve disaggregated -c x.yaml", "trtllm-serve disaggregated_mpi_worker -c x"])
def test_the_orchestrator_is_no_engine(more: str) -> None:
    assert read(f"trtllm-serve m --tp_size 4\n{more}", experts=False).gpus == 4


@pytest.mark.parametrize(
    "more", ["docker pull vllm/vllm-openai:v0.33.0", "docker stop $(docker ps -q -f ancestor=vllm/vllm-openai)"]
)
def test_pulling_an_image_starts_nothing(more: str) -> None:
    assert read(f"{more}\nvllm serve m -tp 4", experts=False).gpus == 4


@pytest.mark.parametrize("image", ["vllm/vllm-openai@sha256:0123", "registry:5000/vllm/vllm-openai:v1"])
def test_images_by_digest_or_registry(image: str) -> None:
    assert read(f"docker run {image} --model m -tp 4", experts=False).gpus == 4


@pytest.mark.parametrize(
    "text",
    [
        'bash -c "vllm serve m -tp 8"',
        "ssh a 'vllm serve m -tp 4'\nvllm serve m -tp 4",
        'bash -c "\nvllm serve m -tp 8"',
    ],
)
def test_commands_in_quotes(text: str) -> None:
    found = read(text, experts=False)
    assert found.gpus == 8 and found.engines[0].model == "m"


def test_comments_do_not_continue() -> None:
    assert read("# as in the docs \\\nvllm serve m -tp 8", experts=False).gpus == 8


def test_redirections() -> None:
    assert read("vllm serve m -tp 8 2>&1 | tee log").unread == ()


@pytest.mark.parametrize("text", ["vllm serve m --kv-cache-dtype fp8_e4m3", f"{SGLANG} --kv-cache-dtype fp8_e5m2"])
def test_other_names_of_fp8(text: str) -> None:
    assert one(text).kv_format == "fp8"


@pytest.mark.parametrize(
    ("text", "name"), [("--max-model-len 32k", "longest"), ("--gpu-memory-utilization .9", "memory_share")]
)
def test_numbers_as_people_write_them(text: str, name: str) -> None:
    assert getattr(one(f"vllm serve m {text}"), name) is not None


@pytest.mark.parametrize("text", ["vllm serve m --config c.yaml", f"{SGLANG} --config c.yaml"])
def test_the_file_of_vllm_and_sglang(text: str, folder: Path) -> None:
    (folder / "c.yaml").write_text("tensor-parallel-size: 8\n")
    found = read(text, experts=False, file=folder / "s.sh")
    assert found.gpus == 8 or found.unread


def test_exported_variables() -> None:
    assert one("export VLLM_PP_LAYER_PARTITION=3,5\nvllm serve m -pp 2").layers_per_stage == (3, 5)


def test_options_of_python() -> None:
    assert one("python3 -u -m sglang.launch_server --model-path m --tp-size 8", experts=False).gpus == 8


def test_loops() -> None:
    found = read("for i in 0 1 2 3; do vllm serve m --port 800$i & done", experts=False)
    assert found.engines[0].count == 4 or found.unread


def test_digits_of_other_scripts() -> None:
    assert why("vllm serve m -tp ٣")


def test_many_different_commands_end_soon() -> None:
    began = time.process_time()
    read("\n".join(f"vllm serve m{i}" for i in range(700)))
    assert time.process_time() - began < 10


def test_many_unknown_flags_end_soon() -> None:
    began = time.process_time()
    read(f"{SGLANG} " + " ".join(f"--max-running-request-size{i} 1" for i in range(600)))
    assert time.process_time() - began < 10


def test_a_config_that_is_no_file(tmp_path: Path) -> None:
    import multiprocessing

    os.mkfifo(tmp_path / "c.yaml")
    reader = multiprocessing.get_context("fork").Process(
        target=read, args=("trtllm-serve m --config c.yaml",), kwargs={"file": tmp_path / "s.sh"}
    )
    reader.start()
    reader.join(2)
    hangs = reader.is_alive()
    reader.kill()
    reader.join()
    assert not hangs


@pytest.mark.parametrize("absolute", [True, False])
def test_only_files_beside_the_script_are_read(tmp_path: Path, absolute: bool) -> None:
    (tmp_path / "secret.yaml").write_text("password_hunter2: 1\n")
    (tmp_path / "plan").mkdir()
    name: Any = tmp_path / "secret.yaml" if absolute else "../secret.yaml"
    found = read(f"trtllm-serve m --config {name}", file=tmp_path / "plan" / "s.sh")
    assert not any("hunter2" in one.text for one in found.unread)
