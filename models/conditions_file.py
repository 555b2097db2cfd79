"""A file of deployment conditions, whichever way its engines are priced: here, or by a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .errors import InputError
from .reading import named, validated
from .reading.tree import read_file_tree
from .requirements import with_margin
from .scenario_file import ScenarioFile
from .table_scenario import TableScenario


def read_conditions(path: str | Path, knowledge: Sequence[str | Path] = ()) -> ScenarioFile | TableScenario:
    """A scenario with its file, or a scenario over an engine table (`engines:` tells).

    Raises InputError with the file and line. The table itself is read when it is needed.
    """
    tree = read_file_tree(Path(path))
    if not isinstance(tree.data, dict) or "engines" not in tree.data:
        return ScenarioFile.read(path, knowledge)
    if knowledge:
        raise InputError(
            "knowledge is laid under our own prices; this scenario takes a table's",
            place=tree.place(("engines",)),
            help="leave --knowledge out",
        )
    return validated(named(replace(tree)), TableScenario)


def tightened(conditions: ScenarioFile | TableScenario, share: float) -> ScenarioFile | TableScenario:
    """The same conditions with requirements that leave a margin."""
    if isinstance(conditions, ScenarioFile):
        return replace(conditions, scenario=with_margin(conditions.scenario, share), margin=share)
    return with_margin(conditions, share)
