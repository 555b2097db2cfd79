"""Knowledge under a scenario: what comes first, what it adds, what is said of it, and where a bad file is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shardwise.models import InputError, Plan, Scenario
from shardwise.models.constants import Efficiency, Latencies, Reserves, source_of
from shardwise.models.knowledge import load_knowledge
from shardwise.models.strategy import DEGREES
from shardwise.solver import solve
from shardwise.solver.verify import verify

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "scenarios/knowledge"
CARD = {"memory": "60 GB", "memory_bandwidth": "1 TB/s", "compute": "100 TFLOPS"}
DENSE = {"layers": 4, "hidden": 64, "attention": {"heads": 4, "head_dim": 16}, "feed_forward": {"width": 128}}
EXPERTS = {key: value for key, value in DENSE.items() if key != "feed_forward"} | {
    "experts": {"count": 4, "per_token": 2, "width": 32}
}
HARDWARE = {"accelerator": "h100-sxm", "gpus": 8, "gpus_per_node": 4}
PROMPTS = {"batch": 4, "input_tokens": 100}
CHAT = {"concurrency": 4, "input_tokens": 100, "output_tokens": 50}
SCENE: dict[str, Any] = {"hardware": HARDWARE, "model": DENSE, "workload": PROMPTS}

Load = Callable[..., Scenario]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A scenario of SCENE and `changes`, with knowledge files k0.yaml, k1.yaml … under it."""

    def load(*knowledge: str, **changes: Any) -> Scenario:
        files = [tmp_path / f"k{i}.yaml" for i in range(len(knowledge))]
        for file, text in zip(files, knowledge, strict=True):
            file.write_text(text)
        (tmp_path / "scene.json").write_text(json.dumps(SCENE | changes))
        return Scenario.load(tmp_path / "scene.json", knowledge=files)

    return load


def rule(id: str = "r", **demands: Any) -> str:
    return json.dumps({"rules": [{"id": id, "statement": "as told"} | demands]})


# ---- what comes first ----

PRECEDENCE: dict[str, tuple[str, dict[str, Any], dict[str, Any], Callable[[Scenario], Any], tuple[Any, Any, Any]]] = {
    # id of what is used: knowledge, scenario without own value, with it, what is read, (packaged, known, own)
    "accelerators.h100-sxm": (
        "accelerators: {h100-sxm: {memory: 70 GB}}",
        {},
        {"hardware": HARDWARE | {"accelerator": CARD}},
        lambda scene: scene.hardware.accelerator.memory,
        (85899345920, 70e9, 60e9),
    ),
    "models.llama-3.1-8b": (
        "models: {llama-3.1-8b: {layers: 16}}",
        {"model": "llama-3.1-8b"},
        {"model": DENSE},
        lambda scene: scene.model.layers,
        (32, 16, 4),
    ),
    "links.node": (
        "links: {node: {bandwidth: 1 GB/s}}",
        {},
        {"hardware": HARDWARE | {"node_link": {"bandwidth": "2 GB/s"}}},
        lambda scene: scene.hardware.inside.bandwidth,
        (450e9, 1e9, 2e9),
    ),
    "links.network": (
        "links: {network: {bandwidth: 1 GB/s}}",
        {},
        {"hardware": HARDWARE | {"network_link": {"bandwidth": "2 GB/s"}}},
        lambda scene: scene.hardware.between.bandwidth,
        (50e9, 1e9, 2e9),
    ),
    "efficiency.link": (
        "efficiency: {link: 50 %}",
        {"efficiency": {"overlap": 0.1}},
        {"efficiency": {"link": 0.6}},
        lambda scene: scene.efficiency.link,
        (Efficiency().link, 0.5, 0.6),
    ),
    "latencies.startup": (
        "latencies: {startup: 1 ms}",
        {},
        {"latencies": {"startup": "2 ms"}},
        lambda scene: scene.latencies.startup,
        (Latencies().startup, 0.001, 0.002),
    ),
    "reserves.single_gpu": (
        "reserves: {single_gpu: 1 GB}",
        {},
        {"reserves": {"single_gpu": "2 GB"}},
        lambda scene: scene.reserves.single_gpu,
        (Reserves().single_gpu, 1e9, 2e9),
    ),
}


@pytest.mark.parametrize("what", PRECEDENCE)
def test_scenario_before_knowledge_before_packaged(load: Load, what: str) -> None:
    knowledge, without, own, read, (packaged, known, stated) = PRECEDENCE[what]
    for scene, value, used in (
        (load(**without), packaged, {}),
        (load(knowledge, **without), known, {what: "k0.yaml"}),
        (load(knowledge, **own), stated, {}),
    ):
        assert read(scene) == pytest.approx(value)
        assert scene.knowledge == used


def test_an_override_keeps_the_other_packaged_figures(load: Load) -> None:
    known = load(
        "{accelerators: {h100-sxm: {memory: 70 GB}}, models: {llama-3.1-8b: {layers: 16}}}", model="llama-3.1-8b"
    )
    packaged = load(model="llama-3.1-8b")
    for ours, theirs, change in (
        (known.hardware.accelerator, packaged.hardware.accelerator, {"memory": 70e9}),
        (known.model, packaged.model, {"layers": 16}),
    ):
        assert ours == theirs.model_copy(update={**change, "sources": ours.sources})
        assert set(ours.sources.values()) >= {"knowledge: k0.yaml"}


def test_what_is_not_named_is_not_used(load: Load) -> None:
    text = (
        f"{{accelerators: {{h200-sxm: {{memory: 1 GB}}, mine: {json.dumps(CARD)}}}, models: {{phi-4: {{layers: 1}}}}}}"
    )
    assert load(text) == load()


def test_the_example_knows_a_card_and_a_model_of_its_own(tmp_path: Path) -> None:
    conditions = {"hardware": {"accelerator": "lab-card", "gpus": 8}, "model": "lab-2b", "workload": CHAT}
    (tmp_path / "scene.json").write_text(json.dumps(conditions))
    scene = Scenario.load(tmp_path / "scene.json", knowledge=[EXAMPLE])
    assert (scene.hardware.accelerator.memory, scene.model.layers) == (64e9, 24)
    assert scene.hardware.between.bandwidth == 25e9  # the site's link, not the card's default
    assert {what.split(".")[0]: file for what, file in scene.knowledge.items()} == {
        "accelerators": "cluster.yaml", "models": "models.yaml", "links": "cluster.yaml", "efficiency": "cluster.yaml",
        "latencies": "cluster.yaml", "reserves": "cluster.yaml", "rules": "rules.yaml",
    }  # fmt: skip
    plan = Plan.model_validate_json(solve(scene).model_dump_json())
    assert plan.status == "optimal" and plan.engines[0].accelerator == "lab-card"
    assert plan.scenario == scene and verify(plan).ok  # from the plan alone


def test_a_markdown_document_may_name_what_knowledge_adds(tmp_path: Path) -> None:
    document = "## Hardware\n- Accelerator: lab-card\n- GPUs: 8\n## Model\n- Model: lab-2b\n## Input Data\n"
    (tmp_path / "scene.md").write_text(document + "- Batch Size: 4\n- Sequence Length: 100\n")
    scene = Scenario.load(tmp_path / "scene.md", knowledge=[EXAMPLE])
    assert (scene.hardware.accelerator.id, scene.model.id) == ("lab-card", "lab-2b")


def test_the_documented_knowledge_is_read(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs/knowledge.md").read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        (tmp_path / "k.yaml").write_text(block)
        assert load_knowledge([tmp_path / "k.yaml"]).origins


# ---- where figures come from ----


def test_constants_say_which_file_they_are_from(load: Load) -> None:
    text = "{efficiency: {link: 50 %}, latencies: {startup: 1 ms}, reserves: {single_gpu: 1 GB}}"
    sources = {figure.name: figure.source for figure in solve(load(text, efficiency={"overlap": 0.1})).provenance}
    for name in ("efficiency.link", "latencies.startup", "reserves.single_gpu"):
        assert sources[name] == "knowledge: k0.yaml"
    assert sources["efficiency.overlap"] == "the scenario"
    assert sources["latencies.layer"] == source_of("latencies", "layer")[1]


@pytest.mark.parametrize(
    ("knowledge", "name", "value"),
    [
        ("accelerators: {h100-sxm: {memory: 70 GB}}", "accelerator.memory", "70 GB"),
        ("links: {node: {bandwidth: 1 GB/s}}", "accelerator.node_link.bandwidth", "1 GB/s"),
        ("efficiency: {mfu: 50 %}", "efficiency.expert_mfu", "0.5"),  # mfu speaks for the experts too
    ],
)
def test_other_figures_say_which_file_they_are_from(load: Load, knowledge: str, name: str, value: str) -> None:
    [figure] = [figure for figure in solve(load(knowledge)).provenance if figure.name == name]
    assert (figure.value, figure.source) == (value, "knowledge: k0.yaml")


def test_a_link_of_a_card_described_in_the_scenario_stays(load: Load) -> None:
    own = HARDWARE | {"accelerator": CARD | {"node_link": {"bandwidth": "2 GB/s"}}}
    assert load("links: {node: {bandwidth: 1 GB/s}}", hardware=own).hardware.inside.bandwidth == 2e9


def test_a_link_override_keeps_the_packaged_latency(load: Load) -> None:
    scene = load("accelerators: {h100-sxm: {node_link: {bandwidth: 1 GB/s}}}")
    assert scene.hardware.inside.latency == load().hardware.inside.latency > 0


def test_a_pure_roofline_stays_one(load: Load) -> None:
    assert load("latencies: {startup: 1 ms}", latencies="none").latencies.startup == 0


# ---- rules ----


def keeps(plan: Plan, scene: Scenario) -> bool:
    """Whether the second route lets a plan pass that was made without the scenario's rules."""
    return verify(plan.model_copy(update={"scenario": scene})).ok


@pytest.mark.parametrize(
    ("group", "model", "cut"),
    [
        ("tensor", DENSE, {"tensor": 4}),
        ("context", DENSE, {"tensor": 2, "context": 2, "pipeline": 2}),
        ("expert", EXPERTS, {"tensor": 1, "data": 4, "expert": 4, "pipeline": 2}),
        ("engine", DENSE, {"tensor": 1, "context": 1, "pipeline": 4}),
    ],
)
def test_groups_inside_a_node(load: Load, group: str, model: dict[str, Any], cut: dict[str, int]) -> None:
    """Groups of four: nodes of four hold one, nodes of two do not."""
    for node, verdict in ((4, "optimal"), (2, "infeasible")):
        changes = {"hardware": HARDWARE | {"gpus_per_node": node}, "model": model, "strategy": cut}
        free, scene = solve(load(**changes)), load(rule(inside_node=[group]), **changes)
        plan = solve(scene)
        assert (free.status, plan.status) == ("optimal", verdict)
        assert keeps(free, scene) == (verdict == "optimal")
        assert ("rules.r" in {id for conflict in plan.conflicts for id in conflict.ids}) == (verdict == "infeasible")


@pytest.mark.parametrize(("met", "broken"), [(2, 1), ({"max": 2}, {"max": 1}), ({"min": 2}, {"min": 3}), ([2], [1, 3])])
@pytest.mark.parametrize("degree", DEGREES)
def test_bounds(load: Load, degree: str, met: Any, broken: Any) -> None:
    changes = {"model": EXPERTS, "strategy": {degree: 2}, "hardware": HARDWARE | {"gpus": 4}}
    plan = solve(load(rule(**{degree: met}), **changes))
    [check] = [check for check in plan.checks if check.name == "rules.r"]
    assert (plan.status, check.ok, check.statement, check.predicted) == ("optimal", True, "as told", f"{degree} 2")
    scene = load(rule(**{degree: broken}), **changes)
    assert "rules.r" in {id for conflict in solve(scene).conflicts for id in conflict.ids} and not keeps(plan, scene)


@pytest.mark.parametrize("workload", [PROMPTS, CHAT], ids=["prefill", "aggregated"])
@pytest.mark.parametrize("role", ["prefill", "aggregated", "decode"])
def test_roles(load: Load, workload: dict[str, int], role: str) -> None:
    scene = load(rule(roles=[role], tensor=1), workload=workload, strategy={"tensor": 2})
    holds = (role == "prefill") == (workload is PROMPTS)  # an aggregated engine decodes too
    assert solve(scene).status == ("infeasible" if holds else "optimal")
    assert keeps(solve(load(workload=workload, strategy={"tensor": 2})), scene) != holds


def test_rules_of_scenario_and_knowledge_all_hold(load: Load) -> None:
    own = json.loads(rule("own", tensor=2))
    plan = solve(load(rule("a", pipeline=2), rule("b", context=1), **own))
    strategy = plan.engines[0].strategy
    assert (strategy.tensor, strategy.context, strategy.pipeline) == (2, 1, 2)
    assert plan.scenario.knowledge == {"rules.a": "k0.yaml", "rules.b": "k1.yaml"}


def test_a_rule_for_other_engines_is_not_listed_as_used(load: Load) -> None:
    assert load(rule(roles=["aggregated"], tensor=1)).knowledge == {}


def test_a_rule_of_the_scenario_stands_alone(load: Load) -> None:
    try:
        scene = load(rule(tensor=1), **json.loads(rule(tensor=2)))
    except InputError:
        return  # as good an answer
    assert [one.id for one in scene.rules] == ["r"]


# ---- several files ----


def test_later_files_and_later_names_come_first(load: Load, tmp_path: Path) -> None:
    one, two = "{efficiency: {link: 50 %, overlap: 10 %}}", "{efficiency: {link: 55 %}}"
    scene = load(one, two)
    assert (scene.efficiency.link, scene.efficiency.overlap) == (0.55, 0.1)
    assert scene.knowledge == {"efficiency.link": "k1.yaml", "efficiency.overlap": "k0.yaml"}
    turned = Scenario.load(tmp_path / "scene.json", knowledge=[tmp_path / "k1.yaml", tmp_path / "k0.yaml"])
    assert turned.efficiency.link == 0.5


def test_a_folder_is_read_by_name_and_by_suffix(tmp_path: Path) -> None:
    for name, link in (("b.yml", 2), ("a.yaml", 1), ("c.json", 3), ("z.txt", 9), ("README.md", 9)):
        (tmp_path / name).write_text(json.dumps({"efficiency": {"link": f"{link} %"}}))
    assert load_knowledge([tmp_path]).efficiency == {"link": "3 %"}
    assert load_knowledge([tmp_path]).origins == {"efficiency.link": "c.json"}
    assert load_knowledge([tmp_path, tmp_path / "a.yaml"]).efficiency == {"link": "1 %"}


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no knowledge file") as caught:
        load_knowledge([tmp_path])
    assert caught.value.place is not None and caught.value.place.file == tmp_path


def test_a_rule_id_stands_once(load: Load) -> None:
    with pytest.raises(InputError, match="rule 'r' stands in two knowledge files") as caught:
        load(rule(tensor=1), rule(tensor=2))
    assert caught.value.place is not None and caught.value.place.file is not None
    assert caught.value.place.file.name == "k1.yaml"


def test_two_files_may_each_change_a_figure_of_a_card(load: Load) -> None:
    card = load(
        "accelerators: {h100-sxm: {memory: 70 GB}}", "accelerators: {h100-sxm: {memory_bandwidth: 1 TB/s}}"
    ).hardware.accelerator
    assert (card.memory, card.memory_bandwidth) == (70e9, 1e12)


# ---- bad files ----


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("acelerators: {}\n", 1, "unknown key 'acelerators'"),
        ("accelerators:\n  h100-sxm:\n    memry: 60 GB\n", 3, "unknown key 'memry'"),
        ("accelerators:\n  h100-sxm:\n    memory: 60\n", 3, "has no unit"),
        ("accelerators:\n  h100-sxm:\n    memory: 60 ms\n", 3, "unit 'ms' is not"),
        ("accelerators:\n  mine:\n    memory: 60 GB\n", 3, "missing key 'accelerators.mine.memory_bandwidth'"),
        ("accelerators:\n  mine:\n", 2, "accelerators.mine: nothing"),
        ("models:\n  mine:\n    layers: many\n", 3, "models.mine.layers: 'many'"),
        ("models:\n  phi-4:\n    layers: 0\n", 3, "models.phi-4.layers"),
        ("links:\n  node:\n    bandwidth: 3 GB\n", 3, "links.node.bandwidth"),
        ("efficiency:\n  mfuu: 60 %\n", 2, "unknown key 'mfuu'"),
        ("efficiency:\n  mfu: 160 %\n", 2, "efficiency.mfu"),
        ("latencies:\n  startup: 3\n", 2, "latencies.startup: 3 has no unit"),
        ("reserves:\n  multi_gpu: 3 s\n", 2, "reserves.multi_gpu: unit 's'"),
        ("rules:\n  - id: r\n    statement: x\n", 2, "the rule demands nothing"),
        ("rules:\n  - id: R 1\n    statement: x\n    tensor: 1\n", 2, "rules.0.id"),
        ("rules:\n  - id: r\n    statement: x\n    inside_node: [tensr]\n", 4, "'tensr'"),
        ("rules:\n  - id: r\n    statement: x\n    tensor: {min: 4, max: 2}\n", 4, "min 4 is above max 2"),
        ("rules:\n  - id: r\n    statement: x\n    roles: []\n    tensor: 1\n", 4, "rules.0.roles"),
        ("rules: [\n", 2, "not valid YAML"),
        ("", 1, "the file is empty"),
        ("- 1\n", 1, "must be a mapping"),
    ],
)
def test_mistakes_are_placed_in_the_knowledge_file(load: Load, text: str, line: int, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load(text)
    place = caught.value.place
    assert place is not None and place.file is not None and (place.file.name, place.line) == ("k0.yaml", line)


def test_mistakes_of_the_scenario_stay_its_own(load: Load) -> None:
    with pytest.raises(InputError, match="unknown accelerator 'h100-smx'") as caught:
        load("efficiency: {link: 50 %}", hardware={"accelerator": "h100-smx"})
    assert caught.value.place is not None and caught.value.place.file is not None
    assert caught.value.place.file.name == "scene.json"
