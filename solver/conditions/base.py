"""What a condition is, and the variables it is posted on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ...models import Scenario

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import Constraint, CpModel, IntVar

Facts = Mapping[str, Any]
"""Values by name (degrees, stage_group, engine_gpus, engines, gpus_used, ttft …), SI units: of one strategy, or arrays
over many."""
Kind = Literal["fact", "requirement", "resource", "pin", "rule", "engine"]
"""Who can change a condition: nobody (a fact of the model, the machine or arithmetic), or the person who asks, buys the
hardware, pinned the degrees, wrote the rule or chose the serving engine."""


@dataclass
class Variables:
    """The integer variables: engine_gpus = stage_group · pipeline; gpus_used = engines · engine_gpus."""

    model: CpModel
    scenario: Scenario
    largest: int
    """Upper end of the variables' domains."""
    tensor: IntVar
    context: IntVar
    data: IntVar
    pipeline: IntVar
    expert: IntVar
    expert_tensor: IntVar
    stage_group: IntVar
    engine_gpus: IntVar
    engines: IntVar
    gpus_used: IntVar
    units: dict[str, float] = field(default_factory=dict)
    """Integer steps of the priced quantities (choice/scale.py)."""
    values: dict[str, IntVar] = field(default_factory=dict)
    """Priced quantities by column name, in the integer units of choice/scale.py; empty before pricing."""


def restrict(v: Variables, variable: IntVar, allowed: Iterable[int]) -> Constraint:
    """Post that a variable has one of some values."""
    from ortools.sat.python.cp_model import Domain

    return v.model.add_linear_expression_in_domain(variable, Domain.from_values(sorted(allowed)))


def engine_inside_node(v: Variables, node: int, name: str) -> IntVar:
    """A Boolean that is true exactly where an engine fits inside a node."""
    inside = v.model.new_bool_var(name)
    v.model.add(v.engine_gpus <= node).only_enforce_if(inside)
    v.model.add(v.engine_gpus > node).only_enforce_if(~inside)
    return inside


@dataclass(frozen=True)
class Condition:
    """One demand on a strategy."""

    id: str
    statement: str
    key: str
    """The scenario key whose value sets it."""
    post: Callable[[Variables], None]
    """Adds it to the model; nothing else states it."""
    explain: Callable[[Facts], tuple[str, str]]
    """(required, predicted) in words, for a given strategy."""
    keeps: Callable[[Facts], Any]
    """Whether strategies keep it, by plain arithmetic: a bool, or an array of them. The second statement of `post`."""
    kind: Kind
    part_of: str = ""
    """Id of the condition with which it stands and falls: nodes come with the GPUs."""

    @property
    def background(self) -> bool:
        """Nobody can relax it."""
        return self.kind == "fact"


@dataclass(frozen=True)
class Limit(Condition):
    """A ceiling or floor on one priced column."""

    column: str = ""
    """The priced value it limits."""
    sense: Literal["<=", ">="] = "<="
    bound: float = 0.0
    """SI units; choice/scale.py makes it an integer."""
    allowed: tuple[int, ...] | None = None
    """Instead of the bound: the values allowed."""
    asked: str = ""
    """The bound or the values allowed, in words."""
    show: Callable[[float], str] = str
