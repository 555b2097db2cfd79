"""What the ranks of one node sum, gather and send (docs/silicon.md, Communication)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ....models.errors import InputError
from ..origins import ESTIMATED
from .files import TableFile
from .grids import Answer, Column, Grid
from .sheets import Sheet
from .store import Store

Operation = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all"]
LIBRARIES = ("nccl", "oneccl")
ELEMENT = 2.0
"""Bytes of an element; rows of other formats are left out, equal bytes take equal time."""


@dataclass(frozen=True)
class Collective:
    """Times over (ranks, bytes)."""

    grid: Grid
    floor: float
    exact: bool


def roof(s: Sheet, operation: Operation, ranks: Column, size: Column) -> Column:
    """Seconds by the data sheet: a ring."""
    rounds = 2.0 if operation == "all_reduce" else 1.0
    return rounds * (ranks - 1) / ranks * size / s.link


def operation_of(name: str) -> Operation:
    """Raises InputError for what no library does."""
    for known in get_args(Operation):
        if name == known:
            return known  # type: ignore[no-any-return]  # get_args forgets the type
    raise InputError(f"measured times know no collective '{name}'", help=f"one of {', '.join(get_args(Operation))}")


def all_reduce(store: Store, sheet: Sheet, ranks: Column, size: Column) -> Answer:
    """Seconds of the engine's own all-reduce of `size` bytes, from a CUDA graph."""
    found = store.once(("custom_allreduce",), lambda: _of_engine(store))
    return _seconds(found, sheet, "all_reduce", ranks, size)


def collective(store: Store, sheet: Sheet, operation: Operation, ranks: Column, size: Column) -> Answer:
    """Seconds of the library's collective."""
    found = store.once(("collective", operation), lambda: _of_library(store, operation))
    return _seconds(found, sheet, operation, ranks, size)


def point_to_point(store: Store, sheet: Sheet, size: Column) -> Answer:
    """Seconds of `size` bytes to a neighbour: in an all-to-all of two ranks half of the buffer goes to the other."""
    seconds, kind = collective(store, sheet, "all_to_all", np.full(len(size), 2.0), 2 * size)
    return seconds, np.full_like(kind, ESTIMATED)


def _seconds(found: Collective, sheet: Sheet, operation: Operation, ranks: Column, size: Column) -> Answer:
    grid = found.grid
    several = np.maximum(ranks, 2.0)
    e, kind = grid.query([several, size])
    # a group larger than any measured starts later, as measured ones do with the root of their size
    floor = found.floor * np.sqrt(np.maximum(several / grid.axes[0][-1], 1.0))
    seconds = np.exp(e) * (floor + roof(sheet, operation, several, grid.raised(1, size)))
    return seconds, kind if found.exact else np.full_like(kind, ESTIMATED)


def _of_engine(store: Store) -> Collective:
    file = store.first("comm", "custom_allreduce")
    table = store.read(file, "custom_allreduce")
    eager = [i for i, source in enumerate(table.texts["kernel_source"]) if source.endswith("eager")]
    chosen = ~np.isin(table.codes["kernel_source"], eager)
    chosen |= not chosen.any()  # an engine that never captures graphs
    ranks, size = table.numbers["num_gpus"][chosen], table.numbers["message_size"][chosen] * ELEMENT
    store.served("all_reduce", file)
    return _built(store.sheet, "all_reduce", ranks, size, table.times["latency"][chosen], store.own(file))


def _of_library(store: Store, operation: Operation) -> Collective:
    file, library = _library(store)
    table = store.read(file, library)
    chosen = table.where("op_name", operation.replace("all_to_all", "alltoall")) & table.where("nccl_dtype", "half")
    if not chosen.any():
        raise store.missing("comm", library)
    ranks, size = table.numbers["num_gpus"][chosen], table.numbers["message_size"][chosen] * ELEMENT
    store.served(operation if operation != "all_reduce" else "all_reduce of the library", file)
    return _built(store.sheet, operation, ranks, size, table.times["latency"][chosen], True)


def _library(store: Store) -> tuple[TableFile, str]:
    """The newest table, complete in every version that is newest; older ones may have each point several times."""
    for library in LIBRARIES:
        for file in store.versions("comm", library, library):
            return file, library
    raise store.missing("comm", LIBRARIES[0])


def _built(s: Sheet, operation: Operation, ranks: Column, size: Column, times: Column, exact: bool) -> Collective:
    seconds = times.copy()
    for n in np.unique(ranks):  # a larger message is never faster: spikes go
        rows = np.flatnonzero(ranks == n)
        rows = rows[np.lexsort((seconds[rows], size[rows]))]
        seconds[rows] = np.minimum.accumulate(seconds[rows][::-1])[::-1]
    floor = float(seconds.min())
    return Collective(Grid((ranks, size), np.log(seconds / (floor + roof(s, operation, ranks, size)))), floor, exact)
