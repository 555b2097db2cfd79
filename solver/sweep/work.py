"""What a worker does: one scenario, from changes to a row."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Any

from ...models import InputError, ScenarioFile
from .factors import edits_of
from .row import FAILED, Row, row_of

_BASE: dict[str, ScenarioFile] = {}
"""The base scenario of this worker."""


def prepare(base: ScenarioFile) -> None:
    """Take the base and import what solving needs, once."""
    from ..pools import solving as _pools
    from ..solving import solve as _solve

    del _pools, _solve
    _BASE["base"] = base
    gc.collect()
    gc.freeze()  # collections looked through all that was imported, a sixth of the time of a scenario


def solve_point(key: str, changes: Mapping[str, Any], time_limit: float | None) -> Row:
    """One row. What is wrong with the scenario is its reason, never an exception."""
    from ..errors import DisagreementError
    from ..pools.solving import deploy
    from ..solving import solve

    began = time.perf_counter()
    try:
        scenario = _BASE["base"].edited(edits_of(changes, _BASE["base"].scenario))
        if scenario.pools:
            plan: Any = deploy(scenario, time_limit=time_limit, restrictions=False)
        else:
            plan = solve(scenario, time_limit=time_limit, alternatives=0, readings=False)
        return row_of(key, changes, plan, time.perf_counter() - began, time_limit)
    except (InputError, DisagreementError) as error:
        message = error.message if isinstance(error, InputError) else str(error)
        return Row(key, FAILED, dict(changes), reason=message, wall=time.perf_counter() - began)
    except Exception as error:  # a bug: told in the row, so that the sweep goes on
        reason = f"{type(error).__name__}: {error}"[:500]
        return Row(key, FAILED, dict(changes), reason=reason, wall=time.perf_counter() - began)
