"""What goes into shardwise and what comes out: deployment conditions, strategies, plans.

Importing this package needs neither numpy nor the solver. What comes out is imported when first used: a command that
only reads conditions does not pay for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .constants import Efficiency, Latencies, Reserves
from .errors import InputError, InputErrors
from .hardware import Accelerator, Compute, GpuRange, Hardware, Link
from .precision import Precision
from .requirements import Requirements, Throughput
from .scenario import Scenario
from .strategy import Bound, Strategy, StrategyBounds
from .transformer import Attention, Experts, FeedForward, LatentAttention, SlidingWindow, Transformer
from .workload import Lengths, Routing, Workload

if TYPE_CHECKING:
    from .deployment import DeploymentPlan
    from .edit import Edit
    from .engine import Engine, EngineStrategy, Memory, Predictions
    from .explanation import Explanation
    from .plan import Evaluation, Plan
    from .scenario_file import ScenarioFile
    from .table_scenario import TableScenario

__all__ = [
    "Accelerator",
    "Attention",
    "Bound",
    "Compute",
    "DeploymentPlan",
    "Edit",
    "Efficiency",
    "Engine",
    "EngineStrategy",
    "Evaluation",
    "Experts",
    "Explanation",
    "FeedForward",
    "GpuRange",
    "Hardware",
    "InputError",
    "InputErrors",
    "Latencies",
    "LatentAttention",
    "Lengths",
    "Link",
    "Memory",
    "Plan",
    "Precision",
    "Predictions",
    "Requirements",
    "Reserves",
    "Routing",
    "Scenario",
    "ScenarioFile",
    "SlidingWindow",
    "Strategy",
    "StrategyBounds",
    "TableScenario",
    "Throughput",
    "Transformer",
    "Workload",
]

_OUT = {
    **dict.fromkeys(("Engine", "EngineStrategy", "Memory", "Predictions"), "engine"),
    **dict.fromkeys(("Evaluation", "Plan"), "plan"),
    "DeploymentPlan": "deployment",
    "Edit": "edit",
    "Explanation": "explanation",
    "ScenarioFile": "scenario_file",
    "TableScenario": "table_scenario",
}


def __getattr__(name: str) -> Any:
    if name not in _OUT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_OUT[name]}", __name__), name)
