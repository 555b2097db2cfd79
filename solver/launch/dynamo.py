"""NVIDIA Dynamo: one DynamoGraphDeployment for Kubernetes, whose workers are the same engines with the same flags.

Kubernetes chooses the nodes; the manifest states how many an engine takes and how many GPUs it takes on each.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import yaml

from ...models import InputError
from ...models.command_profile import command_profile
from ...models.deployment import DeploymentPlan
from ...models.plan import Plan
from . import sglang, trtllm, vllm
from .bench import bench_command
from .copies import Copy, Kind, copies_of
from .files import Launched, notes_of
from .layers import partition
from .refusal import RefusedError, refusals
from .shell import script_line

VERSION = "1.6.1"
"""The version whose manifest is written (apiVersion nvidia.com/v1beta1)."""
_TYPES = {"aggregated": "worker", "prefill": "prefill", "decode": "decode"}
_SETTINGS = "engine-settings"


def launch_dynamo(plan: Plan | DeploymentPlan, backend: str) -> Launched:
    """A manifest with vllm, sglang or trtllm inside. Raises RefusedError, InputError."""
    copies = copies_of(plan)
    if reasons := refusals(plan, backend):
        raise RefusedError(backend, reasons)
    checkpoint = copies[0].kind.scenario.model.checkpoint
    if checkpoint is None:
        raise InputError(
            "a manifest must name what to load, and the plan's model names no checkpoint",
            help="set model.checkpoint in the scenario to a Hugging Face repository and solve again",
        )
    name = _name(plan.scenario.name)
    kinds: dict[int, list[Copy]] = {}
    for copy in copies:
        kinds.setdefault(id(copy.kind), []).append(copy)
    parts, files = [_frontend(backend)], []
    for group in kinds.values():
        component = _component(group, backend, checkpoint, f"{group[0].kind.role}-{len(parts)}", name)
        parts.append(component)
        if backend == "trtllm":
            files.append((f"{component['name']}.yaml", trtllm.settings(group[0].kind)))
    manifest = {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": name},
        "spec": {"backendFramework": backend, "components": parts},
    }
    documents: list[dict[str, Any]] = [manifest]
    if files:
        settings = {"name": f"{name}-{_SETTINGS}"}
        documents.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": settings, "data": dict(files)})
    assert plan.predictions is not None
    url = f"http://{name}-frontend:8000"
    test = bench_command(copies[0].kind.scenario, url, 1.0, plan.predictions.requests_per_s)
    bench = "#!/usr/bin/env bash\n# the load that the plan was made for\nset -euo pipefail\n"
    bench += f"MODEL={shlex.quote(checkpoint)}\n"
    notes = (*notes_of(plan, copies, backend), _placing(copies))
    return Launched(
        "dynamo",
        {
            "deployment.yaml": yaml.safe_dump_all(documents, sort_keys=False),
            "bench.sh": f"{bench}{script_line(test)}\n",
            "README.md": _guide(name, notes),
        },
        notes,
    )


def _guide(name: str, notes: Sequence[str]) -> str:
    """What to do with the manifest."""
    steps = (
        "Dynamo's operator must run in the cluster.",
        "`kubectl create secret generic hf-token-secret --from-literal=HF_TOKEN=…`, for checkpoints behind a login.",
        "`kubectl apply -f deployment.yaml`, and wait until every pod is ready.",
        f"`bench.sh` sends the load that the plan was made for to `{name}-frontend:8000`: run it in a pod of the same "
        f"namespace, or after `kubectl port-forward svc/{name}-frontend 8000` with the address changed to localhost.",
    )
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    told = "\n".join(f"- {note}" for note in notes)
    return f"# {name} on Dynamo {VERSION}\n\n{numbered}\n\n{told}\n"


def _name(text: str) -> str:
    """A name that Kubernetes takes: lower case letters, digits and hyphens, at most 40 of them."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower()).strip("-")[:40].strip("-")
    return kept if kept and kept[0].isalpha() else f"plan-{kept}".strip("-")


def _placing(copies: Sequence[Copy]) -> str:
    most = max(len(copy.seats) for copy in copies)
    if most > 1:
        return "engines of several nodes need Grove or LeaderWorkerSet in the cluster; engines of one node do not"
    return "Kubernetes chooses the nodes: engines that share one in the plan may stand apart, which costs nothing"


def _frontend(backend: str) -> dict[str, Any]:
    return {
        "name": "Frontend",
        "type": "frontend",
        "replicas": 1,
        "podTemplate": _pod(["python3", "-m", "dynamo.frontend"], [], backend, 0),
    }


def _component(group: Sequence[Copy], backend: str, checkpoint: str, name: str, deployment: str) -> dict[str, Any]:
    copy, kind = group[0], group[0].kind
    command = f"python3 -m dynamo.{backend}".split()
    pod = _pod(command, _arguments(kind, backend, checkpoint, name), backend, len(copy.seats[0][1]))
    container = pod["spec"]["containers"][0]
    if environment := partition(backend, kind.strategy):
        container["env"] = [{"name": key, "value": value} for key, value in environment.items()]
    if backend == "trtllm":
        container["volumeMounts"] = [{"name": _SETTINGS, "mountPath": "/settings"}]
        pod["spec"]["volumes"] = [{"name": _SETTINGS, "configMap": {"name": f"{deployment}-{_SETTINGS}"}}]
    component: dict[str, Any] = {"name": name, "type": _TYPES[kind.role], "replicas": len(group)}
    if len(copy.seats) > 1:
        component["multinode"] = {"nodeCount": len(copy.seats)}
    return component | {"podTemplate": pod}


def _pod(command: list[str], args: list[str], backend: str, gpus: int) -> dict[str, Any]:
    image = {"vllm": "vllm-runtime", "sglang": "sglang-runtime", "trtllm": "tensorrtllm-runtime"}[backend]
    container: dict[str, Any] = {
        "name": "main",
        "image": f"nvcr.io/nvidia/ai-dynamo/{image}:{VERSION}",
        "command": command,
    }
    container |= {"args": args} if args else {}
    container["envFrom"] = [{"secretRef": {"name": "hf-token-secret"}}]
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    return {"spec": {"containers": [container]}}


def _arguments(kind: Kind, backend: str, checkpoint: str, name: str) -> list[str]:
    profile = command_profile(backend)
    if backend == "trtllm":
        words = ["--model-path", checkpoint, "--extra-engine-args", f"/settings/{name}.yaml"]
    else:
        words = [profile.flag("model"), checkpoint]
        words += {"vllm": vllm.arguments, "sglang": sglang.arguments}[backend](profile, kind)
    role = "--disaggregation-mode"
    return words if kind.role == "aggregated" or role in words else [*words, role, kind.role]
