"""What stands in where a card, an engine or a format was not measured, and that the answer says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shardwise.models.errors import InputError
from shardwise.solver.costs.silicon import ESTIMATED, MEASURED, Silicon

from . import made


def test_a_relative_with_the_same_data_sheet_takes_the_same_time(folder: Path, silicon: Silicon) -> None:
    """H800 differs from H100 in its links alone."""
    sheet = made.card().model_dump(exclude={"id", "sources", "assumed"})
    other = Silicon(made.card("h800-sxm", **sheet), "vllm", folder)
    assert other.relative == "h100-sxm"
    for answer, own in (
        (other.matrix("bf16", 8, 2048, 8192), silicon.matrix("bf16", 8, 2048, 8192)),
        (other.decode_attention(4, 1024, 32, 8, 128), silicon.decode_attention(4, 1024, 32, 8, 128)),
        (other.experts(256, 7168, 2048, 8, 256, 1, 1, "bf16"), silicon.experts(256, 7168, 2048, 8, 256, 1, 1, "bf16")),
        (other.all_reduce(8, 2.0**20), silicon.all_reduce(8, 2.0**20)),
    ):
        assert answer[0] == pytest.approx(own[0], rel=1e-12)
        assert answer[1] == ESTIMATED


def test_a_relative_is_scaled_by_its_data_sheet(folder: Path) -> None:
    """Half the bandwidth, twice the time of what bandwidth bounds; half the link, twice the time of large sums."""
    slow = made.card("h800-sxm", memory_bandwidth=3.35e12 / 2, compute=made.card().compute)
    slow = slow.model_copy(update={"node_link": slow.node_link.model_copy(update={"bandwidth": 225e9})})
    pair = [Silicon(card, "vllm", folder) for card in (made.card(), slow)]
    for ask in (lambda s: s.decode_attention(4096, 8192, 8, 8, 128), lambda s: s.all_reduce(8, 1e10)):
        fast, half = (float(ask(one)[0]) for one in pair)
        assert half / fast == pytest.approx(2, rel=1e-3)


def test_links_of_another_relative(folder: Path) -> None:
    """H100 PCIe computes as H100 does, but its links are not NVLink."""
    card = Silicon(made.card("h100-pcie"), "vllm", made.write_card(folder, "l40s"))
    card.matrix("bf16", 8, 2048, 8192)
    card.all_reduce(2, 1e6)
    assert "h100_sxm" in card.sources["matrix bf16 (vllm)"]
    assert "l40s" in card.sources["all_reduce"]


def test_a_card_measured_after_all_needs_no_relative(tmp_path: Path) -> None:
    made.write_card(tmp_path)
    empty = tmp_path / "l4"
    empty.mkdir()
    made.write_card(tmp_path, "l40s")
    assert Silicon(made.card("l4"), "vllm", tmp_path).relative == "l40s"
    made.write_card(tmp_path, "l4")
    own = Silicon(made.card("l4"), "vllm", tmp_path)
    assert own.relative is None
    own.matrix("bf16", 8, 2048, 8192)
    assert "l4/gemm" in own.sources["matrix bf16 (vllm)"]


def test_another_engines_table_is_an_estimate(folder: Path, silicon: Silicon) -> None:
    other = Silicon(made.card(), "sglang", folder)
    any_engine = Silicon(made.card(), None, folder)
    ask = (4, 1024, 32, 8, 128)
    seconds, kind = other.decode_attention(*ask)
    assert kind == ESTIMATED
    assert any_engine.decode_attention(*ask)[1] == MEASURED
    assert seconds == silicon.decode_attention(*ask)[0]


def test_libraries_are_every_engines(folder: Path, silicon: Silicon) -> None:
    """Products and collectives of whole nodes: what one engine calls, another could."""
    other = Silicon(made.card(), "sglang", folder)
    for ask in (
        lambda s: s.collective("all_gather", 2, 2.0**21),
        lambda s: s.matrix("bf16", 8, 2048, 8192),
    ):
        assert ask(other) == ask(silicon)
        assert ask(other)[1] == MEASURED


@pytest.mark.parametrize("name", ["fp8_block", "nvfp4", "int8", "int4", "mxfp4", "mxfp4_fp8"])
def test_a_format_without_a_table_takes_the_nearest_efficiency(silicon: Silicon, name: str) -> None:
    seconds, kind = silicon.matrix(name, [1, 4096], 8192, 8192)
    assert (kind == ESTIMATED).all()
    assert (seconds < silicon.matrix("bf16", [1, 4096], 8192, 8192)[0] * 1.01).all()


def test_ungated_experts_do_two_thirds_of_the_work(silicon: Silicon) -> None:
    shape: tuple[Any, ...] = (1e7, 7168, 2048, 8, 256, 1, 1, "bf16")
    gated, two = silicon.experts(*shape), silicon.experts(*shape, gated=False)
    assert two[1] == ESTIMATED
    assert two[0] / gated[0] == pytest.approx(2 / 3, rel=1e-3)


@pytest.mark.parametrize(("dim", "window"), [(96, 0), (256, 0), (128, 512)])
def test_unmeasured_heads_and_windows_do_their_own_work(silicon: Silicon, dim: int, window: int) -> None:
    seconds, kind = silicon.decode_attention(16, 4096, 32, 8, dim, window=window)
    assert kind == ESTIMATED
    full = silicon.decode_attention(16, 4096, 32, 8, 128)[0]
    work = dim / 128 * (window or 4096) / 4096
    assert 0.7 * work < seconds / full < 1.5 * work + 0.5


def test_a_missing_operator_is_refused_and_says_what_to_add(tmp_path: Path) -> None:
    made.write(made.place(tmp_path, "gemm", "gemm"), made.gemm())
    card = Silicon(made.card(), "vllm", tmp_path)
    card.matrix("bf16", 8, 2048, 8192)
    with pytest.raises(InputError, match="no measured attention times for h100-sxm") as caught:
        card.decode_attention(1, 100, 8, 8, 128)
    assert "attention/<engine>/<version>/generation_attention_perf.parquet" in str(caught.value.help)
    # what is not done is not looked for
    assert card.decode_attention(np.zeros(3), 100, 8, 8, 128)[0].sum() == 0


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda s: s.matrix("fp7", 1, 1, 1), "no format 'fp7'"),
        (lambda s: s.decode_attention(1, 1, 1, 1, 64, "int3"), "no KV cache in 'int3'"),
        (lambda s: s.collective("broadcast", 2, 1), "no collective 'broadcast'"),
    ],
)
def test_unknown_words_are_refused(silicon: Silicon, ask: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ask(silicon)
