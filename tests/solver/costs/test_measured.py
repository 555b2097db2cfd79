"""The adapter from operators to tables: what is asked, how often, and what stays with the data sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shardwise.models import Scenario
from shardwise.models.errors import InputError
from shardwise.solver.costs import distinct, rows
from shardwise.solver.costs.measured import Measured, alike_prompts
from shardwise.solver.costs.passes import pairs_of, prefix_of
from shardwise.solver.costs.rows import Rows
from shardwise.solver.costs.setting import setting
from shardwise.solver.costs.source import Roofline

from tests.solver.costs.silicon import made

DENSE: dict[str, Any] = {
    "layers": 4,
    "hidden": 4096,
    "attention": {"heads": 32, "kv_heads": 8, "head_dim": 128},
    "feed_forward": {"width": 14336},
}
EXPERTS = {key: value for key, value in DENSE.items() if key != "feed_forward"} | {
    "experts": {"count": 128, "per_token": 8, "width": 1536, "shared_width": 512}
}
CHAT = {"concurrency": 64, "input_tokens": 1000, "output_tokens": 200}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write_card(tmp_path_factory.mktemp("measured"))


def scene(folder: Path, model: dict[str, Any] = DENSE, **more: Any) -> Scenario:
    given = {"hardware": {"accelerator": "h100-sxm", "gpus": 16}, "model": model, "workload": CHAT}
    return Scenario.model_validate(given | {"operator_times": {"tables": str(folder)}} | more)


SIZES = st.floats(1, 1e5)


@given(SIZES, st.floats(0.01, 1e4), SIZES | st.just(0.0))
def test_prompts_are_alike(length: float, count: float, prefix: float) -> None:
    """n prompts of L tokens behind p have nL tokens, n(L²/2 + Lp) pairs and np prefix tokens."""
    asked = count * length, count * (length**2 / 2 + length * prefix), count * prefix
    prompts, new, before = (float(x[0]) for x in alike_prompts(*(np.array([x]) for x in asked)))
    assert (prompts, new, before) == pytest.approx((count, length, prefix), rel=1e-9)


@given(st.integers(1, 100_000), st.integers(1, 40))
def test_chunks_of_a_prompt_are_alike(folder: Path, length: int, chunks: int) -> None:
    """The mean chunk of one prompt: as many tokens, and before it half of what the others are."""
    s, parts = setting(scene(folder)), np.array([float(chunks)])
    full, prefix = pairs_of(s, length, length**2)[0], prefix_of(s, length, parts)[0]
    prompts, new, before = alike_prompts(length / parts, full / parts, prefix / parts)
    assert prompts * new == pytest.approx(length / chunks)
    if length / chunks >= 1:
        assert new == pytest.approx(length / chunks)
        assert before == pytest.approx(length * (chunks - 1) / 2 / chunks)


def test_no_tokens_are_no_prompts() -> None:
    prompts, new, before = alike_prompts(np.zeros(1), np.zeros(1), np.zeros(1))
    assert (prompts[0], before[0]) == (0, 0)
    assert new[0] >= 1


VALUES = st.lists(st.tuples(*[st.sampled_from([0.0, 1, 2, 3.5, 1e9])] * 3, st.booleans()), min_size=1, max_size=40)


@given(VALUES, st.sampled_from([4, 60, 4_000_000]))
def test_once_is_row_by_row(table: list[tuple[float, float, float, bool]], widest: int) -> None:
    """Whatever is few enough for a table of codes, and asked for anew or a second time."""
    a, b, c, odd = (np.array(column) for column in zip(*table, strict=True))
    asked: list[int] = []

    def time(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(at))
        return a[at] + 10 * b[at] + 100 * odd[at], odd[at].astype(np.int8)

    held = Rows.of(SETTING, np.ones((len(a), 6), np.int64), np.ones(len(a), np.int64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "WIDEST", widest)
        for by in ((a, b, odd), (odd, b, a), (a, b, c, odd), (a, b, odd)):
            seconds, kinds = distinct.once(held, by, time)
            alone, alone_kinds = time(np.arange(len(a)))
            assert (seconds == alone).all()
            assert (kinds == alone_kinds).all()
            assert asked[-2] == len({tuple(float(column[i]) for column in by) for i in range(len(a))})


SETTING = setting(
    Scenario.model_validate({"hardware": {"accelerator": "h100-sxm", "gpus": 16}, "model": DENSE, "workload": CHAT})
)
STRATEGIES = np.array([[t, 1, d, 1, e, s] for t, d, e, s in [(1, 1, 1, 1), (8, 1, 1, 8), (4, 2, 8, 1), (1, 8, 8, 1)]])


def both(scenario: Scenario, tensor: int = 1) -> tuple[Rows, Measured, Roofline]:
    s = setting(scenario)
    degrees = np.array([[tensor, 1, 1, 1, 1, 1]])
    return Rows.of(s, degrees, np.ones(1, np.int64)), Measured(s), Roofline(s)


def test_many_rows_are_one_row_each(folder: Path) -> None:
    """A row's times do not depend on what else is priced."""
    s = setting(scene(folder, EXPERTS))
    times, ones = Measured(s), np.ones(len(STRATEGIES), np.int64)
    tokens = np.array([3.0, 700, 64, 64])

    def ask(which: np.ndarray) -> list[np.ndarray]:
        held = Rows.of(s, STRATEGIES[which], ones[which])
        own = tokens[which]
        return [
            times.matrices(held, "weights", own, 1.0, ((4096, 1024 / held.tensor), (512, 4096))),
            times.routed_experts(held, own * held.data),
            times.all_reduce(held, own * 8192, held.tensor),
            times.expert_exchange(held, own),
        ]

    together = ask(np.arange(len(STRATEGIES)))
    for i in range(len(STRATEGIES)):
        for alone, all_of_them in zip(ask(np.array([i])), together, strict=True):
            assert alone[0] == all_of_them[i]


def test_several_matrices_are_each_by_their_own_point(folder: Path) -> None:
    held, times, _ = both(scene(folder))
    tokens, table = np.array([64.0]), {(r["m"], r["k"], r["n"]): r["latency"] for r in made.gemm(["bfloat16"])}
    found = times.matrices(held, "weights", tokens, 1.0, ((2048, 8192.0), (8192, 256)))
    assert found[0] == pytest.approx((table[64, 2048, 8192] + table[64, 8192, 256]) / 1e3, rel=1e-12)


def asks(held: Rows, times: Roofline) -> dict[str, np.ndarray]:
    tokens = np.array([64.0])
    return {
        "matrices": times.matrices(held, "weights", tokens, 1.0, ((4096, 4096.0),)),
        "experts": times.routed_experts(held, tokens),
        "all_reduce": times.all_reduce(held, tokens * 8192, np.array([4.0])),
    }


@pytest.mark.parametrize("operator", ["matrices", "experts", "all_reduce"])
def test_operators_with_stated_constants_are_the_data_sheets(folder: Path, operator: str) -> None:
    times = {"source": "measured", "tables": str(folder), "by_constants": [operator]}
    held, measured, sheet = both(scene(folder, EXPERTS, operator_times=times))
    for name, seconds in asks(held, measured).items():
        assert (seconds == asks(held, sheet)[name]) == (name == operator)


def test_operators_without_a_table_are_the_data_sheets(tmp_path: Path) -> None:
    made.write(made.place(tmp_path, "gemm", "gemm"), made.gemm())
    held, measured, sheet = both(scene(tmp_path, EXPERTS))
    for name, seconds in asks(held, measured).items():
        assert (seconds == asks(held, sheet)[name]) == (name != "matrices")


def test_a_table_that_cannot_be_read_is_not_priced_around(tmp_path: Path) -> None:
    made.place(tmp_path, "gemm", "gemm").parent.mkdir(parents=True)
    made.place(tmp_path, "gemm", "gemm").write_bytes(b"PAR1 no more")
    held, measured, _ = both(scene(tmp_path, EXPERTS))
    with pytest.raises(InputError, match=r"not a readable \.parquet"):
        asks(held, measured)


def test_all_reduce_over_nodes_is_the_data_sheets(folder: Path) -> None:
    s = setting(scene(folder))
    held = Rows.of(s, np.array([[16, 1, 1, 1, 1, 1]]), np.ones(1, np.int64))
    size, ranks = np.array([1e6]), np.array([16.0])
    assert Measured(s).all_reduce(held, size, ranks) == Roofline(s).all_reduce(held, size, ranks)


@pytest.mark.parametrize("overlap", [0.0, 0.25])
def test_hidden_communication_is_hidden_in_tables_too(folder: Path, overlap: float) -> None:
    held, measured, _ = both(scene(folder, efficiency={"overlap": overlap}))
    [row] = [
        r for r in made.reduces() if (r["num_gpus"], r["message_size"]) == (4, 2**19) and "graph" in r["kernel_source"]
    ]
    found = measured.all_reduce(held, np.array([2.0**20]), np.array([4.0]))
    assert found[0] == pytest.approx((1 - overlap) * row["latency"] / 1e3, rel=1e-12)
