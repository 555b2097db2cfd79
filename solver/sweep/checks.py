"""What can be told of a sweep before anything is computed: misspelt keys, keys that set the same thing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any

from ...models import InputError, InputErrors, Scenario
from .factors import FOLLOW, edits_of, factor_of
from .points import Sweep

_MOST_SHAPES = 10_000
"""Values with keys of their own that are looked at; each costs a few milliseconds."""


def checked(sweep: Sweep) -> Sweep:
    """The same sweep. Raises InputError for what would go wrong, or mean something else, at many points."""
    names = [axis.key for axis in sweep.axes]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the key {name} is varied twice", help="give all its values in one axis")
    factors = {axis.key for axis in sweep.axes if any(factor_of(value) is not None for value in axis.values)}
    _apart(names, factors)
    for point in sweep.listed:
        _apart(point, {key for key, value in point.items() if factor_of(value) is not None})
    _first_point(sweep)
    _known_keys(sweep)
    return sweep


def _apart(keys: Collection[str], factors: Collection[str]) -> None:
    """Keys must not set one another's values: the row would name a value that did not count."""
    for one, other in combinations(sorted(keys, key=len), 2):
        if other.startswith(f"{one}."):
            raise InputError(
                f"{one} and {other} cannot both be varied: the first holds the second",
                help=f"name whole values of {one} that state {other.removeprefix(f'{one}.')} too",
            )
    for leader, followers in FOLLOW.items():
        for follower in followers:
            if leader in factors and follower in keys:
                raise InputError(
                    f"{leader} and {follower} cannot both be varied: a factor of the first sets the second too",
                    help=f"write values of {leader} instead of factors",
                )


def _first_point(sweep: Sweep) -> None:
    """A first value that makes no scenario, alone or with the others' first, is a mistake of the whole axis."""
    first = {axis.key: axis.values[0] for axis in sweep.axes}
    if _error(sweep, first) is not None:
        for key, value in first.items():  # the joint error may be of this one pair of values: rows tell that
            if (error := _error(sweep, {key: value})) is not None:
                raise _told({key: value}, error)
    for point in sweep.listed[:1]:
        if (error := _error(sweep, point)) is not None:
            raise _told(point, error)


def _known_keys(sweep: Sweep) -> None:
    """Every key of every value. Values of the same shape have the same keys, so that one of each is looked at."""
    seen = set[Any]()
    values = ({axis.key: value} for axis in sweep.axes for value in axis.values)
    for changes in (*values, *sweep.listed):
        shape = _shape(changes)
        if shape in seen or len(seen) > _MOST_SHAPES:
            continue
        seen.add(shape)
        error = _error(sweep, changes)
        for one in error.errors if isinstance(error, InputErrors) else (error,) if error else ():
            if one.message.startswith("unknown key") or "no number there to multiply" in one.message:
                raise _told(changes, one)


def _shape(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((key, _shape(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return tuple(dict.fromkeys(map(_shape, value)))
    return None if factor_of(value) is None else "factor"


def _error(sweep: Sweep, changes: Mapping[str, Any]) -> InputError | None:
    base: Scenario = sweep.base.scenario
    try:
        sweep.base.edited(edits_of(changes, base))
    except InputError as error:
        return error
    return None


def _told(changes: Mapping[str, Any], error: InputError) -> InputError:
    what = ", ".join(f"{key}: {value}" for key, value in changes.items())
    return InputError(f"with {what[:200]}: {error.message}", help=error.help)
