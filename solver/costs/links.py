"""What ranks exchange and how long it takes: alpha-beta per link class (docs/costs.md, communication)."""

from __future__ import annotations

import numpy as np

from .rows import Column, Rows
from .setting import Setting


def node_bandwidth(s: Setting, ranks: Column | float) -> Column:
    """Bytes/s per GPU within a group of so many ranks of a node; a mesh has only the links among them."""
    if not s.inside.mesh or s.node == 1:
        return np.full(np.shape(ranks), s.inside.bandwidth)
    return s.inside.bandwidth * (np.clip(ranks, 2, s.node) - 1) / (s.node - 1)


def all_reduce(rows: Rows, size: Column, ranks: Column, *, in_switch: bool = True) -> Column:
    """Seconds to sum `size` bytes over contiguous ranks: rings, hierarchical where whole nodes take part.

    Source: nccl-tests PERFORMANCE.md; the latency is the larger of the fitted one and the rings' own.
    """
    s = rows.setting
    crosses = rows.crosses(ranks)
    local = np.where(crosses, np.where(ranks % s.node == 0, float(s.node), 1.0), ranks)
    nodes = ranks / local
    share = 2 * (local - 1) / local
    if in_switch and s.inside.reduces_in_switch:
        share = np.where(local > 1, np.minimum(share, 1 + 1 / local), share)
    moving = share * size / (node_bandwidth(s, local) * s.efficiency.link)
    moving += 2 * (nodes - 1) / nodes * (size / local) / (s.between.bandwidth * s.efficiency.link)
    fitted = s.latencies.all_reduce * (ranks / 4) ** s.latencies.all_reduce_growth
    rings = 2 * (local - 1) * s.inside.latency + 2 * (nodes - 1) * s.between.latency
    return np.where(ranks > 1, (1 - s.efficiency.overlap) * moving + np.maximum(fitted, rings), 0.0)


def dispatch_and_combine(rows: Rows, tokens: Column) -> Column:
    """Seconds per expert layer to send `tokens` of each attention rank to their experts, and the results back."""
    s = rows.setting
    return _one_way(rows, tokens, s.dispatch_bytes) + _one_way(rows, tokens, s.plain_bytes)


def slices_exchange(rows: Rows, tokens: Column) -> Column:
    """Seconds per expert layer of all-gather and reduce-scatter over the ranks that hold slices of an expert."""
    s = rows.setting
    group_tokens = tokens * rows.context * rows.data
    gathered = group_tokens * np.minimum(1.0, s.per_token * rows.imbalance / rows.expert) * s.hidden
    sliced = gathered * (s.dispatch_bytes + s.plain_bytes) / 2
    return all_reduce(rows, sliced, rows.expert_tensor, in_switch=False)


def _one_way(rows: Rows, tokens: Column, element_bytes: float) -> Column:
    s, e, nodes = rows.setting, rows.expert, rows.expert_nodes
    crosses = nodes > 1
    one_copy = tokens / rows.tensor * s.hidden * element_bytes
    copies = one_copy * s.per_token * (1 - 1 / e)
    reach = np.where(crosses, float(s.node), rows.stage_group)
    within = copies / (node_bandwidth(s, reach) * s.efficiency.exchange_link)
    spread = nodes * (1 - (1 - 1 / nodes) ** s.per_token)
    limited = np.minimum(s.node_limit or nodes, spread)
    remote = limited * (nodes - 1) / nodes
    across = one_copy * remote / (s.between.bandwidth * s.efficiency.exchange_link)
    fitted = s.latencies.exchange * (e / 8) ** s.latencies.exchange_growth
    latency = np.maximum(fitted, np.where(crosses, s.between.latency, s.inside.latency))
    moving = np.where(crosses, np.maximum(within, across), within)
    return np.where(e > 1, (1 - s.efficiency.overlap) * rows.imbalance * moving + latency, 0.0)


def context_exchange(rows: Rows, prompt_tokens: Column) -> Column:
    """Seconds per layer to give every context rank the keys and values of the others."""
    s, c = rows.setting, rows.context
    size = (c - 1) * (prompt_tokens / c) * (rows.kv_width(s.plain_bytes) + s.index_bytes)
    block = rows.tensor * c
    crosses = rows.crosses(block)
    bandwidth = np.where(crosses, s.between.bandwidth, node_bandwidth(s, block))
    latency = (c - 1) * np.where(crosses, s.between.latency, s.inside.latency)
    return np.where(c > 1, (1 - s.efficiency.overlap) * size / (bandwidth * s.efficiency.link) + latency, 0.0)


def stage_send(rows: Rows, tokens: Column, crosses: np.ndarray) -> Column:
    """Seconds to hand the residual stream to the next stage."""
    s = rows.setting
    bandwidth = np.where(crosses, s.between.bandwidth, node_bandwidth(s, 2.0))
    latency = np.where(crosses, s.between.latency, s.inside.latency)
    return _send(s, tokens, bandwidth, latency)


def bridge_send(first: Setting, second: Setting, tokens: Column) -> Column:
    """Seconds to hand the residual stream from one card to another: over the network, as fast as the slower end."""
    pools = [s.scenario.hardware.pool_link or s.between for s in (first, second)]
    bandwidth = min(link.bandwidth for link in (first.between, second.between, *pools))
    return _send(first, tokens, bandwidth, max(link.latency for link in pools))


def _send(s: Setting, tokens: Column, bandwidth: Column | float, latency: Column | float) -> Column:
    size = tokens * s.hidden * s.plain_bytes
    moving = (1 - s.efficiency.overlap) * size / (bandwidth * s.efficiency.link)
    return moving + tokens * s.latencies.send_token + latency
