"""Rules: further named conditions that a scenario or a knowledge file states."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .base import Model
from .strategy import DEGREES, Bound

Role = Literal["prefill", "aggregated", "decode"]
Group = Literal["tensor", "context", "expert", "engine"]


class Rule(Model):
    """One named condition on strategies, such as "tensor groups stay inside a node"."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$", description="stable name, as in tensor-inside-node")
    statement: str = Field(min_length=1, max_length=200, description="what it demands, in words")
    roles: tuple[Role, ...] = Field(
        default=("prefill", "aggregated", "decode"),
        min_length=1,
        description="engines it holds for: decode and aggregated for all that decode, prefill for the others",
    )
    tensor: Bound | None = Field(default=None, description="bound on the tensor degree")
    context: Bound | None = Field(default=None, description="bound on the context degree")
    data: Bound | None = Field(default=None, description="bound on the attention data degree")
    pipeline: Bound | None = Field(default=None, description="bound on the pipeline degree")
    expert: Bound | None = Field(default=None, description="bound on the expert degree")
    expert_tensor: Bound | None = Field(default=None, description="bound on the expert tensor degree")
    inside_node: tuple[Group, ...] = Field(default=(), description="groups of ranks that must not cross nodes")

    @model_validator(mode="after")
    def _demands_something(self) -> Rule:
        if not self.inside_node and not self.bounds:
            raise ValueError("the rule demands nothing; bound a degree or name groups under inside_node")
        return self

    def holds_for(self, role: Role) -> bool:
        """Whether it holds for engines of a role; aggregated ones decode too."""
        return role in self.roles or (role == "aggregated" and "decode" in self.roles)

    @property
    def bounds(self) -> dict[str, Bound]:
        """The degrees it bounds."""
        return {name: bound for name in DEGREES if (bound := getattr(self, name)) is not None}
