"""What goes into shardwise and what comes out: deployment conditions, strategies, plans.

Importing this package needs neither numpy nor the solver.
"""

from .constants import Efficiency, Latencies, Reserves
from .engine import Engine, EngineStrategy, Memory, Predictions
from .errors import InputError, InputErrors
from .hardware import Accelerator, Compute, GpuRange, Hardware, Link
from .plan import Evaluation, Plan
from .precision import Precision
from .requirements import Requirements, Throughput
from .scenario import Scenario
from .strategy import Bound, Strategy, StrategyBounds
from .transformer import Attention, Experts, FeedForward, LatentAttention, SlidingWindow, Transformer
from .workload import Lengths, Routing, Workload

__all__ = [
    "Accelerator",
    "Attention",
    "Bound",
    "Compute",
    "Efficiency",
    "Engine",
    "EngineStrategy",
    "Evaluation",
    "Experts",
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
    "SlidingWindow",
    "Strategy",
    "StrategyBounds",
    "Throughput",
    "Transformer",
    "Workload",
]
