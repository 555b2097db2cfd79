"""The map of ranks to GPUs, rebuilt from the degrees alone (docs/costs.md, section 2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from shardwise.models.plan import Finding, Plan, Rank

from .deployment import Cut, node_size, read_cut
from .shapes import layer_kinds
from .structure import gpu_limits
from .text import nothing_wrong, rule

Difference = tuple[str, str]


@dataclass(frozen=True)
class Kind:
    """Engines of one kind: first and one past last index, degrees, and where each stage begins."""

    first: int
    end: int
    cut: Cut
    begins: tuple[int, ...]


def kinds_of(plan: Plan) -> list[Kind]:
    """The engines of all entries, indexed in order."""
    kinds, first = [], 0
    for engine in plan.engines:
        begins = tuple(accumulate(engine.strategy.layers_per_stage, initial=0))
        cut = read_cut(engine.strategy, plan.scenario.hardware)
        kinds.append(Kind(first, first + engine.count, cut, begins))
        first += engine.count
    return kinds


def kind_of(kinds: list[Kind], rank: Rank) -> Kind | None:
    """The engines that a rank belongs to; None where no such engine or rank exists."""
    for kind in kinds:
        if kind.first <= rank.engine < kind.end:
            return kind if rank.rank < kind.cut.gpus else None
    return None


def name(rank: Rank) -> str:
    """A rank in words."""
    return f"engine {rank.engine:,} rank {rank.rank:,} on node {rank.node:,} GPU {rank.gpu:,}"


def check_placement(plan: Plan, kinds: list[Kind] | None = None) -> list[Finding]:
    """GPUs exist and are used once, ranks are all there, and each holds what its position implies.

    `kinds`: the engines, where they are not those of the plan as they stand.
    """
    kinds = kinds_of(plan) if kinds is None else kinds
    placed = [(rank, kind) for rank in plan.placement if (kind := kind_of(kinds, rank)) is not None]
    return [
        nothing_wrong("placement.gpus_exist", _missing_gpus(plan), "every GPU exists"),
        nothing_wrong("placement.one_rank_per_gpu", _shared_gpus(plan), "at most one rank on each GPU"),
        _every_rank(plan, kinds),
        nothing_wrong("placement.coordinates", _coordinates(placed), "as the order of ranks implies"),
        nothing_wrong("placement.shares", _shares(plan, placed), "as the coordinates imply"),
        nothing_wrong("placement.nodes", _nodes(placed), "contiguous ranks share nodes"),
    ]


def _missing_gpus(plan: Plan) -> Iterator[Difference]:
    """Ranks on a node or GPU that the cluster does not have; its last node may be a partial one."""
    size = node_size(plan.scenario.hardware)
    whole, tail = divmod(gpu_limits(plan.scenario.hardware)[1], size)
    for rank in plan.placement:
        if rank.node >= whole + (tail > 0):
            yield name(rank), f"nodes 0 to {whole + (tail > 0) - 1:,}"
        elif rank.gpu >= (size if rank.node < whole else tail):
            yield name(rank), f"GPUs 0 to {(size if rank.node < whole else tail) - 1:,} on that node"


def _shared_gpus(plan: Plan) -> Iterator[Difference]:
    taken: dict[tuple[int, int], Rank] = {}
    for rank in plan.placement:
        other = taken.setdefault((rank.node, rank.gpu), rank)
        if other is not rank:
            yield name(rank), f"the GPU of engine {other.engine:,} rank {other.rank:,}"


def _every_rank(plan: Plan, kinds: list[Kind]) -> Finding:
    """Every rank of every engine exactly once."""
    seen: set[tuple[int, int]] = set()
    wrong = ""
    for rank in plan.placement:
        key = (rank.engine, rank.rank)
        if key in seen or kind_of(kinds, rank) is None:
            wrong = wrong or f"; {name(rank)} is {'there twice' if key in seen else 'not part of the plan'}"
        else:
            seen.add(key)
    expected = sum((kind.end - kind.first) * kind.cut.gpus for kind in kinds)
    ok = not wrong and len(seen) == expected
    said = f"{len(seen):,} distinct ranks{wrong}"
    return rule("placement.every_rank_once", ok, said, f"{expected:,} ranks, each once")


def _coordinates(placed: list[tuple[Rank, Kind]]) -> Iterator[Difference]:
    """Tensor fastest, then context, data, pipeline; experts over the same ranks, expert tensor fastest."""
    for rank, kind in placed:
        cut, position = kind.cut, rank.rank % kind.cut.group
        expected = {
            "stage": rank.rank // cut.group,
            "data": position // (cut.tensor * cut.context),
            "context": position // cut.tensor % cut.context,
            "tensor": position % cut.tensor,
            # A model without experts has one expert rank and one column rank: all its GPUs.
            "expert": position // cut.expert_tensor % cut.expert,
            "expert_tensor": position % cut.expert_tensor,
        }
        for coordinate, value in expected.items():
            if getattr(rank, coordinate) != value:
                yield f"{name(rank)}: {coordinate} {getattr(rank, coordinate):,}", f"{coordinate} {value:,}"


def _shares(plan: Plan, placed: list[tuple[Rank, Kind]]) -> Iterator[Difference]:
    """Layers of the stage, heads by tensor index, experts and columns by expert index."""
    model, layers = plan.scenario.model, layer_kinds(plan.scenario.model)
    for rank, kind in placed:
        cut, stage = kind.cut, rank.rank // kind.cut.group
        if stage + 1 >= len(kind.begins):
            yield f"{name(rank)}: stage {stage}", f"{len(kind.begins) - 1} stages in layers_per_stage"
            continue
        own = (kind.begins[stage], kind.begins[stage + 1])
        position = rank.rank % cut.group
        heads = model.attention.heads // cut.tensor
        first_head = position % cut.tensor * heads
        experts = columns = (0, 0)
        if model.experts is not None and any(layer.expert for layer in layers[own[0] : own[1]]):
            held, width = model.experts.count // cut.expert, model.experts.width // cut.expert_tensor
            first, column = position // cut.expert_tensor * held, position % cut.expert_tensor * width
            experts, columns = (first, first + held), (column, column + width)
        expected = {
            "layers": own,
            "heads": (first_head, first_head + heads),
            "experts": experts,
            "expert_columns": columns,
        }
        for share, (begin, end) in expected.items():
            if getattr(rank, share) != (begin, end):
                said = "{:,} to {:,}".format(*getattr(rank, share))
                yield f"{name(rank)}: {share} {said}", f"{share} {begin:,} to {end:,}"


def _nodes(placed: list[tuple[Rank, Kind]]) -> Iterator[Difference]:
    """An engine that fits a node lies in one; a larger one fills nodes in turn, its remainder lies in one."""
    nodes: dict[tuple[int, int], Rank] = {}
    chunks: dict[tuple[int, int], int] = {}
    used: dict[int, set[int]] = defaultdict(set)
    for rank, kind in placed:
        chunk = rank.rank // kind.cut.node if kind.cut.gpus > kind.cut.node else 0
        other = nodes.setdefault((rank.engine, chunk), rank)
        if other.node != rank.node:
            yield name(rank), f"node {other.node:,}, beside rank {other.rank:,}"
        first = chunks.setdefault((rank.engine, rank.node), chunk)
        if first != chunk:
            yield name(rank), f"a node apart from the one that holds block {first:,} of the engine"
        used[rank.engine].add(rank.node)
    for rank, kind in placed:
        needed = -(-kind.cut.gpus // kind.cut.node)
        if len(used[rank.engine]) != needed:
            yield f"engine {rank.engine:,} on {len(used[rank.engine]):,} nodes", f"{needed:,} nodes"
