"""One process of an engine on one node, and the ports that processes need."""

from __future__ import annotations

from dataclasses import dataclass, field

from .copies import Copy

HTTP, HEAD, SIDE, BOOTSTRAP = 8000, 29500, 20000, 9000
"""First port of the API, where an engine's nodes meet, of the KV transfer, of prefill engines; engine n adds to it."""
SPAN = 100
"""Ports that the KV transfer of one engine may need: one for each of its ranks on a node."""


@dataclass(frozen=True)
class Process:
    """What is started on one node for one engine."""

    copy: Copy
    node: int
    turn: int
    """0: the engine's first node, which answers requests."""
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As in prefill-0."""
        return f"{self.copy.kind.role}-{self.copy.number}"


def http_port(copy: Copy) -> int:
    """Where an engine answers."""
    return HTTP + copy.number


def visible(copy: Copy, turn: int) -> dict[str, str]:
    """The GPUs of a node that an engine may see; all of them where it takes the whole node."""
    gpus = copy.seats[turn][1]
    node = copy.kind.stock.gpus_per_node or copy.kind.stock.accelerator.gpus_per_node
    return {} if len(gpus) == node else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}


def share(value: float) -> str:
    """A share of memory, rounded down to what engines read."""
    return f"{int(value * 10_000) / 10_000:.4f}".rstrip("0").rstrip(".")
