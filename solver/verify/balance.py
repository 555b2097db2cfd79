"""The load of every GPU, rank by rank: what it really holds and computes, not what the busiest one would."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from shardwise.models.plan import Balance, Plan, Rank

from .deployment import Deployment
from .forward import CHUNK, Pass
from .memory import MemoryOf, end_weights, layer_weights, sharing
from .serving import Program
from .shapes import Layer


def dealt(whole: int, parts: int, index: int) -> int:
    """The share of one of several parts, dealt as evenly as possible, larger shares first."""
    return whole // parts + (index < whole % parts)


class Loads:
    """Weights, flops and KV bytes of the ranks of one plan."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.shapes, self.cut = deployment, deployment.shapes, deployment.cut
        self.sharing = sharing(deployment)
        self.memory, self.reference = MemoryOf(deployment), Program(deployment).reference_pass()

    def held(self, rank: Rank) -> int:
        """Sequences of a rank's attention group: dealt over the engines, then over their groups."""
        engine = dealt(self.deployment.sequences, self.deployment.engines, rank.engine)
        return dealt(engine, self.cut.data, rank.data)

    def _layers(self, rank: Rank) -> Counter[Layer]:
        return Counter(self.shapes.layers[rank.layers[0] : rank.layers[1]])

    def weights(self, rank: Rank) -> float:
        """Bytes of the weights on a rank; section 5."""
        experts = rank.experts[1] - rank.experts[0]
        width = (rank.expert_columns[1] - rank.expert_columns[0]) / max(1, self.shapes.expert_width)
        first, last = rank.layers[0] == 0, rank.layers[1] == len(self.shapes.layers)
        held = end_weights(self.shapes, self.sharing, first, last)
        for layer, count in self._layers(rank).items():
            held += count * layer_weights(self.shapes, layer, self.sharing, experts, width)
        return held

    def kv_cache(self, rank: Rank) -> float:
        """KV bytes of the sequences that a rank's group really holds; section 5."""
        sequences = self.held(rank)
        if self.deployment.program == "prefill only":
            sequences = min(sequences, self.memory.sequences)
        layers = self._layers(rank)
        return sequences * sum(count * self.memory.layer_cache(layer) for layer, count in layers.items())

    def _share(self, sequences: float) -> float:
        """A group's average micro-batch, as a share of the plan's."""
        return sequences / self.deployment.micro_batches / self.deployment.batch

    def _tokens(self, load: Pass) -> float:
        return load.decoding + load.prompt / self.cut.context

    def flops(self, rank: Rank) -> float:
        """Flops of the reference pass, matrices and attention, with the sequences that the group holds.

        The busiest expert rank computes γ times the mean of the routed experts, the others share the rest.
        """
        shapes, cut, load = self.shapes, self.cut, self.reference
        heads = rank.heads[1] - rank.heads[0]
        share = self._share(self.held(rank))
        rows = self._tokens(load) * share
        engine = dealt(self.deployment.sequences, self.deployment.engines, rank.engine)
        group_rows = self._tokens(load) * self._share(engine) * cut.context
        total = 0.0
        for layer, count in self._layers(rank).items():
            work = 2 * rows * shapes.attention_per_rank(layer, cut.tensor)
            work += self._core_flops(layer, heads) * share
            if layer.expert:
                work += 2 * rows * (shapes.hidden * shapes.experts + shapes.shared_matrices / cut.tensor)
                routed = 2 * shapes.expert_matrices * shapes.per_token * group_rows
                work += routed * self._popularity(rank) / (cut.expert * cut.expert_tensor)
            else:
                work += 2 * rows * shapes.dense_matrices / cut.tensor
            total += count * work
        if rank.layers[1] == len(shapes.layers):
            total += 2 * load.logits * share * shapes.hidden * shapes.vocabulary / cut.tensor
        return total

    def _core_flops(self, layer: Layer, heads: int) -> float:
        """Flops of one layer's attention core in the reference pass, on a rank of so many query heads."""
        shapes, load, context = self.shapes, self.reference, self.cut.context
        if layer.linear and (linear := shapes.linear) is not None:
            token = 6 * linear.key_dim * linear.value_dim
            chunk = 2 * CHUNK * (3 * linear.key_dim + 2 * linear.value_dim)
            tokens = load.decoding * token + load.prompt / context * (token + chunk)
            return linear.heads / self.cut.tensor * tokens
        products, reach = shapes.prompt_score * load.pairs[layer.sliding], load.reach
        if shapes.indexer is not None:
            products = min(products, shapes.decode_score * load.pairs[1])
        if layer.sliding or shapes.indexer is not None:
            reach = min(reach, shapes.window)
        work = 2 * heads * (products / context + shapes.decode_score * load.decoding * reach)
        if layer.indexer and shapes.indexer is not None:
            work += 2 * shapes.indexer.products * (load.pairs[0] / context + load.decoding * load.reach)
        return work

    def _popularity(self, rank: Rank) -> float:
        ranks, busiest = self.cut.expert, self.deployment.routing_load
        if rank.expert == 0:
            return busiest
        return max(0.0, (ranks - busiest) / (ranks - 1))


def spread(resource: Literal["weights", "flops", "kv_cache"], unit: str, loads: list[float]) -> Balance:
    """One resource over the GPUs used."""
    mean, busiest = sum(loads) / len(loads), max(loads)
    return Balance(resource=resource, unit=unit, mean=mean, busiest=busiest, ratio=busiest / mean if mean > 0 else 1.0)


def balance_of(plan: Plan, deployment: Deployment) -> tuple[Balance, ...]:
    """Mean, busiest and their ratio over the GPUs used. Raises ValueError where nothing is placed."""
    if not plan.placement:
        raise ValueError("the plan places no rank")
    loads = Loads(deployment)
    alike: dict[tuple[object, ...], list[float]] = {}
    counted: list[list[float]] = []
    for rank in plan.placement:
        engine = dealt(deployment.sequences, deployment.engines, rank.engine)
        held = (rank.layers, rank.heads, rank.experts, rank.expert_columns)
        key = (*held, rank.expert, loads.held(rank), engine)
        if key not in alike:
            alike[key] = [loads.weights(rank), loads.flops(rank), loads.kv_cache(rank)]
        counted.append(alike[key])
    weights, flops, cache = (list(column) for column in zip(*counted, strict=True))
    return (
        spread("weights", "bytes per GPU", weights),
        spread("flops", "flops per pass", flops),
        spread("kv_cache", "bytes per GPU", cache),
    )
