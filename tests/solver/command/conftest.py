import shutil
from pathlib import Path

import pytest
from command_runs import REPOSITORY


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the scenarios, to run commands in."""
    shutil.copytree(REPOSITORY / "scenarios", tmp_path / "scenarios")
    return tmp_path
