"""What shardwise does with deployment conditions: `solve` proves the best plan, `evaluate` prices a given one.

The solver is imported when first used, so that reading a scenario stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .evaluate import evaluate
    from .solve import solve
    from .verify import verify

__all__ = ["evaluate", "solve", "verify"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    function = getattr(import_module(f".{name}", __name__), name)
    # The submodule of the same name took its place in this namespace; the function is what was asked for.
    globals()[name] = function
    return function
