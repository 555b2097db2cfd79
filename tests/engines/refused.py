"""Strategies that shardwise refuses for an engine, with what the engine says of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shardwise.models import Scenario
from shardwise.models.strategy import DEGREES, Strategy
from shardwise.solver.conditions import structural_of
from shardwise.solver.launch.refusal import facts_of, for_engine

from .commands import CONFIGS, config_of, pinned

NODE = 8
PROMPTS = {"batch": 8, "input_tokens": 1000, "output_tokens": 1}


@dataclass(frozen=True)
class Bad:
    """One strategy that no plan may have."""

    engine: str
    model: str
    degrees: tuple[int, ...]
    """In the order of DEGREES."""
    says: str
    """accept, or the stage at which the engine refuses it."""
    ours: tuple[str, ...]
    """Conditions that it breaks."""
    nodes: int = 1
    heads: tuple[int, int] | None = None
    """Query and KV heads, where they are not the model's own."""
    prompts_only: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.engine} {self.model} {Strategy(**self.strategy).describe()} on {self.nodes} nodes"

    @property
    def strategy(self) -> dict[str, int]:
        """The degrees by name."""
        return dict(zip(DEGREES, self.degrees, strict=True))

    def scenario(self) -> Scenario:
        """Conditions without a pin on the degrees."""
        asked = pinned(self.model, self.nodes * NODE, (1, 1, 1, 1, 1, 1))
        data = asked.model_dump(exclude_unset=True) | {"strategy": {}}
        if self.prompts_only:
            data["workload"] = PROMPTS
        made = Scenario.model_validate(data)
        if self.heads is not None:
            query, keys = self.heads
            attention = made.model.attention.model_copy(update={"heads": query, "kv_heads": keys})
            made = made.model_copy(update={"model": made.model.model_copy(update={"attention": attention})})
        return for_engine(made, self.engine)

    def broken(self) -> set[str]:
        """Conditions on degrees that it does not keep."""
        s = Strategy(**self.strategy)
        facts = facts_of(s) | {"gpus_used": s.gpus}
        return {one.id for one in structural_of(self.scenario()) if not one.keeps(facts)}

    def ask(self) -> dict[str, Any]:
        """What is asked of the engine."""
        words = _vllm(self) if self.engine == "vllm" else _sglang(self)
        return {
            "command": words,
            "environment": {},
            "model_dir": str(CONFIGS / config_of(self.scenario())),
            "gpu": "H200",
            "gpus_per_node": NODE,
            "deep": True,
            "budget": 120_000_000_000,
        }


def _vllm(bad: Bad) -> list[str]:
    s = bad.strategy
    words = ["vllm", "serve", "model", "-tp", str(s["tensor"]), "-pp", str(s["pipeline"]), "-dp", str(s["data"])]
    words += ["-pcp", str(s["context"])] * (s["context"] > 1)
    words += ["--enable-expert-parallel"] * (s["expert"] > 1)
    if bad.nodes > 1:
        words += ["--nnodes", str(bad.nodes), "--node-rank", "0", "--master-addr", "10.0.0.1"]
    return words + (["--hf-overrides", json.dumps(_heads(bad.heads))] if bad.heads else [])


def _sglang(bad: Bad) -> list[str]:
    s = bad.strategy
    group = s["tensor"] * s["context"] * s["data"]
    words = ["python3", "-m", "sglang.launch_server", "--model-path", "model", "--tp-size", str(group)]
    words += ["--pp-size", str(s["pipeline"]), "--attn-dp-size", str(s["data"]), "--attn-cp-size", str(s["context"])]
    words += ["--ep-size", str(s["expert"])]
    if bad.nodes > 1:
        words += ["--nnodes", str(bad.nodes), "--node-rank", "0", "--dist-init-addr", "10.0.0.1:29500"]
    return words + (["--json-model-override-args", json.dumps(_heads(bad.heads))] if bad.heads else [])


def _heads(heads: tuple[int, int]) -> dict[str, int]:
    return {"num_attention_heads": heads[0], "num_key_value_heads": heads[1]}


BAD = (
    # accepted by the engine, though wrong: empty stages, ranks without experts, experts dealt unevenly
    Bad("vllm", "llama-3.1-8b", (1, 1, 1, 40, 1, 1), "accept", ("layers.stages",), nodes=5),
    Bad("vllm", "mixtral-8x7b", (16, 1, 1, 1, 16, 1), "accept", ("experts.divisible",), nodes=2),
    Bad("vllm", "qwen3-235b-a22b", (8, 1, 3, 1, 24, 1), "accept", ("experts.divisible",), nodes=3),
    # accepted, does nothing
    Bad("sglang", "mixtral-8x7b", (2, 1, 4, 1, 8, 1), "accept", ("engine.attention_data",)),
    Bad("sglang", "llama-3.1-70b", (4, 2, 1, 1, 1, 1), "accept", ("engine.context",), prompts_only=True),
    # refused by both
    Bad("vllm", "llama-3.1-70b", (3, 1, 1, 1, 1, 1), "config", ("heads.divisible",)),
    Bad("vllm", "llama-3.1-70b", (4, 1, 1, 1, 4, 1), "config", ("degrees.dense",)),
    Bad("vllm", "llama-3.1-8b", (4, 1, 1, 1, 1, 1), "model", ("kv_heads.divisible",), heads=(48, 6)),
    Bad("vllm", "deepseek-v3", (32, 1, 1, 1, 32, 1), "model", ("engine.fp8_block.linear",), nodes=4),
    Bad("vllm", "llama-3.1-70b", (4, 2, 1, 1, 1, 1), "model", ("engine.context",), prompts_only=True),
    Bad("vllm", "llama-3.1-8b", (4, 1, 1, 3, 1, 1), "config", ("engine.even_nodes",), nodes=5),
    Bad("sglang", "llama-3.1-70b", (3, 1, 1, 1, 1, 1), "model", ("heads.divisible",)),
    Bad("sglang", "llama-3.1-8b", (4, 1, 1, 1, 1, 1), "model", ("kv_heads.divisible",), heads=(48, 6)),
    Bad("sglang", "qwen3-235b-a22b", (8, 1, 1, 1, 3, 2), "model", ("degrees.expert_group", "experts.divisible")),
    Bad("sglang", "qwen3-235b-a22b", (8, 1, 3, 1, 24, 1), "model", ("experts.divisible",), nodes=3),
    Bad("sglang", "qwen3-235b-a22b-fp8", (8, 1, 1, 1, 1, 8), "model", ("engine.fp8_block.experts",)),
    Bad("sglang", "deepseek-v3", (32, 1, 1, 1, 32, 1), "model", ("engine.fp8_block.stage",), nodes=4),
    Bad("sglang", "deepseek-v3", (1, 1, 32, 1, 32, 1), "model", ("engine.fp8_block.stage",), nodes=4),
    Bad("sglang", "llama-3.1-8b", (1, 1, 1, 40, 1, 1), "model", ("layers.stages",), nodes=5),
    Bad("sglang", "llama-3.1-8b", (4, 1, 1, 3, 1, 1), "check", ("engine.even_nodes",), nodes=5),
)
