"""Help, version and bad input answer at once: nothing heavy is imported for them."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"numpy", "pandas", "ortools", "matplotlib", "rich"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["catalog", "list"], ["check", "missing.yaml"], ["solve", "bad.yaml"]]
)
def test_nothing_heavy_is_imported(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "bad.yaml").write_text("hardwares: 1\n")
    code = f"""
import sys
sys.argv = ["shardwise", *{arguments!r}]
from shardwise.solver.command import main
try:
    main()
except SystemExit:
    pass
print("loaded:", sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.endswith("loaded: []\n"), done.stderr
