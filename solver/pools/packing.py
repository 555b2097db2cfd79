"""Engines onto nodes: whole nodes, and remainders that share nodes by integer counts of patterns.

`post` states in CP-SAT that counts of engines fit a card's nodes; `pack` finds the seats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from ortools.sat.python import cp_model

from ..cpsat import new_solver
from .engines import Card

Expression = cp_model.LinearExpr | cp_model.IntVar | int


def total(terms: Iterable[tuple[Expression, int]]) -> cp_model.LinearExpr:
    """Σ variable · whole number."""
    pairs = list(terms)
    return cp_model.LinearExpr.weighted_sum([v for v, _ in pairs], [c for _, c in pairs])


def post(model: cp_model.CpModel, card: Card, sized: list[tuple[int, Expression]]) -> None:
    """Engines of so many GPUs, so many of each, fit the card's nodes.

    Exact. Where every remainder divides the next larger one, counting slots is enough (divisible items pack without
    waste: Coffman, Garey and Johnson 1987); else remainders are arcs of a flow along the GPUs of a node, one unit each
    (arc flow: Valério de Carvalho 1999).
    """
    whole = total((count, gpus // card.node) for gpus, count in sized)
    rests: dict[int, list[Expression]] = {}
    for gpus, count in sized:
        if gpus % card.node:
            rests.setdefault(gpus % card.node, []).append(count)
    sizes = sorted(rests)
    counts = {size: total((count, 1) for count in rests[size]) for size in sizes}
    if not sizes:
        model.add(whole <= card.full_nodes)
    elif all(large % small == 0 for small, large in pairwise(sizes)):
        for size in sizes:
            slots = total((count, other // size) for other in sizes if other >= size for count in rests[other])
            model.add(slots + whole * (card.node // size) <= card.full_nodes * (card.node // size) + card.tail // size)
    else:
        _flows(model, card, whole, counts)


def _flows(
    model: cp_model.CpModel, card: Card, whole: cp_model.LinearExpr, counts: dict[int, cp_model.LinearExpr]
) -> None:
    """One flow for the whole nodes that engines leave, one for the partial node."""
    shared = model.new_int_var(0, card.full_nodes, "shared_nodes")
    model.add(whole + shared <= card.full_nodes)
    held: dict[int, list[Expression]] = {size: [] for size in counts}
    _flow(model, card.node, shared, card.full_nodes, held)
    if card.tail:
        _flow(model, card.tail, 1, 1, held)
    for size, count in counts.items():
        model.add(count <= total((arc, 1) for arc in held[size]))


def _flow(
    model: cp_model.CpModel, length: int, nodes: Expression, most: int, held: dict[int, list[Expression]]
) -> None:
    """Paths from GPU 0 to the end of a node; an arc of a size is a remainder of that size."""
    leaving: dict[int, list[Expression]] = {place: [] for place in range(length + 1)}
    entering: dict[int, list[Expression]] = {place: [] for place in range(length + 1)}
    reached = {0}
    for size in sorted((s for s in held if s <= length), reverse=True):
        for place in range(length - size + 1):
            if place in reached:  # larger remainders come first on a node
                reached.add(place + size)
                arc = model.new_int_var(0, most, f"rest_{size}_at_{place}")
                leaving[place].append(arc)
                entering[place + size].append(arc)
                held[size].append(arc)
    for place in sorted(reached - {length}):
        idle = model.new_int_var(0, most, f"idle_from_{place}")
        leaving[place].append(idle)
        entering[length].append(idle)
    model.add(total((arc, 1) for arc in leaving[0]) == nodes)
    for place in range(1, length):
        if leaving[place] or entering[place]:
            model.add(total((arc, 1) for arc in leaving[place]) == total((arc, 1) for arc in entering[place]))


def pack(card: Card, rests: list[int]) -> list[int]:
    """A node for each remainder; whole nodes are numbered from 0 and the partial one is -1.

    First fit, largest first; where that takes more nodes than needed, the solver finds the fewest. Remainders on whole
    nodes use the lowest numbers.
    """
    order = sorted(range(len(rests)), key=lambda i: -rests[i])
    fitted = _first_fit(card, rests, order)
    return fitted if _is_least(card, rests, fitted) else _fewest(card, rests)


def _first_fit(card: Card, rests: list[int], order: list[int]) -> list[int]:
    free = {-1: card.tail} if card.tail else {}
    seats = [0] * len(rests)
    for i in order:
        node = next((node for node, room in free.items() if room >= rests[i]), None)
        if node is None:
            node = sum(1 for n in free if n >= 0)
            free[node] = card.node
        free[node] -= rests[i]
        seats[i] = node
    return seats


def _is_least(card: Card, rests: list[int], seats: list[int]) -> bool:
    """Whether no packing can use fewer whole nodes, by volume or because the sizes divide each other."""
    used = len({node for node in seats if node >= 0})
    by_volume = max(0, -(-(sum(rests) - card.tail) // card.node))
    return used <= by_volume or all(large % small == 0 for small, large in pairwise(sorted(set(rests))))


def _fewest(card: Card, rests: list[int]) -> list[int]:
    """The same with the fewest whole nodes, by patterns: how many remainders of each size a node holds."""
    model, sizes = cp_model.CpModel(), Counter(rests)
    most = len(rests)
    bins = [(node, card.node) for node in range(most)] + ([(-1, card.tail)] if card.tail else [])
    used = [model.new_bool_var(f"node_{node}") for node in range(most)]
    held = {
        (node, size): model.new_int_var(0, room // size, f"{size}_on_{node}") for node, room in bins for size in sizes
    }
    for node, room in bins:
        model.add(sum(size * held[node, size] for size in sizes) <= (room * used[node] if node >= 0 else room))
    for size, count in sizes.items():
        model.add(sum(held[node, size] for node, _ in bins) == count)
    for first, second in pairwise(used):
        model.add_implication(second, first)
    model.minimize(sum(used))
    solver = new_solver()
    solver.parameters.max_deterministic_time = 10.0
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise RuntimeError("the remainders were not packed")
    waiting = {size: [i for i, rest in enumerate(rests) if rest == size] for size in sizes}
    seats = [0] * len(rests)
    for (node, size), variable in held.items():
        for _ in range(solver.value(variable)):
            seats[waiting[size].pop()] = node
    return seats
