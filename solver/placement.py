"""Every used GPU and what it holds: ranks of each engine laid onto nodes (docs/costs.md, section 2)."""

from __future__ import annotations

from itertools import accumulate, pairwise

from ..models import Engine, EngineStrategy, Scenario
from ..models.plan import Rank


def place(scenario: Scenario, engines: tuple[Engine, ...]) -> tuple[Rank, ...]:
    """All ranks, engine by engine.

    Engines take whole nodes; the remainder of an engine shares a node with other remainders, the partial node of the
    cluster first.
    """
    nodes = _Nodes(scenario)
    ranks: list[Rank] = []
    number = 0
    for entry in engines:
        parts = [held(scenario, entry.strategy, rank) for rank in range(entry.gpus_per_engine)]
        for _ in range(entry.count):
            seats = nodes.seat(entry.gpus_per_engine)
            ranks += [
                Rank.model_construct(engine=number, rank=i, node=node, gpu=gpu, **parts[i])  # type: ignore[arg-type]
                for i, (node, gpu) in enumerate(seats)
            ]
            number += 1
    return tuple(ranks)


class _Nodes:
    """Seats on nodes, handed out once."""

    def __init__(self, scenario: Scenario) -> None:
        hardware = scenario.hardware
        self._size, self._full = hardware.node_size, hardware.full_nodes
        self._next = 0
        self._open = [(self._full, 0, hardware.tail_gpus)] if hardware.tail_gpus else []
        """(node, first free GPU, GPUs of the node) of the nodes that remainders share."""

    def seat(self, gpus: int) -> list[tuple[int, int]]:
        """(node, GPU) of each rank of one engine."""
        whole, rest = divmod(gpus, self._size)
        seats: list[tuple[int, int]] = []
        for _ in range(whole):
            node = self._take()
            seats += [(node, gpu) for gpu in range(self._size)]
        if rest:
            seats += self._share(rest)
        return seats

    def _take(self) -> int:
        if self._next >= self._full:
            raise ValueError("the engines do not fit the nodes")
        self._next += 1
        return self._next - 1

    def _share(self, rest: int) -> list[tuple[int, int]]:
        for i, (node, used, size) in enumerate(self._open):
            if used + rest <= size:
                self._open[i] = (node, used + rest, size)
                return [(node, used + gpu) for gpu in range(rest)]
        node = self._take()
        self._open.append((node, rest, self._size))
        return [(node, gpu) for gpu in range(rest)]


def held(scenario: Scenario, strategy: EngineStrategy, rank: int) -> dict[str, object]:
    """What one rank of an engine holds; ranks run over tensor, then context, data, pipeline."""
    model = scenario.model
    stage, inside = divmod(rank, strategy.stage_group)
    group, tensor = divmod(inside, strategy.tensor)
    data, context = divmod(group, strategy.context)
    expert, expert_tensor = divmod(inside, strategy.expert_tensor)
    starts = [0, *accumulate(strategy.layers_per_stage)]
    layers = list(pairwise(starts))[stage]
    heads = model.attention.heads // strategy.tensor
    experts, columns = (0, 0), (0, 0)
    if model.experts is not None and any(kind.expert for kind in model.kinds[slice(*layers)]):
        count, width = model.experts.count // strategy.expert, model.experts.width // strategy.expert_tensor
        experts = (expert * count, (expert + 1) * count)
        columns = (expert_tensor * width, (expert_tensor + 1) * width)
    return {
        "stage": stage,
        "data": data,
        "context": context,
        "tensor": tensor,
        "expert": expert if model.experts is not None else 0,
        "expert_tensor": expert_tensor if model.experts is not None else 0,
        "layers": layers,
        "heads": (tensor * heads, (tensor + 1) * heads),
        "experts": experts,
        "expert_columns": columns,
    }
