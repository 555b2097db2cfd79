"""What ranks send each other in one layer, in seconds (docs/costs.md, sections 2 and 3)."""

from __future__ import annotations

from shardwise.models.hardware import Link

from .deployment import Deployment


class Links:
    """The links of a deployment and the four exchanges over them."""

    def __init__(self, deployment: Deployment) -> None:
        hardware = deployment.scenario.hardware
        card = hardware.accelerator
        self.inside = card.node_link if hardware.node_link is None else hardware.node_link
        self.outside = card.network_link if hardware.network_link is None else hardware.network_link
        self.cut, self.shapes = deployment.cut, deployment.shapes
        self.efficiency, self.latencies = deployment.scenario.efficiency, deployment.scenario.latencies
        self.onward, self.uneven = deployment.onward, deployment.routing_load
        self.visible = 1.0 - self.efficiency.overlap

    def _link(self, crosses: bool) -> Link:
        return self.outside if crosses else self.inside

    def rate(self, crosses: bool, ranks: int) -> float:
        """Bytes/s per GPU: over the network, or among so many GPUs of one node (fewer links of a mesh are theirs)."""
        if crosses:
            return self.outside.bandwidth
        if not self.inside.mesh or self.cut.node < 2:
            return self.inside.bandwidth
        peers = min(max(ranks, 2), self.cut.node) - 1
        return self.inside.bandwidth * peers / (self.cut.node - 1)

    def all_reduce(self, size: float, ranks: int, crosses: bool, in_switch: bool = True) -> float:
        """reduce(b, ranks, crosses) of section 3; `in_switch` tells whether the switch may sum."""
        if ranks == 1:
            return 0.0
        local = ranks
        if crosses:
            local = self.cut.node if ranks % self.cut.node == 0 else 1
        nodes = ranks / local
        factor = 2 * (local - 1) / local
        if in_switch and self.inside.reduces_in_switch and local > 1:
            factor = min(factor, 1 + 1 / local)
        seconds = factor * size / (self.rate(False, local) * self.efficiency.link)
        seconds += 2 * (nodes - 1) / nodes * (size / local) / (self.outside.bandwidth * self.efficiency.link)
        start: float = self.latencies.all_reduce * (ranks / 4) ** self.latencies.all_reduce_growth
        hops = 2 * (local - 1) * self.inside.latency + 2 * (nodes - 1) * self.outside.latency
        return self.visible * seconds + max(start, hops)

    @property
    def _dispatch_bytes(self) -> float:
        return 1.0 if self.shapes.expert_format == "fp8" else self.shapes.activation_bytes

    def experts(self, tokens: float, group_tokens: float) -> float:
        """What brings tokens to their experts and back: `tokens` of one rank, `group_tokens` of the stage group."""
        cut, shapes = self.cut, self.shapes
        held = group_tokens * shapes.hidden * shapes.activation_bytes
        summed = self.all_reduce(held, cut.group, cut.crosses(cut.group))
        if cut.context * cut.data == 1:  # every rank holds the same tokens
            return summed
        return min(summed, self.expert_exchange(tokens) + self.expert_tensor(group_tokens))

    def expert_exchange(self, tokens: float) -> float:
        """Dispatch and combine of an expert layer, for the tokens of one rank."""
        ranks, nodes, visits = self.cut.expert, self.cut.expert_nodes, self.shapes.per_token
        if ranks == 1:
            return 0.0
        own = tokens / self.cut.tensor
        limit = self.shapes.node_limit if self.shapes.node_limit is not None else nodes
        remote = min(limit, nodes * (1 - (1 - 1 / nodes) ** visits)) * (nodes - 1) / nodes
        start = self.latencies.exchange * (ranks / 8) ** self.latencies.exchange_growth
        rate = self.rate(False, self.cut.node if nodes > 1 else self.cut.group)
        seconds = 0.0
        for element in (self._dispatch_bytes, self.shapes.activation_bytes):
            row = own * self.shapes.hidden * element
            time = row * visits * (1 - 1 / ranks) / (rate * self.efficiency.exchange_link)
            if nodes > 1:
                time = max(time, row * remote / (self.outside.bandwidth * self.efficiency.exchange_link))
            seconds += self.visible * self.uneven * time + max(start, self._link(nodes > 1).latency)
        return seconds

    def expert_tensor(self, group_tokens: float) -> float:
        """The all-gather and reduce-scatter of an expert's columns, for the tokens of the stage group."""
        ranks = self.cut.expert_tensor
        here = min(1.0, self.uneven * self.shapes.per_token / self.cut.expert)
        element = (self._dispatch_bytes + self.shapes.activation_bytes) / 2
        size = group_tokens * here * self.shapes.hidden * element
        return self.all_reduce(size, ranks, self.cut.crosses(ranks), in_switch=False)

    def context(self, prompt_tokens: float) -> float:
        """Keys and values of a prompt going round the context ranks."""
        ranks = self.cut.context
        if ranks == 1 or prompt_tokens == 0:
            return 0.0
        crosses = self.cut.crosses(self.cut.tensor * ranks)
        link, rate = self._link(crosses), self.rate(crosses, self.cut.tensor * ranks)
        row = self.shapes.cache_bytes(self.cut.tensor, self.shapes.activation_bytes)
        row += self.shapes.indexer.cached if self.shapes.indexer is not None else 0
        seconds = (ranks - 1) * prompt_tokens / ranks * row / (rate * self.efficiency.link)
        return self.visible * seconds + (ranks - 1) * link.latency

    def send(self, tokens: float, stage: int) -> float:
        """Activations over the boundary after a stage, which may be the one between two cards."""
        if self.onward is not None and stage == self.cut.stages[-1]:
            link, rate = self.onward, self.onward.bandwidth
        else:
            crosses = self.cut.boundary_crosses(stage)
            link, rate = self._link(crosses), self.rate(crosses, 2)
        size = tokens * self.shapes.hidden * self.shapes.activation_bytes
        seconds = self.visible * size / (rate * self.efficiency.link)
        return seconds + tokens * self.latencies.send_token + link.latency
