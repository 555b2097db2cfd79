"""SGLang on pretended cards: torch answers as on a CUDA machine, compiled packages are empty."""

from __future__ import annotations

import importlib.machinery
import os
import sys
import types
from typing import Any

import pretend
import torch

COMPILED = (
    "sgl_kernel",
    "sglang_kernel",
    "flashinfer",
    "deep_gemm",
    "sgl_deep_gemm",
    "deep_ep",
    "flash_mla",
    "flash_attn",
    "quack",
    "cutlass",
    "tilelang",
    "humming",
    "torch_memory_saver",
)
"""Packages of kernels, which need CUDA's libraries to load."""
STATE: dict[str, Any] = {"card": pretend.CARDS["H100"], "count": 8}


def install() -> None:
    """To be called before anything of SGLang is imported."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "SGLANG_SKIP_SGL_KERNEL_VERSION_CHECK"):
        os.environ.setdefault(name, "1")
    pretend.vision_operators()
    _torch()
    sys.meta_path.append(_Finder())
    from sglang.srt.utils import common

    common.get_nvgpu_memory_capacity = lambda *_, **__: STATE["card"].memory >> 20


def use(gpu: str, count: int) -> None:
    """The cards that the next questions are answered for."""
    STATE.update(card=pretend.CARDS[gpu], count=count)


def _torch() -> None:
    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "is_initialized": lambda: False,
        "device_count": lambda: STATE["count"],
        "current_device": lambda: 0,
        "get_device_capability": lambda: STATE["card"].capability,
        "get_device_name": lambda: STATE["card"].name,
        "get_device_properties": lambda: pretend.Properties(STATE["card"]),
        "mem_get_info": lambda: (STATE["card"].memory, STATE["card"].memory),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer())
    torch.cuda.Stream = torch.cuda.Event = pretend.Idle
    torch.version.cuda = "13.0"


class _Anything(type):
    """A class that serves as base class, namespace, decorator and function alike."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _named(name)
        setattr(cls, name, made)
        return made

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        decorates = len(arguments) == 1 and not named and callable(arguments[0])
        return arguments[0] if decorates else object.__new__(cls)


def _named(name: str) -> Any:
    def attribute(self: Any, wanted: str) -> Any:
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        return getattr(type(self), wanted)

    return _Anything(name, (), {"__getattr__": attribute})


class _Package(types.ModuleType):
    """A compiled package in which every name exists."""

    __path__: list[str] = []  # noqa: RUF012
    __version__ = "99.0.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _named(name)
        setattr(self, name, made)
        return made


class _Finder:
    """Finds compiled packages and everything below them."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        found = name.split(".")[0] in COMPILED
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if found else None  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> _Package:
        return _Package(spec.name)

    def exec_module(self, module: Any) -> None: ...
