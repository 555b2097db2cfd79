"""How well one card's efficiencies price another: `python -m benchmarks.silicon_relatives h200-sxm h100-sxm`.

The first card's measured points are priced from the second's tables on the first's data sheet, as a card that nobody
measured would be. Columns: median and 90th percentile of |ratio| - 1, median of the ratio - 1, points.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from shardwise.models import catalog
from shardwise.models.errors import InputError
from shardwise.models.hardware import Accelerator
from shardwise.models.silicon_folder import tables_folder
from shardwise.solver.costs.silicon import MEASURED, Silicon, attention, collectives, experts, latent, matrix
from shardwise.solver.costs.silicon.grids import Answer, Grid

from .silicon import tried

Both = tuple[str, Answer, Answer]


def points(grid: Grid) -> tuple[NDArray[np.intp], list[NDArray[np.float64]]]:
    """(slice, coordinates) of every known point."""
    index = np.argwhere(grid.known)
    return index[:, 0], [axis[index[:, i + 1]] for i, axis in enumerate(grid.axes)]


def answers(own: Silicon, like: Silicon) -> Iterator[Both]:
    """What a card's tables say of their points, and what the relative's do."""
    store = own._computes
    for name in ("bf16", "fp8", "fp8_block", "nvfp4"):
        products = tried(lambda name=name: matrix._products(store, name))
        if products is not None and products[0].exact:
            _, (m, n, k) = points(products[0].grid)
            yield f"GEMM {name}", own.matrix(name, m, k, n), like.matrix(name, m, k, n)
    for phase, title in (("context_attention", "prompts"), ("generation_attention", "decoding")):
        wanted = attention.Category("bfloat16", "bfloat16", 128.0, 0.0)
        cores = tried(lambda phase=phase, wanted=wanted: attention._find(store, phase, wanted))
        if cores is not None and cores.exact:
            slices, (n, length) = points(cores.grid)
            heads, kv = cores.grid.shapes[slices, 0], cores.grid.shapes[slices, 1]
            if title == "prompts":
                yield title, *(s.prompt_attention(n, length, 0, heads, kv, 128) for s in (own, like))
            else:
                yield title, *(s.decode_attention(n, length, heads, kv, 128) for s in (own, like))
    cores = tried(lambda: latent._cores(store, "generation_mla", "bf16"))
    if cores is not None and cores.exact:
        _, (heads, n, length) = points(cores.grid)
        yield "latent decoding", own.latent_decode(n, length, heads), like.latent_decode(n, length, heads)
    for name in ("bf16", "fp8_block", "nvfp4"):
        mixtures = tried(lambda name=name: experts._mixtures(store, name, False))
        if mixtures is not None and mixtures.exact:
            slices, (tokens,) = points(mixtures.grid)
            for number, (hidden, shard, per_token, count, ranks) in enumerate(mixtures.grid.shapes):
                shape = (tokens[slices == number], hidden, shard, per_token, count, ranks, 1, name)
                yield f"experts {name}", *(s.experts(*shape, exchanged=False) for s in (own, like))
    reduces = tried(lambda: collectives._of_engine(own._moves))
    if reduces is not None and reduces.exact:
        _, (ranks, size) = points(reduces.grid)
        yield "all-reduce", own.all_reduce(ranks, size), like.all_reduce(ranks, size)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of a pair of cards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("card", help="catalog id of the card to price")
    parser.add_argument("relative", help="catalog id of the card whose tables stand in")
    parser.add_argument("--engine", help="vllm, sglang or trtllm; absent: the order of preference")
    parser.add_argument("--folder", type=Path, help="tables other than the installed package's")
    chosen = parser.parse_args(arguments)
    card = Accelerator.model_validate({**catalog.accelerator(chosen.card), "id": chosen.card})
    own, like = (Silicon(card, chosen.engine, chosen.folder) for _ in range(2))
    other = Silicon._store(tables_folder(chosen.folder), chosen.relative, card, chosen.engine)
    like._computes = like._moves = other
    errors: dict[str, list[NDArray[np.float64]]] = {}
    try:
        for operator, (measured, kind), (estimated, _) in answers(own, like):
            errors.setdefault(operator, []).append(np.log(estimated / measured)[kind == MEASURED])
    except InputError as error:
        print(error)
    print(f"| {chosen.card} from {chosen.relative}, {chosen.engine or 'any'} | median | 90 % | bias | points |")
    print("|---|---|---|---|---|")
    for operator, parts in errors.items():
        off = np.concatenate(parts)
        size, bias = np.expm1(np.abs(off)), np.expm1(np.median(off))
        print(f"| {operator} | {np.median(size):.1%} | {np.quantile(size, 0.9):.1%} | {bias:+.0%} | {len(off):,} |")


if __name__ == "__main__":
    main()
