"""The installed tables (`shardwise[silicon]`): read as they are. Every card, and the clock, are opt-in:

SHARDWISE_SILICON=…/aiconfigurator_core/systems/data python -m pytest tests/solver/costs/silicon tests/solver/verify
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from shardwise.models.errors import InputError
from shardwise.models.silicon_folder import CARDS, RELATIVES, card_folder, tables_folder
from shardwise.solver.costs.silicon import ESTIMATED, MEASURED, Silicon
from shardwise.solver.costs.silicon.files import ENGINES, newest
from shardwise.solver.costs.silicon.grids import Answer
from shardwise.solver.costs.silicon.tables import read_table

from . import asked, made


def installed() -> bool:
    try:
        tables_folder()
    except InputError:
        return False
    return True


pytestmark = pytest.mark.skipif(not installed(), reason="no silicon tables: pip install 'shardwise[silicon]'")
OPT_IN = "opt-in: SHARDWISE_SILICON"
everything = pytest.mark.skipif(os.environ.get("SHARDWISE_SILICON", "none") == "none", reason=OPT_IN)
SOME = [("h100-sxm", "vllm"), ("b200-sxm", "trtllm"), ("l40s", "sglang")]
REST = [(card, engine) for card in CARDS for engine in ENGINES if (card, engine) not in SOME]
TABLES: dict[tuple[str, str], Callable[..., Iterator[asked.Asked]]] = {
    ("gemm", "gemm"): asked.products,
    ("attention", "context_attention"): lambda *of: asked.cores(*of, "context"),
    ("attention", "generation_attention"): lambda *of: asked.cores(*of, "generation"),
    ("mla", "context_mla"): lambda *of: asked.latents(*of, "context"),
    ("mla", "generation_mla"): lambda *of: asked.latents(*of, "generation"),
    ("moe", "moe"): asked.mixtures,
}
LEAST = 0.6
"""Of the rows that a table serves itself; the others are warm caches and failed slices (docs/silicon.md)."""


@pytest.mark.parametrize(("card", "engine"), [*SOME, *(pytest.param(*pair, marks=everything) for pair in REST)])
def test_what_is_called_measured_is_the_table(card: str, engine: str) -> None:
    silicon = Silicon(made.card(card), engine)
    for (operator, name), ask in TABLES.items():
        file = newest(card_folder(tables_folder(), card), operator, engine, name)
        if file is None:
            continue
        served = exact = 0
        for seconds, (answer, kind) in ask(silicon, read_table(file.path, name)):
            # rows of the same work have the same answer, which is one of theirs
            _, same = np.unique(answer, return_inverse=True)
            off = np.full(same.max() + 1, np.inf)
            np.minimum.at(off, same, np.abs(answer / seconds - 1))
            measured = kind == MEASURED
            assert off[same][measured].max(initial=0) < 1e-9
            served += int((kind != ESTIMATED).sum())
            exact += int(measured.sum())
        assert exact >= LEAST * served, (name, exact, served)


def layer(silicon: Silicon, rows: int) -> dict[str, Callable[[], Answer]]:
    """Every operator of a decoder layer, each with different strategies and batches in `rows` rows."""
    rng = np.random.default_rng(1)
    tensor, expert = 2.0 ** rng.integers(0, 4, rows), 2.0 ** rng.integers(0, 5, rows)
    tokens, n = rng.uniform(1, 8192, rows), rng.uniform(1, 512, rows)
    context = rng.uniform(100, 32000, rows)
    held = "fp8" if silicon.sheet.peaks["fp8"] > silicon.sheet.peaks["bf16"] else "bf16"
    return {
        "qkv": lambda: silicon.matrix(held, tokens, 8192, 10240 / tensor),
        "out": lambda: silicon.matrix(held, tokens, 8192 / tensor, 8192),
        "up": lambda: silicon.matrix(held, tokens, 8192, 57344 / tensor),
        "down": lambda: silicon.matrix(held, tokens, 28672 / tensor, 8192),
        "prompts": lambda: silicon.prompt_attention(tokens / 2000, 2000, 0, 64 / tensor, 8 / tensor, 128),
        "prefixes": lambda: silicon.prompt_attention(1, tokens, context, 64 / tensor, 8 / tensor, 128),
        "decoding": lambda: silicon.decode_attention(n, context, 64 / tensor, 8 / tensor, 128),
        "window": lambda: silicon.decode_attention(n, context, 64 / tensor, 8 / tensor, 64, window=128),
        "latent prompts": lambda: silicon.latent_prompt(tokens / 2000, 2000, 0, 128 / tensor),
        "latent decoding": lambda: silicon.latent_decode(n, context, 128 / tensor),
        "absorbed": lambda: silicon.latent_absorb(tokens, 128 / tensor),
        "experts": lambda: silicon.experts(tokens, 7168, 2048, 8, 256, expert, tensor, held),
        "sum": lambda: silicon.all_reduce(tensor, 16384 * tokens),
        "gather": lambda: silicon.collective("all_gather", tensor, 16384 * tokens),
        "send": lambda: silicon.point_to_point(16384 * tokens),
        "dispatch": lambda: silicon.exchange(tokens, 7168, 8, 256, expert, "dispatch"),
        "combine": lambda: silicon.exchange(tokens, 7168, 8, 256, expert, "combine"),
    }


@everything
@pytest.mark.parametrize("engine", [*ENGINES, None])
@pytest.mark.parametrize("card", [*CARDS, *RELATIVES])
def test_every_card_answers(card: str, engine: str | None) -> None:
    """Or says that it has no table."""
    answered = 0
    for ask in layer(Silicon(made.card(card), engine), 500).values():
        try:
            seconds, kind = ask()
        except InputError as error:
            assert "no measured" in error.message
            continue
        answered += 1
        assert np.isfinite(seconds).all()
        assert ((seconds > 0) & (seconds < 1000) | (kind == 0)).all()
        assert card in CARDS or ((kind == ESTIMATED) | (seconds == 0)).all()
    assert answered >= 10


@everything
@pytest.mark.parametrize(("card", "engine"), SOME)
def test_fast_enough(card: str, engine: str) -> None:
    """All tables of a card in 0.5 s, 10^5 rows of all operators together in 2 s, both on one core."""
    silicon = Silicon(made.card(card), engine)
    spent = {}
    for rows in (1, 100_000):
        begun = time.process_time()
        for ask in layer(silicon, rows).values():
            try:
                ask()
            except InputError as error:
                assert "no measured" in error.message
        spent[rows] = time.process_time() - begun
    assert spent[1] <= 0.5
    assert spent[100_000] <= 2.0
