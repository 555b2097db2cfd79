"""Silicon tables twice: columns through numpy and one call in plain floats give the same seconds and kinds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shardwise.models import silicon_folder
from shardwise.models.errors import InputError
from shardwise.solver.costs.silicon import Silicon, sheets
from shardwise.solver.verify.silicon import PlainSilicon, roofs, tables

from tests.solver.costs.silicon import made

AGREED = 1e-12
EXTRA = ("h800-sxm", "h100-pcie", "l4")
"""Cards that nobody measured, two of them with links of another relative."""


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str | None], tuple[Silicon, PlainSilicon]]:
    """Both routes for each (card, engine)."""
    root = made.write_card(tmp_path_factory.mktemp("twice"))
    made.write_card(root, "l40s", "trtllm")
    return {
        (card, engine): (Silicon(made.card(card), engine, root), PlainSilicon(made.card(card), engine, root))
        for card in ("h100-sxm", "l40s", *EXTRA)
        for engine in ("vllm", "trtllm", None)
    }


def sizes(low: float, high: float) -> st.SearchStrategy[float]:
    """Whole and broken numbers, small ones as likely as large ones, and points of the tables."""
    spread = st.floats(0, 1).map(lambda share: low * (high / low) ** share)
    return st.one_of(spread, spread.map(lambda x: float(round(x))), st.sampled_from([0.0, 1, 8, 64, 128, 1024, 8192]))


FORMATS = st.sampled_from(list(sheets.FORMATS))
CACHES = st.sampled_from(list(sheets.KV_FORMATS))
HEADS = st.sampled_from([(64, 8), (32, 8), (8, 1), (8, 8), (24, 6), (128, 128), (7, 1), (1, 1), (12.5, 2.5)])
LATENT_HEADS = st.sampled_from([128, 64, 100, 16, 8, 1, 200])
DIMS = st.sampled_from([64, 128, 192, 96])
WINDOWS = st.sampled_from([0, 0, 128, 300, 4096])
PREFIXES = st.one_of(st.just(0.0), sizes(1, 1e5))
MIXTURES = st.sampled_from([*made.MIXTURES, (5120, 1536, 6, 160), (4096, 14336, 2, 8), (3000, 1000, 4, 4)])
SPLITS = st.sampled_from([1, 2, 3, 4, 8, 32])
RANKS = st.sampled_from([1, 2, 3, 4, 8, 16, 72])
COLLECTIVES = st.sampled_from(["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])

ASKS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "matrix": st.tuples(FORMATS, sizes(0.2, 1e6), sizes(16, 1e6), sizes(16, 1e6)).filter(lambda x: x[2] * x[3] > 0),
    "prompt_attention": st.tuples(sizes(0.2, 500), sizes(1, 1e5), PREFIXES, HEADS, DIMS, CACHES, WINDOWS),
    "decode_attention": st.tuples(sizes(0.2, 5000), sizes(1, 1e6), HEADS, DIMS, CACHES, WINDOWS),
    "latent_prompt": st.tuples(sizes(0.2, 500), sizes(1, 1e5), PREFIXES, LATENT_HEADS, CACHES),
    "latent_decode": st.tuples(sizes(0.2, 5000), sizes(1, 1e6), LATENT_HEADS, CACHES),
    "latent_absorb": st.tuples(sizes(0.2, 1e5), LATENT_HEADS, FORMATS),
    "experts": st.tuples(sizes(0.2, 1e6), MIXTURES, SPLITS, SPLITS, FORMATS),
    "all_reduce": st.tuples(RANKS, sizes(1, 1e10)),
    "collective": st.tuples(COLLECTIVES, RANKS, sizes(1, 1e10)),
    "point_to_point": st.tuples(sizes(1, 1e10)),
    "exchange": st.tuples(
        sizes(0.2, 1e5),
        st.sampled_from([(7168, 8, 256), (5000, 6, 100)]),
        RANKS,
        st.sampled_from(["dispatch", "combine"]),
        st.sampled_from(["low_latency", "normal"]),
    ),
}


def flat(ask: tuple[Any, ...]) -> list[Any]:
    """Groups of arguments taken apart."""
    return [x for part in ask for x in (part if isinstance(part, tuple) else (part,))]


def agree(pair: tuple[Silicon, PlainSilicon], operator: str, ask: list[Any], **how: bool) -> None:
    """Equal seconds and kinds, or no table on either side."""
    columns, plain = pair
    try:
        seconds, kind = getattr(columns, operator)(*ask, **how)
    except InputError:
        with pytest.raises(LookupError):
            getattr(plain, operator)(*ask, **how)
        return
    again, same_kind = getattr(plain, operator)(*ask, **how)
    assert again == pytest.approx(float(seconds), rel=AGREED, abs=0)
    assert same_kind == kind


@pytest.mark.parametrize("operator", ASKS)
@settings(max_examples=150)
@given(data=st.data())
def test_both_routes_agree(routes: Any, operator: str, data: st.DataObject) -> None:
    pair = routes[data.draw(st.sampled_from(list(routes)))]
    how = {}
    if operator == "experts":
        how = {"exchanged": data.draw(st.booleans()), "gated": data.draw(st.booleans())}
    agree(pair, operator, flat(data.draw(ASKS[operator])), **how)


@pytest.mark.skipif(
    os.environ.get("SHARDWISE_SILICON", "none") == "none", reason="opt-in: SHARDWISE_SILICON names no folder of tables"
)
@pytest.mark.parametrize(
    ("card", "engine"),
    [
        ("a100-sxm-80gb", None),
        ("h100-sxm", "vllm"),
        ("h200-sxm", "sglang"),
        ("b200-sxm", "trtllm"),
        ("gb300-nvl72", "vllm"),
        ("rtx-pro-6000-server", "sglang"),
        ("arc-pro-b60", None),
        ("l4", None),
    ],
)
def test_both_routes_agree_on_real_tables(card: str, engine: str | None) -> None:
    """Some ten seconds for each card."""
    pair = Silicon(made.card(card), engine), PlainSilicon(made.card(card), engine)
    for operator in ASKS:
        sample(pair, operator)


def sample(pair: tuple[Silicon, PlainSilicon], operator: str) -> None:
    @settings(max_examples=25)
    @given(ASKS[operator], st.booleans(), st.booleans())
    def once(ask: tuple[Any, ...], exchanged: bool, gated: bool) -> None:
        how = {"exchanged": exchanged, "gated": gated} if operator == "experts" else {}
        agree(pair, operator, flat(ask), **how)

    once()


def test_both_know_the_same_cards_and_formats() -> None:
    assert tables.FOLDERS == silicon_folder.CARDS
    assert tables.STAND_INS == silicon_folder.RELATIVES
    assert set(roofs.FORMATS) == set(sheets.FORMATS)


def test_planted_defects_do_not_part_them(tmp_path: Path) -> None:
    """Duplicates, failed slices, spikes, launches, versions: each route has its own guard."""
    rows = made.moe(
        ["bfloat16", "fp8"], [(h, f, r, e) for h in (3072, 7168) for f, r, e in ((1024, 4, 64), (2048, 8, 256))]
    )
    slow = [
        row | {"latency": row["latency"] * (9 if row["hidden_size"] + row["moe_ep_size"] == 3073 else 1)}
        for row in rows
    ]
    made.write(made.place(tmp_path, "moe", "moe"), slow + rows[:9])
    launched = [row | {"latency": row["latency"] + 0.06} for row in made.gemm()]
    made.write(made.place(tmp_path, "gemm", "gemm"), launched)
    made.write(made.place(tmp_path, "gemm", "gemm", "sglang", "0.5.10"), made.gemm()[::-1])
    made.write(made.place(tmp_path, "gemm", "gemm", "sglang", "0.5.9.post1"), launched)
    spikes = [row | {"latency": row["latency"] * (9 if row["message_size"] == 128 else 1)} for row in made.reduces()]
    made.write(made.place(tmp_path, "comm", "custom_allreduce"), spikes)
    pair = Silicon(made.card(), "vllm", tmp_path), PlainSilicon(made.card(), "vllm", tmp_path)
    for tokens in (0.5, 1, 20, 1e5):
        for ranks in (1, 2, 8):
            agree(pair, "experts", [tokens, 3072, 1024, 4, 64, ranks, 1, "bf16"], exchanged=False)
            agree(pair, "experts", [tokens, 3072, 1024, 4, 64, ranks, 2, "fp8"])
            agree(pair, "all_reduce", [ranks, 100 * tokens])
        agree(pair, "matrix", ["bf16", tokens, 256, 2048])
        agree(pair, "matrix", ["nvfp4", tokens, 300, 3000])
