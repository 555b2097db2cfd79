"""Known defects of measurements, each planted once: what the reader does about them (docs/silicon.md, section 6)."""

from __future__ import annotations

from pathlib import Path

import pytest
from shardwise.solver.costs.silicon import ESTIMATED, INTERPOLATED, MEASURED, Silicon

from . import made


def card_with(root: Path, operator: str, table: str, rows: list[made.Row], engine: str = "vllm") -> Silicon:
    made.write(made.place(root, operator, table, engine), rows)
    return Silicon(made.card(), engine, root)


def test_of_duplicates_the_fastest_counts(tmp_path: Path) -> None:
    rows = made.gemm(["bfloat16"])
    slow = [{**row, "latency": 3 * row["latency"]} for row in rows]
    made.write_card(tmp_path / "once")
    once = Silicon(made.card(), "vllm", tmp_path / "once")
    both = card_with(tmp_path / "twice", "gemm", "gemm", slow + rows + slow)
    assert both.matrix("bf16", [8, 100], 2048, 8192)[0] == pytest.approx(once.matrix("bf16", [8, 100], 2048, 8192)[0])


def test_weights_from_a_warm_cache_are_read_from_memory(tmp_path: Path) -> None:
    """No product takes less than its weights at 92 % of the bandwidth."""
    rows = [{**row, "latency": row["latency"] / 3} for row in made.gemm(["bfloat16"])]
    seconds, kind = card_with(tmp_path, "gemm", "gemm", rows).matrix("bf16", 1, 8192, 8192)
    assert seconds == pytest.approx(2 * 8192**2 / (0.92 * 3.35e12), rel=1e-12)
    assert kind == INTERPOLATED


def test_a_cache_of_keys_is_cold(tmp_path: Path) -> None:
    rows = [{**row, "latency": row["latency"] / 3} for row in made.attention("generation")]
    card = card_with(tmp_path, "attention", "generation_attention", rows)
    seconds, kind = card.decode_attention(64, 1024, 32, 8, 128)
    assert seconds == pytest.approx(64 * 1024 * 4096 / (0.92 * 3.35e12), rel=1e-12)
    assert kind == INTERPOLATED


@pytest.mark.parametrize("engine", ["vllm", "trtllm", "sglang", None])
def test_of_all_engines_products_the_quickest_counts(tmp_path: Path, engine: str | None) -> None:
    """One was timed with launches, another has slow kernels for small products: each shape has its own best."""
    rows = made.gemm(["bfloat16"])
    made.write(made.place(tmp_path, "gemm", "gemm"), [{**row, "latency": row["latency"] + 0.06} for row in rows])
    small = [{**row, "latency": row["latency"] * (9 if row["m"] <= 64 else 1)} for row in rows]
    made.write(made.place(tmp_path, "gemm", "gemm", "trtllm", "1.3.0"), small)
    large = [{**row, "latency": row["latency"] * (9 if row["m"] > 64 else 1)} for row in rows]
    made.write(made.place(tmp_path, "gemm", "gemm", "sglang", "0.5.12"), large)
    card = Silicon(made.card(), engine, tmp_path)
    for row in rows:
        seconds, kind = card.matrix("bf16", row["m"], row["k"], row["n"])
        assert seconds == pytest.approx(row["latency"] / 1e3, rel=1e-12)
        assert kind == MEASURED
    served = {name: text.split()[0] for name, text in card.sources.items()}
    assert served == {f"matrix bf16 ({engine})": engine for engine in ("vllm", "trtllm", "sglang")}


def test_the_kind_is_that_of_the_quickest_table(tmp_path: Path) -> None:
    """A slower table that has the very point does not make a time between points a measured one."""
    rows = made.gemm(["bfloat16"])
    made.write(made.place(tmp_path, "gemm", "gemm"), [row for row in rows if row["m"] != 64])
    made.write(made.place(tmp_path, "gemm", "gemm", "trtllm"), [{**row, "latency": 3 * row["latency"]} for row in rows])
    card = Silicon(made.card(), "vllm", tmp_path)
    assert card.matrix("bf16", 64, 2048, 8192)[1] == INTERPOLATED
    assert card.matrix("bf16", 512, 2048, 8192)[1] == MEASURED


def test_a_format_of_another_engine_comes_before_a_nearer_tables_other_format(tmp_path: Path) -> None:
    made.write(made.place(tmp_path, "gemm", "gemm"), made.gemm(["bfloat16"]))
    made.write(made.place(tmp_path, "gemm", "gemm", "trtllm"), made.gemm(["fp8"]))
    card = Silicon(made.card(), "vllm", tmp_path)
    assert card.matrix("fp8", 8, 2048, 8192)[1] == MEASURED
    assert list(card.sources) == ["matrix fp8 (trtllm)"]


def test_products_timed_with_launches_stay_where_nothing_is_better(tmp_path: Path) -> None:
    rows = [{**row, "latency": row["latency"] + 0.06} for row in made.gemm(["bfloat16"])]
    assert card_with(tmp_path, "gemm", "gemm", rows).matrix("bf16", 8, 256, 256)[1] == MEASURED


SHAPE = {"hidden_size": 3072, "inter_size": 1024, "topk": 4, "num_experts": 64}


def mixtures() -> list[made.Row]:
    """Enough slices to know a slow one."""
    shapes = [(h, f, r, e) for h in (3072, 4096, 7168) for f, r, e in ((1024, 4, 64), (1536, 8, 128), (2048, 8, 256))]
    return made.moe(["bfloat16"], shapes)


def planted(row: made.Row) -> bool:
    return all(row[key] == value for key, value in SHAPE.items()) and row["moe_tp_size"] == row["moe_ep_size"] == 1


def test_a_slice_that_failed_is_read_from_its_neighbours(tmp_path: Path) -> None:
    good = card_with(tmp_path / "good", "moe", "moe", mixtures()).experts(256, 3072, 1024, 4, 64, 1, 1, "bf16")
    rows = [{**row, "latency": row["latency"] * (8 if planted(row) else 1)} for row in mixtures()]
    seconds, kind = card_with(tmp_path / "bad", "moe", "moe", rows).experts(256, 3072, 1024, 4, 64, 1, 1, "bf16")
    assert good[1] == MEASURED
    assert kind == INTERPOLATED
    assert seconds == pytest.approx(good[0], rel=0.25)


def test_rows_faster_than_possible_did_other_work(tmp_path: Path) -> None:
    rows = [{**row, "latency": row["latency"] * (0.2 if planted(row) else 1)} for row in mixtures()]
    card = card_with(tmp_path, "moe", "moe", rows)
    assert card.experts(4096, 3072, 1024, 4, 64, 1, 1, "bf16")[1] == INTERPOLATED


def test_models_with_two_matrices_and_other_routing_are_left_out(tmp_path: Path) -> None:
    rows = made.moe(["bfloat16"])
    others = made.moe(["bfloat16"], [(2688, 1856, 6, 128)])
    others += [{**row, "kernel_source": "cutlass_nongated"} for row in made.moe(["bfloat16"], [(2048, 1024, 4, 32)])]
    for spread, times in (("power_law_1.2", 0.9), ("balanced", 0.8)):
        others += [{**row, "distribution": spread, "latency": times * row["latency"]} for row in rows]
    card = card_with(tmp_path, "moe", "moe", rows + others)
    seconds, kind = card.experts(16, 7168, 2048, 8, 256, 1, 1, "bf16")
    [asked] = [row for row in rows if of(row, 7168, 2048, 16)]
    assert (seconds, kind) == (pytest.approx(asked["latency"] / 1e3, rel=1e-12), MEASURED)
    assert card.experts(16, 2688, 1856, 6, 128, 1, 1, "bf16")[1] == INTERPOLATED
    assert card.experts(16, 2048, 1024, 4, 32, 1, 1, "bf16")[1] == INTERPOLATED


def of(row: made.Row, hidden: int, width: int, tokens: int) -> bool:
    whole = row["moe_tp_size"] == row["moe_ep_size"] == 1
    return whole and (row["hidden_size"], row["inter_size"], row["num_tokens"]) == (hidden, width, tokens)


def test_balanced_routing_stands_in_where_there_is_no_other(tmp_path: Path) -> None:
    rows = made.moe(["bfloat16"], spread="balanced")
    seconds, kind = card_with(tmp_path, "moe", "moe", rows).experts(16, 7168, 2048, 8, 256, 1, 1, "bf16")
    [asked] = [row for row in rows if of(row, 7168, 2048, 16)]
    assert (seconds, kind) == (pytest.approx(asked["latency"] / 1e3, rel=1e-12), ESTIMATED)


def test_a_kernel_nobody_serves_with_is_left_out(tmp_path: Path) -> None:
    """vLLM's experts in fp8 on Hopper: the block-wise format's efficiency stands in."""
    card = card_with(tmp_path, "moe", "moe", made.moe(["fp8", "fp8_block"]))
    assert card.experts(16, 7168, 2048, 8, 256, 1, 1, "fp8")[1] == ESTIMATED
    assert card.experts(16, 7168, 2048, 8, 256, 1, 1, "fp8_block")[1] == MEASURED


def test_spikes_of_small_messages_go(tmp_path: Path) -> None:
    rows = [{**row, "latency": row["latency"] * (9 if row["message_size"] == 128 else 1)} for row in made.reduces()]
    card = card_with(tmp_path, "comm", "custom_allreduce", rows)
    assert card.all_reduce(8, 256)[0] == card.all_reduce(8, 16384)[0]


def test_an_engine_without_graphs_is_taken_as_it_is(tmp_path: Path) -> None:
    rows = [row for row in made.reduces() if row["kernel_source"].endswith("eager")]
    assert card_with(tmp_path, "comm", "custom_allreduce", rows).all_reduce(8, 256)[0] > 25e-6


def test_a_head_count_of_zero_is_one_kv_head_per_head(tmp_path: Path) -> None:
    rows = made.attention("generation")
    for row in rows:
        if row["num_heads"] == row["num_key_value_heads"]:
            row["num_key_value_heads"] = 0
    card = card_with(tmp_path, "attention", "generation_attention", rows)
    assert card.decode_attention(4, 1024, 8, 8, 128)[1] == MEASURED


def test_a_table_without_windows_has_none(tmp_path: Path) -> None:
    rows = [row for row in made.attention("generation") if not row["window_size"]]
    for row in rows:
        del row["window_size"]
    card = card_with(tmp_path, "attention", "generation_attention", rows)
    assert card.decode_attention(4, 1024, 8, 8, 128)[1] == MEASURED
    assert card.decode_attention(4, 1024, 8, 8, 128, window=128)[1] == ESTIMATED
