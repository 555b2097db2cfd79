"""What shardwise does with deployment conditions: `solve` proves the best plan, `deploy` the best deployment of
pools, `evaluate` prices a given strategy.

The solver is imported when first used, so that reading a scenario stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .evaluation import evaluate
    from .explanation.explain import explain
    from .pools.solving import deploy
    from .solving import solve

__all__ = ["deploy", "evaluate", "explain", "solve"]

_HOMES = {
    "deploy": "pools.solving",
    "evaluate": "evaluation",
    "explain": "explanation.explain",
    "solve": "solving",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
