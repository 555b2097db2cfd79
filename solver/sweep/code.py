"""A digest of the code and the catalogue that answers come from: the version alone does not change between commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ... import models

_SUFFIXES = (".py", ".yaml")
_ONLY_SHOW = ("command", "report")
"""Packages of the solver that show answers and make none: a new page must not cost a new sweep."""


@cache
def code_digest() -> bytes:
    """Of every source and catalogue file that a result may depend on."""
    assert models.__file__ is not None
    return digest_of((Path(models.__file__).parent, Path(__file__).parents[1]))


def digest_of(folders: Iterable[Path]) -> bytes:
    """Names and contents."""
    found = hashlib.sha256()
    for folder in folders:
        for file in _files(folder):
            content = file.read_bytes()
            found.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
            found.update(content)
    return found.digest()


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.suffix in _SUFFIXES and file.relative_to(folder).parts[0] not in _ONLY_SHOW:
            yield file
