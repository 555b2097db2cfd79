"""One small card's tables for every test that only reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from shardwise.solver.costs.silicon import Silicon

from .made import card, write_card


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tables with one card."""
    return write_card(tmp_path_factory.mktemp("silicon"))


@pytest.fixture(scope="session")
def silicon(folder: Path) -> Silicon:
    """H100 as vLLM runs it."""
    return Silicon(card(), "vllm", folder)
