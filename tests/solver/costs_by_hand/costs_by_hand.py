"""A machine of round numbers, and ways to look at one term of the cost model at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from shardwise.models import Scenario
from shardwise.models.strategy import DEGREES
from shardwise.solver.costs import Candidates, price
from shardwise.solver.costs.forward import layer_times
from shardwise.solver.costs.grid import Grid
from shardwise.solver.costs.passes import Pass
from shardwise.solver.costs.rows import Rows
from shardwise.solver.costs.setting import Setting, setting
from shardwise.solver.costs.source import Roofline, Shapes

CARD: dict[str, Any] = {
    "memory": 1e9,
    "memory_bandwidth": 1.0,
    "compute": {"bf16": 1.0},
    "gpus_per_node": 4,
    "node_link": {"bandwidth": 100},
    "network_link": {"bandwidth": 10},
}
"""1 FLOP/s, 1 B/s of memory, 100 B/s inside a node of four, 10 B/s between nodes."""
COMPUTE_ONLY = {"memory_bandwidth": 1e30}
MEMORY_ONLY = {"compute": {"bf16": 1e30}}
PEAK: dict[str, Any] = dict.fromkeys(("mfu", "bandwidth", "link", "exchange_link", "fp4"), 1) | {
    "half_rows": 0,
    "expert_half_rows": 0,
    "half_width": 0,
}
NO_RESERVES = dict.fromkeys(("activation_dense", "activation_experts", "single_gpu", "multi_gpu"), 0)
PROMPT = {"batch": 1, "input_tokens": 10}

# A = 2·10·4·5 + 2·10·2·5 = 400 + 200 attention weights, W_ff = 3·10·100 = 3,000, κ = 2·2·5·2 = 40 B
DENSE: dict[str, Any] = {
    "layers": 1,
    "hidden": 10,
    "attention": {"heads": 4, "kv_heads": 2, "head_dim": 5},
    "feed_forward": {"width": 100},
}
# W_ex = 3·10·4 = 120, W_sh = 3·10·6 = 180, router 10·8 = 80
EXPERTS: dict[str, Any] = {
    "layers": 1,
    "hidden": 10,
    "attention": {"heads": 4, "kv_heads": 2, "head_dim": 5},
    "experts": {"count": 8, "per_token": 2, "width": 4, "shared_width": 6},
}
# key 3 + 2, score 3 + 2 + 5 = 10, decode score 2·8 + 2 = 18, KV 8 + 2 = 10 elements
LATENT: dict[str, Any] = {
    "layers": 1,
    "hidden": 10,
    "attention": {
        "heads": 4,
        "latent": {"query_rank": 6, "kv_rank": 8, "nope_dim": 3, "rope_dim": 2, "value_dim": 5},
    },
    "feed_forward": {"width": 100},
}


def changed(model: Mapping[str, Any], **parts: Any) -> dict[str, Any]:
    """The model with keys set; a mapping is merged into the one that stands there."""
    merged = {
        key: {**model[key], **part} if isinstance(part, dict) and key in model else part for key, part in parts.items()
    }
    return {**model, **merged}


def scenario(
    model: dict[str, Any],
    workload: dict[str, Any] = PROMPT,
    *,
    card: Mapping[str, Any] | None = None,
    latencies: Any = "none",
    efficiency: Mapping[str, Any] | None = None,
    **more: Any,
) -> Scenario:
    """A roofline at the peaks: no latencies, no reserves, efficiencies of 1."""
    machine = {"accelerator": {**CARD, **(card or {})}, "gpus": 1024, "memory_utilization": 1.0}
    if latencies != "none":
        latencies = {**dict.fromkeys(NO_LATENCIES, 0), **latencies}  # pace, a factor, stays 1
    constants = {"efficiency": {**PEAK, **(efficiency or {})}, "latencies": latencies, "reserves": NO_RESERVES}
    given = {"hardware": machine, "model": model, "workload": workload, **constants, **more}
    return Scenario.model_validate(given)


def links(inside: dict[str, Any] | None = None, between: dict[str, Any] | None = None) -> dict[str, Any]:
    """The links of a card, with more said of them."""
    return {
        "node_link": {"bandwidth": 100, **(inside or {})},
        "network_link": {"bandwidth": 10, **(between or {})},
    }


NO_LATENCIES = (
    "layer",
    "expert_layer",
    "block_matrix",
    "all_reduce",
    "all_reduce_growth",
    "exchange",
    "exchange_growth",
    "iteration",
    "sequence",
    "send_token",
    "eager_layer",
    "startup",
    "prompt_token",
    "wait_steps",
    "token_traffic",
)


def rows_of(scene: Scenario, engines: int = 1, **degrees: int) -> Rows:
    """One row."""
    return Rows.of(setting(scene), strategy(**degrees), np.array([engines]))


def strategy(**degrees: int) -> np.ndarray:
    """The six degrees of one row."""
    assert set(degrees) <= set(DEGREES)
    return np.array([[degrees.get(name, 1) for name in DEGREES]])


def one(column: Any) -> float:
    """The single number of a column of one row."""
    values = np.broadcast_to(np.asarray(column, dtype=float), (1,))
    return float(values[0])


def a_pass(decoding: float = 0, context: float = 0, prompt: float = 0, **more: Any) -> Pass:
    """A pass of one row; absent is 0."""

    def column(value: float) -> np.ndarray:
        return np.array([float(value)])

    pairs, prefix = more.pop("pairs", (0, 0)), more.pop("prefix", (0, 0))
    logits, share = more.pop("logits", 0), more.pop("prompt_share", 0)
    assert not more
    return Pass(
        column(decoding),
        column(context),
        column(prompt),
        (column(pairs[0]), column(pairs[1])),
        (column(prefix[0]), column(prefix[1])),
        column(logits),
        column(share),
    )


class Recorder(Roofline):
    """An operator source that takes no time and remembers what it was asked; exchanges take theirs.

    Flops and bytes are the seconds on a card that is slow in nothing else.
    """

    def __init__(self, s: Setting) -> None:
        super().__init__(s)
        rates = ("rate_weights", "rate_experts", "rate_plain")
        counting = replace(s, **dict.fromkeys(rates, 1.0), memory_bandwidth=np.inf)
        fewer = s.efficiency.model_copy(update={"expert_half_rows": 1.0})
        self._flops = Roofline(counting)
        self._halved = Roofline(replace(counting, efficiency=fewer))
        self._bytes_read = Roofline(replace(s, **dict.fromkeys(rates, np.inf), memory_bandwidth=1.0))
        self.products_asked: dict[tuple[str, float], tuple[float, float, float]] = {}
        """(part, shard width) -> (flops, bytes, rows)."""
        self.experts: tuple[float, float, float] | None = None
        """(flops, bytes, tokens per expert) of the routed experts."""
        self.cores: list[tuple[float, float]] = []
        """(flops, bytes) of attention cores that do anything."""
        self.moved: list[float] = []

    def matrices(self, rows: Rows, part: Any, tokens: Any, width: Any, shapes: Shapes) -> np.ndarray:
        key = (part, one(width))
        assert key not in self.products_asked, "two operators look alike; give them different widths"
        flops, size = (x.matrices(rows, part, tokens, width, shapes) for x in (self._flops, self._bytes_read))
        self.products_asked[key] = (one(flops), one(size), one(tokens))
        return np.zeros(1)

    def prompt_attention(self, rows: Rows, work: Pass, sliding: bool) -> np.ndarray:
        return self._core(*(x.prompt_attention(rows, work, sliding) for x in (self._flops, self._bytes_read)))

    def decode_attention(self, rows: Rows, work: Pass, sliding: bool) -> np.ndarray:
        return self._core(*(x.decode_attention(rows, work, sliding) for x in (self._flops, self._bytes_read)))

    def _core(self, flops: Any, size: Any) -> np.ndarray:
        if one(flops) or one(size):
            self.cores.append((one(flops), one(size)))
        return np.zeros(1)

    def routed_experts(self, rows: Rows, group_tokens: Any) -> np.ndarray:
        flops, halved, size = (
            one(x.routed_experts(rows, group_tokens)) for x in (self._flops, self._halved, self._bytes_read)
        )
        # with expert_half_rows 1 the flops take (rows + 1)/rows as long
        self.experts = flops, size, flops / (halved - flops) if flops else 0.0
        return np.zeros(1)

    def traffic(self, size: Any) -> np.ndarray:
        self.moved.append(one(size))
        return np.zeros(1)


def operators(scene: Scenario, work: Pass, **degrees: int) -> Recorder:
    """What the operators of one pass ask of the card."""
    rows = rows_of(scene, **degrees)
    recorder = Recorder(rows.setting)
    layer_times(rows, work, recorder)
    return recorder


def communication(scene: Scenario, work: Pass, **degrees: int) -> float:
    """Seconds of the only kind of layer with operators that take no time: links and fixed latencies."""
    rows = rows_of(scene, **degrees)
    times = layer_times(rows, work, Recorder(rows.setting)).layers
    assert times.shape == (1, 1)
    return float(times[0, 0])


def priced(scene: Scenario, choice: int, engines: int = 1, *, ideal: bool = False, **degrees: int) -> Candidates:
    """One priced row; `choice` is the micro-batch of prompts, or the token budget of the closed loop."""
    return price(scene, Grid(strategy(**degrees), np.array([engines]), np.array([choice])), ideal=ideal)


def figures(row: Candidates, *names: str) -> tuple[float, ...]:
    """Some columns of a priced row."""
    return tuple(float(getattr(row, name)[0]) for name in names)
