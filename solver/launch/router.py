"""What stands before several engines: a router for aggregated engines, one for pairs of prefill and decode ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .copies import Copy
from .process import BOOTSTRAP, http_port

VERSIONS = {"vllm": "vllm-router 0.1.17", "sglang": "sglang-router 0.3.2", "trtllm": "vllm-router 0.1.17"}
"""The versions whose options are written, by serving engine."""
ORCHESTRATOR = "disaggregated.yaml"
"""The file in which TensorRT-LLM's own router for pairs finds the engines."""
PORT = 7000


@dataclass(frozen=True)
class Front:
    """Where clients send requests, and what must run there; the first engine itself where there is only one."""

    name: str
    url: str
    command: tuple[str, ...]
    copies: tuple[Copy, ...]
    """Engines that finish the requests."""


def fronts(engine: str, copies: Sequence[Copy]) -> list[Front]:
    """One for aggregated engines, one for pairs."""
    whole = tuple(copy for copy in copies if copy.kind.role == "aggregated")
    sends = tuple(copy for copy in copies if copy.kind.role == "prefill")
    takes = tuple(copy for copy in copies if copy.kind.role == "decode")
    if sends and not takes:  # prompts are all the work there is
        whole, sends = sends, ()
    found = []
    if len(whole) == 1:
        found.append(Front("engine", url_of(whole[0]), (), whole))
    elif whole:
        command = (*_start(engine), "--worker-urls", *map(url_of, whole), *_listens(PORT))
        found.append(Front("router", f"http://$NODE_{whole[0].head}:{PORT}", command, whole))
    if sends:
        port = PORT + bool(whole)
        command = (*_start(engine), *_pairs(engine, sends, takes), *_listens(port))
        if engine == "trtllm":
            command = ("trtllm-serve", "disaggregated", "-c", ORCHESTRATOR)
        found.append(Front("router-pairs", f"http://$NODE_{takes[0].head}:{port}", command, takes))
    return found


def orchestrator(sends: Sequence[Copy], takes: Sequence[Copy], port: int) -> dict[str, object]:
    """TensorRT-LLM's file for pairs; addresses are filled in by the script that starts it."""

    def servers(copies: Sequence[Copy]) -> dict[str, object]:
        return {"num_instances": len(copies), "urls": [url_of(copy).removeprefix("http://") for copy in copies]}

    return {
        "hostname": "0.0.0.0",
        "port": port,
        "context_servers": servers(sends),
        "generation_servers": servers(takes),
    }


def _start(engine: str) -> tuple[str, ...]:
    """TensorRT-LLM has an orchestrator of its own for pairs; aggregated engines of it stand behind the same router."""
    return ("python3", "-m", "sglang_router.launch_router") if engine == "sglang" else ("vllm-router",)


def _listens(port: int) -> tuple[str, ...]:
    """The engine with fewer requests in flight of two drawn at random, which holds loads even."""
    return ("--policy", "power_of_two", "--host", "0.0.0.0", "--port", str(port))


def _pairs(engine: str, sends: Sequence[Copy], takes: Sequence[Copy]) -> tuple[str, ...]:
    mode = "--pd-disaggregation" if engine == "sglang" else "--vllm-pd-disaggregation"
    words = [mode]
    for copy in sends:
        words += ["--prefill", url_of(copy)]
        words += [str(BOOTSTRAP + copy.number)] if engine == "sglang" else []
    for copy in takes:
        words += ["--decode", url_of(copy)]
    return tuple(words)


def url_of(copy: Copy) -> str:
    """Where an engine answers."""
    return f"http://$NODE_{copy.head}:{http_port(copy)}"
