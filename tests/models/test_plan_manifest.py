"""Kubernetes and Dynamo manifests: containers, copies, roles and settings by hand."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shardwise.models import InputError
from shardwise.models.claimed import Claimed
from shardwise.models.reading.claimed import read_claimed
from shardwise.models.reading.plan_manifest import is_manifest, read_manifest
from shardwise.models.strategy import DEGREES

FILE = Path("plan.yaml")


def read(text: str, *, experts: bool = False) -> Claimed:
    return read_manifest(text, FILE, experts)


def kinds(found: Claimed) -> list[tuple[str, dict[str, int], int]]:
    """(role, degrees other than 1, copies) of each."""
    return [
        (one.role, {n: v for n in DEGREES if (v := getattr(one.strategy, n)) != 1}, one.count) for one in found.engines
    ]


BETA = """\
apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeployment
metadata: {name: llama}
spec:
  backendFramework: vllm
  components:
  - name: Frontend
    type: frontend
    replicas: 1
    podTemplate:
      spec: {containers: [{name: main, command: [python3, -m, dynamo.frontend]}]}
  - name: sends
    type: prefill
    replicas: 3
    podTemplate:
      spec:
        containers:
        - name: main
          image: nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.6.1
          command: [python3, -m, dynamo.vllm]
          args: [--model, org/m, --tensor-parallel-size, "2"]
  - name: takes
    type: decode
    replicas: 2
    multinode: {nodeCount: 2}
    podTemplate:
      spec:
        containers:
        - name: main
          command: [python3, -m, dynamo.vllm]
          args:
          - --model
          - org/m
          - --tensor-parallel-size=16
          - --max-num-seqs
          - "64"
          env: [{name: VLLM_PP_LAYER_PARTITION, value: "3"}, {name: TOKEN, valueFrom: {secretKeyRef: {name: a}}}]
"""


def test_dynamo() -> None:
    found = read(BETA)
    assert kinds(found) == [("prefill", {"tensor": 2}, 3), ("decode", {"tensor": 16}, 2)]
    assert (found.engine, found.form, found.gpus, found.unread) == ("vllm", "manifest", 38, ())
    assert [one.model for one in found.engines] == ["org/m", "org/m"]
    decode = found.engines[1]
    assert (decode.sequences, decode.lines["sequences"], decode.lines["tensor"]) == (64, 35, 34)
    assert decode.layers_per_stage == (3,)


def test_dynamo_of_the_version_before() -> None:
    text = """\
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: a}
spec:
  services:
    Frontend: {replicas: 1, extraPodSpec: {mainContainer: {image: x, command: [python3, -m, dynamo.frontend]}}}
    SGLangPrefillWorker:
      subComponentType: prefill
      replicas: 1
      extraPodSpec:
        mainContainer:
          command: [python3, -m, dynamo.sglang]
          args: [--model-path, m, --tp-size, "8", --attn-dp-size, "8", --ep-size, "8", --disaggregation-mode, prefill]
    Worker:
      subComponentType: decode
      replicas: 2
      extraPodSpec:
        mainContainer:
          command: [/bin/sh, -c]
          args: ["python3 -m dynamo.sglang --model-path m --tp-size 4"]
"""
    found = read(text, experts=True)
    assert kinds(found) == [
        ("prefill", {"data": 8, "expert": 8}, 1),
        ("decode", {"tensor": 4, "expert_tensor": 4}, 2),
    ]


def deployment(container: str, *, replicas: str = "replicas: 3", name: str = "llm") -> str:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  {replicas}
  template:
    spec:
      initContainers: [{{name: wait, command: [sh, -c, "sleep 1"]}}]
      containers:
      - name: main
{container}
"""


def test_a_deployment_by_its_image() -> None:
    text = deployment("        image: vllm/vllm-openai:v0.33.0\n        args: [--model, org/m, -tp, '2']")
    assert kinds(read(text)) == [("aggregated", {"tensor": 2}, 3)] and read(text).engines[0].model == "org/m"


def test_one_copy_where_no_number_is_stated() -> None:
    assert read(deployment("        command: [vllm, serve, m]", replicas="paused: false")).engines[0].count == 1


def test_a_shell_string_over_several_lines() -> None:
    lines = ["command: [bash, -c]", "args:", "- |", "  vllm serve m \\", "    -tp 4 \\", "    --max-num-seqs 9"]
    found = read(deployment("\n".join(f"        {line}" for line in lines)))
    assert kinds(found) == [("aggregated", {"tensor": 4}, 3)] and found.engines[0].sequences == 9
    assert found.unread == ()


def test_a_shell_string_that_is_the_arguments() -> None:
    found = read(deployment('        command: [sh, -c]\n        args: "exec vllm serve m -tp 4 && true"'))
    assert kinds(found) == [("aggregated", {"tensor": 4}, 3)]


@pytest.mark.parametrize(
    ("replicas", "said"), [("-1", "replicas: -1"), ("100000", "replicas: 100000"), ("x", "replicas: x")]
)
def test_copies_that_are_no_number(replicas: str, said: str) -> None:
    found = read(deployment("        command: [vllm, serve, m]", replicas=f"replicas: {replicas}"))
    assert found.engines[0].count == 1 and [one.text for one in found.unread] == [said]


def test_no_copies_are_no_engines() -> None:
    with pytest.raises(InputError, match="no command here starts"):
        read(deployment("        command: [vllm, serve, m]", replicas="replicas: 0"))


def test_workers_of_a_leader_are_not_counted() -> None:
    serve = "command: [vllm, serve, m, -tp, '8', -pp, '2', --nnodes, '2', --node-rank, '0']"
    text = f"""\
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {{name: a}}
spec:
  replicas: 2
  leaderWorkerTemplate:
    size: 2
    leaderTemplate: {{spec: {{containers: [{{name: main, {serve}}}]}}}}
    workerTemplate: {{spec: {{containers: [{{name: main, {serve.replace("'0'", "'1'")}, replicas: 5}}]}}}}
"""
    assert kinds(read(text)) == [("aggregated", {"tensor": 8, "pipeline": 2}, 2)]


CONFIG_MAP = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  engine.yaml: |
    tensor_parallel_size: 8
    moe_expert_parallel_size: 4
    moe_tensor_parallel_size: 2
    kv_cache_config: {free_gpu_memory_fraction: 0.7}
"""


def test_the_settings_of_tensorrt_llm_stand_in_a_config_map() -> None:
    serve = "        command: [trtllm-serve, m, --tp_size, '2', --config, /settings/engine.yaml]"
    found = read(deployment(serve) + CONFIG_MAP, experts=True)
    assert kinds(found) == [("aggregated", {"tensor": 8, "expert": 4, "expert_tensor": 2}, 3)]
    assert found.engines[0].memory_share == 0.7 and found.unread == ()


def test_settings_that_no_config_map_has_are_said_and_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "engine.yaml").write_text("tensor_parallel_size: 8\n")
    serve = f"        command: [trtllm-serve, m, --config, {tmp_path}/engine.yaml]"
    found = read(deployment(serve))
    assert kinds(found)[0][1] == {} and "in no ConfigMap" in found.unread[0].why


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("[vllm, serve, m]", "aggregated"),
        ('[vllm, serve, m, --kv-transfer-config, \'{"kv_role":"kv_consumer"}\']', "decode"),
        ("[python3, -m, dynamo.vllm, --model, m, --disaggregation-mode, prefill]", "prefill"),
    ],
)
def test_roles_of_flags(command: str, role: str) -> None:
    assert read(deployment(f"        command: {command}")).engines[0].role == role


def test_flags_win_over_names() -> None:
    assert [one.role for one in read(BETA.replace('"2"]', '"2", --disaggregation-mode, decode]')).engines] == [
        "decode",
        "decode",
    ]


def test_the_line_of_an_unknown_flag() -> None:
    text = deployment(
        "        command: [vllm, serve, m]\n        args:\n        - -tp\n        - '2'\n        - --bogus-x=1"
    )
    [said, *_] = read(text).unread
    assert (said.text, said.line) == ("--bogus-x=1", 15)


def test_what_is_no_manifest() -> None:
    assert is_manifest(BETA) and not is_manifest("vllm serve m") and not is_manifest("kind: x")
    with pytest.raises(InputError, match="no command here starts"):
        read("apiVersion: v1\nkind: Service\nspec: {ports: [{port: 1}]}\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("apiVersion: v1\nkind: [\n", 3),
        ("apiVersion: v1\nkind: A\na: &x 1\nb: *x\n", 3),
        ("apiVersion: v1\nkind: A\n\tb: 1\n", 3),
    ],
)
def test_broken_yaml_has_a_line(text: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert caught.value.place is not None and caught.value.place.line is not None
    assert abs(caught.value.place.line - line) <= 1


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BETA)
    assert read_claimed(tmp_path / "a.yaml", False).form == "manifest"


_YAML = st.recursive(
    st.sampled_from(["vllm", "serve", "m", "-tp", "2", "x y", "", "vllm serve m", None, True, 0, 2, -1, 1.5]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["command", "args", "image", "replicas", "spec", "name", "type", "containers", "data"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_YAML)
def test_any_manifest(data: object) -> None:
    import yaml

    text = yaml.safe_dump({"apiVersion": "v1", "kind": "X", "spec": data, "more": {"command": ["vllm", "serve", "m"]}})
    try:
        assert read(text).engines
    except InputError:
        return


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    try:
        read(f"apiVersion: v1\nkind: X\n{text}")
    except InputError:
        return


# Defects


@pytest.mark.parametrize("env", ["5", "true"])
def test_env_that_is_no_list(env: str) -> None:
    assert read(deployment(f"        command: [vllm, serve, m]\n        env: {env}")).engines


def test_a_bad_flag_is_said_once() -> None:
    found = read(deployment("        command: [vllm, serve, m, -tp, x, --bogus, '1']", replicas="replicas: 1000"))
    assert len(found.unread) == 2


def test_many_copies_end_soon() -> None:
    pods = "\n".join(f"- {{replicas: 1000, command: [vllm, serve, m, --port, '{n}']}}" for n in range(100))
    began = time.process_time()
    found = read(f"apiVersion: v1\nkind: List\nitems:\n{pods}\n")
    assert found.engines[0].count == 100_000 and time.process_time() - began < 10


def test_the_line_of_an_error_in_a_later_document() -> None:
    with pytest.raises(InputError) as caught:
        read(f"{BETA}---\napiVersion: v1\nkind: A\nb: *nothing\n")
    assert caught.value.place is not None and caught.value.place.line == len(BETA.splitlines()) + 4


def test_a_leader_that_is_the_first_worker() -> None:
    text = """\
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
spec:
  replicas: 2
  leaderWorkerTemplate:
    size: 2
    workerTemplate:
      spec:
        containers:
        - name: main
          command: [vllm, serve, m, -tp, "16", --nnodes, $(LWS_GROUP_SIZE), --node-rank, $(LWS_WORKER_INDEX)]
"""
    assert kinds(read(text)) == [("aggregated", {"tensor": 16}, 2)]


def test_decode_workers_without_prefill_are_whole_engines() -> None:
    text = """\
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
spec:
  services:
    VllmDecodeWorker:
      replicas: 2
      extraPodSpec: {mainContainer: {command: [python3, -m, dynamo.vllm], args: [--model, m]}}
"""
    assert read(text).engines[0].role == "aggregated"


@pytest.mark.parametrize("role", ["prefill", "decode"])
def test_roles_of_a_deployments_own_name(role: str) -> None:
    other = {"prefill": "decode", "decode": "prefill"}[role]
    both = deployment("        command: [vllm, serve, m]", name=f"llm-{role}") + "---\n"
    found = read(both + deployment("        command: [vllm, serve, m, -tp, '2']", name=f"llm-{other}"))
    assert found.engines[0].role == role


@pytest.mark.xfail(strict=True, reason="of several engines in one container the first is read")
def test_several_commands_in_a_shell_string() -> None:
    lines = [
        "command: [bash, -c]",
        "args:",
        "- |",
        "  set -e",
        "  vllm serve m -tp 4 &",
        "  vllm serve m -tp 4",
        "  sleep 9",
    ]
    found = read(deployment("\n".join(f"        {line}" for line in lines), replicas="replicas: 1"))
    assert (found.gpus, found.unread) == (8, ())


def test_manifests_in_json(tmp_path: Path) -> None:
    import json

    import yaml

    (tmp_path / "m.json").write_text(json.dumps(yaml.safe_load(BETA)))
    assert read_claimed(tmp_path / "m.json", False).form == "manifest"
