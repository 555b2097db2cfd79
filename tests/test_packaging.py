"""The wheel holds every package and data file, and works outside the repository."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SETTINGS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def test_every_package_is_listed() -> None:
    found = {
        "shardwise." + ".".join(file.parent.relative_to(REPOSITORY).parts)
        for top in ("models", "solver")
        for file in (REPOSITORY / top).rglob("__init__.py")
    }
    assert found == set(SETTINGS["tool"]["setuptools"]["packages"])


def test_a_wheel_works_outside_the_repository(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    for name in ("models", "solver"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)], check=True)
    [wheel] = tmp_path.glob("shardwise-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    shutil.copy(REPOSITORY / "scenarios/llama-3.1-8b-h100-1.yaml", tmp_path)
    code = (
        "import sys, shardwise.solver.command as c; print(c.__file__, file=sys.stderr);"
        "sys.argv = ['shardwise', 'solve', 'llama-3.1-8b-h100-1.yaml']; c.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert str(site) in done.stderr
    assert json.loads(done.stdout)["status"] == "optimal"
