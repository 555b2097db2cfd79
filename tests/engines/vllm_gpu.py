"""vLLM on pretended cards: its own CUDA platform, with the questions to the driver answered."""

from __future__ import annotations

import os
import sys
import types
from typing import Any

import pretend
import torch

COMPILED = (
    "_C_stable_libtorch",
    "_moe_C_stable_libtorch",
    "_qutlass_C",
    "_flashmla_C",
    "_flashmla_extension_C",
    "_deepselect_C",
    "_flashkda_C",
)
"""Extension modules, which need CUDA's libraries to load."""
PROBES = {
    "cutlass_scaled_mm_supports_fp8": 89,
    "cutlass_scaled_mm_supports_block_fp8": 90,
    "cutlass_group_gemm_supported": 90,
    "cutlass_scaled_mm_supports_fp4": 100,
    "mxfp4_experts_quant_supported": 100,
}
"""Operators asked on import, with the capability from which they say yes."""
FLASH_VERSIONS = {8: (2,), 9: (2, 3)}
"""Of flash attention, by the card's major capability."""
STATE: dict[str, Any] = {"card": pretend.CARDS["H100"], "count": 8}


class _Kernels(types.ModuleType):
    """A compiled package: every name is a kernel."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return pretend.never_called(name)


def install() -> None:
    """To be called before anything of vLLM is imported."""
    quiet = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    offline = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    for name, value in (offline | quiet).items():
        os.environ.setdefault(name, value)
    for name in COMPILED:
        sys.modules.setdefault(f"vllm.{name}", types.ModuleType(f"vllm.{name}"))
    _flash_attention()
    pretend.vision_operators()
    pretend.operators("_C", {f"{name}(int capability) -> bool": _at_least(least) for name, least in PROBES.items()})
    _platform()


def use(gpu: str, count: int) -> None:
    """The cards that the next questions are answered for."""
    STATE.update(card=pretend.CARDS[gpu], count=count)


def _at_least(least: int) -> Any:
    return lambda capability: STATE["card"].capability[0] * 10 + STATE["card"].capability[1] >= least


def _flash_attention() -> None:
    package, interface = _Kernels("vllm.vllm_flash_attn"), _Kernels("vllm.vllm_flash_attn.flash_attn_interface")
    interface.is_fa_version_supported = lambda version, *_, **__: version in FLASH_VERSIONS[STATE["card"].capability[0]]
    interface.fa_version_unsupported_reason = lambda *_, **__: None
    package.is_fa_version_supported = interface.is_fa_version_supported
    package.fa_version_unsupported_reason = interface.fa_version_unsupported_reason
    package.flash_attn_interface = interface
    for module in (package, interface):
        sys.modules.setdefault(module.__name__, module)


def _platform() -> None:
    from vllm import platforms
    from vllm.platforms.cuda import CudaPlatformBase
    from vllm.platforms.interface import DeviceCapability

    class Pretended(CudaPlatformBase):
        """Answers for STATE's cards."""

    answers: dict[str, Any] = {
        "get_device_capability": lambda: DeviceCapability(*STATE["card"].capability),
        "get_device_name": lambda: STATE["card"].name,
        "get_device_uuid": lambda: "GPU-pretended",
        "get_device_total_memory": lambda: STATE["card"].memory,
        "device_count": lambda: STATE["count"],
        "is_fully_connected": lambda: True,
        "get_cuda_runtime_major": lambda: 13,
        "get_device_numa_node": lambda: None,
        "get_all_device_numa_nodes": lambda: None,
        "is_integrated_gpu": lambda: False,
        "num_compute_units": lambda: pretend.PROCESSORS,
        "is_pin_memory_available": lambda: False,
        "check_if_supports_dtype": lambda: None,
        "import_kernels": lambda: None,
    }
    for name, answer in answers.items():
        setattr(Pretended, name, classmethod(lambda _cls, *_, _answer=answer, **__: _answer()))
    platforms._current_platform = Pretended()
    from vllm.model_executor.models import registry

    registry._run_in_subprocess = lambda inspect: inspect()  # a new process would know nothing of this platform


def runtime() -> None:
    """What building a model asks of torch beside the platform."""
    from vllm import platforms
    from vllm.distributed import parallel_state
    from vllm.distributed.device_communicators import shm_broadcast

    pretend.lonely_groups()
    torch.distributed.is_backend_available = lambda _: True
    parallel_state._node_count = lambda _: 1
    parallel_state.in_the_same_node_as = lambda group, source_rank=0: [True] * torch.distributed.get_world_size(group)
    shm_broadcast.MessageQueue.create_from_process_group = staticmethod(lambda *_, **__: None)
    plain = "vllm.distributed.device_communicators.base_device_communicator.DeviceCommunicatorBase"
    type(platforms._current_platform).get_device_communicator_cls = classmethod(lambda _: plain)
    torch.accelerator.current_device_index = torch.cuda.current_device = lambda: torch.device("meta")
    torch.accelerator.current_accelerator = lambda *_, **__: torch.device("cuda")
    torch.cuda.Stream = torch.cuda.Event = pretend.Idle
    torch.cuda.current_stream = pretend.Idle
    torch.cuda.get_device_capability = lambda *_, **__: STATE["card"].capability
    torch.cuda.get_device_properties = lambda *_, **__: pretend.Properties(STATE["card"])
