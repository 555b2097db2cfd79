"""Engines over two cards: the split against all splits, bounds against prices, and two equal cards against one."""

from __future__ import annotations

from dataclasses import fields
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pytest import approx
from shardwise.models import Lengths, Link, Scenario
from shardwise.models.rules import Role
from shardwise.solver.costs.engines import EngineGrid, EnginePrices, price_engines
from shardwise.solver.costs.forward import LayerTimes
from shardwise.solver.costs.memory import MemoryParts, memory_parts
from shardwise.solver.costs.mixed import MixedGrid, MixedPrices, TwoCards, price_mixed
from shardwise.solver.costs.passes import Pass
from shardwise.solver.costs.setting import setting
from shardwise.solver.costs.source import Roofline

from ... import builders

Parts = tuple[Scenario, Scenario]
Loop = Literal["closed", "open"]
ROLES: tuple[Role, ...] = ("prefill", "decode", "aggregated")
LOADS: dict[str, dict[str, Any]] = {"closed": {"concurrency": 12}, "open": {"request_rate": 2.0}}


def cards(
    one: dict[str, Any], other: dict[str, Any], model: dict[str, Any], load: dict[str, Any], **more: Any
) -> Parts:
    """The scenario on two cards; `node` of a card is its `gpus_per_node`."""
    first, second = (
        builders.scenario(model, load, gpus=256, node=card.get("node", 4), card=_described(card), **more)
        for card in (one, other)
    )
    return first, second


def _described(card: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in card.items() if key != "node"}


def in_role(parts: Parts, role: Role) -> Parts:
    """As engines of a role see it: a prefill engine has prompts only."""
    if role != "prefill":
        return parts
    short = {"output_tokens": Lengths(min=1, max=1)}
    first, second = (part.model_copy(update={"workload": part.workload.model_copy(update=short)}) for part in parts)
    return first, second


@st.composite
def card(draw: st.DrawFn) -> dict[str, Any]:
    """Faster or slower in any respect than the usual one; nodes of all sizes."""
    share = st.sampled_from([0.2, 0.5, 1.0, 1.0, 3.0])
    usual = builders.CARD
    return {
        "memory": usual["memory"] * draw(st.sampled_from([1e-3, 2e-3, 4e-3, 1.0, 1.0])),
        "memory_bandwidth": usual["memory_bandwidth"] * draw(share),
        "compute": usual["compute"] * draw(share),
        "node_link": {"bandwidth": 1e8 * draw(share), "latency": 1e-6, "mesh": draw(st.booleans())},
        "network_link": {"bandwidth": 1e7 * draw(share), "latency": draw(st.sampled_from([1e-5, 1e-3]))},
        "node": draw(st.sampled_from([1, 2, 3, 4, 8])),
    }


@st.composite
def grids(draw: st.DrawFn, layers: int, role: Role, loop: Loop, *, rows: int = 6) -> MixedGrid:
    """Some engines of at most so many stages."""
    busy = (role == "prefill" and loop == "open") or (role == "decode" and loop == "closed")
    found = []
    for _ in range(draw(st.integers(1, rows))):
        stages = draw(st.integers(2, layers))
        tensor, data = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 2, 3]))
        load = 1 if role == "prefill" else data * draw(st.integers(1, 9))
        choice = {"prefill": draw(st.integers(1, 3)), "decode": 1, "aggregated": draw(st.sampled_from([64, 700]))}[role]
        found.append((tensor, 1, data, stages, 1, 1, load, choice, draw(st.integers(1, stages - 1))))
    table = np.array(found, dtype=np.int64)
    share = np.full(len(table), 0.5 if busy else 0.0)
    return MixedGrid(
        strategies=table[:, :6], load=table[:, 6], choice=table[:, 7], utilization=share, first=table[:, 8]
    )


def loads(loop: Loop, *, prompt: int = 100) -> dict[str, Any]:
    return {**LOADS[loop], "input_tokens": {"min": prompt // 2, "max": prompt}, "output_tokens": 20}


# The split against all splits


def a_pass(decoding: float, prompt: float) -> Pass:
    column = np.array
    return Pass(
        decoding=column([decoding]),
        context=column([120.0]),
        prompt=column([prompt]),
        pairs=(column([prompt * 50.0]), column([prompt * 20.0])),
        prefix=(column([0.0]), column([0.0])),
        logits=column([decoding + 1]),
        prompt_share=column([1.0]),
    )


class ByHand:
    """One engine in plain numbers: what stages take and hold, for any split."""

    def __init__(self, cut: TwoCards, memory: MemoryParts) -> None:
        self.first, self.second = cut.parts
        self.stages = int(cut.rows.pipeline[0])
        self.begin = int(self.first.pipeline[0])
        self.memory, self.kinds = memory, self.first.setting.layer_kinds

    def on(self, stage: int) -> int:
        return int(stage >= self.begin)

    def send(self, stage: int, tokens: float) -> float:
        one, other = self.first.setting, self.second.setting
        size = tokens * one.hidden * one.plain_bytes / one.efficiency.link
        handing = tokens * one.latencies.send_token
        if stage == self.begin - 1:
            slower = min(one.between.bandwidth, other.between.bandwidth)
            return size / slower + handing + max(one.between.latency, other.between.latency)
        rows = (self.first, self.second)[self.on(stage)]
        s, own = rows.setting, stage - self.begin * self.on(stage)
        group = int(rows.stage_group[0])
        if group * int(rows.pipeline[0]) > s.node and own * group % s.node + 2 * group > s.node:
            return size / s.between.bandwidth + handing + s.between.latency
        share = 1 / (s.node - 1) if s.inside.mesh and s.node > 1 else 1.0
        return size / (s.inside.bandwidth * share) + handing + s.inside.latency

    def times(self, timed: tuple[LayerTimes, ...], ends: tuple[int, ...]) -> list[float]:
        found = []
        for stage in range(self.stages):
            layer = timed[self.on(stage)]
            time = self.first.setting.latencies.iteration
            time += sum(float(layer.layers[kind, 0]) for kind in self.kinds[ends[stage] : ends[stage + 1]])
            last = stage == self.stages - 1
            found.append(time + (float(layer.head[0]) if last else self.send(stage, float(layer.tokens[0]))))
        return found

    def shares(self, ends: tuple[int, ...], slack: float = 0.0) -> list[float]:
        found, memory = [], self.memory
        fixed = np.ceil(memory.activations[0]) + np.ceil(memory.reserve[0]) + slack
        for stage in range(self.stages):
            layers = self.kinds[ends[stage] : ends[stage + 1]]
            held = fixed + sum(float(memory.weights[kind, 0] + memory.kv[kind, 0]) for kind in layers)
            held += float(np.ravel(memory.first)[0]) * (stage == 0)
            held += float(np.ravel(memory.last)[0]) * (stage == self.stages - 1)
            found.append(held / (self.first, self.second)[self.on(stage)].setting.room)
        return found

    def splits(self) -> list[tuple[int, ...]]:
        layers = len(self.kinds)
        return [(0, *cuts, layers) for cuts in combinations(range(1, layers), self.stages - 1)]


def ends_of(found: NDArray[np.int16]) -> tuple[int, ...]:
    counts = np.bincount(found)
    assert (np.diff(found) >= 0).all() and counts.min() >= 1
    return (0, *np.cumsum(counts).tolist())


@settings(max_examples=400)
@given(st.data())
def test_split_is_the_best_of_all(data: st.DataObject) -> None:
    model = data.draw(builders.models(layers=8))
    assume(model["layers"] > 1)
    parts = cards(data.draw(card()), data.draw(card()), model, loads("closed"))
    grid = data.draw(grids(model["layers"], "aggregated", "closed", rows=1))
    scenes = setting(parts[0]), setting(parts[1])
    cut = TwoCards(scenes, grid, (Roofline(scenes[0]), Roofline(scenes[1])), ideal=False)
    passes = cut.run(a_pass(4, data.draw(st.sampled_from([0, 50])))), cut.run(a_pass(1, 100))
    memory = memory_parts(cut.rows, np.array([float(data.draw(st.integers(1, 20)))]), np.array([64.0]))
    [chosen], stages = cut.split(passes, memory)
    hand, ends = ByHand(cut, memory), ends_of(chosen)

    every = hand.splits()
    fitting = [split for split in every if max(hand.shares(split, 2)) <= 1]
    kept, goals = fitting, [lambda split, one=one: max(hand.times(one, split)) for one in passes]
    if not fitting:
        kept, goals = every, []
    for goal in (*goals, lambda split: max(hand.shares(split))):
        best = min(map(goal, kept))
        assert goal(ends) == approx(best, rel=1e-9)
        kept = [split for split in kept if goal(split) <= best * (1 + 1e-9)]

    for one in passes:
        slowest, total = stages.times(one)
        times = hand.times(one, ends)
        assert (slowest[0], total[0]) == (approx(max(times), rel=1e-12), approx(sum(times), rel=1e-12))
    [share], [fits] = stages.filled(memory)  # type: ignore[attr-defined]
    assert share == approx(max(hand.shares(ends)), abs=2.0 / min(part.setting.room for part in cut.parts))
    assert fits or not fitting
    assert stages.fullest(memory)[2][0] in np.flatnonzero(np.array(hand.shares(ends)) > share * (1 - 1e-5))


# Bounds against prices


LOWER = ("ttft", "wait", "transfer", "tpot", "request_latency", "utilization", "memory")


def check_bounds(exact: MixedPrices, ideal: MixedPrices) -> None:
    fits = exact.fits
    assert ideal.fits[fits].all()
    if not fits.any():
        return
    for name in LOWER:
        price, bound = getattr(exact.prices, name)[fits], getattr(ideal.prices, name)[fits]
        assert np.all((bound <= price * (1 + 1e-9)) | np.isnan(price) | np.isinf(price)), name
    assert np.all(ideal.prices.rate[fits] >= exact.prices.rate[fits] * (1 - 1e-9))
    assert np.all(ideal.share[fits] <= exact.share[fits] * (1 + 1e-9))
    for name in ("batch", "micro_batches", "in_flight", "token_budget", "budget_spare"):
        assert np.array_equal(getattr(exact.prices, name), getattr(ideal.prices, name))


@settings(max_examples=400)
@given(st.data(), st.sampled_from(ROLES), st.sampled_from(["closed", "open"]))
def test_no_bound_is_above_its_price(data: st.DataObject, role: Role, loop: Loop) -> None:
    model = data.draw(builders.models(layers=9))
    assume(model["layers"] > 1)
    load = loads(loop, prompt=data.draw(st.sampled_from([20, 100, 500])))
    more = {"latencies": data.draw(st.sampled_from(["none", {}, {"iteration": 1e-4}]))}
    parts = in_role(cards(data.draw(card()), data.draw(card()), model, load, **more), role)
    grid, sends = data.draw(grids(model["layers"], role, loop)), role == "prefill"
    exact, ideal = (price_mixed(parts, role, grid, sends=sends, ideal=x) for x in (False, True))
    check_bounds(exact, ideal)


@pytest.mark.parametrize("name", ["llama-3.1-70b", "deepseek-v3", "gemma-3-27b"])
@pytest.mark.parametrize("role", ROLES)
def test_bounds_on_real_models_hold_and_are_near(name: str, role: Role) -> None:
    load = {"concurrency": 64, "input_tokens": {"min": 500, "max": 2000}, "output_tokens": 200}
    first, second = (
        Scenario.model_validate({"hardware": {"accelerator": id, "gpus": 128}, "model": name, "workload": load})
        for id in ("h100-sxm", "l40s")
    )
    parts = in_role((first, second), role)
    random = np.random.default_rng(1)
    rows = 150
    strategies = np.ones((rows, 6), dtype=np.int64)
    strategies[:, 0], strategies[:, 2] = random.choice([2, 4, 8], rows), random.choice([1, 2], rows)
    strategies[:, 3] = random.integers(2, 13, rows)
    strategies[:, 4] = strategies[:, 0] * strategies[:, 2] if name == "deepseek-v3" else 1
    grid = MixedGrid(
        strategies=strategies,
        load=np.ones(rows, dtype=np.int64) if role == "prefill" else strategies[:, 2] * 8,
        choice=np.full(rows, {"prefill": 2, "decode": 1, "aggregated": 4096}[role]),
        utilization=np.full(rows, 0.5 if role == "decode" else 0.0),
        first=random.integers(1, strategies[:, 3]),
    )
    exact, ideal = (price_mixed(parts, role, grid, sends=role == "prefill", ideal=x) for x in (False, True))
    assert exact.fits.any()
    check_bounds(exact, ideal)
    assert np.median((exact.prices.rate / ideal.prices.rate)[exact.fits]) > 0.9


# Two equal cards against one


EVEN = {"bandwidth": 5e7, "latency": 3e-6}


@settings(max_examples=200)
@given(st.data(), st.sampled_from(ROLES), st.sampled_from(["closed", "open"]))
def test_two_equal_cards_are_one(data: st.DataObject, role: Role, loop: Loop) -> None:
    model = data.draw(builders.models(layers=8))
    assume(model["layers"] > 1)
    memory = builders.CARD["memory"] * data.draw(st.sampled_from([2e-3, 4e-3, 1.0]))
    # One link everywhere and nodes that hold whole groups: no crossing differs.
    one = {"node_link": EVEN, "network_link": EVEN, "node": 8, "memory": memory}
    parts = in_role(cards(one, one, model, loads(loop)), role)
    grid, sends = data.draw(grids(model["layers"], role, loop)), role == "prefill"
    grid.strategies[:, 2] = np.where(grid.strategies[:, 2] == 3, 2, grid.strategies[:, 2])
    plain = EngineGrid(grid.strategies, grid.load, grid.choice, grid.utilization)
    alone, _ = price_engines(parts[0], role, plain, sends=sends, ideal=False)
    two = price_mixed(parts, role, grid, sends=sends, ideal=False)
    for field in fields(EnginePrices):
        if field.name in ("weights", "kv_cache", "fullest_stage"):  # equally full stages may be any of them
            continue
        expected, found = getattr(alone, field.name), getattr(two.prices, field.name)
        np.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=field.name)
    np.testing.assert_allclose(two.prices.memory, alone.memory, atol=2)
    room = parts[0].hardware.usable_memory
    assert np.array_equal(two.fits, alone.memory <= room)
    np.testing.assert_allclose(two.share, alone.memory / room, rtol=1e-12, atol=2.1 / room)


# What the model promises


def test_a_card_with_less_memory_gets_fewer_layers() -> None:
    model = builders.DENSE | {"layers": 12}
    large, small = {"memory": 1e9}, {"memory": 1.2e6}
    grid = MixedGrid(
        strategies=np.array([[1, 1, 1, 2, 1, 1]] * 2),
        load=np.array([4, 4]),
        choice=np.array([512, 512]),
        utilization=np.zeros(2),
        first=np.array([1, 1]),
    )
    even = price_mixed(cards(large, large, model, loads("closed")), "aggregated", grid, sends=False, ideal=False)
    tight = price_mixed(cards(large, small, model, loads("closed")), "aggregated", grid, sends=False, ideal=False)
    assert even.fits.all() and tight.fits.all()
    assert (tight.stage_of_layer == 1).sum() < (even.stage_of_layer == 1).sum()
    assert (tight.prices.tpot > even.prices.tpot).all()


@pytest.mark.parametrize("role", ROLES)
def test_rows_do_not_depend_on_their_neighbours(role: Role) -> None:
    # Among them engines that differ in nothing but where the cards meet, or in nothing at all.
    model, sends = builders.EXPERTS | {"layers": 7}, role == "prefill"
    parts = in_role(cards({"node": 2}, {"compute": 3e11, "node": 4}, model, loads("open")), role)
    random = np.random.default_rng(3)
    strategies = np.ones((40, 6), dtype=np.int64)
    strategies[:, 0], strategies[:, 3] = random.choice([1, 2], 40), random.choice([2, 5, 7], 40)
    grid = MixedGrid(
        strategies=strategies,
        load=random.choice([1, 9], 40),
        choice=np.full(40, 2 if role == "prefill" else 300),
        utilization=np.zeros(40),
        first=random.integers(1, strategies[:, 3]),
    )
    for ideal in (False, True):
        whole = price_mixed(parts, role, grid, sends=sends, ideal=ideal)
        for row in range(40):
            alone = price_mixed(parts, role, grid.take(slice(row, row + 1)), sends=sends, ideal=ideal)
            for field in fields(EnginePrices):
                expected = getattr(whole.prices, field.name)[row]
                assert getattr(alone.prices, field.name)[0] == approx(expected, rel=1e-12, nan_ok=True)
            assert alone.stage_of_layer[0].tolist() == whole.stage_of_layer[row].tolist()


def test_nothing_to_price() -> None:
    parts = cards({}, {}, builders.DENSE, loads("closed"))
    empty = np.empty(0, dtype=np.int64)
    grid = MixedGrid(np.empty((0, 6), dtype=np.int64), empty, empty, np.empty(0), empty)
    for role in ROLES:
        for ideal in (False, True):
            found = price_mixed(in_role(parts, role), role, grid, sends=role == "prefill", ideal=ideal)
            assert len(found.fits) == len(found.prices.rate) == len(found.stage_of_layer) == 0


def test_a_link_between_pools_is_as_slow_as_stated() -> None:
    model = builders.DENSE
    slow = Link(bandwidth=1e5, latency=1e-3)
    parts = in_role(cards({}, {}, model, loads("closed")), "prefill")
    first, second = (
        part.model_copy(update={"hardware": part.hardware.model_copy(update={"pool_link": slow})}) for part in parts
    )
    grid = MixedGrid(np.array([[1, 1, 1, 2, 1, 1]]), np.array([1]), np.array([1]), np.zeros(1), np.array([1]))
    stated = price_mixed((first, second), "prefill", grid, sends=True, ideal=False)
    unstated = price_mixed((parts[0], parts[1]), "prefill", grid, sends=True, ideal=False)
    assert stated.prices.transfer[0] > unstated.prices.transfer[0]
    assert stated.prices.ttft[0] > unstated.prices.ttft[0]
