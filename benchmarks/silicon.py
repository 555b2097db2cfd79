"""How well the silicon tables predict points left out: `python -m benchmarks.silicon h100-sxm [--engine vllm]`.

Columns: what was left out, median and 90th percentile of |ratio| - 1, points.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from shardwise.models import catalog
from shardwise.models.errors import InputError
from shardwise.models.hardware import Accelerator
from shardwise.solver.costs.silicon import Silicon, attention, collectives, exchange, experts, latent, matrix
from shardwise.solver.costs.silicon.grids import NEIGHBOURS, Grid
from shardwise.solver.costs.silicon.sheets import FORMATS

Column = NDArray[np.float64]
Line = tuple[str, str, Column]


def without_axes(grid: Grid, *axes: int) -> Column:
    """Errors in e of inner points from the points diagonally around them in some axes."""
    inner = [slice(None)] * grid.values.ndim
    for axis in axes:
        inner[axis + 1] = slice(1, -1)
    expected = np.zeros(grid.values[tuple(inner)].shape)
    known = grid.known[tuple(inner)].copy()
    for corner in product((0, 1), repeat=len(axes)):
        place, weight = list(inner), np.ones((1,) * grid.values.ndim)
        for axis, upper in zip(axes, corner, strict=True):
            log = grid.logs[axis]
            share = (log[1:-1] - log[:-2]) / (log[2:] - log[:-2])
            form = [1] * grid.values.ndim
            form[axis + 1] = -1
            weight = weight * (share if upper else 1 - share).reshape(form)
            place[axis + 1] = slice(2, None) if upper else slice(None, -2)
        expected += weight * grid.values[tuple(place)]
        known &= grid.known[tuple(place)]
    return (expected - grid.values[tuple(inner)])[known]


def without_shape(grid: Grid, group: NDArray[np.intp]) -> Column:
    """Errors in e of every slice from slices of other groups."""
    errors = []
    for one in range(len(grid.shapes)):
        others = np.flatnonzero(group != group[one])
        if len(others) < 2:
            continue
        square = ((grid._places[others] - grid._places[one]) ** 2).sum(axis=1)
        order = np.argsort(np.rint(square * 1e9), kind="stable")[:NEIGHBOURS]
        weight = 1 / np.maximum(square[order], 1e-9)
        points = np.argwhere(grid.known[one])
        here = [axis[points[:, i]] for i, axis in enumerate(grid.axes)]
        expected = np.zeros(len(points))
        for other, share in zip(others[order], weight / weight.sum(), strict=True):
            there = list(here)
            there[0] = grid.raised(0, here[0] * grid.density[one] / grid.density[other])
            expected += share * grid.at(np.full(len(points), other), there)[0]
        errors.append(expected - grid.values[(one, *points.T)])
    return np.concatenate(errors) if errors else np.zeros(0)


def every_slice(grid: Grid) -> NDArray[np.intp]:
    """Each slice is a group of its own."""
    return np.arange(len(grid.shapes))


def lines(silicon: Silicon) -> Iterator[Line]:
    """All operators of a card."""
    store, moves = silicon._computes, silicon._moves
    for name in ("bf16", "fp8", "fp8_block", "nvfp4"):
        products = tried(lambda name=name: matrix._products(store, name))
        if products is not None and products[0].exact:  # the stated engine's, where it has the format
            yield f"GEMM {name}", "its n and its k together", without_axes(products[0].grid, 1, 2)
            yield f"GEMM {name}", "its m", without_axes(products[0].grid, 0)
    for phase, title in (("context_attention", "prompt attention"), ("generation_attention", "decode attention")):
        for head_dim, window, kv in ((128, 0, "bfloat16"), (128, 0, "fp8"), (64, 128, "bfloat16")):
            wanted = attention.Category("bfloat16", kv, float(head_dim), float(window))
            cores = tried(lambda phase=phase, wanted=wanted: attention._find(store, phase, wanted))
            if cores is None or not cores.exact:
                continue
            what = f"{title} {head_dim} {kv}" + (f" window {window}" if window else "")
            yield what, "its (heads, KV heads)", without_shape(cores.grid, every_slice(cores.grid))
            yield what, "its batch", without_axes(cores.grid, 0)
            yield what, "its length", without_axes(cores.grid, 1)
    for name, title in (("context_mla", "latent prompt"), ("generation_mla", "latent decode")):
        for kv in ("bf16", "fp8"):
            latents = tried(lambda name=name, kv=kv: latent._cores(store, name, kv))
            if latents is not None:
                for axis, what in enumerate(("its heads", "its batch", "its length")):
                    yield f"{title} {kv}", what, without_axes(latents.grid, axis)
    for name in FORMATS:
        for exchanged in (True, False):
            mixtures = tried(lambda name=name, exchanged=exchanged: experts._mixtures(store, name, exchanged))
            if mixtures is None or not mixtures.exact:
                continue
            model = np.unique(mixtures.grid.shapes[:, [0, 2, 3]], axis=0, return_inverse=True)[1].ravel()
            what = f"experts {name}" + (", rank of an exchange" if exchanged else ", all tokens on all ranks")
            yield what, "its model shape", without_shape(mixtures.grid, model)
            yield what, "its tokens", without_axes(mixtures.grid, 0)
    built = {"all-reduce": tried(lambda: collectives._of_engine(moves))}
    for name in get_args(collectives.Operation):
        built[f"NCCL {name}"] = tried(lambda name=name: collectives._of_library(moves, name))
    for title, found in built.items():
        if found is not None:
            yield title, "its size", without_axes(found.grid, 1)
            yield title, "4 ranks, from 2 and 8", without_axes(found.grid, 0)
    for kernel in ("low_latency", "normal"):
        for phase in ("dispatch", "combine"):
            made = tried(lambda kernel=kernel, phase=phase: exchange._exchange(moves, kernel, phase))
            if made is not None:
                yield f"DeepEP {kernel} {phase}", "its shape", without_shape(made.grid, every_slice(made.grid))
                yield f"DeepEP {kernel} {phase}", "its tokens", without_axes(made.grid, 0)


def tried(build: Callable[[], Any]) -> Any:
    """None where the card has no such table."""
    try:
        return build()
    except InputError:
        return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of one card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("card", help="catalog id")
    parser.add_argument("--engine", help="vllm, sglang or trtllm; absent: the order of preference")
    parser.add_argument("--folder", type=Path, help="tables other than the installed package's")
    chosen = parser.parse_args(arguments)
    card = Accelerator.model_validate(catalog.accelerator(chosen.card))
    print(f"| {chosen.card}, {chosen.engine or 'any engine'} | left out | median | 90 % | points |")
    print("|---|---|---|---|---|")
    for operator, what, errors in lines(Silicon(card, chosen.engine, chosen.folder)):
        if len(errors):
            off = np.expm1(np.abs(errors))
            print(f"| {operator} | {what} | {np.median(off):.1%} | {np.quantile(off, 0.9):.1%} | {len(off):,} |")


if __name__ == "__main__":
    main()
