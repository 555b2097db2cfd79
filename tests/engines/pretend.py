"""What a machine without a GPU lacks, pretended: cards, streams, operators, process groups. No validator is replaced.

Run by the interpreter that has the engines, never by the project's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as groups


@dataclass(frozen=True)
class Card:
    """What engines ask of a card."""

    name: str
    capability: tuple[int, int]
    memory: int
    """Bytes, as the driver reports them."""


CARDS = {
    "A100": Card("NVIDIA A100-SXM4-80GB", (8, 0), 81920 << 20),
    "H100": Card("NVIDIA H100 80GB HBM3", (9, 0), 81559 << 20),
    "H200": Card("NVIDIA H200", (9, 0), 143771 << 20),
}
PROCESSORS = 132
_KEPT: list[torch.library.Library] = []
"""Operators vanish with the library that declares them."""


class Properties:
    """What `torch.cuda.get_device_properties` returns."""

    def __init__(self, card: Card) -> None:
        self.name, self.total_memory = card.name, card.memory
        self.major, self.minor = card.capability
        self.multi_processor_count, self.warp_size, self.regs_per_multiprocessor = PROCESSORS, 32, 65536
        self.shared_memory_per_block_optin, self.shared_memory_per_multiprocessor = 232448, 233472
        self.L2_cache_size, self.gcnArchName, self.is_integrated = 50 << 20, "", False


class Idle:
    """A stream or an event: every method does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def operators(library: str, declared: dict[str, Any]) -> None:
    """Declare compiled operators: signature -> the function behind it, or None."""
    made = torch.library.Library(library, "FRAGMENT")
    _KEPT.append(made)
    for signature, function in declared.items():
        made.define(signature)
        if function is not None:
            made.impl(signature.split("(")[0], function, "CompositeExplicitAutograd")


def vision_operators() -> None:
    """torchvision's wheel is built for CUDA; importing it needs these two."""
    boxes = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    operators("torchvision", {f"nms{boxes}": None, f"qnms{boxes}": None})


def never_called(name: str) -> Any:
    """A kernel's stand-in, which a check must not reach."""

    def kernel(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{name} was called: no kernel runs here")

    kernel.__name__ = name
    kernel.default = kernel  # type: ignore[attr-defined]
    return kernel


@contextlib.contextmanager
def missing_operators(*namespaces: str) -> Iterator[None]:
    """Inside, operators of these namespaces exist, compiled or not."""
    kind = type(torch.ops.aten)
    found = kind.__getattr__

    def lookup(self: Any, name: str) -> Any:
        try:
            return found(self, name)
        except AttributeError:
            if name.startswith("__") or self.name not in namespaces:
                raise
            return never_called(name)

    kind.__getattr__ = lookup
    try:
        yield
    finally:
        kind.__getattr__ = found


class NoCuda(torch.overrides.TorchFunctionMode):
    """Tensors that ask for a GPU get shapes without memory."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = dict(kwargs or {})
        if "cuda" in str(named.get("device")):
            named["device"] = torch.device("meta")
        return function(*args, **named)


def lonely_groups() -> None:
    """Process groups of any size with only this rank in them: PyTorch's own `fake` backend."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    start, group = groups.init_process_group, groups.new_group

    def alone(*_: Any, world_size: int = -1, rank: int = -1, **__: Any) -> None:
        start(backend="fake", store=FakeStore(), world_size=world_size, rank=rank)

    groups.init_process_group = alone
    groups.new_group = lambda ranks=None, *_, **__: group(ranks, backend="fake")


def weight_bytes(model: torch.nn.Module) -> int:
    """Bytes of a model's parameters."""
    return sum(one.numel() * one.element_size() for one in model.parameters())
