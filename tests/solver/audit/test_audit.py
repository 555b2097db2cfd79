"""What an audit finds: each kind of finding with a plan made by hand, true ones without any, the gap by brute force."""

from __future__ import annotations

import itertools
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.models import Evaluation, InputError, Scenario, Strategy, catalog
from shardwise.models.audit import Audit, AuditFinding
from shardwise.models.claimed import Claim, Claimed, ClaimedEngine, Measure, Unread
from shardwise.models.engine_profile import EngineProfile
from shardwise.models.measures import MeasureRule, packaged_measures
from shardwise.models.reading.plan_command import read_command_text
from shardwise.models.strategy import DEGREES
from shardwise.solver import deploy, evaluate, solve
from shardwise.solver.audit.audit import audit
from shardwise.solver.degrees import legal_strategies

from tests.builders import CHAT, DENSE, EXPERTS, PROMPTS, models, scenario

SCENARIOS = Path(__file__).parents[3] / "scenarios"
CHATTY = scenario(DENSE, CHAT, engine="vllm", requirements={"ttft": 1.0, "tpot": 0.1})
MIXED = scenario(EXPERTS, CHAT, engine="vllm", requirements={"ttft": 1.0})


def plan(strategy: Strategy | None = None, *claims: Claim, count: int = 1, **more: Any) -> Claimed:
    limits = {key: more.pop(key) for key in list(more) if key in ClaimedEngine.model_fields}
    engine = ClaimedEngine(strategy=strategy or Strategy(tensor=4), count=count, **limits)
    given_ = {"file": "plan.md", "form": "markdown", "engine": "vllm", "engines": (engine,)} | more
    return Claimed(**given_, claims=claims)


def claim(what: Any, value: float | None, half_step: float = 0.0, line: int = 7, limit: float | None = None) -> Claim:
    return Claim(what=what, value=value, half_step=half_step, text=f"{what}: {value}", line=line, limit=limit)


def look(scene: Scenario, claimed: Claimed, **more: Any) -> Audit:
    return audit(scene, claimed, optimum=False, **more)


def of(found: Audit, topic: str, id: str = "") -> list[AuditFinding]:
    return [one for one in found.findings if one.topic == topic and one.id.startswith(id)]


def kinds(found: Audit, topic: str) -> list[tuple[str, str]]:
    return [(one.id, one.severity) for one in of(found, topic)]


def figures(scene: Scenario, strategy: Strategy, engines: int = 1) -> Any:
    found = evaluate(scene, strategy, engines=engines, token_budget=8192).predictions
    assert found is not None
    return found


# Claims


def test_true_claims_give_no_finding() -> None:
    s = Strategy(tensor=4, expert_tensor=4)
    p = figures(MIXED, s)
    assert p.tpot_s is not None and p.output_tokens_per_s is not None
    memory = p.memory_bytes_per_gpu.total
    claims = (
        claim("gpus", 4), claim("gpu_product", 4), claim("experts_per_gpu", 4), claim("layers_per_stage", 4),
        claim("expert_utilization", 0.5), claim("memory_per_gpu", memory), claim("memory_utilization", memory / 1e9),
        claim("ttft", p.ttft_s, limit=1.0), claim("tpot", p.tpot_s), claim("request_latency", p.request_latency_s),
        claim("requests", p.requests_per_s), claim("throughput", p.output_tokens_per_s),
        claim("throughput_per_gpu", p.output_tokens_per_s / 4),
    )  # fmt: skip
    found = look(MIXED, plan(s, *claims))
    assert of(found, "claims") == [] and of(found, "requirements") == [] and found.sound


@pytest.mark.parametrize(
    ("what", "value", "half_step", "shown"),
    [
        ("gpus", 8, 0.5, "4"),
        ("gpus", 3, 0, "4"),
        ("gpu_product", 16, 0, "4"),
        ("experts_per_gpu", 1, 0.5, "4"),
        ("layers_per_stage", 3, 0.5, "4"),
        ("expert_utilization", 0.1, 0.005, "50.000%"),
        ("expert_utilization", 0.49, 0.005, "50.000%"),
    ],
)
def test_false_arithmetic(what: Any, value: float, half_step: float, shown: str) -> None:
    found = look(MIXED, plan(Strategy(tensor=4, expert_tensor=4), claim(what, value, half_step)))
    [one] = of(found, "claims")
    assert (one.id, one.severity, one.found, one.line) == (f"claims.{what}", "error", shown, 7) and not found.sound


def test_rounded_arithmetic_is_true() -> None:
    s = Strategy(tensor=4, expert_tensor=4)
    assert of(look(MIXED, plan(s, claim("expert_utilization", 0.5004, 0.0005))), "claims") == []


@pytest.mark.parametrize("what", ["ttft", "tpot", "request_latency", "requests", "throughput", "throughput_per_gpu"])
@pytest.mark.parametrize(
    ("factor", "severity"),
    [(1.2, None), (1 / 1.2, None), (1.5, "warning"), (1 / 1.5, "warning"), (2.1, "error"), (1 / 3, "error")],
)
def test_modelled_claims(what: Any, factor: float, severity: str | None) -> None:
    p = figures(CHATTY, Strategy(tensor=4))
    assert p.output_tokens_per_s is not None
    true = {
        "ttft": p.ttft_s, "tpot": p.tpot_s, "request_latency": p.request_latency_s, "requests": p.requests_per_s,
        "throughput": p.output_tokens_per_s, "throughput_per_gpu": p.output_tokens_per_s / 4,
    }[what]  # fmt: skip
    assert true is not None
    found = of(look(CHATTY, plan(None, claim(what, true * factor))), "claims")
    assert [(one.id, one.severity) for one in found] == ([] if severity is None else [(f"claims.{what}", severity)])
    if severity:
        times = max(factor, 1 / factor)
        assert f"{times:.1f} times too {'high' if factor > 1 else 'low'}" in found[0].statement


def test_memory_that_is_false() -> None:
    held = figures(CHATTY, Strategy(tensor=4)).memory_bytes_per_gpu.total
    found = look(CHATTY, plan(None, claim("memory_per_gpu", held * 3), claim("memory_utilization", held / 1e9 / 3)))
    assert kinds(found, "claims") == [("claims.memory_per_gpu", "error"), ("claims.memory_utilization", "error")]


@pytest.mark.parametrize("what", ["ttft", "throughput", "memory_utilization"])
def test_nothing_is_printed(what: Any) -> None:
    [one] = of(look(CHATTY, plan(None, claim(what, 0.0, 0.005))), "claims")
    assert (one.id, one.severity) == (f"claims.{what}", "error") and "says nothing" in one.statement


def test_within_the_last_digit_is_true() -> None:
    assert of(look(CHATTY, plan(None, claim("ttft", 1.0, half_step=10.0))), "claims") == []


def test_another_limit_than_the_one_asked() -> None:
    p = figures(CHATTY, Strategy(tensor=4))
    [one] = of(look(CHATTY, plan(None, claim("ttft", p.ttft_s, limit=10.0))), "claims")
    assert (one.id, one.severity, one.stated, one.found) == ("claims.ttft", "warning", "10 s", "1 s")


def test_the_same_thing_twice() -> None:
    found = look(CHATTY, plan(None, claim("gpus", 4, line=3), claim("gpus", 4, line=5), claim("gpus", 6, line=9)))
    wrong, twice = sorted(of(found, "claims"), key=lambda one: one.severity)
    assert (wrong.severity, wrong.line) == ("error", 9)
    assert (twice.severity, twice.line, twice.stated, twice.found) == ("warning", 9, "6", "4")
    assert "(line 3)" in twice.statement


@pytest.mark.parametrize(("each", "ok"), [(250.0, True), (240.0, True), (1000.0, False), (220.0, False)])
def test_throughput_over_its_gpus(each: float, ok: bool) -> None:
    found = look(CHATTY, plan(None, claim("throughput", 1000.0), claim("throughput_per_gpu", each, line=8)))
    wrong = [one for one in of(found, "claims", "claims.throughput") if one.source == "arithmetic"]
    assert (wrong == []) == ok
    if not ok:
        assert (wrong[0].severity, wrong[0].line, wrong[0].found) == ("error", 8, "250 tokens/s")


def test_promises_without_a_number() -> None:
    promises = (claim("compatible", None), claim("balanced", None))
    good, bad = Strategy(tensor=4, expert=4), Strategy(tensor=3, expert=3)
    assert kinds(look(MIXED, plan(good, *promises)), "claims") == [("claims.balanced", "note")]
    assert ("claims.compatible", "error") in kinds(look(MIXED, plan(bad, *promises)), "claims")


# Requirements


def test_a_requirement_that_is_missed() -> None:
    scene = scenario(DENSE, CHAT, engine="vllm", requirements={"tpot": 1e-6, "ttft": 100.0})
    found = look(scene, plan(form="command"))
    assert kinds(found, "requirements") == [("requirements.tpot", "error")] and not found.sound


def test_a_requirement_that_is_not_mentioned() -> None:
    scene = scenario(DENSE, CHAT, engine="vllm", requirements={"ttft": 100.0, "throughput_per_gpu": {"output": 1}})
    p = figures(scene, Strategy(tensor=4))
    assert p.output_tokens_per_s is not None
    found = look(scene, plan(None, claim("throughput", p.output_tokens_per_s, line=5)))
    ids = {one.id: one for one in of(found, "requirements")}
    assert set(ids) == {"requirements.ttft", "requirements.throughput_per_gpu"}
    each = ids["requirements.throughput_per_gpu"]
    assert (each.severity, each.line) == ("error", 5) and "over 4 GPUs" in each.statement
    assert of(look(scene, plan()), "requirements") == []  # it makes no claims at all
    assert of(look(scene, plan(None, claim("gpus", 4), form="command")), "requirements") == []


# Does it run


@pytest.mark.parametrize(
    ("strategy", "id"),
    [
        (Strategy(tensor=3), "heads.divisible"),
        (Strategy(pipeline=5), "layers.divisible"),
        (Strategy(tensor=8), "gpus.available"),
        (Strategy(data=2), "degrees.dense"),
        (Strategy(context=2), "context.prefill_only"),
    ],
)
def test_degrees_that_no_engine_has(strategy: Strategy, id: str) -> None:
    found = look(CHATTY, plan(strategy, lines={"command": 12}))
    ids = {one.id: one for one in of(found, "runs")}
    if id == "layers.divisible":
        assert any("layer" in one.statement for one in ids.values())
    else:
        assert ids[id].severity == "error" and ids[id].line == 12
    assert not found.sound


def test_memory_that_does_not_do() -> None:
    scene = scenario(DENSE, CHAT, engine="vllm", card={"memory": 1e6})
    assert ("memory.fits", "error") in kinds(look(scene, plan(Strategy())), "runs")


def test_flags_that_are_not_known() -> None:
    unread = (
        Unread(text="--x", why="vLLM 0.33.0 knows no such flag", line=2),
        Unread(text="y", why="is no number", line=3),
    )
    found = look(CHATTY, plan(form="command", unread=unread))
    assert kinds(found, "runs")[0] == ("runs.flag", "error") and kinds(found, "reading") == [
        ("reading.unread", "warning")
    ]
    assert kinds(look(CHATTY, plan(unread=unread)), "reading") == [("reading.unread", "warning")] * 2


def test_the_longest_sequence() -> None:
    assert of(look(CHATTY, plan(longest=150)), "runs", "runs.longest") == []
    [one] = of(look(CHATTY, plan(longest=149, form="command")), "runs", "runs.longest")
    assert (one.severity, one.stated, one.found) == ("error", "longest sequence 149 tokens", "150 tokens")
    assert one.statement.startswith("--max-model-len:")
    assert of(look(scenario(DENSE, PROMPTS), plan(longest=101)), "runs", "runs.longest") == []


def test_the_budget_of_the_engine() -> None:
    [one] = of(look(CHATTY, plan(form="command")), "runs", "runs.token_budget")
    assert (one.severity, one.stated) == ("note", "8,192 tokens (the engine's default)")
    assert of(look(CHATTY, plan(token_budget=1024)), "runs", "runs.token_budget") == []


def test_sequences_that_wait() -> None:
    """64 clients, room for 10: the others wait for their turn, by Little's law."""
    scene = scenario(DENSE, CHAT | {"concurrency": 64}, engine="vllm", requirements={"ttft": 1000.0})
    assert of(look(scene, plan(sequences=64)), "runs", "runs.sequences") == []
    [one] = of(look(scene, plan(sequences=10)), "runs", "runs.sequences")
    inside = scenario(DENSE, CHAT | {"concurrency": 10}, engine="vllm")
    rate = figures(inside, Strategy(tensor=4)).requests_per_s
    wait = 54 / rate
    assert (one.severity, one.stated, one.found) == ("warning", "10 sequences per attention rank", "64 for the load")
    assert "the other 54 wait" in one.statement and "beyond" not in one.statement
    seconds = float(one.statement.split(" wait ")[1].split(" ")[0])
    assert seconds * (1e-3 if " ms more" in one.statement else 1) == pytest.approx(wait, rel=2e-3)


def test_sequences_are_of_a_rank() -> None:
    scene = scenario(EXPERTS, CHAT | {"concurrency": 64}, engine="vllm")
    s = Strategy(data=2, expert=2)
    assert of(look(scene, plan(s, count=2, sequences=16)), "runs", "runs.sequences") == []
    [one] = of(look(scene, plan(s, count=2, sequences=15)), "runs", "runs.sequences")
    assert one.found == "16 for the load" and "the other 4 wait" in one.statement


@settings(max_examples=25)
@given(st.integers(1, 40), st.sampled_from([1e6, 1.2e6, 2e6, 1e7]), st.sampled_from([None, 0.5, 0.9]))
def test_room_of_the_kv_cache(clients: int, memory: float, share: float | None) -> None:
    """(usable - weights - activations - reserve) over the bytes of one longest sequence."""
    scene = scenario(DENSE, CHAT | {"concurrency": clients}, engine="vllm", card={"memory": memory})
    found = look(scene, plan(Strategy(), memory_share=share, sequences=999, token_budget=256))
    if not found.room:
        return
    [room] = found.room
    priced = evaluate(
        scene.model_copy(update={"hardware": scene.hardware.model_copy(update={"memory_utilization": share or 1.0})}),
        Strategy(), engines=1, token_budget=256,
    ).predictions  # fmt: skip
    assert priced is not None
    m = priced.memory_bytes_per_gpu
    left = max(0, int(memory * (share or 1.0)) - m.weights - m.activations - m.reserve)
    each = 150 * 4 * 2 * 4 * 16 * 2  # tokens × layers × K and V × heads × dimension × bytes
    assert abs(room.bytes - left) <= 1 and room.needed == clients
    assert room.sequences == pytest.approx(left / each, abs=1.01) and room.tokens == room.sequences * 150
    short = of(found, "runs", "runs.kv_cache")
    assert [one.severity for one in short] == ["error" if room.sequences < clients else "note"] or room.sequences >= 999


def test_layers_that_are_uneven() -> None:
    scene = scenario(DENSE | {"layers": 8}, CHAT, engine="vllm")
    [one] = of(look(scene, plan(Strategy(pipeline=4), layers_per_stage=(5, 1, 1, 1))), "runs", "runs.layers")
    assert one.severity == "warning" and "states stages of 5, 1, 1, 1 layers" in one.statement
    assert of(look(scene, plan(Strategy(pipeline=4))), "runs", "runs.layers") == []


@pytest.mark.parametrize(("engine", "text"), [
    ("vllm", "vllm serve m -tp 4 --gpu-memory-utilization 0.5"),
    ("sglang", "python3 -m sglang.launch_server --model-path m --tp-size 4 --mem-fraction-static 0.5"),
    ("trtllm", "trtllm-serve m --tp_size 4 --kv_cache_free_gpu_memory_fraction 0.5"),
])  # fmt: skip
def test_what_each_engines_share_means(engine: str, text: str) -> None:
    scene = Scenario.load(SCENARIOS / "llama-3.1-70b-h100-8.yaml")
    scene = scene.model_copy(update={"engine": EngineProfile.model_validate(catalog.engine(engine))})
    found = look(scene, read_command_text(text, Path("s.sh"), False))
    priced = evaluate(scene, Strategy(tensor=4), engines=1, token_budget=8192).predictions
    assert priced is not None
    card, m = scene.hardware.accelerator.memory, priced.memory_bytes_per_gpu
    rest = m.activations + m.reserve
    cache = {
        "vllm": 0.5 * card - m.weights - rest,
        "sglang": 0.5 * card - m.weights,
        "trtllm": 0.5 * (card - m.weights - rest),
    }[engine]
    assert found.room[0].bytes == pytest.approx(cache, rel=0.02)


# Measures

RULES = {rule.id: rule for rule in packaged_measures()}


@pytest.mark.parametrize(
    ("text", "scene", "strategy", "id"),
    [
        ("Activation checkpointing saves memory", CHATTY, Strategy(), "activation-checkpointing"),
        ("Gradient accumulation over 4 steps", CHATTY, Strategy(), "gradient-accumulation"),
        ("ZeRO-3 optimizer sharding", CHATTY, Strategy(), "optimizer-state"),
        ("KV cache compression of idle experts", MIXED, Strategy(), "kv-cache-of-experts"),
        ("Paged KV cache", scenario(DENSE, PROMPTS), Strategy(), "kv-cache-without-decoding"),
        ("Speculative decoding", scenario(DENSE, PROMPTS), Strategy(), "decode-techniques"),
        ("Micro-batches of 4", CHATTY, Strategy(tensor=4), "pipeline-of-one-stage"),
        ("Overlapped all-reduce", CHATTY, Strategy(pipeline=4), "tensor-of-one"),
        ("DeepEP dispatch", MIXED, Strategy(tensor=4, expert_tensor=4), "all-to-all-of-one"),
        ("Expert placement by load", CHATTY, Strategy(), "experts-of-a-dense-model"),
        ("Prefetch of hot experts", MIXED, Strategy(expert=4, tensor=4), "expert-caching"),
    ],
)
def test_measures_that_do_nothing(text: str, scene: Scenario, strategy: Strategy, id: str) -> None:
    [one] = of(look(scene, plan(strategy, measures=(Measure(text=text, line=33),))), "measures")
    assert (one.id, one.severity, one.line) == (f"measures.{id}", RULES[id].severity, 33)


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        ("Micro-batches of 4", Strategy(pipeline=4)),
        ("Overlapped all-reduce", Strategy(tensor=4)),
        ("Paged KV cache", Strategy()),
        ("Speculative decoding", Strategy()),
        ("CUDA graphs", Strategy()),
    ],
)
def test_measures_in_their_place(text: str, strategy: Strategy) -> None:
    assert of(look(CHATTY, plan(strategy, measures=(Measure(text=text, line=3),))), "measures") == []


def test_rules_of_the_site_come_first() -> None:
    own = MeasureRule(
        id="graphs", says=(("cuda",), ("graph",)), tensor={"min": 4}, severity="note", statement="no", source="us"
    )  # type: ignore[arg-type]
    replaced = MeasureRule(id="activation-checkpointing", says=(("never",),), statement="x", source="y")
    measures = (Measure(text="CUDA graphs", line=1), Measure(text="activation checkpointing", line=2))
    found = look(CHATTY, plan(measures=measures), measures=(own, replaced))
    assert kinds(found, "measures") == [("measures.graphs", "note")]
    assert kinds(look(CHATTY, plan(Strategy(tensor=2), measures=measures), measures=(own, replaced)), "measures") == []


# Hardware


@pytest.mark.parametrize(("objective", "severity"), [("throughput", "warning"), ("fewest-gpus", "note")])
def test_idle_gpus(objective: str, severity: str) -> None:
    scene = CHATTY.model_copy(update={"objective": objective})
    [one] = of(look(scene, plan(Strategy(tensor=2))), "hardware", "hardware.idle")
    assert (one.severity, one.stated, one.found) == (severity, "2 GPUs", "4 GPUs, 2 of them idle")
    found = look(scene, plan())
    assert (found.gpus_idle, found.gpus_used) == (0, 4) and of(found, "hardware", "hardware.idle") == []


def test_uneven_load() -> None:
    scene = scenario(DENSE | {"layers": 5}, CHAT, engine="vllm")
    found = {one.id: one for one in of(look(scene, plan(Strategy(pipeline=4))), "hardware")}
    assert (found["hardware.weights"].severity, found["hardware.weights"].stated) == ("warning", "1.60")  # 2 over 5 / 4


def test_memory_that_lies_idle() -> None:
    [one] = of(look(CHATTY, plan(None, claim("memory_utilization", 0.001, 1.0, line=4))), "hardware", "hardware.memory")
    assert (one.severity, one.line) == ("warning", 4)


# The gap


def brute(scene: Scenario, given_: Strategy) -> tuple[float, float, float, int]:
    """(the plan's throughput, the best, that of the nearest change, degrees changed): every legal strategy priced."""
    most = scene.hardware.gpu_range.max
    theirs = _rate(evaluate(scene, given_, engines=1))
    groups: dict[int, float] = {}
    for row in legal_strategies(scene):
        s = Strategy(**dict(zip(DEGREES, row.tolist(), strict=True)))
        changed = sum(getattr(s, name) != getattr(given_, name) for name in DEGREES)
        for engines in range(1, most // s.gpus + 1):
            found = evaluate(scene, s, engines=engines)
            if found.ok:
                groups[changed] = max(groups.get(changed, 0.0), _rate(found))
    best = max(groups.values())
    for changed in sorted(groups):
        if (groups[changed] - theirs) / (best - theirs) >= 0.8:
            return theirs, best, groups[changed], changed
    raise AssertionError


def _rate(found: Evaluation) -> float:
    assert found.predictions is not None
    return found.predictions.output_tokens_per_s or 0.0


@settings(max_examples=12)
@given(models(layers=4), st.integers(2, 10), st.sampled_from([2, 4, 5]), st.data())
def test_the_nearest_change_by_brute_force(model: Any, clients: int, gpus: int, data: st.DataObject) -> None:
    scene = scenario(model, CHAT | {"concurrency": clients}, gpus=gpus, node=8, objective="throughput")
    rows = legal_strategies(scene)
    row = rows[data.draw(st.integers(0, len(rows) - 1))]
    given_ = Strategy(**dict(zip(DEGREES, row.tolist(), strict=True)))
    found = audit(scene, plan(given_, engine=None))
    assert found.gap is not None and found.gap.plan is not None
    theirs = _rate(evaluate(scene, given_, engines=1))
    assert found.gap.plan == pytest.approx(theirs)
    best = solve(scene, readings=False, conflicts=False)
    assert found.gap.optimum == pytest.approx(best.proof.stages[0].value or 0)
    if found.gap.nearest is None:
        assert found.gap.optimum - theirs <= 0.02 * found.gap.optimum + 1e-3
        return
    theirs, most, value, changed = brute(scene, given_)
    assert found.gap.optimum == pytest.approx(most, rel=1e-3)
    assert sum(not change.startswith("engines") for change in found.gap.changes) == changed
    assert found.gap.closes == pytest.approx((value - theirs) / (most - theirs), rel=2e-3)
    [told] = of(found, "optimum", "optimum.gap")
    assert told.severity == "warning" and all(change in told.statement for change in found.gap.changes)


def test_the_optimum_has_no_gap() -> None:
    best = solve(CHATTY, readings=False, conflicts=False).engines[0]
    s = Strategy(**{name: getattr(best.strategy, name) for name in DEGREES})
    found = audit(CHATTY, plan(s, count=best.count, token_budget=best.strategy.token_budget))
    assert (
        [one.id for one in of(found, "optimum")] == ["optimum.reached"]
        and found.gap is not None
        and found.gap.nearest is None
        and found.sound
    )


def test_conditions_that_no_plan_keeps() -> None:
    scene = scenario(DENSE, CHAT, engine="vllm", requirements={"tpot": 1e-9, "ttft": 100.0})
    found = audit(scene, plan(form="command"))
    [note] = of(found, "optimum", "optimum.none")
    assert note.severity == "note" and "best without requirements.tpot" in note.statement and found.gap is not None


def test_no_plan_at_all() -> None:
    scene = scenario(DENSE, CHAT, engine="vllm", card={"memory": 1e4})
    found = audit(scene, plan())
    [note] = of(found, "optimum")
    assert (note.id, note.severity) == ("optimum.none", "note") and "no plan exists at all" in note.statement
    assert found.gap is None and not found.sound


def test_findings_stand_by_severity() -> None:
    found = audit(CHATTY, plan(Strategy(tensor=2), claim("gpus", 9), claim("ttft", 0.0), token_budget=None))
    order = [("error", "warning", "note").index(one.severity) for one in found.findings]
    assert order == sorted(order) and len(set(order)) == 3
    assert Audit.model_validate_json(found.model_dump_json()) == found


# Pools


@cache
def arrivals(engine: str = "sglang") -> Scenario:
    scene = Scenario.load(SCENARIOS / "pools/llama-3.1-70b-h200-arrivals.yaml")
    return scene.model_copy(update={"engine": EngineProfile.model_validate(catalog.engine(engine))})


def pools(prefill: Strategy, decode: Strategy, *claims: Claim, **more: Any) -> Claimed:
    engines = (
        ClaimedEngine(role="prefill", strategy=prefill, **more),
        ClaimedEngine(role="decode", strategy=decode, **more),
    )
    return Claimed(file="x", form="command", engine="sglang", engines=engines, claims=claims)


def test_pools_that_carry_the_load() -> None:
    # At the highest rate that they carry TTFT is beyond its limit; they are dealt the load so that it is kept.
    found = look(arrivals(), pools(Strategy(pipeline=8), Strategy(tensor=4), count=2))
    assert found.sound and (found.gpus_used, found.gpus_idle, found.engines) == (24, 8, (2, 2))
    assert [one.severity for one in of(found, "hardware", "hardware.idle")] == ["note"]


def test_pools_that_do_not() -> None:
    ids = {one.id for one in look(arrivals(), pools(Strategy(tensor=2), Strategy(tensor=2))).findings}
    assert "workload.request_rate" in ids or "runs.load" in ids
    found = look(arrivals(), pools(Strategy(tensor=3), Strategy(tensor=4)))
    assert ("heads.divisible", "error") in kinds(found, "runs")
    found = look(arrivals(), pools(Strategy(tensor=8, pipeline=4), Strategy(tensor=8)))
    assert ("gpus.available", "error") in kinds(found, "runs")


def test_the_gap_of_pools() -> None:
    best = deploy(arrivals("vllm"), restrictions=False, conflicts=False).gpus_used
    text = "vllm serve m -tp 4\n" * (best // 4 + 1)
    found = audit(arrivals(), read_command_text(text, Path("s.sh"), False))
    assert found.gap is not None and (found.gap.plan, found.gap.optimum) == (4 * (best // 4 + 1), best)
    assert kinds(found, "optimum") == [("optimum.gap", "warning")] and found.sound


def test_limits_that_no_way_to_deal_the_load_keeps() -> None:
    found = look(arrivals(), pools(Strategy(tensor=4), Strategy(tensor=4), count=2))
    assert kinds(found, "requirements") == [("requirements.ttft", "error")] and not found.sound
    found = look(arrivals(), read_command_text("vllm serve m -tp 4\n" * 3, Path("s.sh"), False))
    assert kinds(found, "requirements") == [("workload.request_rate", "error")] and not found.sound


def test_pools_of_a_closed_loop() -> None:
    scene = Scenario.load(SCENARIOS / "llama-3.1-70b-h100-8.yaml")
    found = look(scene, read_command_text("vllm serve m -tp 4\nvllm serve m -tp 2 -pp 2", Path("s.sh"), False))
    assert found.sound and found.engines == (1, 1)


def test_several_cards_are_not_audited() -> None:
    two = {"inventory": [{"accelerator": "h100-sxm", "gpus": 8}, {"accelerator": "l40s", "gpus": 8}]}
    scene = Scenario.model_validate({"hardware": two, "model": "llama-3.1-8b", "workload": CHAT})
    with pytest.raises(InputError, match="several types of card"):
        look(scene, pools(Strategy(), Strategy()))


# Defects


def test_a_wait_beyond_the_limit_is_an_error() -> None:
    scene = scenario(DENSE, CHAT | {"concurrency": 64}, engine="vllm", requirements={"ttft": 0.5})
    found = look(scene, plan(sequences=1))
    assert "beyond the 500 ms" in of(found, "runs", "runs.sequences")[0].statement
    assert not found.sound


def test_unread_degrees_are_not_sound() -> None:
    text = "TP=3\nvllm serve m -tp $TP"
    assert not look(CHATTY, read_command_text(text, Path("s.sh"), False)).sound


def test_the_longest_sequence_of_pools() -> None:
    assert not look(arrivals(), pools(Strategy(pipeline=8), Strategy(tensor=4), longest=10)).sound


def test_the_claims_of_pools() -> None:
    claimed = pools(Strategy(pipeline=8), Strategy(tensor=4), claim("ttft", 0.0, 0.005), claim("gpus", 99))
    measured = claimed.model_copy(update={"measures": (Measure(text="activation checkpointing", line=1),)})
    assert {one.id for one in look(arrivals(), measured).findings} >= {
        "claims.ttft",
        "claims.gpus",
        "measures.activation-checkpointing",
    }


@pytest.mark.parametrize("more", ["--max-model-len 4096", "--max-num-seqs 33", "--gpu-memory-utilization 0.91"])
def test_kinds_with_the_same_degrees(more: str) -> None:
    scene = Scenario.load(SCENARIOS / "llama-3.1-70b-h100-8.yaml")
    text = f"vllm serve m -tp 4\nvllm serve m -tp 4 {more}"
    assert "runs.load" not in {one.id for one in look(scene, read_command_text(text, Path("s.sh"), False)).findings}


def test_pools_under_a_batch() -> None:
    text = 'vllm serve m --kv-transfer-config \'{"kv_role":"kv_producer"}\''
    try:
        look(scenario(DENSE, PROMPTS, engine="vllm"), read_command_text(text, Path("s.sh"), False))
    except InputError:
        return


def test_a_plan_that_beats_the_optimum_has_no_gap() -> None:
    scene = Scenario.load(SCENARIOS / "llama-3.1-70b-h100-8.yaml")
    found = audit(scene, read_command_text("vllm serve m -tp 8\nvllm serve m -tp 8", Path("s.sh"), False))
    assert not found.sound and of(found, "optimum", "optimum.gap") == []


def test_a_static_share_beyond_the_card() -> None:
    scene = Scenario.load(SCENARIOS / "llama-3.1-70b-h100-8.yaml")
    text = "sglang serve --model-path m --tp-size 4 --mem-fraction-static 0.99"
    assert not look(scene, read_command_text(text, Path("s.sh"), False)).sound


def test_the_kv_format_that_the_engine_chooses() -> None:
    scene = Scenario.load(SCENARIOS / "llama-3.1-70b-h100-8.yaml")
    asked = scene.model_copy(update={"precision": scene.precision.model_copy(update={"kv_cache": "fp8"})})
    claimed = read_command_text("vllm serve m -tp 4", Path("s.sh"), False)
    assert look(asked, claimed).room[0].tokens == look(scene, claimed).room[0].tokens


def test_every_topic_is_covered() -> None:
    wanted = {"runs", "requirements", "claims", "measures", "optimum", "hardware", "reading"}
    scene = scenario(DENSE, CHAT, engine="vllm", requirements={"tpot": 1e-9})
    found = audit(
        scene,
        plan(
            Strategy(tensor=2), claim("gpus", 9), measures=(Measure(text="gradient clipping", line=1),),
            unread=(Unread(text="x", why="is no number", line=1),),
        ),
    )  # fmt: skip
    assert {one.topic for one in found.findings} == wanted
    assert all(math.isfinite(v) for v in itertools.chain((found.gap.optimum,) if found.gap else ()))


@pytest.mark.parametrize(
    ("model", "same"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", True),
        ("meta-llama/Meta-Llama-3.1-70B", True),
        ("neuralmagic/Meta-Llama-3.1-70B-Instruct-FP8", True),
        ("meta-llama/Llama-3.1-8B-Instruct", False),
        ("Qwen/Qwen2.5-72B-Instruct", False),
        ("/models/llama", True),
        ("$MODEL", True),
    ],
)
def test_the_model_that_is_loaded(model: str, same: bool) -> None:
    scene = Scenario.load(SCENARIOS / "llama-3.1-70b-h100-8.yaml")
    found = look(scene, read_command_text(f"vllm serve {model} -tp 8", Path("s.sh"), False))
    assert ("runs.model" not in {one.id for one in found.findings}) == same
