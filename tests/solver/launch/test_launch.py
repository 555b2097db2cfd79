"""What starts a plan: scripts that a shell takes, memory shares by hand, refusals, and plans that come back."""

from __future__ import annotations

import re
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.models import InputError, Scenario, Strategy, catalog
from shardwise.models.claimed import Claimed
from shardwise.models.command_profile import command_profile
from shardwise.models.deployment import DeploymentPlan
from shardwise.models.engine_profile import EngineProfile
from shardwise.models.plan import Plan
from shardwise.models.reading.claimed import read_claimed
from shardwise.models.reading.engine_command import Word, find_command, read_arguments
from shardwise.models.reading.engine_strategy import strategy_of
from shardwise.models.reading.plan_json import read_plan
from shardwise.models.strategy import DEGREES
from shardwise.solver import deploy, evaluate, solve
from shardwise.solver.audit.audit import audit
from shardwise.solver.degrees import legal_strategies
from shardwise.solver.launch import Launched, RefusedError, launch, sglang, vllm
from shardwise.solver.launch.copies import Kind, copies_of
from shardwise.solver.launch.dynamo import launch_dynamo
from shardwise.solver.launch.refusal import _of_kind
from shardwise.solver.launch.shell import quoted

from tests.builders import CHAT, DENSE, EXPERTS, PROMPTS, models, scenario

SCENARIOS = Path(__file__).parents[3] / "scenarios"
ENGINES = ("vllm", "sglang", "trtllm")
AnyPlan = Plan | DeploymentPlan


def best(scene: Scenario) -> Plan:
    found = solve(scene, readings=False, conflicts=False, alternatives=0)
    assert found.status == "optimal"
    return found


@cache
def shipped(name: str, engine: str) -> AnyPlan:
    profile = EngineProfile.model_validate(catalog.engine(engine))
    scene = Scenario.load(SCENARIOS / f"{name}.yaml").model_copy(update={"engine": profile})
    return deploy(scene, restrictions=False, conflicts=False) if scene.pools else best(scene)


@cache
def small(name: str, engine: str) -> Plan:
    seven = DENSE | {"layers": 7}
    return best(
        {
            "one": lambda: scenario(DENSE, CHAT, gpus=1, engine=engine),
            "four": lambda: scenario(DENSE, CHAT, engine=engine),
            "prompts": lambda: scenario(DENSE, PROMPTS, engine=engine),
            "experts": lambda: scenario(EXPERTS, CHAT, engine=engine, strategy={"expert": 4, "data": 4}),
            "sliced": lambda: scenario(EXPERTS, CHAT, engine=engine, strategy={"expert_tensor": 4, "tensor": 4}),
            "uneven": lambda: scenario(seven, CHAT, engine=engine, gpus=8, strategy={"pipeline": 4, "tensor": 2}),
            # What a stage hands on costs nothing here, so that layers are dealt evenly.
            "nodes": lambda: scenario(
                DENSE, CHAT, engine=engine, gpus=8, strategy={"pipeline": 2, "tensor": 4}, latencies={"send_token": 0}
            ),
        }[name]()
    )


SMALL = ("one", "four", "experts", "sliced", "uneven", "nodes")
SHIPPED = ("llama-3.1-70b-h100-8", "deepseek-v3-h200-32", "pools/llama-3.1-70b-h200-arrivals")
PLANS = [(small, name) for name in SMALL] + [(shipped, name) for name in SHIPPED]
each_plan = pytest.mark.parametrize(("make", "name"), PLANS, ids=[name for _, name in PLANS])
each_engine = pytest.mark.parametrize("engine", ENGINES)


def written(made: Launched, folder: Path) -> Path:
    for name, text in made.files.items():
        (folder / name).write_text(text)
    return folder


def shell_takes(folder: Path) -> None:
    for script in folder.glob("*.sh"):
        done = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def stated(plan: AnyPlan) -> list[tuple[str, tuple[int, ...], int]]:
    return sorted(
        (
            entry.role if isinstance(plan, DeploymentPlan) else "aggregated",
            tuple(getattr(entry.strategy, name) for name in DEGREES),
            entry.count,
        )
        for entry in plan.engines
    )


def read(found: Claimed) -> list[tuple[str, tuple[int, ...], int]]:
    return sorted((e.role, tuple(getattr(e.strategy, name) for name in DEGREES), e.count) for e in found.engines)


def comes_back(plan: AnyPlan, path: Path) -> None:
    """The same degrees, counts, roles and limits, and an audit without errors."""
    scene = plan.scenario
    assert isinstance(scene, Scenario)
    found = read_claimed(path, scene.model.experts is not None)
    assert read(found) == stated(plan) and found.unread == () and found.gpus == plan.gpus_used
    kinds = {
        (c.kind.role if isinstance(plan, DeploymentPlan) else "aggregated", c.kind.sequences) for c in copies_of(plan)
    }
    assert {(engine.role, engine.sequences) for engine in found.engines} == kinds
    result = audit(scene, found, optimum=False)
    assert result.sound, [one.statement for one in result.findings if one.severity == "error"]


# Round trip


@each_engine
@each_plan
def test_scripts_come_back(make: Any, name: str, engine: str, tmp_path: Path) -> None:
    if (engine, name) == ("trtllm", SHIPPED[2]):
        pytest.skip("see test_roles_of_tensorrt_llm")
    plan = make(name, engine)
    made = launch(plan, engine)
    shell_takes(written(made, tmp_path))
    comes_back(plan, tmp_path)


def with_checkpoint(plan: AnyPlan, checkpoint: str = "org/m") -> AnyPlan:
    scene = plan.scenario
    assert isinstance(scene, Scenario)
    model = scene.model.model_copy(update={"checkpoint": checkpoint})
    return plan.model_copy(update={"scenario": scene.model_copy(update={"model": model})})


@each_engine
@each_plan
def test_manifests_come_back(make: Any, name: str, engine: str, tmp_path: Path) -> None:
    plan = with_checkpoint(make(name, engine))
    made = launch_dynamo(plan, engine)
    shell_takes(written(made, tmp_path))
    comes_back(plan, tmp_path / "deployment.yaml")
    documents = list(yaml.safe_load_all(made.files["deployment.yaml"]))
    assert documents[0]["kind"] == "DynamoGraphDeployment" and (len(documents) == 2) == (engine == "trtllm")


@each_engine
def test_a_plan_json_comes_back(engine: str, tmp_path: Path) -> None:
    for name in SHIPPED:
        plan = shipped(name, engine)
        (tmp_path / "plan.json").write_text(plan.model_dump_json())
        found = read_claimed(tmp_path / "plan.json", plan.scenario.model.experts is not None)  # type: ignore[union-attr]
        assert read(found) == stated(plan) and found.engine == engine
        assert audit(plan.scenario, found, optimum=False).sound  # type: ignore[arg-type]


@settings(max_examples=60)
@given(models(layers=6), st.sampled_from(["vllm", "sglang"]), st.sampled_from([CHAT, PROMPTS]), st.data())
def test_random_strategies_come_back(model: Any, engine: str, load: Any, data: st.DataObject) -> None:
    scene = scenario(model, load, gpus=8, node=8)
    rows = legal_strategies(scene)
    row = data.draw(st.integers(0, len(rows) - 1))
    given_ = Strategy(**dict(zip(DEGREES, rows[row].tolist(), strict=True)))
    priced = evaluate(scene, given_)
    if priced.engine is None or priced.predictions is None:
        return
    memory = priced.predictions.memory_bytes_per_gpu
    kind = Kind("aggregated", priced.engine.strategy, memory, scene.hardware.stocks[0], scene)
    if list(_of_kind(kind, engine)):
        return
    profile = command_profile(engine)
    write = {"vllm": vllm.arguments, "sglang": sglang.arguments}[engine]
    texts = [*profile.starts[0].split(), profile.flag("model"), "m", *write(profile, kind)]
    words = [Word(text, 1) for text in texts]
    found = find_command(words)
    assert found is not None and found[0] == engine
    said = read_arguments(engine, words[found[1] :], 1)
    back = strategy_of(said, scene.model.experts is not None)
    assert (back.strategy, back.count, said.unread) == (given_, 1, [])
    assert (back.sequences, back.token_budget, back.longest) == (kind.sequences, kind.token_budget, kind.longest)


# Memory shares by hand


def floor4(value: float) -> float:
    return int(value * 10_000) / 10_000


def words_of(made: Launched, name: str) -> str:
    return re.sub(r"\\\n", " ", made.files[name])


@pytest.mark.parametrize("name", SHIPPED[:2])
def test_memory_shares(name: str) -> None:
    scripts = {}
    for engine in ENGINES:
        plan = shipped(name, engine)
        assert isinstance(plan, Plan) and plan.predictions is not None
        scene = plan.scenario
        card, m = scene.hardware.accelerator.memory, plan.predictions.memory_bytes_per_gpu
        made = launch(plan, engine)
        script = made.files["aggregated-node-0.sh"]
        used = m.activations + m.reserve
        if engine == "vllm":  # of the whole card, activations and buffers inside
            wanted = scene.hardware.memory_utilization
            stated_ = float(re.findall(r"--gpu-memory-utilization (\S+)", script)[0])
        elif engine == "sglang":  # weights and cache of the whole card, activations and buffers outside
            wanted = (m.usable - used) / card
            stated_ = float(re.findall(r"--mem-fraction-static (\S+)", script)[0])
        else:  # cache, of what the rest leaves free
            wanted = (m.usable - m.weights - used) / (card - m.weights - used)
            data = yaml.safe_load(made.files["aggregated-0.yaml"])
            stated_ = data["kv_cache_config"]["free_gpu_memory_fraction"]
        assert stated_ == pytest.approx(floor4(wanted), abs=1e-12)
        scripts[engine] = stated_
    assert len(set(scripts.values())) == 3


def test_memory_shares_by_pencil() -> None:
    scene = scenario(DENSE, CHAT, gpus=1, engine="sglang", hardware={"memory_utilization": 0.5})
    scene = scene.model_copy(update={"reserves": scene.reserves.model_copy(update={"single_gpu": 100_000_000})})
    plan = best(scene)
    assert plan.predictions is not None
    m = plan.predictions.memory_bytes_per_gpu
    assert (m.usable, m.reserve) == (500_000_000, 100_000_000)
    wanted = floor4((500_000_000 - 100_000_000 - m.activations) / 1e9)
    assert f"--mem-fraction-static {wanted:g} " in words_of(launch(plan, "sglang"), "aggregated-node-0.sh")
    rest = m.weights + m.activations + m.reserve
    data = yaml.safe_load(launch(plan, "trtllm").files["aggregated-0.yaml"])
    wanted = floor4((500_000_000 - rest) / (1_000_000_000 - rest))
    assert data["kv_cache_config"]["free_gpu_memory_fraction"] == wanted


# Stages and nodes


def test_uneven_stages_are_stated() -> None:
    for engine, variable in (("vllm", "VLLM_PP_LAYER_PARTITION"), ("sglang", "SGLANG_PP_LAYER_PARTITION")):
        plan = small("uneven", engine)
        layers = plan.engines[0].strategy.layers_per_stage
        assert sum(layers) == 7
        for node in (0, 1):
            text = launch(plan, engine).files[f"aggregated-node-{node}.sh"]
            assert f"\n{variable}={','.join(map(str, layers))} \\\n" in text
    plan = small("uneven", "trtllm")
    data = yaml.safe_load(launch(plan, "trtllm").files["aggregated-0.yaml"])
    assert data["pp_partition"] == list(plan.engines[0].strategy.layers_per_stage)


@each_engine
def test_even_stages_are_left_to_the_engine(engine: str) -> None:
    assert small("nodes", engine).engines[0].strategy.layers_per_stage == (2, 2)
    text = "".join(launch(small("nodes", engine), engine).files.values())
    assert "PARTITION" not in text and "pp_partition" not in text


def test_ranks_of_nodes() -> None:
    made = launch(small("nodes", "vllm"), "vllm")
    first, second = (words_of(made, f"aggregated-node-{node}.sh") for node in (0, 1))
    for node, text in enumerate((first, second)):
        assert re.search(rf'--nnodes 2 +--node-rank {node} +--master-addr "\$NODE_0" +--master-port 29500', text)
    assert "--headless" in second and "--headless" not in first and "--port 8000" in first
    made = launch(small("nodes", "sglang"), "sglang")
    for node in (0, 1):
        text = words_of(made, f"aggregated-node-{node}.sh")
        assert re.search(rf'--nnodes 2 +--node-rank {node} +--dist-init-addr "\$NODE_0:29500"', text)
    made = launch(small("nodes", "trtllm"), "trtllm")
    assert (
        'mpirun -n 8 -H "$NODE_0:4,$NODE_1:4" trtllm-llmapi-launch trtllm-serve' in made.files["aggregated-node-0.sh"]
    )
    assert "aggregated-node-1.sh" not in made.files


def test_engines_on_one_node_see_their_own_gpus_and_ports() -> None:
    plan = small("four", "vllm")
    text = launch(plan, "vllm").files["aggregated-node-0.sh"]
    count = plan.engines[0].count
    assert count > 1
    seen = [gpu for line in re.findall(r"CUDA_VISIBLE_DEVICES=(\S+)", text) for gpu in line.split(",")]
    assert sorted(seen) == [str(n) for n in range(4)]
    assert re.findall(r"--port (\d+)", text) == [str(8000 + n) for n in range(count)]


@each_engine
def test_the_load_test_is_the_scenarios_load(engine: str) -> None:
    plan = small("four", engine)
    bench = words_of(launch(plan, engine), "bench.sh")
    prompts = round(4 * plan.scenario.workload.requests_per_client)  # of all clients together
    for said in (
        "--max-concurrency 4", f"--num-prompts {prompts}", "--random-input-len 100", "--random-output-len 50"
    ):  # fmt: skip
        assert re.search(rf"{said}\b", bench)
    arriving = words_of(launch(shipped(SHIPPED[2], engine), engine), "bench.sh")  # pairs and aggregated engines apart
    assert sum(map(float, re.findall(r"--request-rate (\S+)", arriving))) == pytest.approx(8, rel=1e-5)


# Refusals


@pytest.mark.parametrize(
    ("engine", "more", "said"),
    [
        ("trtllm", {"model": EXPERTS, "strategy": {"data": 2, "tensor": 2}}, "attention data parallelism takes all"),
        ("vllm", {"workload": PROMPTS, "strategy": {"context": 2}}, "prompts are not split over ranks"),
        ("sglang", {"workload": PROMPTS, "strategy": {"context": 2}}, "prompts are not split over ranks"),
        ("trtllm", {"workload": PROMPTS, "strategy": {"context": 2}}, "prompts are not split over ranks"),
        ("vllm", {"model": EXPERTS, "strategy": {"expert": 2, "expert_tensor": 2}}, "experts"),
        *((engine, {"precision": {"weights": "bf16", "activations": "bf16", "kv_cache": "int8"}}, "no KV cache in int8")
          for engine in ENGINES),
    ],
)  # fmt: skip
def test_refusals(engine: str, more: dict[str, Any], said: str) -> None:
    plan = best(scenario(**({"model": DENSE, "workload": CHAT} | more)))
    with pytest.raises(RefusedError) as caught:
        launch(plan, engine)
    assert caught.value.engine == engine and any(said in reason for reason in caught.value.reasons)
    with pytest.raises(RefusedError):
        launch_dynamo(with_checkpoint(plan), engine)


def test_what_cannot_be_launched() -> None:
    plan = small("one", "vllm")
    with pytest.raises(InputError, match="nothing to launch"):
        launch(plan.model_copy(update={"status": "infeasible"}), "vllm")
    with pytest.raises(InputError, match="placement"):
        launch(plan.model_copy(update={"placement": ()}), "vllm")
    with pytest.raises(InputError, match="no checkpoint"):
        launch_dynamo(plan, "vllm")


# Shell text

EVIL = [
    "a b",
    "$(touch PWNED)",
    "`touch PWNED`",
    "a\ntouch PWNED",
    "a'b",
    'a"b',
    "a}; touch PWNED; : ${x",
    "$HOME/m",
    "a;touch PWNED",
]


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30))
def test_words_are_quoted(word: str) -> None:
    if "$" in word:
        return
    done = subprocess.run(["bash", "-c", f"printf %s {quoted(word)}"], capture_output=True)
    assert done.stdout == word.encode()


@pytest.mark.parametrize("checkpoint", ["org/m", "/models/m-1.0_x"])
def test_the_checkpoint_is_loaded_unless_another_is_set(checkpoint: str, tmp_path: Path) -> None:
    assert loads(checkpoint, tmp_path) == checkpoint


def loads(checkpoint: str, folder: Path) -> str:
    """What MODEL is after hosts.sh."""
    written(launch(with_checkpoint(small("one", "vllm"), checkpoint), "vllm"), folder)
    shell_takes(folder)
    done = subprocess.run(
        ["bash", "-c", 'set -u; source ./hosts.sh >&2; printf %s "$MODEL"'], cwd=folder, capture_output=True, text=True
    )
    assert not (folder / "PWNED").exists()
    return done.stdout


# Defects


@pytest.mark.parametrize(
    "checkpoint", [*(name for name in EVIL if name not in ("a b", "a\ntouch PWNED", "a;touch PWNED"))]
)
def test_names_in_hosts(checkpoint: str, tmp_path: Path) -> None:
    assert loads(checkpoint, tmp_path) == checkpoint


@pytest.mark.parametrize("checkpoint", [name for name in EVIL if "\n" not in name])
def test_names_in_the_load_test_of_dynamo(checkpoint: str, tmp_path: Path) -> None:
    written(launch_dynamo(with_checkpoint(small("one", "vllm"), checkpoint), "vllm"), tmp_path)
    shell_takes(tmp_path)
    line = next(line for line in (tmp_path / "bench.sh").read_text().splitlines() if line.startswith("MODEL="))
    done = subprocess.run(["bash", "-c", f'{line}\nprintf %s "$MODEL"'], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == checkpoint and not (tmp_path / "PWNED").exists()


def test_roles_of_tensorrt_llm(tmp_path: Path) -> None:
    plan = shipped(SHIPPED[2], "trtllm")
    written(launch(plan, "trtllm"), tmp_path)
    comes_back(plan, tmp_path)


@each_engine
@pytest.mark.parametrize("dynamo", [False, True])
def test_plans_without_decoding(engine: str, dynamo: bool, tmp_path: Path) -> None:
    plan = with_checkpoint(small("prompts", engine))
    if engine == "trtllm" and not dynamo:
        assert "cache_transceiver_config" not in launch(plan, engine).files["aggregated-0.yaml"]
    written(launch_dynamo(plan, engine) if dynamo else launch(plan, engine), tmp_path)
    comes_back(plan, tmp_path / "deployment.yaml" if dynamo else tmp_path)


@pytest.mark.parametrize("change", [{"accelerator": "none"}, None])
def test_plans_that_contradict_themselves(change: dict[str, Any] | None, tmp_path: Path) -> None:
    plan = small("four", "vllm")
    engines = () if change is None else tuple(entry.model_copy(update=change) for entry in plan.engines)
    (tmp_path / "plan.json").write_text(plan.model_copy(update={"engines": engines}).model_dump_json())
    try:
        again = read_plan(tmp_path / "plan.json")
        if change is None:
            audit(plan.scenario, read_claimed(tmp_path / "plan.json", False), optimum=False)
        launch(again, "vllm")
    except InputError:
        return


def test_a_count_that_the_placement_does_not_show() -> None:
    plan = small("four", "vllm")
    engines = tuple(entry.model_copy(update={"count": 30_000_000}) for entry in plan.engines)
    began = time.process_time()
    with pytest.raises(InputError, match="placement"):
        launch(plan.model_copy(update={"engines": engines}), "vllm")
    assert time.process_time() - began < 5
