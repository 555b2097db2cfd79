"""On the points of a table the answer is the table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from shardwise.solver.costs.silicon import ESTIMATED, EXTRAPOLATED, INTERPOLATED, MEASURED, Silicon
from shardwise.solver.costs.silicon.collectives import Operation
from shardwise.solver.costs.silicon.tables import Table, read_table

from . import asked, made

TIGHT = 1e-12


def table(folder: Path, operator: str, name: str, engine: str = "vllm", version: str = "0.24.0") -> Table:
    return read_table(made.place(folder, operator, name, engine, version), name)


def measured(answers: Iterable[asked.Asked]) -> None:
    """Every row is measured, and its seconds are the table's."""
    count = 0
    for seconds, (answer, kind) in answers:
        np.testing.assert_allclose(answer, seconds, rtol=TIGHT)
        assert (kind == MEASURED).all()
        count += len(seconds)
    assert count > 0


def test_products(folder: Path, silicon: Silicon) -> None:
    measured(asked.products(silicon, table(folder, "gemm", "gemm")))


@pytest.mark.parametrize("phase", ["context", "generation"])
def test_attention(folder: Path, silicon: Silicon, phase: str) -> None:
    measured(asked.cores(silicon, table(folder, "attention", f"{phase}_attention"), phase))


@pytest.mark.parametrize("phase", ["context", "generation"])
def test_latent_attention(folder: Path, silicon: Silicon, phase: str) -> None:
    measured(asked.latents(silicon, table(folder, "mla", f"{phase}_mla"), phase))


def test_absorb_products_are_both(folder: Path, silicon: Silicon) -> None:
    both = table(folder, "mla_bmm", "mla_bmm")
    once = both.where("op_name", "mla_gen_pre")
    tokens, heads = both.numbers["num_tokens"][once], both.numbers["num_heads"][once]
    measured([(2 * both.times["latency"][once], silicon.latent_absorb(tokens, heads))])


def test_experts_with_all_tokens_on_all_ranks(folder: Path, silicon: Silicon) -> None:
    measured(asked.mixtures(silicon, table(folder, "moe", "moe")))


def test_experts_behind_an_exchange_are_those_of_one_rank(silicon: Silicon) -> None:
    """vLLM's other rows hold work that an exchange saves; their efficiency is that of one rank."""
    shape = (7168, 2048, 8, 256)
    alone, kind = silicon.experts(256, *shape, 1, 1, "bf16")
    assert kind == MEASURED
    assert silicon.experts(256, *shape, 1, 1, "bf16", exchanged=False)[0] == alone
    eighth, kind = silicon.experts(256, *shape, 8, 1, "bf16")
    assert kind == INTERPOLATED
    assert eighth < alone


def test_all_reduce_comes_from_graphs(folder: Path, silicon: Silicon) -> None:
    reduces = table(folder, "comm", "custom_allreduce")
    graph = reduces.where("kernel_source", "vLLM_custom_graph")
    ranks, size = reduces.numbers["num_gpus"][graph], 2 * reduces.numbers["message_size"][graph]
    measured([(reduces.times["latency"][graph], silicon.all_reduce(ranks, size))])


@pytest.mark.parametrize("operation", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
def test_library(folder: Path, silicon: Silicon, operation: Operation) -> None:
    library = table(folder, "comm", "nccl", "nccl", "2.29.2")
    rows = library.where("op_name", operation.replace("all_to_all", "alltoall")) & library.where("nccl_dtype", "half")
    ranks, size = library.numbers["num_gpus"][rows], 2 * library.numbers["message_size"][rows]
    measured([(library.times["latency"][rows], silicon.collective(operation, ranks, size))])


def test_point_to_point_is_half_of_an_exchange_of_two(silicon: Silicon) -> None:
    seconds, kind = silicon.point_to_point(2.0**20)
    assert seconds == silicon.collective("all_to_all", 2, 2.0**21)[0]
    assert kind == ESTIMATED


@pytest.mark.parametrize("kernel", ["low_latency", "normal"])
@pytest.mark.parametrize("phase", ["dispatch", "combine"])
def test_exchange_takes_the_fastest_count_of_multiprocessors(silicon: Silicon, kernel: str, phase: str) -> None:
    seconds, kind = silicon.exchange(128, 7168, 8, 256, 8, phase, kernel)  # type: ignore[arg-type]
    rows = made.deep_ep("ll" if kernel == "low_latency" else "normal")
    times = [
        row[f"{phase}_{'avg_t' if kernel == 'low_latency' else 'transmit'}_us"]
        for row in rows
        if row["num_token"] == 128
    ]
    assert seconds == pytest.approx(1e-6 * times[0], rel=TIGHT)
    assert kind == MEASURED
    assert silicon.exchange(128, 7168, 8, 256, 4, phase, kernel)[1] == EXTRAPOLATED  # type: ignore[arg-type]


def test_no_work_takes_no_time_and_columns_are_broadcast(silicon: Silicon) -> None:
    seconds, kind = silicon.matrix("bf16", [[0], [8]], 2048, [256, 2048, 8192])
    assert seconds.shape == kind.shape == (2, 3)
    assert (seconds[0] == 0).all()
    assert (seconds[1] > 0).all()
    assert silicon.all_reduce(1, 1e6)[0] == 0
    assert silicon.exchange(0, 7168, 8, 256, 8, "dispatch")[0] == 0
    assert silicon.prompt_attention(0, 100, 0, 8, 8, 128)[0] == 0


def test_a_row_does_not_depend_on_its_neighbours(silicon: Silicon) -> None:
    rows, heads = np.array([1.0, 7, 300, 9000]), np.array([64.0, 20, 8, 40])
    together = silicon.decode_attention(rows, 10 * rows, heads, 4, 128)
    for i in range(len(rows)):
        one = silicon.decode_attention(rows[i], 10 * rows[i], heads[i], 4, 128)
        assert (one[0], one[1]) == (together[0][i], together[1][i])


def test_sources_name_the_files(folder: Path) -> None:
    fresh = Silicon(made.card(), "vllm", folder)
    assert fresh.sources == {}
    fresh.matrix("bf16", 8, 256, 256)
    assert fresh.sources == {"matrix bf16 (vllm)": "vllm 0.24.0, h100_sxm/gemm/vllm/0.24.0/gemm_perf.parquet"}
